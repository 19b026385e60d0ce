/** `mutt-remediation once`: runs one cycle and prints a summary. */
import type { Command } from "commander";
import type { OnceSummary, SourceSummary } from "../operations/once.ts";
import { BRAKE_REASON_TEXTS } from "../cycle/brake.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { SYSTEM_RANDOM } from "../runtime/random.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";
import type { LoadedSettings } from "./settings.ts";

interface Flags {
  json?: true;
  dryRun?: true;
  force?: true;
  source?: string;
}

/** Adds the command. */
export function addOnceCommand(program: Command, context: CliContext): void {
  program.command("once")
    .description("Run one cycle of every source, print a summary and exit")
    .option("--json", "print the summary as one line of JSON")
    .option("--dry-run", "print what would happen; change nothing")
    .option("--force", "take over from the leading instance for this run")
    .option("--source <name>", "run only this source")
    .addHelpText(
      "after",
      `
Replays at most REMEDIATION_BATCH_SIZE messages of a source (0: all) through the same gates as the service, whether or not the
interval has passed. A source that an operator has paused or frozen, or that a window holds, is left alone. A source that another instance leads is skipped and the leader named; with --force the leader stands by during
the run. The summary goes to standard output, logs to standard error.

Exit codes: 0 done, or something moved; 1 Redis cannot be used; 2 invalid command line; 3 there were messages but none moved: a
gate was closed or another instance leads; 78 invalid configuration.

Examples:
  mutt-remediation once --dry-run
  REMEDIATION_BATCH_SIZE=0 mutt-remediation once --json | jq .sources[0].replayed`,
    )
    .action(async (flags: Flags) => {
      const { settingsOrExit } = await NEEDS.settings();
      const loaded = await settingsOrExit(context);
      if (!loaded) return;
      await printOnce(loaded, flags, context);
    });
}

/** Runs one cycle with these settings, prints the summary and sets the exit code. */
export async function printOnce(
  loaded: LoadedSettings,
  { dryRun = false, force = false, source = null, json = false }: {
    readonly dryRun?: boolean;
    readonly force?: boolean;
    readonly source?: string | null;
    readonly json?: boolean;
  },
  context: CliContext,
): Promise<void> {
  const { openObservers } = await NEEDS.observers();
  const { createCommandContext } = await NEEDS.commandContext();
  const { isHeld, once } = await NEEDS.once();
  const result = await once.run(
    createCommandContext({
      ...loaded,
      ...await openObservers(loaded),
      clock: SYSTEM_CLOCK,
      random: SYSTEM_RANDOM,
      signal: context.signal,
    }),
    { dryRun, force, source },
  );
  context.exitCode = result.exitCode;
  if (result.ok) writeOut(json ? `${JSON.stringify(result.summary)}\n` : formatSummary(result.summary, isHeld));
  else writeErr(result.problems.map((problem) => `${problem}\n`).join(""));
}

type IsHeld = (source: SourceSummary) => boolean;

function formatSummary(summary: OnceSummary, isHeld: IsHeld): string {
  const { sources, durationMs } = summary, dryRun = summary.dryRun === true;
  const head = dryRun ? "Dry run: nothing was changed. One cycle would do this:\n" : "";
  return `${head}${
    sources.map((source) => formatSource(source, { dryRun, isHeld: isHeld(source) })).join("")
  }Took ${durationMs} ms.\n`;
}

function formatSource(source: SourceSummary, { dryRun, isHeld }: { dryRun: boolean; isHeld: boolean }): string {
  const dead = Object.entries(source.dead).map(([reason, count]) => `${count} ${reason}`).join(", ") || "none";
  const depth = dryRun ? `${source.depthBefore}` : `${source.depthBefore} -> ${source.depthAfter}`;
  // A dry run also counts the messages behind a closed gate, which move when it opens.
  const verb = dryRun && isHeld ? "held" : "stopped";
  return `${source.name}: ${source.replayed} replayed, dead: ${dead}; messages in the DLQ: ${depth}; ` +
    `${verb} by ${source.stoppedBy}${source.conflicts > 0 ? `; ${source.conflicts} conflicts` : ""}\n${
      formatPause(source)
    }${formatBrake(source)}`;
}

function formatPause({ paused, held }: SourceSummary): string {
  if (held !== undefined) return `  ${held}; to end a freeze earlier, use the operation unfreeze\n`;
  return paused === undefined ? "" : `  ${paused}; to end the pause earlier, use the operation resume\n`;
}

function formatBrake({ brake: { state, allowance, reason } }: SourceSummary): string {
  if (state === "healthy") return "";
  const most = allowance === null ? "" : `, at most ${allowance} messages a cycle`;
  return `  ${state}${most}: ${BRAKE_REASON_TEXTS[reason]}\n`;
}
