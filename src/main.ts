/** The entry: arguments to a command, signals to one AbortSignal, and the only exit. */
import process from "node:process";
import { EXIT } from "./app/exit.ts";
import { runCli } from "./cli/program.ts";
import { writeErr } from "./runtime/process.ts";

if (import.meta.main) {
  const stop = new AbortController();
  const onSignal = () => stopOrExit(stop);
  for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, onSignal);
  process.on("uncaughtException", onUncaught);
  const onHangup = (listener: () => void) => Deno.addSignalListener("SIGHUP", listener);
  Deno.exit(await runCli(Deno.args, { signal: stop.signal, onHangup }).catch(onBug));
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
  if (error.code !== "EPIPE" && error.code !== "ECONNRESET") Deno.exit(onBug(error));
}

function onBug(error: unknown): number {
  writeErr(`mutt-remediation failed: ${error instanceof Error ? error.stack ?? error.message : error}\n`);
  return EXIT.failed;
}
