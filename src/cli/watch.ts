/** `mutt-remediation watch`: runs the service with one source that flags describe, for the first try. */
import type { Command } from "commander";
import type { Settings } from "../config/fields.ts";
import { NO_SOURCES_FILE } from "../config/sources.ts";
import type { SourceEntry } from "../config/source_fields.ts";
import { PUSH_SIDES } from "../message/source_policy.ts";
import { EXIT } from "../runtime/exit.ts";
import { escapeHidden } from "../runtime/control_characters.ts";
import { canWritePrivateFile, writeErr } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";
import { printOnce } from "./once.ts";
import { startService } from "./run.ts";
import flags from "./source_flags.json" with { type: "json" };

/** A flag for a member of a source; `scripts/generate.ts` makes them, so that the start does not load the table. */
export interface SourceFlag {
  readonly member: string;
  readonly kind: "text" | "number" | "list";
  /** With its value, e.g. `--dlq <name>`. */
  readonly flag: string;
  readonly text: string;
}

/** What to do instead. */
const SEVERAL = "for several, write a sources file (docs/sources.md)";
const SOURCE_FLAGS = flags as readonly SourceFlag[];
/** A flag with a value has all values that were given. */
interface Flags extends Readonly<Record<string, readonly string[] | true | undefined>> {
  readonly name?: readonly string[];
  readonly dryRun?: true;
  readonly json?: true;
}

/** Adds the command. */
export function addWatchCommand(program: Command, context: CliContext): void {
  const command = program.command("watch").description("Run the service for one dead-letter queue that flags describe");
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  for (const { member, flag, text } of SOURCE_FLAGS) {
    const more = member === "dead" ? " (default: made from the target, e.g. orders:dead)" : "";
    command.option(flag, `${text}${more}`, collect);
  }
  command.option("--name <name>", "name of the source (default: made from the DLQ)", collect)
    .option("--dry-run", "judge the messages of one cycle, print a summary and exit; change nothing")
    .option("--json", "with --dry-run: print the summary as one line of JSON")
    .addHelpText(
      "after",
      `
The same service as run, with this source and no other: REMEDIATION_SOURCES and REMEDIATION_SOURCES_PATH do not count, all other
settings do. Prints what it will do, and the sources file for good. Lists are separated by commas, or their flag is repeated. Ctrl-C finishes the chunk in
hand and exits 0.

Exit codes: as run; with --dry-run as once. 2 a flag is invalid.

Examples:
  mutt-remediation watch --dlq orders:dlq --target orders --dry-run
  mutt-remediation watch --dlq orders:dlq --target orders --max-per-second 20 --required id,total`,
    )
    .action((given: Flags) => watch(given, context));
}

async function watch(given: Flags, context: CliContext): Promise<void> {
  const { readFlagSource } = await NEEDS.flagSource();
  const source = readFlagSource(given.name?.at(0), readMembers(given));
  const problems = [...findMisused(given), ...source.ok ? [] : source.problems];
  for (const problem of problems) writeErr(`error: ${problem}\n`);
  const { settingsOrExit } = await NEEDS.settings();
  const loaded = await settingsOrExit(context, { sourcesFile: source.ok ? source.file : NO_SOURCES_FILE });
  if (!loaded) return;
  if (!source.ok || problems.length > 0) {
    context.exitCode = EXIT.usage;
    return;
  }
  if (given.dryRun) {
    const dead = escapeHidden(source.entry.dead!);
    writeErr(`Messages that cannot be replayed would go to ${dead}. Choose another list with --dead.\n`);
    return await printOnce(loaded, { dryRun: true, json: given.json ?? false }, context);
  }
  writeErr(await describe(source, loaded.settings));
  await startService(loaded, context);
}

/** Flags that have no effect as they are given. */
function findMisused(given: Flags): readonly string[] {
  const flags = [...SOURCE_FLAGS, { member: "name", kind: "text", flag: "--name <name>" }];
  const repeated = flags.flatMap(({ member, kind, flag }) => {
    const values = given[member], times = values === undefined || values === true ? 0 : values.length;
    if (kind === "list" || times < 2) return [];
    return [`${flag.split(" ")[0]} is given ${times} times: watch runs one source; ${SEVERAL}`];
  });
  return [...repeated, ...given.json && !given.dryRun ? ["--json has no effect without --dry-run"] : []];
}

/** The members that flags gave. What is no number stays a text, and the check says what is wanted. */
function readMembers(given: Flags): Readonly<Record<string, unknown>> {
  const members = SOURCE_FLAGS.flatMap(({ member, kind }): [string, unknown][] => {
    const values = given[member];
    if (values === undefined || values === true) return [];
    // With a blank left in front of its name, no message would have a required member, and all would die.
    if (kind === "list") return [[member, values.join().split(",").map((part) => part.trim())]];
    const [text = ""] = values;
    return [[member, kind === "number" && /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text]];
  });
  return Object.fromEntries(members);
}

async function describe(
  { name, entry }: { readonly name: string; readonly entry: SourceEntry },
  settings: Settings,
): Promise<string> {
  const { formatSources } = await NEEDS.sourcesText();
  const { dlq, target, dead, unwrap = null, push = "LPUSH" } = entry;
  const { pushed, taken } = PUSH_SIDES[push];
  const { intervalMs, batchSize, maxPoisonRetries, enabled } = settings;
  const seconds = intervalMs / 1_000, most = batchSize === 0 ? "all messages" : `at most ${batchSize} messages`;
  const rate = entry.maxPerSecond ? `, at most ${entry.maxPerSecond} a second` : "";
  const isBeside = entry.record === "beside", limit = entry.maxReplays ?? maxPoisonRetries;
  const unwrapped = unwrap === null ? [] : [`Of each message, the value of ${unwrap} goes back, and nothing else.`];
  const lines = [
    `Watching ${dlq}. Every ${seconds} s, ${most}${rate} go back to ${target}: the oldest first, pushed ${pushed}.`,
    ...isBeside
      ? [
        `A message that fails ${limit} times while others get through goes to ${dead}. No message is deleted.`,
        ...unwrapped,
        `Your consumer must take ${taken}, and dead-letter a message as it was.`,
      ]
      : [
        `A message that is no JSON object, or that fails ${limit} times while others get through, goes to ${dead}. ` +
        "No message is deleted.",
        ...unwrapped,
        `Your consumer must take ${taken} and accept one more member in a message, _remediation.`,
      ],
    ...(push === "LPUSH" ? [`If it takes ${PUSH_SIDES.RPUSH.taken}, add --push RPUSH.`] : []),
    ...(enabled ? [] : ["Replay is switched off (REMEDIATION_ENABLED): nothing moves."]),
    "Change the speed with REMEDIATION_INTERVAL (seconds) and REMEDIATION_BATCH_SIZE (0: all). Ctrl-C stops.",
    ...(canWritePrivateFile(settings.localKeyPath)
      ? ["For the console, run in another shell: mutt-remediation console"]
      : ["For the console, the service needs a key: docs/console.md"]),
    "To keep this source, write this to sources.yaml, and start the service with REMEDIATION_SOURCES=none",
    "REMEDIATION_SOURCES_PATH=sources.yaml:",
  ];
  const text = lines.map((line) => `${escapeHidden(line)}\n`).join("");
  const { redactCredentials } = await NEEDS.redact(), { healthUrl = "" } = entry, shown = redactCredentials(healthUrl);
  const written = shown === healthUrl
    ? { name, entry }
    : { name, entry: { ...entry, healthUrl: shown }, notes: { healthUrl: "its credentials are not shown" } };
  return `${text}\n${formatSources([written])}\n`;
}
