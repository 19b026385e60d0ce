/**
 * The door in front of `Deno.serve`, which by itself bounds neither connections nor their time, and which ends the process when no
 * file descriptor is left (docs/security.md). Three details:
 *
 * - All ports share one bound on connections. For one more the oldest is cut, whatever its port. Each ends after its time limit,
 *   unless a handler vouches for it ({@link Visit.stay}); those have a bound of their own.
 * - Bytes go to and from `Deno.serve` as they are, over a connection on loopback. A connection there that is not one of the door's
 *   belongs to no guest ({@link Door.guestAt}).
 * - A connection carries one request. HTTP/2, which would carry many, is refused by its first bytes.
 *
 * Held by tests/integration/http_limits_test.ts and tests/e2e/slow_clients_test.ts.
 */
import type { CutReason } from "../observability/metrics.ts";
import type { Clock } from "../runtime/clock.ts";

/** Where `Deno.serve` listens, behind the door. */
export const LOOPBACK = "127.0.0.1";

/** How long a connection may take from its first moment to its last, in milliseconds. */
const LIMIT_MS = 10_000;
/** How long a connection that stays may carry no byte in either direction, in milliseconds. */
const STALL_MS = 30_000;
/** Most connections that stay at once. */
const MOST_STAYING = 16;
/** How long a client that was answered may take to close, in milliseconds: cutting at once could take the answer from it. */
const LINGER_MS = 1_000;
/** Pause before the next connection is accepted if one could not be, in milliseconds. */
const ACCEPT_RETRY_MS = 50;
const BUFFER_BYTES = 16_384;
/** How HTTP/2 begins; no method of HTTP/1 is called so. */
const HTTP2_START = new TextEncoder().encode("PRI ");
const HTTP2_REFUSAL = new TextEncoder().encode(
  "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
);

/** The connection that a request came by. */
export interface Visit {
  /** Who connected to the port; `Deno.serve` itself sees only the door. */
  readonly remoteAddr: Deno.NetAddr;
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal;
  /**
   * Takes this connection out of the time limit and the bound on connections, for a stream to a client that is known. It must
   * carry a byte every 30 s. False if too many stay already.
   */
  stay(): boolean;
}

/** Answers a request. What it rejects with is logged and answered with 500. */
export type Handler = (request: Request, visit: Visit) => Response | Promise<Response>;

/** A port to open. */
export interface PortOptions {
  readonly bindAddress: string;
  /** 0: any free port. */
  readonly port: number;
  /** The variable that sets the port, for errors. */
  readonly portVariable: string;
  readonly handler: Handler;
  /** Called for each client that was cut off without a whole answer; default: nothing is. */
  readonly onCut?: (reason: CutReason) => void;
}

/** What a {@link Door} needs. */
export interface DoorOptions {
  readonly clock: Clock;
  /** Most connections at once, all ports together, without those that stay. */
  readonly mostConnections: number;
  /** Most connections that stay. Default 16. */
  readonly mostStaying?: number | undefined;
  /** How long a connection may take, in milliseconds. Default 10,000. */
  readonly connectionMs?: number | undefined;
  /** How long a connection that stays may carry nothing, in milliseconds. Default 30,000. */
  readonly stallMs?: number | undefined;
  /** The port of `Deno.serve` on {@link LOOPBACK}. */
  readonly innerPort: () => number;
  /** Called if a connection cannot be accepted or handed on, mostly for want of a file descriptor. */
  readonly onFailure: (error: Error) => void;
}

/** One client's connection, and the one that carries its bytes to `Deno.serve`. */
export class Guest implements Visit {
  readonly port: PortOptions;
  /** Resolves when the connection has ended. */
  readonly ended: Promise<void>;
  readonly #door: Door;
  readonly #client: Deno.TcpConn;
  readonly #end = new AbortController();
  readonly #asked = Promise.withResolvers<void>();
  #inner: Deno.TcpConn | undefined;
  #stage: "asking" | "answering" | "answered" = "asking";
  #movedAtMs = 0;

