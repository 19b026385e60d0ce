/** A TCP proxy on loopback that breaks connections at chosen moments. */

const HOST = "127.0.0.1";

/** Where a connection is cut, once: see {@link TcpProxy.cut}. */
export type CutPoint = "before_request" | "before_reply";

/** A running proxy. Faults concern connections that are open and those to come, until `heal()`. */
export interface TcpProxy {
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** Delays every piece of data in either direction. */
  delay(ms: number): void;
  /** Slow drip: passes replies on in pieces of this many bytes, one each millisecond. */
  drip(bytes: number): void;
  /** Half-open: connections stay up and new ones are taken, but nothing passes any more until `heal()`. */
  stall(): void;
  /** Ends delay, drip and stall; what was held back passes now. */
  heal(): void;
  /**
   * Cuts, once, the connection whose client sends data that contain `text`: `before_request`, so that the server never
   * sees them, or `before_reply`, when the server has them and has begun to answer, so that only the answer is lost.
   * Resolves when it has happened. The text must lie within one piece of data, so choose a short one: "evalsha".
   */
  cut(point: CutPoint, text?: string): Promise<void>;
  /** Cuts all connections now; new ones are taken. */
  cutAll(): void;
  /** Closes everything; resolves when nothing is left. */
  stop(): Promise<void>;
}

/** Starts a proxy on a free port in front of a server on this machine. */
export function startTcpProxy(target: { port: number; hostname?: string }): TcpProxy {
  return new FaultProxy({ hostname: target.hostname ?? HOST, port: target.port });
}

interface ArmedCut {
  readonly point: CutPoint;
  readonly text: string;
  readonly happened: () => void;
}

interface Pair {
  readonly client: Deno.Conn;
  readonly server: Deno.Conn;
  /** Set once the request has gone to the server whose reply is not to arrive. */
  cutAtReply: ArmedCut | undefined;
}

class FaultProxy implements TcpProxy {
  readonly #listener: Deno.TcpListener;
  readonly #target: Deno.ConnectOptions;
  readonly #pairs = new Set<Pair>();
  readonly #running = new Set<Promise<void>>();
  #armed: ArmedCut | undefined;
  #delayMs = 0;
  #dripBytes = Infinity;
  #healed = Promise.resolve();
  #heal = () => {};

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

  stall(): void {
    this.#heal();
    this.#healed = new Promise((resolve) => this.#heal = resolve);
  }

  heal(): void {
    this.#delayMs = 0;
    this.#dripBytes = Infinity;
    this.#heal();
  }

  cut(point: CutPoint, text = ""): Promise<void> {
    return new Promise((resolve) => this.#armed = { point, text, happened: resolve });
  }

  cutAll(): void {
    for (const pair of this.#pairs) closePair(pair);
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
    const pair: Pair = { client, server, cutAtReply: undefined };
    this.#pairs.add(pair);
    await Promise.allSettled([
      pump(client, (data) => this.#toServer(pair, data)).finally(() => closePair(pair)),
      pump(server, (data) => this.#toClient(pair, data)).finally(() => closePair(pair)),
    ]);
    this.#pairs.delete(pair);
  }

  async #toServer(pair: Pair, data: Uint8Array): Promise<void> {
    await this.#hold();
    const cut = this.#takeCut(data);
    if (cut?.point === "before_request") return cutPair(pair, cut);
    pair.cutAtReply ??= cut;
    await writeAll(pair.server, data);
  }

  async #toClient(pair: Pair, data: Uint8Array): Promise<void> {
    if (pair.cutAtReply) return cutPair(pair, pair.cutAtReply);
    await this.#hold();
    for (let at = 0; at < data.length;) {
      const piece = data.subarray(at, at + this.#dripBytes);
      await writeAll(pair.client, piece);
      at += piece.length;
      if (at < data.length) await sleep(1);
    }
  }

  async #hold(): Promise<void> {
    if (this.#delayMs > 0) await sleep(this.#delayMs);
    await this.#healed;
  }

  #takeCut(data: Uint8Array): ArmedCut | undefined {
    const armed = this.#armed;
    if (!armed || !new TextDecoder("latin1").decode(data).includes(armed.text)) return undefined;
    this.#armed = undefined;
    return armed;
  }
}

async function pump(from: Deno.Conn, pass: (data: Uint8Array) => Promise<void>): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let count; (count = await from.read(buffer)) !== null;) await pass(buffer.slice(0, count));
}

async function writeAll(to: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length;) at += await to.write(data.subarray(at));
}

function cutPair(pair: Pair, cut: ArmedCut): void {
  closePair(pair);
  cut.happened();
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
