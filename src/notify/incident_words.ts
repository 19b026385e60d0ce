/** Words of incidents for people: a title, a few lines, and an address in the console. The same for every receiver. Pure. */
import { describeDuration } from "../lifecycle/outage_log.ts";
import { toIso } from "../runtime/clock.ts";
import type { Incident, IncidentGroup, IncidentKind, Notice, NoticeEvent } from "./notice.ts";
import { cleanLine, MAX_TITLE } from "./receivers/text.ts";

/** Groups that a notice shows one by one. */
const SHOWN_GROUPS = 5;
/** Sources that a title names. */
const NAMED_SOURCES = 3;
/** Longest sample, in characters. */
const SAMPLE_CHARACTERS = 200;

/** What is said: a {@link Notice} without its identity. */
export type Wording = Pick<Notice, "title" | "text" | "url">;

/** What an event is about. */
export interface Told {
  readonly incident: Incident;
  readonly event: NoticeEvent;
  /** When it is sent, in milliseconds since the epoch. */
  readonly atMs: number;
}

/** Writes the built-in words. `consoleUrl`: see the notify file. */
export function describeIncident(told: Told, consoleUrl: string | null): Wording {
  const url = consoleUrl === null ? null : `${consoleUrl}${findPath(told)}`;
  return { title: cleanLine(titleOf(told), MAX_TITLE), text: linesOf(told).join("\n"), url };
}

/** An incident as a phrase, at the beginning of a sentence: with the sources and, where it counts, the number. */
const SUBJECTS: Readonly<Record<IncidentKind, (incident: Incident, where: string) => string>> = {
  dead: ({ cause }, where) => `${DEAD_WORDS[cause] ?? `Dead (${cause})`} messages${within(where)}`,
  gate_closed: ({ cause }, where) => `Gate ${cause} closed${within(where)}`,
  depth: (_, where) => `Too many messages${within(where)}`,
  age: (_, where) => `Old messages${within(where)}`,
  stalled: (_, where) => `No progress${within(where)}`,
  job_failed: ({ cause }, where) => `Job ${cause} failed${within(where)}`,
  job_finished: ({ cause }, where) => `Job ${cause} finished${within(where)}`,
  config_rejected: ({ cause }) => `Changed configuration rejected: ${cause.replaceAll("_", " ")}`,
  no_leader: (_, where) => `No leader${where === "" ? "" : ` for ${where}`}`,
};

const DEAD_WORDS: Readonly<Record<string, string>> = {
  poison: "Poison",
  malformed: "Malformed",
  unreadable: "Unreadable",
  oversize: "Oversize",
  buried: "Buried",
};

/** Kinds whose title says how many messages are concerned. */
const COUNTED: readonly IncidentKind[] = ["dead", "depth", "age", "stalled"];

function titleOf({ incident, event, atMs }: Told): string {
  if (event === "test") return "Test notice of mutt-remediation";
  const { kind, beganMs, endedMs } = incident;
  const subject = SUBJECTS[kind](incident, listSources(incident.sources));
  if (event === "ended") {
    return `Over: ${subject[0]!.toLowerCase()}${subject.slice(1)}, for ${
      describeDuration((endedMs ?? atMs) - beganMs)
    }`;
  }
  const total = countOf(incident), counted = COUNTED.includes(kind) && total > 0 ? `: ${formatCount(total)}` : "";
  if (event === "happened") return `${subject}${counted}`;
  const still = event === "updated" ? `Still: ${subject[0]!.toLowerCase()}${subject.slice(1)}` : subject;
  return `${still}${counted} since ${formatTime(beganMs, atMs)}`;
}

function linesOf({ incident, event, atMs }: Told): string[] {
  const { detail, groups, beganMs, endedMs } = incident;
  if (event === "test") return ["If you can read this, the receiver works.", detail];
  const shown = groups.slice(0, SHOWN_GROUPS), rest = groups.slice(SHOWN_GROUPS);
  const more = rest.length === 0 ? [] : [`and ${formatCount(rest.length)} more (${formatCount(sum(rest))} messages)`];
  const lasted = event === "ended" ? [`From ${formatTime(beganMs, null)} to ${formatTime(endedMs ?? atMs, null)}`] : [];
  return [detail, ...shown.map(describeGroup), ...more, ...lasted].filter((line) => line !== "");
}

function describeGroup({ source, count, sample }: IncidentGroup): string {
  const total = `${source}: ${formatCount(count)} ${count === 1 ? "message" : "messages"}`;
  return sample === null ? total : `${total}, such as ${sample.id}: ${cleanLine(sample.text, SAMPLE_CHARACTERS)}`;
}

/** The page of the console that shows it; the first source's if there are several pages. */
function findPath({ incident, event }: Told): string {
  const { kind, cause, sources, groups } = incident, [source] = sources;
  if (event === "test") return "/";
  if (kind === "config_rejected") return "/settings";
  if (source === undefined) return "/";
  if (kind === "dead") {
    const id = groups.find((group) => group.source === source)?.sample?.id ?? "";
    const message: Record<string, string> = /^m_[0-9a-f]{16}$/.test(id) ? { message: id } : {};
    return `/messages?${new URLSearchParams({ source, list: "dead", ...message })}`;
  }
  const page = `/sources/${encodeURIComponent(source)}`;
  if (kind === "job_failed" || kind === "job_finished") return `${page}/jobs/${encodeURIComponent(cause)}`;
  return sources.length === 1 ? page : "/";
}

function within(where: string): string {
  return where === "" ? "" : ` in ${where}`;
}

/** `alerter`, `alerter and moog`, `a, b, c and 4 more`. */
export function listSources(sources: readonly string[]): string {
  const rest = sources.length - NAMED_SOURCES;
  if (rest > 0) return `${sources.slice(0, NAMED_SOURCES).join(", ")} and ${rest} more`;
  return sources.length < 2 ? sources.join("") : `${sources.slice(0, -1).join(", ")} and ${sources.at(-1)}`;
}

/** Messages that an incident is about. */
export function countOf({ groups }: Pick<Incident, "groups">): number {
  return sum(groups);
}

function sum(groups: readonly IncidentGroup[]): number {
  return groups.reduce((total, { count }) => total + count, 0);
}

/** `1,204`. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `14:02 UTC` on the day of `todayMs`, else `2026-11-30 14:02 UTC`. */
export function formatTime(atMs: number, todayMs: number | null): string {
  const [day, time] = toIso(atMs).split("T"), isToday = todayMs !== null && toIso(todayMs).startsWith(day!);
  return `${isToday ? "" : `${day} `}${time!.slice(0, 5)} UTC`;
}
