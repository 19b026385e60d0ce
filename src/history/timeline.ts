/** Summarizes the samples of a window of time: equal steps, gates that opened or closed, sums. Pure. */
import type { GateName } from "../gates/gate.ts";
import { GATE_NAMES } from "../gates/gate.ts";
import type { HoldingGate, Sample } from "./sample.ts";

/** How long a sample is valid, in milliseconds: 2.5 times the interval between samples. */
export const FRESH_MS = 75_000;

/** Counts of a step or a window. */
export interface Sums {
  readonly replayed: number;
  readonly dead: number;
  readonly cameBack: number;
  /** About; `null`: it cannot be said of any part. */
  readonly arrived: number | null;
}

/** A step of a chart. Depths are those of the last sample; `null`: there is no sample. */
export interface Step extends Sums {
  /** Its start, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly depth: number | null;
  /** The largest depth. */
  readonly depthMax: number | null;
  readonly deadDepth: number | null;
  readonly target: number | null;
  readonly downstream: number | null;
  readonly limit: number | null;
  /** Every gate that has held the source in this step, in display order. */
  readonly heldBy: readonly GateName[];
}

/** A gate began or stopped to hold the source. */
export interface GateChange {
  readonly atMs: number;
  /** Whether it opened. `gate` is then as it was while closed. */
  readonly opened: boolean;
  readonly gate: HoldingGate;
}

/** A window: equal steps up to the one that holds now. */
export interface Window {
  readonly fromMs: number;
  readonly stepMs: number;
  readonly points: number;
}

/** Cuts a window that ends now into steps. Their borders are multiples of a step, so that a later window has the same. */
export function windowUntil(nowMs: number, { lengthMs, points }: { lengthMs: number; points: number }): Window {
  const stepMs = Math.max(1, Math.ceil(lengthMs / points));
  return { fromMs: (Math.floor(nowMs / stepMs) + 1 - points) * stepMs, stepMs, points };
}

/**
 * Thins samples, oldest first, to the steps of a window. A step without a sample shows the last one if that is younger than
 * {@link FRESH_MS}; the state at the start of a step counts as part of it.
 */
export function thin(samples: readonly Sample[], { fromMs, stepMs, points }: Window): readonly Step[] {
  const first = samples.findIndex(({ atMs }) => atMs >= fromMs);
  let at = first < 0 ? samples.length : first;
  return Array.from({ length: points }, (_, index) => {
    const beginMs = fromMs + index * stepMs, before = samples[at - 1], own: Sample[] = [];
    for (let next = samples[at]; next && next.atMs < beginMs + stepMs; next = samples[++at]) own.push(next);
    const carried = before && beginMs - before.atMs < FRESH_MS ? before : null;
    return summarize(beginMs, { own, carried });
  });
}

function summarize(atMs: number, { own, carried }: { own: readonly Sample[]; carried: Sample | null }): Step {
  const seen = carried ? [carried, ...own] : own, last = seen.at(-1);
  const names = new Set(seen.flatMap(({ heldBy }) => heldBy.map(({ name }) => name)));
  return {
    atMs,
    ...sumUp(own),
    ...{ depth: last?.depth ?? null, depthMax: last ? Math.max(...seen.map(({ depth }) => depth)) : null },
    ...{ deadDepth: last?.deadDepth ?? null, target: last?.target ?? null },
    ...{ downstream: last?.downstream ?? null, limit: last?.limit ?? null },
    heldBy: names.size === 0 ? [] : GATE_NAMES.filter((name) => names.has(name)),
  };
}

/** Adds the counts of samples or steps. */
export function sumUp(parts: readonly Sums[]): Sums {
  const sums = { replayed: 0, dead: 0, cameBack: 0, arrived: null as number | null };
  for (const { replayed, dead, cameBack, arrived } of parts) {
    sums.replayed += replayed;
    sums.dead += dead;
    sums.cameBack += cameBack;
    if (arrived !== null) sums.arrived = (sums.arrived ?? 0) + arrived;
  }
  return sums;
}

/**
 * Finds the gates that began or stopped to hold the source from an instant on, oldest first: the last `most` changes. After a gap
 * between samples the instant of a change is not known, so none is reported.
 */
export function findChanges(
  samples: readonly Sample[],
  { fromMs, most }: { fromMs: number; most: number },
): readonly GateChange[] {
  const changes: GateChange[] = [];
  for (let i = samples.length - 1; i > 0 && samples[i]!.atMs >= fromMs && changes.length < most; i--) {
    const { atMs, heldBy } = samples[i]!, { atMs: beforeMs, heldBy: before } = samples[i - 1]!;
    if (atMs - beforeMs >= FRESH_MS || (before.length === 0 && heldBy.length === 0)) continue;
    const opened = before.filter(({ name }) => !heldBy.some((gate) => gate.name === name));
    const closed = heldBy.filter(({ name }) => !before.some((gate) => gate.name === name));
    changes.push(
      ...closed.map((gate) => ({ atMs, opened: false, gate })),
      ...opened.map((gate) => ({ atMs, opened: true, gate: asClosed(samples, { at: i - 1, gate }) })),
    );
  }
  return changes.slice(0, most).reverse();
}

/** Returns the gate as in the sample in which it closed: only that one has the details. */
function asClosed(samples: readonly Sample[], { at, gate }: { at: number; gate: HoldingGate }): HoldingGate {
  for (let i = at; i >= 0; i--) {
    const found = samples[i]!.heldBy.find(({ name }) => name === gate.name);
    if (!found) return gate;
    if (found.detail !== "") return found;
  }
  return gate;
}

/**
 * Returns the first of the latest samples without a gap in which the DLQ was empty and no message passed through it. `null`: it is not
 * empty, or there is no sample.
 */
export function emptySinceMs(samples: readonly Sample[]): number | null {
  let sinceMs: number | null = null;
  for (let i = samples.length - 1; i >= 0; i--) {
    const { depth, atMs, arrived, replayed, dead } = samples[i]!;
    if (depth > 0 || (sinceMs !== null && sinceMs - atMs >= FRESH_MS)) break;
    sinceMs = atMs;
    if ((arrived ?? 0) + replayed + dead > 0) break;
  }
  return sinceMs;
}

/** Returns when messages were last replayed, to the precision of the samples; `null`: not in these samples. */
export function lastReplayMs(samples: readonly Sample[]): number | null {
  return samples.findLast(({ replayed }) => replayed > 0)?.atMs ?? null;
}
