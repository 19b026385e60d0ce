/**
 * Counts of the objectives by slots of time, and the windows over them. Pure. Three details:
 *
 * - A slot holds the events between two instants. A new one begins after 1/240 of the window, so the edge of a window is off by at
 *   most one slot.
 * - Redis keeps two lists of slots for each source: fine ones, 1/240 of the window, and coarse ones of 3 hours. A window that has
 *   just been made longer than the fine slots reach back is counted from the coarse ones.
 * - `add_counts.lua` follows the rule of {@link addToSlots}; tests/integration/objective_store_test.ts compares the two.
 */
import { SLOTS } from "../config/objective_limits.ts";
import { SLO_NAMES, type SloCount, type SloName } from "./objectives.ts";

/** Most fine slots: those of a window, and some more because a clock that is set back begins one early. */
export const MOST_FINE = SLOTS + 16;
/** Length of a coarse slot in milliseconds, 1/240 of the longest window, and how many are kept: 31 days. */
export const COARSE_MS = 10_800_000, MOST_COARSE = 248;
/** A longer slot was not written by this program. */
const MAX_SLOT_MS = MOST_COARSE * COARSE_MS;

/** Events and bad events of each objective, in the order of {@link SLO_NAMES}. */
export type Counts = readonly number[];

/** No events of any objective. */
export const NO_COUNTS: Counts = SLO_NAMES.flatMap(() => [0, 0]);

/** The events between two instants, in milliseconds of one clock. */
export interface Slot {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly counts: Counts;
}

/** A slot as it is in a list of Redis. */
export interface NumberedSlot extends Slot {
  /** No two slots of a list have the same. */
  readonly number: number;
}

/** The count of a window. */
export interface WindowCounts {
  readonly of: Readonly<Record<SloName, SloCount>>;
  /** Part of the window in which an instance counted, in milliseconds. Gaps shorter than a slot belong to it. */
  readonly observedMs: number;
  /** Start of the first counted slot, or of the window if that is later; `null`: nothing is counted. */
  readonly sinceMs: number | null;
}

/** Length of a fine slot in milliseconds. */
export function fineSlotMs(windowMs: number): number {
  return Math.max(1, Math.ceil(windowMs / SLOTS));
}

/** Adds events of one objective. */
export function addEvents(counts: Counts, slo: SloName, { events = 0, bad = 0 }: Partial<SloCount>): Counts {
  const at = 2 * SLO_NAMES.indexOf(slo);
  return counts.with(at, counts[at]! + events).with(at + 1, counts[at + 1]! + bad);
}

/** Whether there are events of an objective. */
export function hasEvents(counts: Counts, slo: SloName): boolean {
  const at = 2 * SLO_NAMES.indexOf(slo);
  return counts[at]! > 0 || counts[at + 1]! > 0;
}

/**
 * Adds events to slots, which are in the order in which they were begun. The last slot takes them unless its time was up when they
 * began, or the clock was set back to before its start. Otherwise they begin a new one, and the first slots are dropped if there are more than
 * `most`. A slot is thus at least `slotMs` long, if events are added without a gap, and at most that and one addition.
 */
export function addToSlots(
  slots: readonly Slot[],
  added: Slot,
  { slotMs, most }: { slotMs: number; most: number },
): readonly Slot[] {
  const last = slots.at(-1);
  const takesMore = last && last.fromMs <= added.untilMs &&
    Math.max(last.untilMs, added.fromMs) < last.fromMs + slotMs;
  if (takesMore) {
    return slots.with(-1, {
      fromMs: last.fromMs,
      untilMs: Math.max(last.untilMs, added.untilMs),
      counts: sumCounts(last.counts, added.counts),
    });
  }
  const fromMs = last && last.untilMs <= added.untilMs ? Math.max(added.fromMs, last.untilMs) : added.fromMs;
  return [...slots, { ...added, fromMs }].slice(-most);
}

function sumCounts(one: Counts, other: Counts): Counts {
  return one.map((count, at) => count + other[at]!);
}

/** Parses a slot as `add_counts.lua` writes it; `null`: this program did not write it. Never throws. */
export function parseSlot(text: string): NumberedSlot | null {
  if (text.length > MAX_TEXT || !SLOT_TEXT.test(text)) return null;
  const [number, fromMs, lengthMs, ...counts] = text.split(" ").map(Number) as [number, number, number, ...number[]];
  if (lengthMs > MAX_SLOT_MS || counts.length < NO_COUNTS.length) return null;
  return { number, fromMs, untilMs: fromMs + lengthMs, counts: counts.slice(0, NO_COUNTS.length) };
}

const SLOT_TEXT = /^\d{1,15}(?: \d{1,15})+$/;
/** Longest text of a slot, in characters. `add_counts.lua` has the same limit. */
const MAX_TEXT = 400;

/** Chooses the slots that a window is counted from: the fine ones if they reach as far back as it, or as the coarse ones. */
export function chooseSlots(
  { fine, coarse }: { fine: readonly Slot[]; coarse: readonly Slot[] },
  { nowMs, windowMs }: { nowMs: number; windowMs: number },
): readonly Slot[] {
  const reachesBackTo = (slots: readonly Slot[]) =>
    slots.reduce((leastMs, { fromMs }) => Math.min(leastMs, fromMs), Infinity);
  return reachesBackTo(fine) <= Math.max(nowMs - windowMs, reachesBackTo(coarse)) ? fine : coarse;
}

/**
 * Counts the events of the window that ends now. A slot counts whole if a part of it is in the window. Slots that begin in the
 * future are from before a clock was set back, and do not count until their time comes.
 */
export function countWindow(
  slots: readonly Slot[],
  { nowMs, windowMs }: { nowMs: number; windowMs: number },
): WindowCounts {
  const edgeMs = nowMs - windowMs;
  const within = slots.filter(({ fromMs, untilMs }) => fromMs <= nowMs && untilMs > edgeMs);
  const sums = [...NO_COUNTS];
  for (const { counts } of within) for (let at = 0; at < sums.length; at++) sums[at]! += counts[at]!;
  return {
    of: Object.fromEntries(
      SLO_NAMES.map((slo, at) => [slo, { events: sums[2 * at]!, bad: sums[2 * at + 1]! }]),
    ) as Record<SloName, SloCount>,
    observedMs: observedPart(within, { nowMs, windowMs }),
    sinceMs: within.length === 0
      ? null
      : within.reduce((leastMs, { fromMs }) => Math.min(leastMs, Math.max(fromMs, edgeMs)), Infinity),
  };
}

/** Returns how much of the window slots cover, with the gaps that are shorter than a slot. */
function observedPart(slots: readonly Slot[], { nowMs, windowMs }: { nowMs: number; windowMs: number }): number {
  const slotMs = fineSlotMs(windowMs);
  let missedMs = 0, seenUntilMs = nowMs - windowMs;
  const skipTo = (ms: number) => {
    if (ms - seenUntilMs >= slotMs) missedMs += ms - seenUntilMs;
  };
  for (const { fromMs, untilMs } of slots.toSorted((one, other) => one.fromMs - other.fromMs)) {
    skipTo(fromMs);
    seenUntilMs = Math.max(seenUntilMs, Math.min(untilMs, nowMs));
  }
  skipTo(nowMs);
  return Math.max(0, windowMs - missedMs);
}
