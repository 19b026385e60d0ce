/** A TCP proxy on loopback that breaks connections at chosen moments. */

const HOST = "127.0.0.1";

/** Point of a cut: see {@link TcpProxy.cut}. */
export type CutPoint = "before_request" | "before_reply";

/** Matches data from a client that contains one of the texts. */
export interface RequestMatch {
  /** Each of at most 64 characters, also found across pieces of data. An empty one matches any data. */
  readonly texts: readonly string[];
  /** Number of the matching request, counted from now; default 1. One piece of data counts once. */
  readonly occurrence?: number;
}

/** A running proxy. Faults affect open and new connections until `heal()`. */
export interface TcpProxy {
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** Delays every piece of data in either direction. */
  delay(ms: number): void;
  /** Slow drip: passes replies on in pieces of this many bytes, one each millisecond. */
  drip(bytes: number): void;
  /**
   * Half-open: connections stay open and new ones are accepted, but no data passes until `heal()`; or only no replies.
   */
  stall(what?: "all" | "replies"): void;
  /** Ends delay, drip and stall, and passes the held data. */
  heal(): void;
  /**
   * Cuts the connection of the matching request once: `before_request`, so that the server never sees it, or
   * `before_reply`, when the server has begun to answer, so that only the answer is lost. Resolves after the cut. A
   * text matches the first request with it; default: the first request.
   */
  cut(point: CutPoint, request?: string | RequestMatch): Promise<void>;
  /**
   * Makes the connection of the matching request half-open, including that request, until `heal()`. Then the server
   * gets the request, even if the client is long gone. Resolves when it begins.
   */
  swallow(request: RequestMatch): Promise<void>;
  /** Calls `then` once, after such a request has arrived and before it passes. Resolves after `then`. */
  at(request: RequestMatch, then: () => void): Promise<void>;
  /** Cuts all connections now and accepts new ones. */
  cutAll(): void;
  /** Directs new connections to another port, like an endpoint that moves. Open ones stay. */
  moveTo(port: number): void;
  /** Closes everything. Resolves when all is closed. */
  stop(): Promise<void>;
}

/** Starts a proxy on a free port in front of a server on this machine. */
export function startTcpProxy(target: { port: number; hostname?: string }): TcpProxy {
  return new FaultProxy({ hostname: target.hostname ?? HOST, port: target.port });
}

/** Action of a {@link RequestMatch}. */
interface Armed {
  readonly texts: readonly string[];
  left: number;
  readonly then: (pair: Pair) => void;
}

interface Pair {
  readonly client: Deno.Conn;
  readonly server: Deno.Conn;
  /** End of what the client has sent. */
  tail: string;
  /** Called at the reply to suppress, after its request has gone to the server. */
  atReply: (() => void) | undefined;
  swallowed: boolean;
}

const LONGEST_TEXT = 64;

class FaultProxy implements TcpProxy {
  readonly #listener: Deno.TcpListener;
  #target: Deno.ConnectOptions;
  readonly #pairs = new Set<Pair>();
  readonly #running = new Set<Promise<void>>();
  #armed: Armed[] = [];
  #delayMs = 0;
  #dripBytes = Infinity;
  #stalled: "all" | "replies" | undefined;
  #healed = Promise.withResolvers<void>();

  constructor(target: Deno.ConnectOptions) {
    this.#target = target;
    this.#listener = Deno.listen({ hostname: HOST, port: 0 });
    this.#track(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  drip(bytes: number): void {
    this.#dripBytes = bytes;
  }

  stall(what: "all" | "replies" = "all"): void {
    this.#stalled = what;
  }

