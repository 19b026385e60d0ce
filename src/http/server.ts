/** HTTP by `Deno.serve`, behind a {@link Door}: starts, answers by handlers, survives a lack of file descriptors, stops. No routes. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { countFreeDescriptors, forgetServeAddress } from "../runtime/process.ts";
import { Door, type Guest, LOOPBACK, type PortOptions } from "./door.ts";

/** Most connections of all ports together, however many file descriptors there are; a slow reader costs the memory of its answer. */
export const MOST_CONNECTIONS = 64;
/** A connection needs three file descriptors; two more go to those that are being closed. */
const DESCRIPTORS_PER_CONNECTION = 5;
/** Free file descriptors at the start that are left for Redis, Moogsoft and files. */
const SPARE_DESCRIPTORS = 20;
/** Free file descriptors where they cannot be counted: of 256, the fewest that docs/install.md asks for. */
const ASSUMED_DESCRIPTORS = 220;

/** How long {@link HttpServer.stop} lets answers in progress be made, in milliseconds. */
const GRACE_MS = 1_000;
/** How long {@link HttpServer.stop} waits for `Deno.serve` once every connection is cut, in milliseconds. */
const SHUTDOWN_MS = 1_000;
/** Pause before `Deno.serve` is started again where it could not be, in milliseconds. */
const RESTART_MS = 50;
/** How long a failure to accept connections is not logged again, in milliseconds. */
const QUIET_MS = 60_000;

/** What an {@link HttpServer} needs. */
export interface HttpServerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Most connections at once, all ports together. Default: by the file descriptors that are free now, at most 64. */
  readonly mostConnections?: number;
  /** Most connections that handlers let stay. Default 16. */
  readonly mostStaying?: number;
  /** How long a connection may take, in milliseconds. Default 10,000. */
  readonly connectionMs?: number;
  /** How long a connection that stays may carry nothing, in milliseconds. Default 30,000. */
  readonly stallMs?: number;
  /** How long {@link HttpServer.stop} waits for answers in progress, in milliseconds. Default 1,000. */
  readonly graceMs?: number;
}

/** A port that cannot be listened on. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "listen_failed";
  readonly retryable = false;
}

/** Serves HTTP at any number of ports. It listens at once, on loopback, for what the ports let through. */
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
    this.#inner = this.#serve();
  }

  /** Opens a port. @returns the actual one. @throws {ListenError} that names variable, address and port. */
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

  /** Lets answers in progress be made, for `graceMs` at most, then cuts every connection. Safe to call twice. */
  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#isStopping = true;
    await this.#door.stop(this.#options.graceMs ?? GRACE_MS);
    const over = new AbortController();
    // It waits for connections too that did not pass the door. To abort it afterwards would throw where nothing can catch it.
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
      // The default writes a stack trace for each client that goes away, and blocks for ever if nothing reads it.
      onError: () => new Response(null, { status: 500 }),
    }, (request, info) => this.#answer(request, info));
    inner.finished.catch((error: Error) => this.#serveAgain(error));
    return inner;
  }

  /** Without a descriptor for one more connection `Deno.serve` ends, and the process with it if nothing catches that. */
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
    // A program on this machine that went round the door.
    if (guest === undefined) return new Response(null, { status: 421, headers: { connection: "close" } });
    info.completed.catch(() => {}).then(() => guest.finish());
    // A request that was sent along behind another one, which `connection: close` forbids.
    if (!guest.ask()) return new Response(null, { status: 421, headers: { connection: "close" } });
    const ended = guest.ended.then(() => new Response(null, { status: 503 })); // nobody is there to read it
    return await Promise.race([this.#handle(request, guest), ended]);
  }

  async #handle(request: Request, guest: Guest): Promise<Response> {
    try {
      return closing(await guest.port.handler(request, guest));
    } catch (error) {
      // What fails because the client has gone is no failure of ours.
      if (!guest.signal.aborted) this.#options.log.error("http_error", "Answering an HTTP request failed", { error });
      return new Response("Internal error; the log says more\n", {
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
    log.warning("http_accept_failed", "HTTP connections cannot be accepted; trying on", { error });
  }
}

/** The same response, with word that the connection ends. */
function closing(response: Response): Response {
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // `Response.redirect` makes headers that cannot be changed.
    return closing(new Response(response.body, { status: response.status, headers: [...response.headers] }));
  }
}

/** How many connections the free file descriptors allow. */
function countPlaces(): number {
  const wanted = MOST_CONNECTIONS * DESCRIPTORS_PER_CONNECTION + SPARE_DESCRIPTORS;
  const free = countFreeDescriptors(wanted) ?? ASSUMED_DESCRIPTORS;
  return Math.max(1, Math.floor((free - SPARE_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION));
}

function why(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === "AddrInUse") return "the port is in use; stop the other process or choose another port";
  if (cause.name === "AddrNotAvailable") return "this machine does not have that address";
  if (cause.name === "PermissionDenied") return "not permitted; ports below 1024 need privileges";
  return cause.message;
}
