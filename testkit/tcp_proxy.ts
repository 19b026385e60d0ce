/** A TCP proxy on loopback that breaks connections at chosen moments. */

const HOST = "127.0.0.1";

/** Where a connection is cut, once: see {@link TcpProxy.cut}. */
export type CutPoint = "before_request" | "before_reply";

/** A request that is waited for: what a client sends that contains one of the texts. */
export interface RequestMatch {
  /** Of at most 64 characters each; they are found across pieces of data. An empty one: whatever is sent. */
  readonly texts: readonly string[];
  /** The so-manyth of such requests from now on; default 1. What comes in one piece of data counts once. */
  readonly occurrence?: number;
}

/** A running proxy. Faults concern connections that are open and those to come, until `heal()`. */
export interface TcpProxy {
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** Delays every piece of data in either direction. */
  delay(ms: number): void;
  /** Slow drip: passes replies on in pieces of this many bytes, one each millisecond. */
  drip(bytes: number): void;
  /** Half-open: connections stay up and new ones are taken, but nothing passes any more until `heal()`; or no replies. */
  stall(what?: "all" | "replies"): void;
  /** Ends delay, drip and stall; what was held back passes now. */
  heal(): void;
  /**
   * Cuts, once, the connection whose client sends that request: `before_request`, so that the server never sees it, or
   * `before_reply`, when the server has it and has begun to answer, so that only the answer is lost. Resolves when it has
   * happened. A text stands for the first request with it; default: the first of all.
   */
  cut(point: CutPoint, request?: string | RequestMatch): Promise<void>;
  /**
   * Half-open for the one connection whose client sends that request, this request included, until `heal()`: then the
   * server gets it, however long the client has been gone. Resolves when it has begun.
   */
  swallow(request: RequestMatch): Promise<void>;
  /** Calls `then` once, when such a request is here and has not been passed on. Resolves behind it. */
  at(request: RequestMatch, then: () => void): Promise<void>;
  /** Cuts all connections now; new ones are taken. */
  cutAll(): void;
  /** Takes new connections to another port from now on, as an endpoint that moves does; those that are open stay. */
  moveTo(port: number): void;
  /** Closes everything; resolves when nothing is left. */
  stop(): Promise<void>;
}

/** Starts a proxy on a free port in front of a server on this machine. */
export function startTcpProxy(target: { port: number; hostname?: string }): TcpProxy {
  return new FaultProxy({ hostname: target.hostname ?? HOST, port: target.port });
}

/** What a {@link RequestMatch} sets off. */
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
  /** Set once the request has gone to the server whose reply is not to arrive: what to do then. */
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
      return client.close(); // the server is down: so is the proxy's connection
    }
    const pair: Pair = { client, server, tail: "", atReply: undefined, swallowed: false };
    this.#pairs.add(pair);
    await Promise.allSettled([
      pump(client, (data) => this.#toServer(pair, data)).finally(() => closePair(pair)),
      pump(server, (data) => this.#toClient(pair, data)).finally(() => closePair(pair)),
    ]);
    this.#pairs.delete(pair);
    pair.atReply?.(); // what waits for the cut need not wait for a reply that cannot come any more
  }

  #arm({ texts, occurrence = 1 }: RequestMatch, then: (pair: Pair) => void): void {
    if (texts.some(({ length }) => length > LONGEST_TEXT)) throw new RangeError("A text to match is too long");
    this.#armed.push({ texts, left: occurrence, then });
  }

  async #toServer(pair: Pair, data: Uint8Array): Promise<void> {
    this.#setOff(pair, new TextDecoder("latin1").decode(data));
    await this.#hold(pair, "request");
    await writeAll(pair.server, data); // fails where the pair has been cut
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

  /** Sets off what waits for these data, or for what ends within them. */
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

/** The last so many characters. */
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
      // Closed before.
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
