/** `mutt-remediation discover`: finds dead-letter queues in Redis and prints a sources file. */
import type { Command } from "commander";
import type { DiscoverReport, ProposedSource } from "../operations/discover.ts";
import { PUSH_SIDES } from "../message/source_policy.ts";
import { escapeHidden } from "../runtime/control_characters.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { shellWord } from "../runtime/shell_word.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Names to look at if `--limit` is not given, and the most. */
const DEFAULT_LIMIT = 100_000, MOST_LIMIT = 1_000_000_000;
/** Most lists that were left alone that are printed. */
const MOST_LEFT_SHOWN = 20;

/** Adds the command. */
export function addDiscoverCommand(program: Command, context: CliContext): void {
  const command = program.command("discover")
    .description("Find dead-letter queues in Redis and print a sources file; change nothing")
    .option("--limit <names>", `names of keys to look at (default ${DEFAULT_LIMIT})`)
    .option("--json", "print what was found as one line of JSON")
    .addHelpText(
      "after",
      `
Reads the names of keys (SCAN, in small steps) and looks for pairs such as orders:dlq and orders. Reads up to 5 messages of each
list, and proposes a source only if both hold messages of one kind, those of the DLQ perhaps in envelopes. An empty work queue does
not exist in Redis: then a name such as orders:dlq is enough, with a caution. Prints the sources file to standard output and all
else to standard error: why each was proposed, what would happen to its oldest messages, and what was left alone. Leaves the queues
of BullMQ, Sidekiq, Resque, Celery, RQ and others alone. Needs only the right to read (docs/redis.md#discover).

Exit codes: 0 a source is proposed; 1 none is; 69 Redis does not answer; 78 invalid configuration, or Redis refuses SCAN.

Examples:
  mutt-remediation discover
  mutt-remediation discover > sources.yaml`,
    )
    .action(async (flags: { limit?: string; json?: true }) => {
      const limit = Number(flags.limit ?? DEFAULT_LIMIT);
      if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LIMIT) {
        command.error(`error: --limit is not a whole number from 1 to ${MOST_LIMIT}`);
      }
      const { quietContextOrExit } = await NEEDS.quietContext();
      const commandContext = await quietContextOrExit(context, { needsSources: false });
      if (!commandContext) return;
      const { discover } = await NEEDS.discover();
      const report = await discover.run(commandContext, { limit });
      context.exitCode = report.exitCode;
      if (flags.json) return writeOut(`${JSON.stringify(report)}\n`);
      const { defaultDeadList } = await NEEDS.dlqNames();
      writeErr(describe(report, defaultDeadList).map((line) => `${escapeHidden(line)}\n`).join(""));
      writeOut(report.yaml);
    });
}

/** The dead list that `watch` takes for a DLQ and its target. */
type DefaultDeadList = (lists: Pick<ProposedSource, "dlq" | "target">) => string;

/** Lines for people. They may hold hidden characters of names and messages. */
function describe(report: DiscoverReport, defaultDeadList: DefaultDeadList): readonly string[] {
  const { proposals, warnings, problem } = report;
  if (problem !== null) return [problem];
  const sections = [
    describeScan(report),
    ...proposals.map(describeProposal),
    describeLeft(report),
    warnings.map((warning) => `Before you start the service: ${warning}`),
    describeNext(proposals, defaultDeadList),
  ];
  return sections.filter((lines) => lines.length > 0).flatMap((lines, at) => at === 0 ? lines : ["", ...lines]);
}

function describeScan({ names, lists, unusable, stoppedBy }: DiscoverReport): string[] {
  const more = stoppedBy === null
    ? ""
    : stoppedBy === "limit"
    ? " There are more names: raise --limit to see them."
    : " There are more names, but the time is up: if you know yours, use mutt-remediation watch.";
  return [
    `Looked at about ${count(names, "name")}: ${count(lists, "list")}.${more}`,
    ...(unusable > 0
      ? [
        `${count(unusable, "list")} left alone: the name has blanks, hidden characters, or bytes that are not UTF-8.`,
      ]
      : []),
  ];
}

function describeLeft({ left, moreLeft, foreign }: DiscoverReport): string[] {
  const shown = left.slice(0, MOST_LEFT_SHOWN), more = left.length - shown.length + moreLeft;
  const lines = [
    ...foreign.map(({ library, advice, count: number, example }) =>
      `  ${example}${number > 1 ? ` and ${number - 1} more` : ""}: of ${library}, ${advice}`
    ),
    ...shown.map(({ list, why }) => `  ${list}: ${why}`),
    ...(more > 0 ? [`  and ${count(more, "other list")}`] : []),
  ];
  return lines.length > 0 ? ["Left alone:", ...lines] : [];
}

function describeNext([first]: readonly ProposedSource[], defaultDeadList: DefaultDeadList): string[] {
  if (first === undefined) {
    return ["Nothing is proposed. If you know the names: mutt-remediation watch --dry-run --dlq NAME --target NAME"];
  }
  const { dlq, target, dead, unwrap } = first;
  const flags = {
    ...{ dlq, target },
    ...defaultDeadList(first) === dead ? {} : { dead },
    ...unwrap === null ? {} : { unwrap },
  };
  const words = Object.entries(flags).map(([flag, value]) => `--${flag} ${shellWord(value)}`);
  return [
    `Nothing was changed. Check that consumers take ${PUSH_SIDES.LPUSH.taken}: a list does not show it. If they take`,
    `${PUSH_SIDES.RPUSH.taken}, add push: RPUSH to their source; then the messages above are not the oldest.`,
    `Try one without a file: mutt-remediation watch --dry-run ${words.join(" ")}`,
  ];
}

function describeProposal({ name, dlq, target, dead, depths, reasons, cautions, sample }: ProposedSource): string[] {
  return [
    `${name}: ${dlq} (${depths.dlq}) -> ${target} (${depths.target}); dead list ${dead} (${depths.dead})`,
    `  why: ${reasons.join("; ")}`,
    ...cautions.map((caution) => `  caution: ${caution}`),
    ...sample.flatMap(({ text, verdict }) => [`  ${verdict}: ${text}`]),
  ];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
