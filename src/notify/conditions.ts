/**
 * What is wrong now. Some conditions need a memory of earlier observations ({@link Memory}): since when a gate has been closed, which
 * messages have died lately. A symptom (`depth`, `age`, `stalled`) does not begin while its cause is known: a closed gate holds the
 * source, or its DLQ is draining. Pure.
 */
import type { IncidentRules } from "../config/notify.ts";
import type { IncidentKind } from "./notice.ts";
import type { Observation, ObservedSample, ObservedSource } from "./observation.ts";

/** One thing that is wrong with one source, or with none in particular. */
export interface Condition {
  readonly kind: IncidentKind;
  readonly cause: string;
  readonly source: string | null;
  /** Since when, and when it was last true, by the server's clock, in milliseconds. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Describes it in one sentence. `total`: messages that it is about in all sources. */
  readonly describe: (total: number) => string;
  /** Messages that it is about; 0: none in particular. */
  readonly count: number;
}

/** A gate that holds a source. */
export interface Hold {
  readonly sinceMs: number;
  readonly reason: string;
  readonly detail: string;
}

/** What is remembered of a source. */
export interface SourceMemory {
  /** Instant of the newest sample; 0: none was seen. */
  readonly sampleMs: number;
  readonly depth: number;
  /** Gates that held it in the newest sample. */
  readonly held: Readonly<Record<string, Hold>>;
  /** When any gate held it last; 0: not known. */
  readonly heldMs: number;
  /** Since when messages wait, none has moved, and no gate holds them; `null`: this is not so. */
  readonly stillSinceMs: number | null;
  /** Instants and depths of the last minutes, oldest first. */
  readonly depths: readonly (readonly [atMs: number, depth: number])[];
}

/** Messages that have died of one reason in one source. */
export interface Deaths {
  readonly source: string;
  readonly reason: string;
  /** Instants of the first and the last death. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly count: number;
  /** When the last one was read in the journal. After an outage of the service that is later. */
  readonly readMs: number;
  /** Instants of reading and counts within `withinSeconds`, oldest first. */
  readonly recent: readonly (readonly [atMs: number, count: number])[];
}

/** A configuration that an instance has rejected, and that was not replaced there since. */
export interface Rejection {
  readonly origin: string;
  readonly instance: string;
  readonly sinceMs: number;
  readonly detail: string;
}

/** What is remembered between observations. Plain data. */
export interface Memory {
  readonly sources: Readonly<Record<string, SourceMemory>>;
  readonly deaths: readonly Deaths[];
  readonly rejections: readonly Rejection[];
}

/** Nothing was observed yet. */
export const NO_MEMORY: Memory = { sources: {}, deaths: [], rejections: [] };

/**
 * A DLQ is draining if it holds fewer messages than this long ago, in milliseconds. After its gates have opened it gets as long to begin.
 */
const DRAINING_MS = 300_000;
/** An older sample does not tell what is so now, in milliseconds. Samples come every 30 s. */
const FRESH_MS = 90_000;
/** Of what an operator buried, and of a drill's messages, nobody needs a notice. */
const UNTOLD: readonly string[] = ["buried", "drill"];
/** Most depths that are remembered of a source. A flapping gate makes samples every second. */
const MOST_DEPTHS = 16;
/** Most entries in the list of recent deaths. Beyond it, neighbours are added up. */
const MOST_RECENT = 32;
/** A depth above the limit is over when it is below this share of it. */
const OVER_AT = 0.8;

/** Returns what is wrong now, and what to remember. `isOpen` tells whether there is an incident of this kind and cause already. */
export function findConditions(
  memory: Memory,
  observation: Observation,
  { rules, isOpen }: { rules: IncidentRules; isOpen: (kind: IncidentKind, cause: string) => boolean },
): { readonly memory: Memory; readonly conditions: readonly Condition[] } {
  const next: Memory = {
    sources: Object.fromEntries(
      observation.sources.map((source) => [source.name, rememberSource(memory.sources[source.name], source)]),
    ),
    deaths: rememberDeaths(memory.deaths, observation, { rules, isOpen }),
    rejections: rememberRejections(memory.rejections, observation),
  };
  const ask = { rules, isOpen }, untilMs = observation.nowMs;
  const conditions = [
    ...deathConditions(next.deaths, ask),
    ...observation.sources.flatMap((source) => [
      ...sourceConditions(source, next.sources[source.name]!, observation, ask),
    ]),
    ...(rules.config_rejected === "off" ? [] : next.rejections.map(({ origin, sinceMs, detail }): Condition => ({
      ...{ kind: "config_rejected", cause: origin, source: null, sinceMs, untilMs, describe: () => detail, count: 0 },
    }))),
  ];
  return { memory: next, conditions };
}

