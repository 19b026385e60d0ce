/** The row of figures over all sources. Pure. */
import type { SloReport } from "../slo/monitor.ts";
import { count, few, percent, rate, span } from "./format.ts";
import type { Html } from "./page.ts";
import { type Mood, Time } from "./parts.tsx";
import type { Explained, Recorded, SourceHistory, SourceStatus } from "./readings.ts";

/** A source as the overview shows it. */
export interface ShownSource {
  readonly explained: Explained;
  readonly status: SourceStatus;
  /** The last hour. */
  readonly recorded: Recorded;
  readonly drawn: SourceHistory;
  /** Messages given up in the last 24 hours. */
  readonly deadToday: number;
}

const NOT_READ = "the sources have not been read yet";

/** The tile of a figure. */
interface Figure {
  readonly name: string;
  readonly value: string;
  readonly sub: string | Html;
  readonly mood?: Mood;
}

/** The figures. */
export function Figures(
  { sources, objectives, nowMs }: { sources: readonly ShownSource[]; objectives: SloReport; nowMs: number },
): Html {
  const figures = [
    waiting(sources),
    drainsIn(sources, nowMs),
    oldest(sources, { objectives, nowMs }),
    held(sources),
    dead(sources),
  ];
  return (
    <dl class="tiles">
      {figures.map(({ name, value, sub, mood = "mute" }) => (
        <div class={`tile ${mood}`}>
          <dt>{name}</dt>
          <dd>{value}</dd>
          <dd class="sub">{sub}</dd>
        </div>
      ))}
    </dl>
  ) as Html;
}

function waiting(sources: readonly ShownSource[]): Figure {
  const depths = sources.map(({ explained }) => explained.depth), depth = sumOfKnown(depths);
  if (depth === null && sources.length > 0) return { name: "Waiting", value: "not known", sub: NOT_READ };
  const arrived = sumOfKnown(sources.map(({ drawn }) => drawn.arrivedPerSecond));
  const left = sumOfKnown(sources.map(({ drawn }) => drawn.replayedPerSecond));
  const name = "Waiting", value = count(depth ?? 0);
  const unread = sources.filter(({ explained }) => explained.depth === null).map(({ explained }) => explained.source);
  if (unread.length > 0) return { name, value, sub: `without ${few(unread)}, not read yet` };
  const isAway = sources.some(({ explained: { gates } }) => gates.some((gate) => gate.name === "redis" && !gate.open));
  if (isAway) return { name, value, sub: "as last read: Redis cannot be read now", mood: "bad" };
  if (arrived === null || left === null) return { name, value, sub: depth === 0 ? "every DLQ is empty" : "" };
  if (arrived === 0 && left === 0) return { name, value, sub: "nothing arrives or leaves" };
  const change = arrived - left, sign = change > 0 ? "+" : "−";
  return { name, value, sub: `${sign}${rate(Math.abs(change))} · in ${rate(arrived)}, out ${rate(left)}` };
}

function drainsIn(sources: readonly ShownSource[], nowMs: number): Figure {
  const name = "Drains in", filled = sources.filter(({ explained: { depth } }) => depth !== null && depth > 0);
  if (sources.some(({ explained: { depth } }) => depth === null) && filled.length === 0) {
    return { name, value: "not known", sub: NOT_READ };
  }
  if (filled.length === 0) return { name, value: "empty", sub: "nothing waits", mood: "good" };
  const stuck = filled.filter(({ explained: { activity } }) => ["waiting", "paused", "off"].includes(activity));
  const names = few(stuck.map(({ explained }) => explained.source));
  const seconds = Math.max(-1, ...filled.map(({ explained: { estimate } }) => estimate.seconds ?? -1));
  const isAre = stuck.length === 1 ? "is" : "are";
  if (stuck.length === filled.length) return { name, value: "held", sub: `${names} ${isAre} held`, mood: "bad" };
  const without = stuck.length === 0 ? "" : `without ${names}, which ${isAre} held`;
  if (seconds < 0) {
    const reason = filled.find((one) => !stuck.includes(one))?.explained.estimate.reason ?? "";
    return { name, value: "not known", sub: reason || without, mood: stuck.length > 0 ? "bad" : "mute" };
  }
  const at = new Date(nowMs + seconds * 1_000).toISOString();
  const sub = (
    <>
      at <Time at={at} as="minute" />
      {without && `; ${without}`}
    </>
  );
  return { name, value: span(seconds * 1_000), sub: sub as Html, mood: stuck.length > 0 ? "bad" : "good" };
}

/** By the message's own time, or by how long it has waited here, which is what the objective judges. */
function oldest(
  sources: readonly ShownSource[],
  { objectives, nowMs }: { objectives: SloReport; nowMs: number },
): Figure {
  const found = sources.flatMap(({ explained: { source }, status: { oldest } }) => {
    const at = oldest?.eventTime ?? oldest?.waitingSince;
    return at ? [{ source, at, waitingSince: oldest?.waitingSince ?? null }] : [];
  }).toSorted((one, other) => one.at < other.at ? -1 : 1)[0];
  if (!found) {
    const isEmpty = sources.every(({ explained: { depth } }) => depth === 0);
    return isEmpty
      ? { name: "Oldest", value: "none", sub: "no dead letter waits" }
      : { name: "Oldest", value: "not known", sub: "not measured yet" };
  }
  const limitMs = (objectives.components[`${found.source}.oldest_age`]?.threshold_seconds ?? Infinity) * 1_000;
  const waitedMs = found.waitingSince === null ? 0 : nowMs - Date.parse(found.waitingSince);
  return {
    ...{ name: "Oldest", value: span(nowMs - Date.parse(found.at)) },
    sub: `in ${found.source}${limitMs === Infinity ? "" : `; may wait ${span(limitMs)}`}`,
    mood: waitedMs > limitMs ? "bad" : waitedMs > limitMs * 0.8 ? "warn" : "mute",
  };
}

function held(sources: readonly ShownSource[]): Figure {
  const replayed = sum(sources.map(({ recorded: { totals } }) => totals.replayed));
  const cameBack = sum(sources.map(({ recorded: { totals } }) => totals.cameBack));
  if (replayed === 0) {
    return { name: "Replays that held", value: "none", sub: "no replay was recorded in the last hour" };
  }
  const share = 1 - Math.min(1, cameBack / replayed);
  return {
    ...{ name: "Replays that held", value: percent(share) },
    sub: `last hour: ${count(replayed)} replayed, ${count(cameBack)} came back`,
    mood: share >= 0.95 ? "good" : share >= 0.5 ? "warn" : "bad",
  };
}

function dead(sources: readonly ShownSource[]): Figure {
  const parts = sources.filter(({ deadToday }) => deadToday > 0)
    .toSorted((one, other) => other.deadToday - one.deadToday)
    .map(({ explained: { source }, deadToday }) => `${count(deadToday)} ${source}`);
  return {
    ...{ name: "Dead, last 24 h", value: count(sum(sources.map(({ deadToday }) => deadToday))) },
    sub: parts.length === 0 ? "none was recorded" : few(parts),
  };
}

function sumOfKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : sum(known);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
