/** The entry point: runs the command, turns signals into one AbortSignal, and is the only place that exits. */
import process from "node:process";
import { EXIT } from "./runtime/exit.ts";
import { runCli } from "./cli/program.ts";
import { flushErr, onNpxGone, OutputError, writeErr } from "./runtime/process.ts";

/** Time limit for flushing the last log lines, in milliseconds. */
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

/** The first signal stops gracefully, the second exits at once. */
function stopOrExit(stop: AbortController): void {
  if (stop.signal.aborted) Deno.exit(EXIT.failed);
  stop.abort();
}

/**
 * A TLS peer that refuses the connection makes the runtime throw outside any call; the client reconnects by itself. Any
 * other error is a bug, and the supervisor restarts the process.
 */
function onUncaught(error: Error & { code?: string }): void {
  if (error.code !== "EPIPE" && error.code !== "ECONNRESET") void exit(onFailure(error));
}

/** Prints a bug with its stack, and a failed write to standard output in one line. */
function onFailure(error: unknown): number {
  const isOutput = error instanceof OutputError;
  const told = error instanceof Error ? isOutput ? error.message : error.stack ?? error.message : String(error);
  writeErr(`mutt-remediation failed: ${told}\n`);
  return EXIT.failed;
}
