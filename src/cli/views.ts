/** How answers of the API look to people. What has no view of its own is shown member by member. */
import { describeDuration } from "../lifecycle/outage_log.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { writeOut } from "../runtime/process.ts";
import type { ExplainOutput } from "../operations/explain.ts";
import type { BrowsedPage } from "../operations/browse.ts";
import type { GroupsItem } from "../operations/groups.ts";
import type { HistoryOutput } from "../operations/history.ts";
import type { IncidentsReport } from "../operations/incidents.ts";
import type { JournalOutput } from "../operations/journal.ts";
import type { LogOutput } from "../operations/log.ts";
import type { MessageRow } from "../operations/message_row.ts";
import type { ReceiversReport } from "../operations/receivers.ts";
import type { TestReceiverOutput } from "../operations/test_receiver.ts";
import type { ReplicasReport } from "../operations/replicas.ts";
import type { SearchItem } from "../operations/search.ts";
import type { SettingsReport } from "../operations/settings.ts";
import type { ShownMessage } from "../operations/show.ts";
import type { DrillOutput } from "../operations/shown_drill.ts";
import type { Status } from "../operations/status.ts";
import type { VerifyOutput } from "../operations/verify.ts";
import { findOffer } from "./catalog.ts";
import type { ApiClient } from "./client.ts";
import { formatSetting, formatSource } from "./config_view.ts";
import { viewHistory } from "./history_view.ts";
import { describeDrill, viewDrills } from "./drill_views.ts";
import { viewJob, viewJobs } from "./job_views.ts";
import { type Cell, formatBytes, formatCount, formatNumber, formatTable, paint, textOf } from "./table.ts";

type View = (answer: unknown, client: ApiClient) => string | Promise<string>;

/** Views of answers, by operation. */
export const VIEWS: Readonly<Record<string, View>> = {
  status: async (answer, client) =>
    viewStatus(answer as Status, await client.run(findOffer("explain"), {}) as ExplainOutput),
  explain: (answer) => viewExplained(answer as ExplainOutput),
  incidents: (answer) => viewIncidents(answer as IncidentsReport),
  receivers: (answer) => viewReceivers(answer as ReceiversReport),
  test_receiver: (answer) => `${textOf((answer as TestReceiverOutput).result)}\n`,
  history: (answer) => viewHistory(answer as HistoryOutput),
  replicas: (answer) => viewReplicas(answer as ReplicasReport),
  settings: (answer) => viewSettings(answer as SettingsReport),
  browse: (answer) => viewPage(answer as BrowsedPage),
  show: (answer) => viewMessage(answer as ShownMessage),
  journal: (answer) => viewJournal(answer as JournalOutput),
  log: (answer) => viewLog(answer as LogOutput),
  verify: (answer) => viewVerified(answer as VerifyOutput),
  ...Object.fromEntries(
    ["pause", "resume", "release", "replay_now", "return_oversize"].map((name) => [name, viewOutcome]),
  ),
  ...Object.fromEntries(["freeze", "unfreeze"].map((name) => [name, viewOutcomes])),
  drills: viewDrills,
  ...Object.fromEntries(
    ["drills_show", "drills_cancel"].map((name) => [name, (answer) => describeDrill((answer as DrillOutput).drill)]),
  ),
  jobs: (answer) => viewJobs(answer),
  ...Object.fromEntries(
    ["jobs_show", "jobs_confirm", "jobs_pause", "jobs_resume", "jobs_cancel"].map((name) => [name, viewJob]),
  ),
};

/** Views of streams, by operation: they print. */
export const STREAM_VIEWS: Readonly<
  Record<string, (items: AsyncIterable<Readonly<Record<string, unknown>>>) => Promise<void>>
> = {
  search: (items) => viewFound(items as AsyncIterable<SearchItem>),
  groups: (items) => viewGroups(items as AsyncIterable<GroupsItem>),
};

