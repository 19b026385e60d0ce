/**
 * Serves HTTP with `Deno.serve` behind a {@link Door}: starts, calls handlers, recovers when file descriptors run out,
 * stops. No routes.
 */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { countFreeDescriptors, forgetServeAddress } from "../runtime/process.ts";
import { Door, type Guest, LOOPBACK, type PortOptions } from "./door.ts";

/**
 * Upper limit of connections on all ports, whatever the number of file descriptors. A slow reader holds its answer in
 * memory.
 */
export const MOST_CONNECTIONS = 64;
/** A connection needs three file descriptors; two more allow for connections being closed. */
const DESCRIPTORS_PER_CONNECTION = 5;
/** A stream needs three: it is not closed while the next one comes. */
const DESCRIPTORS_PER_STREAM = 3;
/** Minimum result of {@link countStayingPlaces}. */
const FEWEST_STREAMS = 16;
/** File descriptors reserved for Redis, Moogsoft and files. */
const SPARE_DESCRIPTORS = 20;
/** Assumed free file descriptors if they cannot be counted: of 256, the minimum in docs/security.md. */
const ASSUMED_DESCRIPTORS = 220;

/** How long {@link HttpServer.stop} waits for answers in progress, in milliseconds. */
const GRACE_MS = 1_000;
/** How long {@link HttpServer.stop} waits for `Deno.serve` after cutting all connections, in milliseconds. */
const SHUTDOWN_MS = 1_000;
/** Pause before `Deno.serve` is restarted, in milliseconds. */
const RESTART_MS = 50;
/** Minimum time between two logged accept failures, in milliseconds. */
const QUIET_MS = 60_000;

/** Options of {@link HttpServer}. */
export interface HttpServerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Maximum number of connections on all ports. Default: from the free file descriptors, at most 64. */
  readonly mostConnections?: number;
  /** Maximum number of exempt connections ({@link Visit.stay}) of a port that sets no limit of its own. Default 16. */
  readonly mostStaying?: number;
  /** Time limit of a connection, in milliseconds. Default 10,000. */
  readonly connectionMs?: number;
  /** Idle limit of an exempt connection, in milliseconds. Default 30,000. */
  readonly stallMs?: number;
  /** How long {@link HttpServer.stop} waits for answers in progress, in milliseconds. Default 1,000. */
  readonly graceMs?: number;
}

