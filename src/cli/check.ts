/** `mutt-remediation check`: whether everything is as it must be before the service starts. */
import type { Command } from "commander";
import type { Settings } from "../config/fields.ts";
import { type CheckFinding, checkInstallation } from "../operations/check.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { writeOut } from "../runtime/process.ts";
import { SYSTEM_RANDOM } from "../runtime/random.ts";
import { askService } from "./ask_service.ts";
import { type CliContext, openLog, settingsOrExit } from "./context.ts";

/** Adds the command. */
export function addCheckCommand(program: Command, context: CliContext): void {
  program.command("check")
    .description("Check the configuration, Redis and the lists; change nothing")
    .option("--probe", "also send one probe event to Moogsoft")
    .option("--json", "print the findings as one line of JSON")
    .addHelpText(
      "after",
      `
Checks the configuration, the version and eviction policy of Redis, the types and depths of the lists, and on a cluster their
hash slots. Tests the permissions to move messages with a key of its own, which it deletes at once. Asks for a consumer's health
page if one is set (ALERTER_HEALTH_URL). If the service runs on this machine, reports gates closed for more than an hour.

Exit codes: 0 all is well; 1 Redis, a consumer or (--probe) Moogsoft cannot be used; 78 something must be changed first.

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
        readSecret: loaded.readSecret,
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
      const all = [...findings, ...await findLongClosed(loaded.settings)];
      writeOut(flags.json ? `${JSON.stringify({ findings: all, exitCode })}\n` : all.map(formatFinding).join(""));
    });
}

/** A gate that is closed for longer than this is told, in milliseconds. */
const LONG_MS = 3_600_000;

/** Gates that the service on this machine has found closed for hours; none where no service of ours answers. */
async function findLongClosed(settings: Settings): Promise<CheckFinding[]> {
  const answer = await askService(settings, { path: "/health", accept: "application/json" });
  return answer.ok ? judgeGates(answer.text, SYSTEM_CLOCK.nowMs()) : [];
}

/** The same out of the text of a health page. That of a standby's gate `leader` is closed as it should be. Never throws. */
export function judgeGates(health: string, nowMs: number): CheckFinding[] {
  const { sources } = parseHealth(health);
  return sources.flatMap(({ name, gates }) =>
    gates.filter(({ name, open, since }) => name !== "leader" && !open && nowMs - Date.parse(since) > LONG_MS)
      .map((gate) => ({
        level: "warning" as const,
        subject: `source ${name}`,
        text: `gate ${gate.name} of the running service is closed since ${gate.since}: ${gate.detail}`,
      }))
  );
}

interface Health {
  readonly sources: readonly {
    readonly name: string;
    readonly gates: readonly { name: string; open: boolean; since: string; detail: string }[];
  }[];
}

/** Whatever listens on that port may have answered. */
function parseHealth(text: string): Health {
  try {
    const { sources } = JSON.parse(text);
    return { sources: sources.filter(({ gates }: { gates: unknown }) => Array.isArray(gates)) };
  } catch {
    return { sources: [] };
  }
}

function formatFinding({ level, subject, text }: CheckFinding): string {
  return `${level.padEnd(7)}  ${subject}: ${text}\n`;
}