  heal(): void {
    this.#delayMs = 0;
    this.#dripBytes = Infinity;
    this.#stalled = undefined;
    for (const pair of this.#pairs) pair.swallowed = false;
    this.#healed.resolve();
    this.#healed = Promise.withResolvers();
  }

  cut(point: CutPoint, request: string | RequestMatch = ""): Promise<void> {
    const match = typeof request === "string" ? { texts: [request] } : request;
    return new Promise((happened) => {
      this.#arm(match, (pair) => {
        const cut = () => {
          closePair(pair);
          happened();
        };
        if (point === "before_request") cut();
        else pair.atReply ??= cut;
      });
    });
  }

  swallow(request: RequestMatch): Promise<void> {
    return new Promise((begun) => {
      this.#arm(request, (pair) => {
        pair.swallowed = true;
        begun();
      });
    });
  }

  at(request: RequestMatch, then: () => void): Promise<void> {
    return new Promise((done) => {
      this.#arm(request, () => {
        then();
        done();
      });
    });
  }

  cutAll(): void {
    for (const pair of this.#pairs) closePair(pair);
  }

  moveTo(port: number): void {
    this.#target = { ...this.#target, port };
  }

  async stop(): Promise<void> {
    this.#listener.close();
    this.cutAll();
    this.heal();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #track(work: Promise<void>): void {
    const done = work.catch(() => {}).finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) this.#track(this.#serve(client));
  }

  async #serve(client: Deno.Conn): Promise<void> {
    let server: Deno.Conn;
    try {
      server = await Deno.connect(this.#target);
    } catch {
      return client.close(); // the server is down
    }
    const pair: Pair = { client, server, tail: "", atReply: undefined, swallowed: false };
    this.#pairs.add(pair);
    await Promise.allSettled([
      pump(client, (data) => this.#toServer(pair, data)).finally(() => closePair(pair)),
      pump(server, (data) => this.#toClient(pair, data)).finally(() => closePair(pair)),
    ]);
    this.#pairs.delete(pair);
    pair.atReply?.(); // release those who wait for the cut: the reply can no longer come
  }

  #arm({ texts, occurrence = 1 }: RequestMatch, then: (pair: Pair) => void): void {
    if (texts.some(({ length }) => length > LONGEST_TEXT)) throw new RangeError("A text to match is too long");
    this.#armed.push({ texts, left: occurrence, then });
  }

  async #toServer(pair: Pair, data: Uint8Array): Promise<void> {
    this.#setOff(pair, new TextDecoder("latin1").decode(data));
    await this.#hold(pair, "request");
    await writeAll(pair.server, data); // fails if the pair has been cut
  }

  async #toClient(pair: Pair, data: Uint8Array): Promise<void> {
    if (pair.atReply) return pair.atReply();
    await this.#hold(pair, "reply");
    for (let at = 0; at < data.length;) {
      const piece = data.subarray(at, at + this.#dripBytes);
      await writeAll(pair.client, piece);
      at += piece.length;
      if (at < data.length) await sleep(1);
    }
  }

  async #hold(pair: Pair, what: "request" | "reply"): Promise<void> {
    if (this.#delayMs > 0) await sleep(this.#delayMs);
    while (pair.swallowed || this.#stalled === "all" || (this.#stalled && what === "reply")) await this.#healed.promise;
  }

  /** Runs the actions that match these data, or a text that ends in them. */
  #setOff(pair: Pair, data: string): void {
    const due = this.#armed.filter((armed) => {
      const isHere = armed.texts.some((text) => (endOf(pair.tail, text.length - 1) + data).includes(text));
      return isHere && --armed.left === 0;
    });
    this.#armed = this.#armed.filter(({ left }) => left > 0);
    pair.tail = endOf(pair.tail + data, LONGEST_TEXT);
    for (const { then } of due) then(pair);
  }
}

/** The last characters of a text. */
function endOf(text: string, length: number): string {
  return text.slice(Math.max(0, text.length - Math.max(0, length)));
}

async function pump(from: Deno.Conn, pass: (data: Uint8Array) => Promise<void>): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let count; (count = await from.read(buffer)) !== null;) await pass(buffer.slice(0, count));
}

async function writeAll(to: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length;) at += await to.write(data.subarray(at));
}

function closePair({ client, server }: Pair): void {
  for (const side of [client, server]) {
    try {
      side.close();
    } catch {
      // Already closed.
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