/** The health in a line, then what each source does and why. */
function viewStatus(status: Status, explained: ExplainOutput): string {
  const { version, pod, redis, replay, moogsoft, errors = [] } = status;
  const head = status.status === "healthy"
    ? paint("green", "healthy")
    : paint("red", `unhealthy: ${textOf(errors.join(", "))}`);
  const isAsked = status.sources.some(({ gates }) => gates.some(({ name }) => name === "downstream"));
  const facts = `${textOf(pod)} ${textOf(version)}: ${head}; Redis ${redis}, replay ${replay}` +
    (isAsked ? `, Moogsoft ${textOf(moogsoft)}` : "");
  const roles = new Map(status.sources.map((source) => [source.name, source]));
  return `${facts}\n${
    explained.sources.map((source) => {
      const { role, leader, oldest } = roles.get(source.source) ?? {};
      const age = oldest?.waitingSince ? `, the oldest for ${since(oldest.waitingSince)}` : "";
      const depth = source.depth === null ? "depth not known" : `${formatCount(source.depth, "message")}${age}`;
      const led = role === "standby" ? `; led by ${textOf(leader)}` : role === "leader" ? "" : `; ${role}`;
      return `\n${paint("bold", source.source)}  ${depth}${led}\n${describeExplained(source)}`;
    }).join("")
  }`;
}

function viewExplained({ sources }: ExplainOutput): string {
  return sources.map((source) => `${paint("bold", source.source)}\n${describeExplained(source)}${describeOpen(source)}`)
    .join("\n");
}

function describeExplained(
  { sentence, estimate, gates, activity }: ExplainOutput["sources"][number],
): string {
  const closed = gates.filter(({ open }) => !open);
  const done = estimate.seconds === null || activity === "idle" || estimate.seconds === 0
    ? ""
    : `  Empty in about ${describeDuration(estimate.seconds * 1_000)}, if nothing arrives\n`;
  const lines = closed.map((gate) =>
    `  ${paint("yellow", "closed")} ${gate.name} (${gate.reason}) for ${since(gate.since)}: ${describeGate(gate)}${
      gate.next === null ? "" : `; asked again ${until(gate.next)}`
    }\n`
  );
  return `  ${textOf(sentence)}\n${done}${lines.join("")}`;
}

/** A line for each open gate: what it has seen. */
function describeOpen({ gates }: ExplainOutput["sources"][number]): string {
  return gates.filter(({ open }) => open).map((gate) =>
    `  ${paint("green", "open")} ${gate.name}: ${describeGate(gate)}\n`
  )
    .join("");
}

function describeGate({ words, detail }: { words: string; detail: string }): string {
  return detail.includes(words) ? textOf(detail) : `${textOf(words)}. ${textOf(detail)}`;
}

function viewLog({ lines }: LogOutput): string {
  if (lines.length === 0) return "No lines\n";
  const colour = (level: string) => level === "WARNING" ? "yellow" : /INFO|DEBUG/.test(level) ? "dim" : "red";
  return lines.map(({ at, level, event, message }) =>
    `${at.replace("T", " ").slice(0, 19)} ${paint(colour(level), level)} ${event}: ${textOf(message)}\n`
  ).join("");
}

function viewPage({ depth, movedOn, rows, newer, older }: BrowsedPage): string {
  const notes = [
    `${formatNumber(rows.length)} of ${formatCount(depth, "message")}; place 1 is the oldest`,
    ...(movedOn ? ["The message of the cursor has left the list: begin at an end again"] : []),
    ...(older === null ? [] : [`Older: --from ${older}`]),
    ...(newer === null ? [] : [`Newer: --from ${newer} --direction newer`]),
  ];
  return `${rows.length === 0 ? "" : formatRows(rows)}${notes.map((note) => `${paint("dim", note)}\n`).join("")}`;
}

const ROW_HEAD = ["place", "id", "age", "size", "reason", "failures", "group", "shown"];

function formatRows(rows: readonly MessageRow[]): string {
  return formatTable(ROW_HEAD, rows.map(describeRow));
}

function describeRow({ place, id, ageMs, sizeBytes, reason, failures, group, shown }: MessageRow): Cell[] {
  const age = ageMs === null ? null : describeDuration(ageMs);
  const members = Object.entries(shown).map(([name, value]) => `${name}=${value}`).join(" ");
  return [place, id, age, formatBytes(sizeBytes), reason, failures, group, members];
}

