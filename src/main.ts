/** The entry: arguments to a command, signals to one AbortSignal, and the only exit. */
import process from "node:process";
import { EXIT } from "./runtime/exit.ts";
import { runCli } from "./cli/program.ts";
import { flushErr, onNpxGone, OutputError, writeErr } from "./runtime/process.ts";

/** How long the last lines may take to be read, in milliseconds. */
const LAST_LINES_MS = 1_000;

if (import.meta.main) {
  const stop = new AbortController();
  const onSignal = () => stopOrExit(stop);
  for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, onSignal);
  onNpxGone(onSignal);
  process.on("uncaughtException", onUncaught);
  const onHangup = (listener: () => void) => Deno.addSignalListener("SIGHUP", listener);
  await exit(await runCli(Deno.args, { signal: stop.signal, onHangup }).catch(onFailure));
}

async function exit(code: number): Promise<never> {
  await flushErr(LAST_LINES_MS);
  Deno.exit(code);
}

/** The first signal stops in good order, the second at once. */
function stopOrExit(stop: AbortController): void {
  if (stop.signal.aborted) Deno.exit(EXIT.failed);
  stop.abort();
}

/**
 * A TLS peer that refuses us makes the runtime throw where nobody can catch it; the client connects again by itself. All
 * else is a bug, and the supervisor starts us anew.
 */
function onUncaught(error: Error & { code?: string }): void {
  if (error.code !== "EPIPE" && error.code !== "ECONNRESET") void exit(onFailure(error));
}

/** Tells of a bug with its stack, of an output that cannot be written in a line. */
function onFailure(error: unknown): number {
  const isOutput = error instanceof OutputError;
  const told = error instanceof Error ? isOutput ? error.message : error.stack ?? error.message : String(error);
  writeErr(`mutt-remediation failed: ${told}\n`);
  return EXIT.failed;
}
