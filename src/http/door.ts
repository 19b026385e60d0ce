/**
 * Accepts connections in front of `Deno.serve`, which limits neither the number of connections nor their duration and
 * ends the process when file descriptors run out (docs/security.md). Three details:
 *
 * - All ports share one limit on connections. A connection above the limit replaces the oldest one, on any port. Each
 *   connection ends after a time limit, unless a handler exempts it ({@link Visit.stay}); exempt connections have their
 *   own limit.
 * - The door relays bytes unchanged over a loopback connection to `Deno.serve`. A loopback connection from any other
 *   program has no guest ({@link Door.guestAt}).
 * - A connection carries one request. The door rejects HTTP/2, which could carry many, by its first bytes.
 *
 * Tested in tests/integration/http_limits_test.ts and tests/e2e/slow_clients_test.ts.
 */
import type { CutReason } from "../observability/metrics.ts";
import type { Clock } from "../runtime/clock.ts";

/** Address of `Deno.serve` behind the door. */
export const LOOPBACK = "127.0.0.1";

/** Time limit of a connection, in milliseconds. */
const LIMIT_MS = 10_000;
/** Idle limit of an exempt connection, in milliseconds. */
const STALL_MS = 30_000;
/** Maximum number of exempt connections. */
const MOST_STAYING = 16;
/** Time for an answered client to close, in milliseconds. Closing at once could lose the answer. */
const LINGER_MS = 1_000;
/** Minimum time that a connection has, however many follow, in milliseconds. A normal client is answered within it. */
const GRACE_MS = 150;
/** Time to send a request, in milliseconds. A client that takes longer is cut before others. */
const REQUEST_MS = 1_000;
/** Pause after a failed accept, in milliseconds. */
const ACCEPT_RETRY_MS = 50;
const BUFFER_BYTES = 16_384;
/** First bytes of HTTP/2. No HTTP/1 method has this name. */
const HTTP2_START = new TextEncoder().encode("PRI ");
const HTTP2_REFUSAL = new TextEncoder().encode(
  "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
);

/** The connection of a request. */
export interface Visit {
  /** Address of the client. `Deno.serve` itself sees only the door. */
  readonly remoteAddr: Deno.NetAddr;
  /** Aborted when the connection ends. */
  readonly signal: AbortSignal;
  /**
   * Exempts this connection from the time limit and the connection limit. Use it only for streams to authenticated
   * clients. The connection must carry a byte every 30 s. Returns false if too many connections are exempt.
   */
  stay(): boolean;
}

/** Answers a request. A rejection is logged and answered with 500. */
export type Handler = (request: Request, visit: Visit) => Response | Promise<Response>;

/** Options of a port. */
export interface PortOptions {
  readonly bindAddress: string;
  /** 0 for any free port. */
  readonly port: number;
  /** The variable that sets the port, for error messages. */
  readonly portVariable: string;
  readonly handler: Handler;
  /** Maximum number of exempt connections of this port ({@link Visit.stay}). Default: that of the door. */
  readonly mostStaying?: number;
  /** Called for each client that is cut before its answer is complete. Default: nothing. */
  readonly onCut?: (reason: CutReason) => void;
}

/** Options of {@link Door}. */
export interface DoorOptions {
  readonly clock: Clock;
  /** Maximum number of connections on all ports, without exempt ones. */
  readonly mostConnections: number;
  /** Maximum number of exempt connections of a port that sets no limit of its own. Default 16. */
  readonly mostStaying?: number | undefined;
  /** Time limit of a connection, in milliseconds. Default 10,000. */
  readonly connectionMs?: number | undefined;
  /** Idle limit of an exempt connection, in milliseconds. Default 30,000. */
  readonly stallMs?: number | undefined;
  /** Returns the port of `Deno.serve` on {@link LOOPBACK}. */
  readonly innerPort: () => number;
  /** Called if a connection cannot be accepted or relayed, usually because no file descriptor is left. */
  readonly onFailure: (error: Error) => void;
}

