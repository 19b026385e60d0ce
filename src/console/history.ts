/** What the history of a source says, ready to be drawn. Pure. */
import type { Series } from "./charts.tsx";
import type { Recorded, SourceHistory } from "./readings.ts";

/** The rates are those of the last 5 minutes. */
const RATE_MS = 300_000;

/** A time in which something was so, in milliseconds since the epoch. */
export interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A time in which a gate held the source. */
export interface Closure extends Interval {
  /** Why, in words; `null`: not known. */
  readonly words: string | null;
}

type Step = Recorded["steps"][number];

/** The instants of the first and the last step: the borders of a chart, which stay while a step lasts. */
export function borders({ steps }: Recorded): Interval {
  return { fromMs: Date.parse(steps[0]!.at), toMs: Date.parse(steps.at(-1)!.at) };
}

/** Whether anything was recorded in the window. */
export function isKnown({ steps }: Recorded): boolean {
  return steps.some(({ depth }) => depth !== null);
}

/** The line of a source in a chart. `depthNow` replaces the last sample, which may be half a minute old. */
export function toSeries(recorded: Recorded, depthNow: number | null): Series {
  const { source, steps } = recorded, last = steps.length - 1;
  return {
    name: source,
    points: steps.map(({ at, depth }, i) => ({
      ...{ atMs: Date.parse(at), value: i === last ? depthNow ?? depth : depth },
    })),
    held: findRuns(recorded, ({ heldBy }) => heldBy.length > 0),
  };
}

/** The figures beside a source's gates. */
export function toSourceHistory(recorded: Recorded, { target }: { target: string }): SourceHistory {
  const { steps, emptySince, lastReplayAt } = recorded, last = steps.findLast(({ depth }) => depth !== null);
  return {
    ...{ target, targetDepth: last?.target ?? null, emptySince, lastReplayAt },
    downstream: last?.limit && last.downstream !== null ? { depth: last.downstream, limit: last.limit } : null,
    ...rates(recorded),
    depths: steps.flatMap(({ depth }) => depth ?? []),
  };
}

/** Rates over the last complete steps. */
function rates({ steps, stepSeconds }: Recorded): Pick<SourceHistory, "arrivedPerSecond" | "replayedPerSecond"> {
  const most = Math.max(1, Math.round(RATE_MS / 1_000 / stepSeconds));
  const known = steps.slice(0, -1).slice(-most).filter(({ depth }) => depth !== null);
  const perSecond = (counts: readonly (number | null)[]) => {
    const sure = counts.filter((one) => one !== null);
    return sure.length === 0 ? null : sure.reduce((sum, one) => sum + one, 0) / (sure.length * stepSeconds);
  };
  return {
    arrivedPerSecond: perSecond(known.map(({ arrived }) => arrived)),
    replayedPerSecond: perSecond(known.map(({ replayed }) => replayed)),
  };
}

/**
 * The times in which a gate held the source. A step only says that it did; where the change itself is known, its instant counts.
 * `wordsNow`: why it is closed now.
 */
export function closuresOf(recorded: Recorded, gate: string, wordsNow: string | null): Closure[] {
  const stepMs = recorded.stepSeconds * 1_000, end = borders(recorded).toMs + stepMs, nowMs = Date.parse(recorded.to);
  const own = recorded.changes.filter((change) => change.gate === gate)
    .map(({ at, open, words }) => ({ atMs: Date.parse(at), open, words }));
  return findRuns(recorded, ({ heldBy }) => heldBy.includes(gate)).map(({ fromMs, toMs }) => {
    const inside = own.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    const closed = inside.find(({ atMs, open }) => !open && atMs < fromMs + stepMs);
    const opened = inside.findLast(({ atMs, open }) => open && atMs >= toMs - stepMs);
    return {
      ...{ fromMs: closed?.atMs ?? fromMs, toMs: opened?.atMs ?? Math.min(toMs, nowMs) },
      words: inside.at(-1)?.words ?? (toMs === end ? wordsNow : null),
    };
  });
}

/** The times without a sample: no instance led the source. */
export function unknownTimes(recorded: Recorded): Interval[] {
  return findRuns(recorded, ({ depth }) => depth === null);
}

/** Merges adjacent steps that meet a condition into intervals. */
function findRuns({ steps, stepSeconds }: Recorded, meets: (step: Step) => boolean): Interval[] {
  const runs: { fromMs: number; toMs: number }[] = [], stepMs = stepSeconds * 1_000;
  for (const step of steps) {
    if (!meets(step)) continue;
    const atMs = Date.parse(step.at), last = runs.at(-1);
    if (last?.toMs === atMs) last.toMs = atMs + stepMs;
    else runs.push({ fromMs: atMs, toMs: atMs + stepMs });
  }
  return runs;
}