/** Thrown if a port cannot be opened. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "listen_failed";
  readonly retryable = false;
}

/**
 * Serves HTTP on any number of ports. Construction starts `Deno.serve` on loopback; {@link HttpServer.open} opens
 * ports.
 */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #door: Door;
  #inner: Deno.HttpServer<Deno.NetAddr>;
  #isStopping = false;
  #stopped: Promise<void> | undefined;
  #quietUntilMs = -Infinity;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { clock, mostStaying, connectionMs, stallMs } = options;
    this.#door = new Door({
      ...{ clock, mostStaying, connectionMs, stallMs },
      mostConnections: options.mostConnections ?? countPlaces(),
      innerPort: () => this.#inner.addr.port,
      onFailure: (error) => this.#logFailure(error),
    });
    forgetServeAddress();
    try {
      this.#inner = this.#serve();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ListenError(`Cannot listen on 127.0.0.1, which the ports need: ${reason}`, { cause });
    }
  }

  /** Opens a port. @returns the actual port. @throws {ListenError} that names variable, address and port. */
  open(options: PortOptions): number {
    try {
      return this.#door.open(options);
    } catch (cause) {
      const { bindAddress, port, portVariable } = options;
      throw new ListenError(
        `Cannot listen on "${bindAddress}" port ${port} (REMEDIATION_BIND_ADDRESS, ${portVariable}): ${why(cause)}`,
        { cause },
      );
    }
  }

  /** Waits at most `graceMs` for answers in progress, then cuts every connection. Safe to call twice. */
  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#isStopping = true;
    await this.#door.stop(this.#options.graceMs ?? GRACE_MS);
    const over = new AbortController();
    // `shutdown` also waits for connections that bypassed the door. Aborting it afterwards would throw an uncatchable
    // error.
    await Promise.race([
      this.#inner.shutdown().catch(() => {}),
      this.#options.clock.sleep(SHUTDOWN_MS, over.signal),
    ]);
    over.abort();
  }

  #serve(): Deno.HttpServer<Deno.NetAddr> {
    const inner = Deno.serve({
      hostname: LOOPBACK,
      port: 0,
      onListen: () => {},
      // The default handler writes a stack trace for each disconnected client, and blocks forever if standard error is
      // not read.
      onError: () => new Response(null, { status: 500 }),
    }, (request, info) => this.#answer(request, info));
    inner.finished.catch((error: Error) => this.#serveAgain(error));
    return inner;
  }

  /**
   * Restarts `Deno.serve`, which ends when it has no file descriptor for a connection. If uncaught, that error ends the
   * process.
   */
  async #serveAgain(error: Error): Promise<void> {
    this.#logFailure(error);
    while (!this.#isStopping) {
      this.#door.cutAll();
      await this.#options.clock.sleep(RESTART_MS);
      if (this.#isStopping) return;
      try {
        this.#inner = this.#serve();
        return;
      } catch (error) {
        this.#logFailure(error as Error);
      }
    }
  }

  async #answer(request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>): Promise<Response> {
    const guest = this.#door.guestAt(info.remoteAddr);
    // A local program bypassed the door.
    if (guest === undefined) return new Response(null, { status: 421, headers: { connection: "close" } });
    info.completed.catch(() => {}).then(() => guest.finish());
    // A second request on the connection, which `connection: close` forbids.
    if (!guest.ask()) return new Response(null, { status: 421, headers: { connection: "close" } });
    const ended = guest.ended.then(() => new Response(null, { status: 503 })); // the client has gone
    return await Promise.race([this.#handle(request, guest), ended]);
  }

  async #handle(request: Request, guest: Guest): Promise<Response> {
    try {
      return closing(await guest.port.handler(request, guest));
    } catch (error) {
      // An error after the client has gone is not ours.
      if (!guest.signal.aborted) this.#options.log.error("http_error", "HTTP request failed", { error });
      return new Response("Internal error; see the log\n", {
        status: 500,
        headers: {
          "content-type": "text/plain; charset=utf-8",
          "cache-control": "no-store",
          "x-content-type-options": "nosniff",
          "connection": "close",
        },
      });
    }
  }

  #logFailure(error: Error): void {
    const { log, clock } = this.#options;
    if (clock.monotonicMs() < this.#quietUntilMs) return;
    this.#quietUntilMs = clock.monotonicMs() + QUIET_MS;
    log.warning("http_accept_failed", "Cannot accept HTTP connections; retrying", { error });
  }
}

/** Adds `connection: close` to a response. */
function closing(response: Response): Response {
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // The headers of `Response.redirect` are immutable.
    return closing(new Response(response.body, { status: response.status, headers: [...response.headers] }));
  }
}

/** Computes the connection limit from the free file descriptors. */
function countPlaces(): number {
  const wanted = MOST_CONNECTIONS * DESCRIPTORS_PER_CONNECTION + SPARE_DESCRIPTORS;
  const free = countFreeDescriptors(wanted) ?? ASSUMED_DESCRIPTORS;
  return Math.max(1, Math.floor((free - SPARE_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION));
}

/**
 * Computes how many exempt connections a port may have: `wanted`, or fewer if the file descriptors that other connections
 * leave do not suffice. At least 16.
 */
export function countStayingPlaces(wanted: number): number {
  const others = MOST_CONNECTIONS * DESCRIPTORS_PER_CONNECTION + SPARE_DESCRIPTORS;
  const free = countFreeDescriptors(others + wanted * DESCRIPTORS_PER_STREAM) ?? ASSUMED_DESCRIPTORS;
  return Math.max(FEWEST_STREAMS, Math.floor((free - others) / DESCRIPTORS_PER_STREAM));
}

function why(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === "AddrInUse") return "the port is in use; stop the other process or choose another port";
  if (cause.name === "AddrNotAvailable") return "this machine does not have that address";
  if (cause.name === "PermissionDenied") return "not permitted; ports below 1024 need privileges";
  return cause.message;
}