/** A client's connection and its relay connection to `Deno.serve`. */
export class Guest implements Visit {
  readonly port: PortOptions;
  /** Resolves when the connection ends. */
  readonly ended: Promise<void>;
  readonly #door: Door;
  readonly #client: Deno.TcpConn;
  readonly #end = new AbortController();
  readonly #asked = Promise.withResolvers<void>();
  #inner: Deno.TcpConn | undefined;
  #stage: "asking" | "answering" | "answered" = "asking";
  /** Time of the accept, on the monotonic clock. */
  readonly acceptedAtMs: number;
  #movedAtMs = 0;

  constructor(client: Deno.TcpConn, { port, door }: { port: PortOptions; door: Door }) {
    this.#client = client;
    this.port = port;
    this.#door = door;
    this.acceptedAtMs = door.nowMs();
    this.ended = new Promise((resolve) => this.signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  get remoteAddr(): Deno.NetAddr {
    return this.#client.remoteAddr;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** Whether its request has not arrived yet. */
  get isAsking(): boolean {
    return this.#stage === "asking";
  }

  /** Whether its request is being handled or its answer is being sent. */
  get isAnswering(): boolean {
    return this.#stage === "answering";
  }

  /** Whether its answer is complete. */
  get isAnswered(): boolean {
    return this.#stage === "answered";
  }

  /** Time of the last byte, on the monotonic clock. */
  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  /** Local port of the relay connection; `undefined` before it exists. */
  get innerPort(): number | undefined {
    return this.#inner?.localAddr.port;
  }

  stay(): boolean {
    return this.#door.letStay(this);
  }

  /** Marks the request as received. Returns false for a second request on the same connection. */
  ask(): boolean {
    if (this.#stage !== "asking") return false;
    this.#stage = "answering";
    this.#asked.resolve();
    return true;
  }

  /**
   * Half-closes the relay connection so that `Deno.serve` closes it after the answer: Deno 2.9 ignores `connection:
   * close`.
   */
  finish(): void {
    this.#inner?.closeWrite().catch(() => {}); // already closed
  }

  /** Closes both connections at once. Called by the door only, once. */
  close(): void {
    this.#end.abort();
    this.#client.close();
    this.#inner?.close();
  }

  /** Reads the client's first bytes. Returns `null` if the client has closed or sent HTTP/2. */
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

  /** Relays bytes both ways until the answer is complete and the client has closed, or its time to close is over. */
  async carry(start: Uint8Array, inner: Deno.TcpConn): Promise<void> {
    this.#inner = inner;
    this.#noteMove();
    for (const connection of [this.#client, inner]) connection.setNoDelay(true); // without this, a body in two parts takes 40 ms
    await writeAll(inner, start);
    const up = this.#carryUp(inner).catch(() => this.#door.cut(this));
    await this.#carryDown(inner);
    this.#stage = "answered";
    await this.#client.closeWrite();
    await Promise.race([up, this.#door.sleep(LINGER_MS, this.signal)]);
  }

  async #carryUp(inner: Deno.TcpConn): Promise<void> {
    let isTaken = true;
    // Drop bytes that Deno.serve no longer accepts: if the door stopped reading, the client could lose the answer.
    await this.#readUp(async (bytes) => {
      if (isTaken) isTaken = await writeAll(inner, bytes).then(() => true, () => false);
    });
    if (this.#door.isStaying(this)) return this.#door.cut(this);
    // Deno.serve drops the request if its client half-closes. Some clients do so right after the request.
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
      // Deno.serve answered an invalid request itself. Not every version then closes the connection.
      if (this.#stage === "asking" && !isInformational(buffer)) this.finish();
      await writeAll(this.#client, buffer.subarray(0, count));
      this.#noteMove();
    }
  }

  #noteMove(): void {
    this.#movedAtMs = this.#door.nowMs();
  }
}

/** Accepts connections on any number of ports, limits them and relays their bytes. */
export class Door {
  readonly #options: DoorOptions;
  readonly #listeners: Deno.TcpListener[] = [];
  readonly #accepting: Promise<void>[] = [];
  /** In order of arrival, oldest first. */
  readonly #guests = new Set<Guest>();
  readonly #staying = new Set<Guest>();
  readonly #byInnerPort = new Map<number, Guest>();
  readonly #stopping = new AbortController();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Listens on a port. @returns the actual port. @throws the errors of `Deno.listen`. */
  open(port: PortOptions): number {
    const listener = Deno.listen({ hostname: port.bindAddress, port: port.port });
    this.#listeners.push(listener);
    this.#accepting.push(this.#acceptAll(listener, port));
    return listener.addr.port;
  }

  /** Returns the guest with this relay address; `undefined` if the connection did not pass the door. */
  guestAt({ hostname, port }: Deno.NetAddr): Guest | undefined {
    return hostname === LOOPBACK ? this.#byInnerPort.get(port) : undefined;
  }

  /** See {@link Visit.stay}. */
  letStay(guest: Guest): boolean {
    const { mostStaying = this.#options.mostStaying ?? MOST_STAYING } = guest.port;
    if (this.#staying.has(guest)) return true;
    const staying = [...this.#staying].filter(({ port }) => port === guest.port).length;
    if (staying >= mostStaying || !this.#guests.delete(guest)) return false;
    this.#staying.add(guest);
    this.#watchStaying(guest);
    return true;
  }

  /** Whether a guest is exempt ({@link Visit.stay}). */
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

  /** Ends a connection. Counts `reason` if the client was not answered yet. Safe to call twice. */
  cut(guest: Guest, reason?: CutReason): void {
    const isKnown = this.#guests.delete(guest) || this.#staying.delete(guest);
    if (!isKnown) return;
    if (reason !== undefined && !guest.isAnswered) guest.port.onCut?.(reason);
    // Delete before closing: after that, another program may get the port.
    if (guest.innerPort !== undefined) this.#byInnerPort.delete(guest.innerPort);
    guest.close();
  }

  /** Cuts every connection. */
  cutAll(): void {
    for (const guest of [...this.#guests, ...this.#staying]) this.cut(guest);
  }

  /** Stops accepting, waits at most `graceMs` for answers in progress, then cuts every connection. */
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
        await this.#makeRoom();
        void this.#serve(new Guest(client, { port, door: this }));
      }
    }
  }

  /** Most likely, no file descriptor is left. Frees one if a connection here holds it, then waits. */
  async #afterFailure(error: Error): Promise<void> {
    this.#options.onFailure(error);
    const guest = this.#slowest();
    if (guest !== undefined) this.cut(guest, "crowded");
    await this.sleep(ACCEPT_RETRY_MS, this.#stopping.signal);
  }

  /**
   * Waits until one more connection is within the limit: cuts the slowest one as soon as it has had {@link GRACE_MS}, and
   * yields to the runtime, which only then frees the descriptors.
   */
  async #makeRoom(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted && this.#guests.size >= this.#options.mostConnections) {
      const guest = this.#slowest()!, leftMs = guest.acceptedAtMs + GRACE_MS - this.nowMs();
      if (leftMs <= 0) this.cut(guest, "crowded");
      await this.sleep(Math.max(0, leftMs), signal);
    }
  }

  /** The oldest client that has not sent a request in time, else the oldest one: normal ones are answered in milliseconds. */
  #slowest(): Guest | undefined {
    const [oldest] = this.#guests, sinceMs = this.nowMs() - REQUEST_MS;
    for (const guest of this.#guests) {
      if (guest.acceptedAtMs > sinceMs) break;
      if (guest.isAsking) return guest;
    }
    return oldest;
  }

  /** Serves one connection. Does not reject. */
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
      // One side has closed.
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

/** Whether an answer has a 1xx status, such as 100 Continue. */
function isInformational(answer: Uint8Array): boolean {
  return answer["HTTP/1.1 ".length] === "1".charCodeAt(0);
}
