/** A port that answers HTTP, with an end that nobody's open connection can hold up. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Pages, route, textReply, toResponse } from "./reply.ts";

/** How long {@link Listener.stop} lets requests in progress end. */
const GRACE_MS = 1000;

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
  /** How long {@link Listener.stop} waits for requests in progress. Default 1000. */
  readonly graceMs?: number;
}

/** A listener that runs. */
export interface Listener {
  /** The actual port. */
  readonly port: number;
  /** Takes no more requests, lets those in progress end for a moment, then cuts them. Safe to call twice. */
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
  const cut = new AbortController();
  const server = bind(options, cut.signal);
  let stopped: Promise<void> | undefined;
  return {
    port: server.addr.port,
    stop: () => stopped ??= stopServer(server, { cut, clock: options.clock, graceMs: options.graceMs ?? GRACE_MS }),
  };
}

function bind(options: ListenerOptions, signal: AbortSignal): Deno.HttpServer<Deno.NetAddr> {
  const { bindAddress: hostname, port, portVariable, pages, log } = options;
  try {
    return Deno.serve({
      hostname,
      port,
      signal,
      onListen: () => {},
      onError: (error) => answerError(error, log),
    }, (request) => route(pages, request));
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

function answerError(error: unknown, log: Log): Response {
  log.error("http_error", "Answering an HTTP request failed", { error });
  return toResponse(textReply("Internal error; the log says more\n", 500));
}

async function stopServer(
  server: Deno.HttpServer,
  { cut, clock, graceMs }: { cut: AbortController; clock: Clock; graceMs: number },
): Promise<void> {
  const over = new AbortController();
  const shutdown = server.shutdown().finally(() => over.abort());
  await clock.sleep(graceMs, over.signal);
  cut.abort();
  await shutdown;
}