interface Ask {
  readonly rules: IncidentRules;
  readonly isOpen: (kind: IncidentKind, cause: string) => boolean;
}

const NEW_SOURCE: SourceMemory = { sampleMs: 0, depth: 0, held: {}, heldMs: 0, stillSinceMs: null, depths: [] };

function rememberSource(before: SourceMemory = NEW_SOURCE, { samples }: ObservedSource): SourceMemory {
  return samples.filter(({ atMs }) => atMs > before.sampleMs).reduce(addSample, before);
}

function addSample(before: SourceMemory, { atMs, depth, moved, heldBy }: ObservedSample): SourceMemory {
  const held = Object.fromEntries(heldBy.map(({ name, reason, detail }) => {
    const known = before.held[name];
    return [name, { sinceMs: known?.sinceMs ?? atMs, reason, detail: detail || known?.detail || "" }];
  }));
  const isStill = depth > 0 && moved === 0 && heldBy.length === 0;
  const depths = [...before.depths, [atMs, depth] as const].filter(([one]) => atMs - one <= DRAINING_MS);
  return {
    ...{ sampleMs: atMs, depth, held, depths: thin(depths), heldMs: heldBy.length > 0 ? atMs : before.heldMs },
    stillSinceMs: isStill ? before.stillSinceMs ?? atMs : null,
  };
}

/** Leaves out every second one if there are too many. */
function thin<Item>(items: readonly Item[]): readonly Item[] {
  return items.length <= MOST_DEPTHS ? items : items.filter((_, at) => at % 2 === 0 || at === items.length - 1);
}

/** Without a rule nothing is remembered. */
function rememberDeaths(before: readonly Deaths[], { entries, nowMs, sources }: Observation, { rules, isOpen }: Ask) {
  const rule = rules.dead;
  if (rule === "off") return [];
  const tallies = new Map(before.map((deaths) => [keyOf(deaths), deaths]));
  for (const entry of entries) {
    if (entry.what !== "deaths") continue;
    for (const [reason, count] of Object.entries(entry.dead)) {
      if (count === 0 || UNTOLD.includes(reason)) continue;
      const { source, atMs } = entry, key = keyOf({ source, reason });
      const known = tallies.get(key) ?? { source, reason, sinceMs: atMs, count: 0, recent: [] };
      tallies.set(key, {
        ...{ ...known, untilMs: atMs, readMs: nowMs, count: known.count + count },
        recent: addRecent(known.recent, [nowMs, count]),
      });
    }
  }
  const names = new Set(sources.map(({ name }) => name));
  // One incident counts the messages of all sources, until none of them has any more.
  const lastReadMs = (reason: string) =>
    Math.max(...[...tallies.values()].filter((one) => one.reason === reason).map(({ readMs }) => readMs));
  return [...tallies.values()].flatMap((deaths): Deaths[] => {
    const recent = deaths.recent.filter(([atMs]) => nowMs - atMs <= rule.withinSeconds * 1_000);
    const isQuiet = nowMs - lastReadMs(deaths.reason) >= rule.quietSeconds * 1_000;
    if (!names.has(deaths.source)) return [];
    if (isOpen("dead", deaths.reason)) return isQuiet ? [] : [{ ...deaths, recent }];
    if (recent.length === deaths.recent.length) return [deaths];
    // Older ones were too few for an incident.
    const count = recent.reduce((sum, [, one]) => sum + one, 0);
    return recent.length === 0 ? [] : [{ ...deaths, recent, count, sinceMs: recent[0]![0] }];
  });
}

function addRecent(recent: Deaths["recent"], [atMs, count]: readonly [number, number]): Deaths["recent"] {
  const last = recent.at(-1);
  if (last && (last[0] === atMs || recent.length >= MOST_RECENT)) {
    return [...recent.slice(0, -1), [atMs, last[1] + count]];
  }
  return [...recent, [atMs, count]];
}