  constructor(client: Deno.TcpConn, { port, door }: { port: PortOptions; door: Door }) {
    this.#client = client;
    this.port = port;
    this.#door = door;
    this.ended = new Promise((resolve) => this.signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  get remoteAddr(): Deno.NetAddr {
    return this.#client.remoteAddr;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Whether a handler is at work for it, or its answer is under way. */
  get isAnswering(): boolean {
    return this.#stage === "answering";
  }

  /** Whether it has a whole answer. */
  get isAnswered(): boolean {
    return this.#stage === "answered";
  }

  /** When it last carried a byte, on the monotonic clock. */
  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  /** Where its connection to `Deno.serve` begins; `undefined` before there is one. */
  get innerPort(): number | undefined {
    return this.#inner?.localAddr.port;
  }

  stay(): boolean {
    return this.#door.letStay(this);
  }

  /** Notes that its request is there. False for a further one on the same connection. */
  ask(): boolean {
    if (this.#stage !== "asking") return false;
    this.#stage = "answering";
    this.#asked.resolve();
    return true;
  }

  /** Tells `Deno.serve` that nothing more comes, so that it closes once the answer is written: 2.9 ignores `connection: close`. */
  finish(): void {
    this.#inner?.closeWrite().catch(() => {}); // it has closed
  }

  /** Closes both connections at once, whatever is under way. Only the door calls it, once. */
  close(): void {
    this.#end.abort();
    this.#client.close();
    this.#inner?.close();
  }

  /** The first bytes that the client sends; `null` if it has gone or must not go on. */
  async readStart(): Promise<Uint8Array | null> {
    const bytes = new Uint8Array(BUFFER_BYTES);
    for (let length = 0; length < HTTP2_START.length;) {
      const count = await this.#client.read(bytes.subarray(length));
      if (count === null) return null;
      length += count;
      if (HTTP2_START.some((byte, at) => at < length && bytes[at] !== byte)) return bytes.subarray(0, length);
    }
    await writeAll(this.#client, HTTP2_REFUSAL);
    this.#stage = "answered";
    await this.#client.closeWrite();
    await Promise.race([this.#readUp(() => {}), this.#door.sleep(LINGER_MS, this.signal)]);
    return null;
  }

  /** Carries bytes both ways until the answer is whole and the client has closed, or has had its time to. */
  async carry(start: Uint8Array, inner: Deno.TcpConn): Promise<void> {
    this.#inner = inner;
    this.#noteMove();
    for (const connection of [this.#client, inner]) connection.setNoDelay(true); // else a body in two parts costs 40 ms
    await writeAll(inner, start);
    const up = this.#carryUp(inner).catch(() => this.#door.cut(this));
    await this.#carryDown(inner);
    this.#stage = "answered";
    await this.#client.closeWrite();
    await Promise.race([up, this.#door.sleep(LINGER_MS, this.signal)]);
  }

  async #carryUp(inner: Deno.TcpConn): Promise<void> {
    let isTaken = true;
    // What Deno.serve does not take any more is dropped: to stop reading could take the answer from the client.
    await this.#readUp(async (bytes) => {
      if (isTaken) isTaken = await writeAll(inner, bytes).then(() => true, () => false);
    });
    if (this.#door.isStaying(this)) return this.#door.cut(this);
    // Deno.serve drops a request whose client has closed its half. Some do so as soon as they have asked.
    await Promise.race([this.#asked.promise, this.#door.sleep(LINGER_MS, this.signal)]);
    if (this.#stage === "asking") this.finish();
  }

  async #readUp(take: (bytes: Uint8Array) => Promise<void> | void): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (let count; (count = await this.#client.read(buffer)) !== null;) {
      this.#noteMove();
      await take(buffer.subarray(0, count));
    }
  }

  async #carryDown(inner: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (let count; (count = await inner.read(buffer)) !== null;) {
      // An answer that no handler gave, to what is no request. Not every version closes after it.
      if (this.#stage === "asking" && !isInformational(buffer)) this.finish();
      await writeAll(this.#client, buffer.subarray(0, count));
      this.#noteMove();
    }
  }

  #noteMove(): void {
    this.#movedAtMs = this.#door.nowMs();
  }
}

/** Accepts connections at any number of ports, bounds them, and carries their bytes. */
export class Door {
  readonly #options: DoorOptions;
  readonly #listeners: Deno.TcpListener[] = [];
  readonly #accepting: Promise<void>[] = [];
  /** Oldest first. */
  readonly #guests = new Set<Guest>();
  readonly #staying = new Set<Guest>();
  readonly #byInnerPort = new Map<number, Guest>();
  readonly #stopping = new AbortController();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Listens at a port. @returns the actual one. @throws what `Deno.listen` throws. */
  open(port: PortOptions): number {
    const listener = Deno.listen({ hostname: port.bindAddress, port: port.port });
    this.#listeners.push(listener);
    this.#accepting.push(this.#acceptAll(listener, port));
    return listener.addr.port;
  }

  /** Whose connection comes to `Deno.serve` from this address; `undefined` for one that did not pass the door. */
  guestAt({ hostname, port }: Deno.NetAddr): Guest | undefined {
    return hostname === LOOPBACK ? this.#byInnerPort.get(port) : undefined;
  }

  /** See {@link Visit.stay}. */
  letStay(guest: Guest): boolean {
    const { mostStaying = MOST_STAYING } = this.#options;
    if (this.#staying.has(guest)) return true;
    if (this.#staying.size >= mostStaying || !this.#guests.delete(guest)) return false;
    this.#staying.add(guest);
    this.#watchStaying(guest);
    return true;
  }

  /** Whether it stays. */
  isStaying(guest: Guest): boolean {
    return this.#staying.has(guest);
  }

  /** Milliseconds on the monotonic clock. */
  nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  /** The clock's {@link Clock.sleep}. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#options.clock.sleep(ms, signal);
  }

  /** Ends a connection; `reason` is counted if its client was waiting. Safe to call twice. */
  cut(guest: Guest, reason?: CutReason): void {
    const isKnown = this.#guests.delete(guest) || this.#staying.delete(guest);
    if (!isKnown) return;
    if (reason !== undefined && !guest.isAnswered) guest.port.onCut?.(reason);
    // Before it is closed: then its port may become another program's.
    if (guest.innerPort !== undefined) this.#byInnerPort.delete(guest.innerPort);
    guest.close();
  }

  /** Cuts every connection. */
  cutAll(): void {
    for (const guest of [...this.#guests, ...this.#staying]) this.cut(guest);
  }

  /** Accepts no more, lets answers in progress be made for `graceMs` at most, then cuts every connection. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    for (const listener of this.#listeners) listener.close();
    const over = new AbortController();
    const unanswered = [...this.#guests].filter(({ isAnswering }) => isAnswering).map(({ ended }) => ended);
    await Promise.race([Promise.all(unanswered), this.sleep(graceMs, over.signal)]);
    over.abort();
    this.cutAll();
    await Promise.all(this.#accepting);
  }

  async #acceptAll(listener: Deno.TcpListener, port: PortOptions): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const client = await listener.accept().catch((error: Error) => error);
      if (client instanceof Error) {
        if (!signal.aborted) await this.#afterFailure(client);
      } else if (signal.aborted) client.close();
      else {
        if (this.#guests.size >= this.#options.mostConnections) await this.#makeRoom();
        void this.#serve(new Guest(client, { port, door: this }));
      }
    }
  }

  /** No file descriptor is left, most likely; if no connection here has one, something else may free one. */
  async #afterFailure(error: Error): Promise<void> {
    this.#options.onFailure(error);
    if (this.#guests.size > 0) this.#cutOldest();
    await this.sleep(ACCEPT_RETRY_MS, this.#stopping.signal);
  }

  /**
   * With a turn for the runtime, some 4 ms: only then it frees the descriptors, and each client lives for as many turns as there
   * are connections, which is enough to answer it however many come at once.
   */
  async #makeRoom(): Promise<void> {
    this.#cutOldest();
    await this.sleep(0);
  }

  /** Who has had the longest time is the likeliest to waste it: a client that means it is answered in milliseconds. */
  #cutOldest(): void {
    const [oldest] = this.#guests;
    if (oldest !== undefined) this.cut(oldest, "crowded");
  }

  /** Does not reject. */
  async #serve(guest: Guest): Promise<void> {
    this.#guests.add(guest);
    if (this.#stopping.signal.aborted) return this.cut(guest);
    void this.#limit(guest);
    try {
      const start = await guest.readStart();
      if (start === null) return;
      const inner = await this.#connect();
      if (inner === null) return;
      if (guest.signal.aborted) return inner.close();
      this.#byInnerPort.set(inner.localAddr.port, guest);
      await guest.carry(start, inner);
    } catch {
      // One of the two sides has gone.
    } finally {
      this.cut(guest);
    }
  }

  #connect(): Promise<Deno.TcpConn | null> {
    return Deno.connect({ hostname: LOOPBACK, port: this.#options.innerPort() }).catch((error: Error) => {
      if (!this.#stopping.signal.aborted) this.#options.onFailure(error);
      return null;
    });
  }

  async #limit(guest: Guest): Promise<void> {
    await this.sleep(this.#options.connectionMs ?? LIMIT_MS, guest.signal);
    if (this.#guests.has(guest)) this.cut(guest, "slow");
  }

  async #watchStaying(guest: Guest): Promise<void> {
    const { stallMs = STALL_MS } = this.#options;
    for (let leftMs = stallMs; leftMs > 0;) {
      await this.sleep(leftMs, guest.signal);
      if (guest.signal.aborted) return;
      leftMs = guest.movedAtMs + stallMs - this.nowMs();
    }
    this.cut(guest, "slow");
  }
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

/** Whether an answer begins with a status of 1xx, such as leave to send a body. */
function isInformational(answer: Uint8Array): boolean {
  return answer["HTTP/1.1 ".length] === "1".charCodeAt(0);
}
