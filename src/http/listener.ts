/** A port that answers HTTP, with an end that nobody's open connection can hold up. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Pages, route, textReply, toResponse } from "./reply.ts";

/** How long {@link Listener.stop} lets requests in progress end. */
const GRACE_MS = 1000;
/** What a made answer gets to leave the process: cutting drops what is not written yet. */
const FLUSH_MS = 50;

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
  const cut = new AbortController();
  const inProgress = new Set<Promise<unknown>>();
  const server = bind(options, cut.signal, (request) => {
    const answer = route(options.pages, request).finally(() => inProgress.delete(answer));
    inProgress.add(answer);
    return answer;
  });
  let stopped: Promise<void> | undefined;
  return {
    port: server.addr.port,
    stop() {
      // Not server.shutdown(): it waits for clients that do not read, and afterwards Deno cannot cut them any more.
      return stopped ??= waitFor([...inProgress], options).then(() => {
        cut.abort();
        return server.finished;
      });
    },
  };
}

/** Waits until the answers are made, for `graceMs` at most, and a moment more until they are sent. */
async function waitFor(answers: Promise<unknown>[], { clock, graceMs = GRACE_MS }: ListenerOptions): Promise<void> {
  const over = new AbortController();
  await Promise.race([Promise.allSettled(answers), clock.sleep(graceMs, over.signal)]);
  over.abort();
  await clock.sleep(FLUSH_MS);
}

function bind(
  { bindAddress: hostname, port, portVariable, log }: ListenerOptions,
  signal: AbortSignal,
  answer: (request: Request) => Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    const onError = (error: unknown) => answerError(error, log);
    return Deno.serve({ hostname, port, signal, onListen: () => {}, onError }, answer);
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