/** If an incident of this reason is open, any more deaths belong to it. */
function deathConditions(deaths: readonly Deaths[], { rules, isOpen }: Ask): Condition[] {
  if (rules.dead === "off") return [];
  const { count: least } = rules.dead;
  return deaths
    .filter(({ reason, recent }) => isOpen("dead", reason) || recent.reduce((sum, [, one]) => sum + one, 0) >= least)
    .map(({ source, reason, sinceMs, untilMs, count }) => ({
      ...{ kind: "dead", cause: reason, source, sinceMs, untilMs, count },
      describe: (total) => `${total} ${total === 1 ? "message" : "messages"} moved to the dead list as ${reason}`,
    }));
}

/** An instance that is gone rejects nothing any more: the one that took its place has read the file anew. */
function rememberRejections(before: readonly Rejection[], { entries, instances }: Observation): readonly Rejection[] {
  const rejections = new Map(before.map((rejection) => [rejectionKey(rejection), rejection]));
  for (const entry of entries) {
    if (entry.what !== "config") continue;
    const { origin, instance, atMs, detail } = entry, key = rejectionKey(entry);
    if (entry.isRejected) {
      rejections.set(key, { origin, instance, sinceMs: rejections.get(key)?.sinceMs ?? atMs, detail });
    } else rejections.delete(key);
  }
  return [...rejections.values()].filter(({ instance }) => instances === null || instances.includes(instance));
}

function rejectionKey({ origin, instance }: Pick<Rejection, "origin" | "instance">): string {
  return `${origin} ${instance}`;
}

function* sourceConditions(
  { name: source, oldestAgeMs }: ObservedSource,
  { sampleMs, depth, held, heldMs, stillSinceMs, depths }: SourceMemory,
  { nowMs, watchingSinceMs }: Observation,
  { rules, isOpen }: Ask,
): Generator<Condition> {
  const { gate_closed: gates, no_leader: leader, depth: deep, age, stalled } = rules;
  const untilMs = nowMs, silentSinceMs = Math.max(sampleMs, watchingSinceMs);
  if (leader !== "off" && nowMs - silentSinceMs >= leader.afterSeconds * 1_000) {
    const describe = () => "No instance leads the source: its history has no new sample";
    yield { kind: "no_leader", cause: "no_leader", source, sinceMs: silentSinceMs, untilMs, describe, count: 0 };
  }
  // From an old sample nothing begins, and nothing ends.
  const mayBegin = (kind: IncidentKind, cause: string) => nowMs - sampleMs < FRESH_MS || isOpen(kind, cause);
  const counted = gates === "off" ? [] : Object.entries(held).filter(([name]) => !gates.except.includes(name));
  for (const [name, { sinceMs, reason, detail }] of counted) {
    if (gates === "off" || nowMs - sinceMs < gates.afterSeconds * 1_000 || !mayBegin("gate_closed", name)) continue;
    const describe = () => `Gate ${name} is closed: ${detail || reason}`;
    yield { kind: "gate_closed", cause: name, source, sinceMs, untilMs, describe, count: depth };
  }
  const hasJustOpened = Object.keys(held).length === 0 && nowMs - heldMs < DRAINING_MS;
  const isExplained = counted.length > 0 || hasJustOpened || (depths[0]?.[1] ?? 0) > depth;
  const isSymptom = (kind: IncidentKind) => isOpen(kind, kind) || (mayBegin(kind, kind) && !isExplained);
  if (deep !== "off" && depth > deep.above * (isOpen("depth", "depth") ? OVER_AT : 1) && isSymptom("depth")) {
    const describe = (total: number) => `${total} messages wait, more than ${deep.above} in one DLQ`;
    yield { kind: "depth", cause: "depth", source, sinceMs: nowMs, untilMs, describe, count: depth };
  }
  if (age !== "off" && oldestAgeMs !== null && oldestAgeMs > age.aboveSeconds * 1_000 && isSymptom("age")) {
    const describe = () => `The oldest message in the DLQ is older than ${age.aboveSeconds} s`;
    yield { kind: "age", cause: "age", source, sinceMs: nowMs, untilMs, describe, count: depth };
  }
  const stillMs = stillSinceMs === null ? 0 : nowMs - stillSinceMs;
  if (stalled !== "off" && stillMs >= stalled.afterSeconds * 1_000 && mayBegin("stalled", "stalled")) {
    const describe = () => "No message leaves the DLQ, though no gate holds it";
    yield { kind: "stalled", cause: "stalled", source, sinceMs: stillSinceMs!, untilMs, describe, count: depth };
  }
}

function keyOf({ source, reason }: Pick<Deaths, "source" | "reason">): string {
  return `${source} ${reason}`;
}
