/**
 * A port that answers HTTP, within limits that slow clients cannot get around, and with an end that nobody's open connection can
 * hold up.
 *
 * Not `Deno.serve`: it waits for ever for the rest of a request and for a reader, takes connections without end, and ends the
 * whole process when no file descriptor is left for one more (docs/security.md; tests/e2e/slow_clients_test.ts).
 */
import type { Log } from "../observability/log.ts";
import type { CutReason } from "../observability/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import { HttpConnection } from "./connection.ts";
import { type Pages, route, textReply, toResponse } from "./reply.ts";
import type { PageRequest } from "./request_head.ts";

/** Most connections of a port; one more, and the oldest is cut. Both ports together stay below 256 file descriptors. */
export const MAX_CONNECTIONS = 64;
/** How long {@link Listener.stop} lets answers in progress be made. */
const GRACE_MS = 1_000;
/** Pause before the next connection is taken where one could not be. */
const ACCEPT_RETRY_MS = 100;
/** How long a failure to take connections is not told again. */
const QUIET_MS = 60_000;

/** What {@link startListener} needs. */
export interface ListenerOptions {
  readonly bindAddress: string;
  /** 0: any free port. */
  readonly port: number;
  /** The variable that sets the port, for the error. */
  readonly portVariable: string;
  readonly pages: Pages;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of each client that was cut off without a whole answer; default: nobody is. */
  readonly onCut?: (reason: CutReason) => void;
  /** How long {@link Listener.stop} waits for answers in progress. Default 1000. */
  readonly graceMs?: number;
  /** How long a connection may take, from its first moment to its last. Default 10,000. */
  readonly connectionMs?: number;
}

/** A listener that runs. */
export interface Listener {
  /** The actual port. */
  readonly port: number;
  /** Lets answers in progress be made, for `graceMs` at most, then cuts every connection. Safe to call twice. */
  stop(): Promise<void>;
}

/** A port that cannot be listened on. Nothing is left open. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "listen_failed";
  readonly retryable = false;
}

/** Listens and answers. @throws {ListenError} naming variable, address and port where it cannot. */
export function startListener(options: ListenerOptions): Listener {
  return new HttpListener(bind(options), options);
}

class HttpListener implements Listener {
  readonly port: number;
  readonly #listener: Deno.TcpListener;
  readonly #options: ListenerOptions;
  /** Oldest first, each with the promise of its end. */
  readonly #open = new Map<HttpConnection, Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #accepting: Promise<void>;
  #stopped: Promise<void> | undefined;
  #quietUntilMs = -Infinity;

  constructor(listener: Deno.TcpListener, options: ListenerOptions) {
    this.port = listener.addr.port;
    this.#listener = listener;
    this.#options = options;
    this.#accepting = this.#acceptAll();
  }

  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#listener.close();
    const { clock, graceMs = GRACE_MS } = this.#options;
    const over = new AbortController();
    const unanswered = [...this.#open].filter(([{ stage }]) => stage === "answering").map(([, end]) => end);
    await Promise.race([Promise.all(unanswered), clock.sleep(graceMs, over.signal)]);
    over.abort();
    for (const connection of this.#open.keys()) connection.cut();
    await Promise.all([this.#accepting, ...this.#open.values()]);
  }

  async #acceptAll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const socket = await this.#listener.accept().catch((error: Error) => error);
      if (!(socket instanceof Error)) {
        if (this.#open.size >= MAX_CONNECTIONS) await this.#makeRoom();
        this.#take(socket);
      } else if (!this.#stopping.signal.aborted) {
        this.#tellFailure(socket);
        // No file descriptor left, most likely; perhaps somebody else has them.
        if (this.#open.size > 0) await this.#makeRoom();
        else await this.#options.clock.sleep(ACCEPT_RETRY_MS, this.#stopping.signal);
      }
    }
  }

  #take(socket: Deno.TcpConn): void {
    if (this.#stopping.signal.aborted) return socket.close();
    const { clock, connectionMs, onCut } = this.#options;
    const connection = new HttpConnection(socket, {
      clock,
      answer: (request) => this.#answer(request),
      ...connectionMs !== undefined && { limitMs: connectionMs },
    });
    this.#open.set(
      connection,
      connection.serve().then(({ isLate }) => {
        this.#open.delete(connection);
        if (isLate && connection.stage !== "answered") onCut?.("slow");
      }),
    );
  }

  /** With a turn for the runtime: only then it gives up the descriptor, and a burst would use up all there are. */
  #makeRoom(): Promise<void> {
    this.#cutOldest();
    return this.#options.clock.sleep(0);
  }

  /** Who has had the longest time is the likeliest to waste it: a client that means it is answered in milliseconds. */
  #cutOldest(): void {
    const [oldest] = this.#open.keys();
    if (oldest === undefined) return;
    this.#open.delete(oldest);
    oldest.cut();
    if (oldest.stage !== "answered") this.#options.onCut?.("crowded");
  }

  async #answer(request: PageRequest): Promise<Response> {
    try {
      return await route(this.#options.pages, request);
    } catch (error) {
      this.#options.log.error("http_error", "Answering an HTTP request failed", { error });
      return toResponse(textReply("Internal error; the log says more\n", 500));
    }
  }

  #tellFailure(error: Error): void {
    const { log, clock, portVariable } = this.#options;
    if (clock.monotonicMs() < this.#quietUntilMs) return;
    this.#quietUntilMs = clock.monotonicMs() + QUIET_MS;
    log.warning("http_accept_failed", `Connections cannot be taken (${portVariable}); trying on`, { error });
  }
}

function bind({ bindAddress: hostname, port, portVariable }: ListenerOptions): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (cause) {
    throw new ListenError(
      `Cannot listen on "${hostname}" port ${port} (REMEDIATION_BIND_ADDRESS, ${portVariable}): ${why(cause)}`,
      { cause },
    );
  }
}

function why(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === "AddrInUse") return "the port is in use; stop the other process or choose another port";
  if (cause.name === "AddrNotAvailable") return "this machine does not have that address";
  if (cause.name === "PermissionDenied") return "not permitted; ports below 1024 need privileges";
  return cause.message;
}
