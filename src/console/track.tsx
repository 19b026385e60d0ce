/** One source: from its DLQ through the gates into its target. Pure. */
import type { Role } from "../config/api_keys.ts";
import { Spark } from "./charts.tsx";
import { count, rate, span } from "./format.ts";
import { SourceActions } from "./forms.tsx";
import type { Html } from "./page.ts";
import { Chip, gatesOf, type Mood, Stations, stationsOf, Time } from "./parts.tsx";
import type { Explained, SourceHistory, SourceStatus } from "./readings.ts";

/** What a source does, in one word and a colour. */
const ACTIVITY: Readonly<Record<Explained["activity"], readonly [Mood, string]>> = {
  draining: ["good", "Healing"],
  ramping: ["warn", "Ramping up"],
  testing: ["warn", "Testing"],
  resting: ["mute", "Between cycles"],
  idle: ["mute", "Nothing to do"],
  waiting: ["bad", "Held"],
  paused: ["warn", "Paused"],
  frozen: ["warn", "Frozen"],
  window: ["warn", "Window"],
  off: ["mute", "Switched off"],
  unknown: ["mute", "Not known yet"],
};

/** The mood of a source. */
function moodOf({ activity }: Explained): Mood {
  return ACTIVITY[activity][0];
}

/** Whether a source has nothing to do, and nothing holds it. */
export function isAtRest(explained: Explained): boolean {
  return explained.activity === "idle" && gatesOf(explained).every(({ open }) => open);
}

/** The card of a source. `folds`: gates that say nothing are one station. */
export function Track(
  { explained, status, history, role, nowMs, folds, next }: {
    explained: Explained;
    status: SourceStatus;
    history: SourceHistory | null;
    role: Role;
    nowMs: number;
    folds: boolean;
    next: string;
  },
): Html {
  const { source, activity, sentence } = explained, [mood, word] = ACTIVITY[activity];
  const isIdle = isAtRest(explained);
  const isPaused = explained.pause !== null, isFrozen = explained.freeze !== null;
  const isBraked = explained.gates.some(({ name, open }) => name === "returns" && !open);
  return (
    <article class={`card track ${mood} ${isIdle && folds ? "idle" : ""}`}>
      <header>
        <h3>
          <a href={`/sources/${encodeURIComponent(source)}`} data-row>{source}</a>
        </h3>
        <Chip mood={mood}>{word}</Chip>
        <p>{activity === "idle" && history?.emptySince ? <Emptied history={history} nowMs={nowMs} /> : sentence}</p>
        <SourceActions {...{ source, role, isPaused, isFrozen, isBraked, next, replaysNow: !folds }} />
      </header>
      {!(isIdle && folds) && (
        <div class="rail">
          <From status={status} explained={explained} history={history} nowMs={nowMs} />
          <Stations of={stationsOf(explained, { folds })} name={source} nowMs={nowMs} />
          <Into history={history} />
        </div>
      )}
    </article>
  ) as Html;
}

function From(
  { status, explained, history, nowMs }: {
    status: SourceStatus;
    explained: Explained;
    history: SourceHistory | null;
    nowMs: number;
  },
): Html {
  const oldestAt = status.oldest?.eventTime ?? status.oldest?.waitingSince ?? null;
  return (
    <div class="end">
      <span class="k mono">{status.dlq}</span>
      <b class="big">{explained.depth === null ? "?" : count(explained.depth)}</b>
      <span class="k">
        {oldestAt === null
          ? explained.depth === 0 ? "empty" : "oldest not known"
          : <span title={oldestAt}>oldest {span(nowMs - Date.parse(oldestAt))}</span>}
        {history?.arrivedPerSecond ? ` · +${rate(history.arrivedPerSecond)}` : ""}
      </span>
      <Spark points={history?.depths ?? []} mood={moodOf(explained)} />
    </div>
  ) as Html;
}

function Into({ history }: { history: SourceHistory | null }): Html {
  if (history === null) return <div class="end to"></div> as Html;
  const { target, targetDepth, downstream, replayedPerSecond } = history;
  const isWhole = downstream?.depth === targetDepth;
  return (
    <div class="end to">
      <span class="k mono">{target}</span>
      <b class="big">
        {targetDepth === null ? "?" : count(targetDepth)}
        {downstream && isWhole && <small>{` / ${count(downstream.limit)}`}</small>}
      </b>
      <span class="k">
        {replayedPerSecond === null ? "" : `${rate(replayedPerSecond)} replayed`}
        {downstream && !isWhole && ` · ${count(downstream.depth)} of ${count(downstream.limit)} downstream`}
      </span>
      {downstream && <Fullness of={downstream} />}
    </div>
  ) as Html;
}

function Fullness({ of: { depth, limit } }: { of: NonNullable<SourceHistory["downstream"]> }): Html {
  return (
    <meter min={0} max={limit} high={limit * 0.8} low={0} optimum={0} value={depth} aria-label="How full the target is">
      {depth}
    </meter>
  ) as Html;
}

/** Since when the DLQ has been empty. */
function Emptied({ history: { emptySince, lastReplayAt }, nowMs }: { history: SourceHistory; nowMs: number }): Html {
  return (
    <>
      empty since <Time at={emptySince!} as="minute" />
      {lastReplayAt && `; the last message was replayed ${span(nowMs - Date.parse(lastReplayAt))} ago`}
    </>
  ) as Html;
}