function viewMessage(message: ShownMessage): string {
  const { id, places, sizeBytes, ageMs, failures, reason, stamp, verdict, heldBy, text, isCut, enclosed, raw } =
    message;
  const facts: [string, Cell][] = [
    ["id", id],
    ["place", places.join(", ")],
    ["size", formatBytes(sizeBytes)],
    ["age", ageMs === null ? null : describeDuration(ageMs)],
    ["failures", failures],
    ["reason", reason],
    ["stamp", stamp],
    ...(verdict ? [["verdict", verdict.text] as [string, Cell]] : []),
    ...heldBy.map((hold): [string, Cell] => ["held by", `${hold.gate} (${hold.reason}): ${hold.detail}`]),
  ];
  const parts = [
    text,
    ...(enclosed === null ? [] : ["Enclosed:", enclosed]),
    ...(raw === null ? [] : [`Base64: ${raw}`]),
  ];
  return `${formatFacts(facts)}\n${parts.map(safeLines).join("\n")}\n${isCut ? "The text is cut.\n" : ""}`;
}

/** Lines of a text without control characters. */
function safeLines(text: string): string {
  return text.split("\n").map((line) => line.split("\t").map((part) => part === "" ? "" : textOf(part)).join("\t"))
    .join("\n");
}

function viewJournal({ entries, cursor, complete }: JournalOutput): string {
  const rows = entries.map(({ at, source, kind, text }) => [at, source, kind, text]);
  const table = rows.length === 0 ? "No entries\n" : formatTable(["at", "source", "kind", "what"], rows);
  return `${table}${complete ? "" : `${paint("dim", `More: --cursor ${cursor}`)}\n`}`;
}

function viewVerified({ intact, journals }: VerifyOutput): string {
  const rows = journals.map((
    one,
  ) => [one.intact ? "intact" : "BROKEN", one.name, one.entries, one.trimmed, one.unwritten, one.head]);
  const breaks = journals.flatMap(({ name, breaks }) =>
    breaks.map(({ text, after, before }) =>
      `${name}: ${textOf(text)} (after ${textOf(after)}, before ${textOf(before)})\n`
    )
  );
  const verdict = intact ? paint("green", "Every journal is intact") : paint("red", "A journal was changed");
  return `${formatTable(["state", "journal", "entries", "trimmed", "unwritten", "head"], rows)}${
    breaks.join("")
  }${verdict}\n`;
}

function viewReplicas({ replicas, unled }: ReplicasReport): string {
  const rows = replicas.map(({ name, version, startedAt, lastSeenAt, leads, isThis }) => [
    ...[isThis ? "*" : "", name, version, startedAt && `${since(startedAt)} ago`],
    ...[lastSeenAt && `${since(lastSeenAt)} ago`, leads.join(" ")],
  ]);
  const table = formatTable(["this", "name", "version", "started", "last seen", "leads"], rows);
  return `${table}${unled.length === 0 ? "" : `No leader is known of: ${unled.map(textOf).join(", ")}\n`}`;
}

const SEVERITY_COLOURS = { critical: "red", warning: "yellow", info: "dim" } as const;

function viewIncidents({ notifier, incidents }: IncidentsReport): string {
  const lines = incidents.map(({ id, kind, severity, sources, beganAt, endedAt, detail, groups }) => {
    const length = endedAt === null
      ? `for ${since(beganAt)}`
      : `${describeDuration(Date.parse(endedAt) - Date.parse(beganAt))}, over ${since(endedAt)} ago`;
    const state = endedAt === null ? paint(SEVERITY_COLOURS[severity], severity) : paint("dim", "over");
    const where = sources.length === 0 ? "" : ` ${sources.map(textOf).join(", ")}`;
    const samples = groups.flatMap(({ source, sample }) =>
      sample === null ? [] : [`\n  ${textOf(source)}, such as ${textOf(sample.id)}: ${textOf(sample.text)}`]
    );
    return `${state} ${paint("bold", kind)}${where}  ${length}  ${paint("dim", id)}\n  ${textOf(detail)}${
      samples.join("")
    }\n`;
  });
  const watch = notifier === null ? "No instance watches for incidents now" : `${textOf(notifier)} watches`;
  return `${lines.length === 0 ? "No incident in the last 24 hours\n" : lines.join("")}${paint("dim", watch)}\n`;
}

