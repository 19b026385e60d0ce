/** Which cycles were troubled: a bounded list of ranges, kept as text in the source's record (`3-9,14,20-31`). */

/** Most ranges kept, oldest dropped first. One outage is one range. */
export const MAX_TROUBLED_RANGES = 64;

/** Ranges of cycle numbers, both ends included, ascending. */
export type TroubledCycles = readonly (readonly [from: number, to: number])[];

/**
 * Reads the text form. The record may have been edited by hand: what is not a range is left out, and so is what lies beyond
 * `newest`, the last cycle that there was; a range of cycles to come would excuse every failure for ever.
 */
export function parseTroubled(text: string, newest: number): TroubledCycles {
  return text.split(",").flatMap((part) => {
    const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(part);
    if (!match) return [];
    const from = Number(match[1]), to = Math.min(Number(match[2] ?? match[1]), newest);
    return from <= to ? [[from, to] as const] : [];
  });
}

/** The text form of {@link parseTroubled}. */
export function formatTroubled(cycles: TroubledCycles): string {
  return cycles.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join(",");
}

/**
 * Adds a cycle. `previous` is the last cycle before it that replayed anything: where that one ends the newest range the
 * range grows, since the skipped cycles between replayed nothing and no message can carry their numbers.
 */
export function addTroubled(
  cycles: TroubledCycles,
  { cycle, previous }: { cycle: number; previous: number },
): TroubledCycles {
  const newest = cycles.at(-1);
  if (newest && newest[1] >= cycle) return cycles;
  if (newest && newest[1] >= previous) return [...cycles.slice(0, -1), [newest[0], cycle]];
  return [...cycles, [cycle, cycle] as const].slice(-MAX_TROUBLED_RANGES);
}

/** Whether the cycle was troubled. */
export function isTroubled(cycles: TroubledCycles, cycle: number): boolean {
  return cycles.some(([from, to]) => from <= cycle && cycle <= to);
}
