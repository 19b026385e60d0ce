/**
 * Tells which incidents begin, change and end. Conditions of one kind and cause are one incident, whichever sources they concern: a downstream
 * that is away is notified once. Pure.
 */
import type { IncidentRules } from "../config/notify.ts";
import { type Condition, findConditions, type Memory, NO_MEMORY } from "./conditions.ts";
import type { Incident, IncidentGroup, IncidentKind, Severity } from "./notice.ts";
import type { Observation, ObservedJob } from "./observation.ts";

/** An incident, and how often it has changed in a way that people want to know. */
export interface TrackedIncident extends Incident {
  /** From 1. */
  readonly revision: number;
  /** When it was last true, by the server's clock, in milliseconds. */
  readonly untilMs: number;
  /** What the journal says of it: the revision of its last entry, and when that was written. */
  readonly journalled: { readonly revision: number; readonly atMs: number };
}

/** Everything that the notifier knows. Plain data. */
export interface Tracking {
  readonly memory: Memory;
  /** Open incidents, and those that ended lately. */
  readonly incidents: readonly TrackedIncident[];
}

/** Nothing was tracked yet. */
export const NOTHING_TRACKED: Tracking = { memory: NO_MEMORY, incidents: [] };

/** What happened to an incident, for the journal. */
export interface Change {
  readonly event: "began" | "updated" | "ended" | "happened";
  readonly incident: Incident;
}

/** How long an incident that has ended is kept, in milliseconds, and how many are; jobs are counted by themselves. */
export const ENDED_KEPT_MS = 86_400_000, MOST_ENDED = 100;
/** Most open incidents. Kinds and causes are few; more can only come from what other clients wrote. */
const MOST_OPEN = 100;
/** Most sources that an incident counts by itself. */
const MOST_GROUPS = 100;

const SEVERITY_OF: Readonly<Record<IncidentKind, Severity>> = {
  dead: "warning",
  gate_closed: "critical",
  depth: "warning",
  age: "warning",
  stalled: "critical",
  job_failed: "warning",
  job_finished: "info",
  config_rejected: "warning",
  no_leader: "critical",
};

/** What {@link track} needs beside the observation. */
export interface TrackOptions {
  readonly rules: IncidentRules;
  /** Least time between two updates of an incident in the journal, in milliseconds. */
  readonly updateMs: number;
  /** Returns a new id. */
  readonly createId: () => string;
}

/** Takes an observation. Returns what is known now, and what changed. */
export function track(
  { memory: before, incidents }: Tracking,
  observation: Observation,
  { rules, updateMs, createId }: TrackOptions,
): { readonly tracking: Tracking; readonly changes: readonly Change[] } {
  const { nowMs } = observation;
  const open = new Map(incidents.filter(isOpen).map((incident) => [keyOf(incident), incident]));
  const { memory, conditions } = findConditions(before, observation, {
    rules,
    isOpen: (kind, cause) => open.has(keyOf({ kind, cause })),
  });
  const found = Map.groupBy(conditions, keyOf), changes: Change[] = [];
  const note = (event: Change["event"], incident: TrackedIncident): TrackedIncident => {
    changes.push({ event, incident });
    return { ...incident, journalled: { revision: incident.revision, atMs: nowMs } };
  };
  const known = incidents.map((incident): TrackedIncident => {
    if (!isOpen(incident)) return incident;
    const now = found.get(keyOf(incident));
    if (!now) return note("ended", end(incident, nowMs));
    const changed = change(incident, now), { journalled } = incident;
    const isNews = changed.revision > journalled.revision && nowMs - journalled.atMs >= updateMs;
    return isNews ? note("updated", changed) : changed;
  });
  const begun = [...found].filter(([key]) => !open.has(key)).slice(0, Math.max(0, MOST_OPEN - open.size))
    .map(([, conditions]) => note("began", begin(conditions, { id: createId(), nowMs })));
  const happened = observation.entries.filter((entry) => entry.what === "job")
    .filter(({ hasFailed }) => rules[hasFailed ? "job_failed" : "job_finished"] !== "off")
    // The journal may tell of it twice.
    .filter(({ job }, at, all) =>
      incidents.every(({ cause }) => cause !== job) && all.findIndex((one) => one.job === job) === at
    )
    .map((entry) => note("happened", toHappened(entry, createId())));
  return { tracking: { memory, incidents: forget([...known, ...begun, ...happened], nowMs) }, changes };
}

