/** A copy of a list of slots, which reads of its newest slots keep current. Pure. */
import { type NumberedSlot, parseSlot } from "./slots.ts";

/**
 * Joins the newest texts of a list (the newest first) to the slots that are known (the oldest first). Only the newest slot of a list
 * ever changes. `asked`: how many texts the read asked for; fewer are the whole list. What others wrote is left out. `null`: there
 * may be slots in between that are not known.
 */
export function joinNewest(
  known: readonly NumberedSlot[],
  newest: readonly string[],
  { most, asked }: { most: number; asked: number },
): readonly NumberedSlot[] | null {
  const read = newest.toReversed().flatMap((text) => parseSlot(text) ?? []);
  if (newest.length < asked) return read.slice(-most);
  const at = known.findLastIndex(({ number }) => number === read[0]?.number);
  return at < 0 ? null : [...known.slice(0, at), ...read].slice(-most);
}
