/** `mutt-remediation run`: the long-running service. */
import type { Command } from "commander";
import { EXIT } from "../runtime/exit.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { SYSTEM_RANDOM } from "../runtime/random.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";
import type { LoadedSettings } from "./settings.ts";

/** Adds the command; it is the default. */
export function addRunCommand(program: Command, context: CliContext): void {
  program.command("run", { isDefault: true })
    .description("Run the service until SIGTERM or SIGINT (default)")
    .addHelpText(
      "after",
      `
Watches the dead-letter queues and replays messages while every gate is open. Serves /metrics on port 8086 and /health on 8087.
The first signal lets the current chunk finish and exits 0; a second one exits at once.

Examples:
  REDIS_HOST=redis MOOG_WEBHOOK_URL=https://moog.example.com/webhook mutt-remediation run
  REMEDIATION_INTERVAL=60 REMEDIATION_BATCH_SIZE=0 mutt-remediation`,
    )
    // An unknown command reaches the default command as an argument. "Unknown command" is a better error than "too many
    // arguments".
    .allowExcessArguments(true)
    .action(async (_flags: unknown, { args }: Command) => {
      if (args.length > 0) program.error(`error: unknown command '${args[0]}'`);
      const { settingsOrExit } = await NEEDS.settings();
      const loaded = await settingsOrExit(context);
      if (!loaded) return;
      await startService(loaded, context);
    });
}

/** Runs the service with these settings until the signal, and sets the exit code. */
export async function startService(loaded: LoadedSettings, context: CliContext): Promise<void> {
  const { openObservers } = await NEEDS.observers();
  const { ListenError, runService } = await NEEDS.service();
  const { log, recentLog, tracer } = await openObservers(loaded);
  try {
    context.exitCode = await runService({
      settings: loaded.settings,
      sourcesFile: loaded.sourcesFile,
      notifyFile: loaded.notifyFile,
      readSecret: loaded.readSecret,
      loadedFrom: loaded,
      ...{ log, recentLog, tracer },
      clock: SYSTEM_CLOCK,
      random: SYSTEM_RANDOM,
      signal: context.signal,
      onHangup: context.onHangup,
    });
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    log.error("listen_failed", error.message);
    context.exitCode = EXIT.failed;
  }
}