/** The incident as people are notified of it. */
export function toIncident(
  { id, kind, cause, severity, sources, beganMs, endedMs, detail, groups }: TrackedIncident,
): Incident {
  return { id, kind, cause, severity, sources, beganMs, endedMs, detail, groups };
}

/** Whether an incident goes on. */
export function isOpen({ endedMs }: Pick<Incident, "endedMs">): boolean {
  return endedMs === null;
}

/** Whether it is a thing that has just happened, not one that lasts: a job that ended. */
export function isMoment({ kind }: Pick<Incident, "kind">): boolean {
  return kind === "job_failed" || kind === "job_finished";
}

function begin(conditions: readonly Condition[], { id, nowMs }: { id: string; nowMs: number }): TrackedIncident {
  const { kind, cause } = conditions[0]!;
  return {
    ...{ id, kind, cause, severity: SEVERITY_OF[kind], endedMs: null, ...describe(conditions, []) },
    beganMs: Math.min(...conditions.map(({ sinceMs }) => sinceMs)),
    ...{ revision: 1, journalled: { revision: 0, atMs: nowMs } },
  };
}

/** Messages have stopped to die when the last one did, not when that was certain. */
function end(incident: TrackedIncident, nowMs: number): TrackedIncident {
  const { kind, untilMs, revision } = incident;
  return { ...incident, endedMs: kind === "dead" ? untilMs : nowMs, revision: revision + 1 };
}

/** Only what people want to know is a new revision: another source, another reason, more messages. */
function change(incident: TrackedIncident, conditions: readonly Condition[]): TrackedIncident {
  const next = { ...incident, ...describe(conditions, incident.groups) };
  const isNews = next.sources.length !== incident.sources.length || next.detail !== incident.detail;
  return { ...next, revision: incident.revision + (isNews ? 1 : 0) };
}

function describe(
  conditions: readonly Condition[],
  before: readonly IncidentGroup[],
): Pick<TrackedIncident, "sources" | "detail" | "groups" | "untilMs"> {
  const groups = new Map(before.map((group) => [group.source, group]));
  for (const { source, count } of conditions) {
    if (source !== null) groups.set(source, { sample: null, ...groups.get(source), source, count });
  }
  const sorted = [...groups.values()].toSorted((a, b) => a.source < b.source ? -1 : 1).slice(0, MOST_GROUPS);
  const [first] = conditions.toSorted((a, b) => a.sinceMs - b.sinceMs);
  const total = sorted.reduce((sum, { count }) => sum + count, 0);
  const untilMs = Math.max(...conditions.map((one) => one.untilMs));
  return { sources: sorted.map(({ source }) => source), detail: first!.describe(total), groups: sorted, untilMs };
}

function toHappened({ source, atMs, job, hasFailed, detail }: ObservedJob, id: string): TrackedIncident {
  const kind = hasFailed ? "job_failed" : "job_finished";
  return {
    ...{ id, kind, cause: job, severity: SEVERITY_OF[kind], sources: [source], beganMs: atMs, endedMs: atMs, detail },
    ...{ groups: [], revision: 1, untilMs: atMs, journalled: { revision: 0, atMs } },
  };
}

/** Keeps open incidents, and the latest of those that have ended. */
function forget(incidents: readonly TrackedIncident[], nowMs: number): readonly TrackedIncident[] {
  const ended = incidents.filter(({ endedMs }) => endedMs !== null && nowMs - endedMs < ENDED_KEPT_MS)
    .toSorted((a, b) => b.endedMs! - a.endedMs!);
  // A night of many jobs must not push out an incident that quiet hours hold.
  const [jobs, others] = [true, false].map((isJob) => ended.filter((one) => isMoment(one) === isJob));
  const kept = new Set<TrackedIncident>([...jobs!.slice(0, MOST_ENDED), ...others!.slice(0, MOST_ENDED)]);
  return incidents.filter((incident) => isOpen(incident) || kept.has(incident));
}

function keyOf({ kind, cause }: Pick<Incident, "kind" | "cause">): string {
  return `${kind} ${cause}`;
}