function viewReceivers({ receivers }: ReceiversReport): string {
  if (receivers.length === 0) return "No receivers: REMEDIATION_NOTIFY_PATH names a file with some, or none is named\n";
  const rows = receivers.map(({ name, type, sent, waiting, dropped, lastSentAt, failing }) => [
    ...[name, type, failing ? `fails for ${since(failing.since)}` : sent > 0 ? "works" : "not used yet"],
    ...[sent, waiting, dropped],
    ...[lastSentAt && `${since(lastSentAt)} ago`, failing && `${failing.code}: ${failing.problem}`],
  ]);
  return formatTable(["receiver", "type", "state", "sent", "waiting", "dropped", "last sent", "problem"], rows);
}

function viewSettings({ dotEnvPath, settings, shared, sources, warnings }: SettingsReport): string {
  const width = Math.max(...settings.map(({ variable }) => variable.length));
  return [
    ...(dotEnvPath === "" ? [] : [`.env is ${textOf(dotEnvPath)}`]),
    ...settings.map((setting) => textOf(formatSetting(setting, width))),
    ...shared.map(({ key, value }) => `key ${key}: ${value === null ? "(not set)" : textOf(value)}`),
    ...sources.map((source) => textOf(formatSource(source))),
    ...warnings.map((warning) => `warning: ${textOf(warning)}`),
    "",
  ].join("\n");
}

function viewOutcome(answer: unknown): string {
  const { source, result } = answer as { source: string; result: string };
  return `${textOf(source)}: ${textOf(result)}\n`;
}

function viewOutcomes(answer: unknown): string {
  return (answer as { sources: readonly unknown[] }).sources.map(viewOutcome).join("");
}

/** Members of an answer, one a line. */
export function viewAnything(answer: unknown): string {
  const facts = Object.entries(answer as object).map(([name, value]): [string, Cell] => [
    name,
    typeof value === "object" ? JSON.stringify(value) : value,
  ]);
  return formatFacts(facts);
}

/** Names and values below each other. */
export function formatFacts(facts: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${paint("dim", name.padEnd(width))}  ${textOf(value)}\n`).join("");
}

async function viewFound(items: AsyncIterable<SearchItem>): Promise<void> {
  const rows: MessageRow[] = [];
  for await (const item of items) {
    if (item.kind === "row") rows.push(item);
    if (item.kind !== "end") continue;
    if (rows.length > 0) writeOut(formatRows(rows));
    const shown = item.rows < item.matched ? `, ${formatNumber(item.rows)} shown (--limit)` : "";
    const cut = item.isComplete ? "" : "; cancelled before the end";
    writeOut(`${paint("dim", `${formatCount(item.matched, "message")} found${shown}${cut}`)}\n`);
  }
}

async function viewGroups(items: AsyncIterable<GroupsItem>): Promise<void> {
  const rows: Cell[][] = [];
  for await (const item of items) {
    if (item.kind === "group") {
      const { group, count, share, reason, lastSeen, text } = item;
      rows.push([
        group,
        formatNumber(count),
        `${Math.round(share * 100)} %`,
        reason,
        lastSeen && `${since(lastSeen)} ago`,
        text,
      ]);
    }
    if (item.kind !== "end") continue;
    if (rows.length > 0) writeOut(formatTable(["group", "count", "share", "reason", "last seen", "text"], rows));
    const estimated = item.sampled ? ", estimated from a sample" : "";
    writeOut(
      `${
        paint("dim", `${formatCount(item.matched, "message")} in ${formatCount(item.groups, "group")}${estimated}`)
      }\n`,
    );
  }
}

/** How long ago an instant was, by this machine's clock. */
function since(instant: string): string {
  return describeDuration(Math.max(0, SYSTEM_CLOCK.nowMs() - Date.parse(instant)));
}

function until(instant: string): string {
  const ms = Date.parse(instant) - SYSTEM_CLOCK.nowMs();
  return ms <= 0 ? "now" : `in ${describeDuration(ms)}`;
}
