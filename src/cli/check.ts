/** `mutt-remediation check`: whether everything is as it must be before the service starts. */
import type { Command } from "commander";
import { type CheckFinding, checkInstallation } from "../app/check.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { writeOut } from "../runtime/process.ts";
import { SYSTEM_RANDOM } from "../runtime/random.ts";
import { type CliContext, openLog, settingsOrExit } from "./context.ts";

/** Adds the command. */
export function addCheckCommand(program: Command, context: CliContext): void {
  program.command("check")
    .description("Look at configuration and Redis, say what is wrong, change nothing")
    .option("--probe", "also send Moogsoft one probe event")
    .option("--json", "print the findings as one line of JSON")
    .addHelpText(
      "after",
      `
Looks at the configuration, whether Redis answers, its version and eviction policy, the types and depths of the lists, and
on a cluster their hash slots. Writes nothing to Redis.

Exit codes: 0 all is well; 1 Redis or (--probe) Moogsoft cannot be used; 78 something must be changed first.

Examples:
  mutt-remediation check
  mutt-remediation check --probe`,
    )
    .action(async (flags: { probe?: true; json?: true }) => {
      const loaded = settingsOrExit(context);
      if (!loaded) return;
      const { findings, exitCode } = await checkInstallation({
        settings: loaded.settings,
        sourcesFile: loaded.sourcesFile,
        warnings: loaded.warnings,
        dotEnvPath: loaded.dotEnvPath,
        // What goes wrong with Redis is a finding here; the log stays for the service.
        log: openLog({ ...loaded.settings, logLevel: "CRITICAL" }),
        clock: SYSTEM_CLOCK,
        random: SYSTEM_RANDOM,
        signal: context.signal,
        probe: flags.probe ?? false,
      });
      context.exitCode = exitCode;
      writeOut(flags.json ? `${JSON.stringify({ findings, exitCode })}\n` : findings.map(formatFinding).join(""));
    });
}

function formatFinding({ level, subject, text }: CheckFinding): string {
  return `${level.padEnd(7)}  ${subject}: ${text}\n`;
}
