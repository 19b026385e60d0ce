/**
 * Which messages stood in a DLQ when a cycle began. Messages arrive at the newest end, so they are its oldest ones. A source that
 * records stamps beside its messages needs to know: of byte-equal messages, which share a record, one that has stood there since
 * before the replay has not come back. Four details:
 *
 * - A mark is the number of a cycle, and how many of the messages that stood there at its start still do. Each commit lowers the marks by
 *   what it moves, and the next start carries them on.
 * - The field also holds the cycle, and how many messages that cycle had moved when the marks were written. An instance that still runs with
 *   `record: inside` moves messages without updating the marks. They are then out of date, and ignored.
 * - If another client takes messages, or puts them at the oldest end, the message that was newest when the cycle began is not at its
 *   place. Then nothing is known, and every message with a record counts as returned.
 * - Marks are kept of many cycles, because a long DLQ is drained in many. If there are too many, every second one is dropped: then a
 *   message may count as returned though it stood there, never the other way round.
 *
 * Pure.
 */

/** How many of the oldest messages stood in the DLQ when the cycle began. */
export interface StandingMark {
  readonly cycle: number;
  /** At least 1. */
  readonly messages: number;
}

/** Field of the cycle state that holds the marks: `cycle/moved cycle:messages,…`, earliest cycle first. Empty without marks. */
export const STANDING_FIELD = "standing";
/** Most marks. */
export const MAX_MARKS = 64;

/** The cycle in which marks are right, and how many messages it has moved. */
export interface StandingAt {
  readonly cycle: number;
  readonly moved: number;
}

/** Parses the field of a source that is there. What is no mark is left out, because any client may write there. */
export function parseStanding(text: string, at: StandingAt): readonly StandingMark[] {
  const [when, marks = ""] = text.split(" ");
  if (when !== formatAt(at)) return [];
  return marks.split(",").slice(-MAX_MARKS).flatMap((part) => {
    const [, cycle, messages] = /^(\d{1,15}):([1-9]\d{0,14})$/.exec(part) ?? [];
    return cycle === undefined ? [] : [{ cycle: Number(cycle), messages: Number(messages) }];
  });
}

/** Formats the field for {@link parseStanding}. */
export function formatStanding(marks: readonly StandingMark[], at: StandingAt): string {
  return marks.length === 0 ? "" : `${formatAt(at)} ${formatMarks(marks)}`;
}

/** Formats marks alone, for the server to add one and to write the field. */
export function formatMarks(marks: readonly StandingMark[]): string {
  return marks.map(({ cycle, messages }) => `${cycle}:${messages}`).join(",");
}

function formatAt({ cycle, moved }: StandingAt): string {
  return `${cycle}/${moved}`;
}

/** Lowers the marks by messages that have left the DLQ. `moved`: their places, or how many of the oldest. `depth`: the least number of messages still in it. */
export function standingAfter(
  marks: readonly StandingMark[],
  { moved, depth }: { moved: number | readonly number[]; depth: number },
): readonly StandingMark[] {
  const countUpTo = (most: number) =>
    typeof moved === "number" ? moved : moved.reduce((count, place) => place <= most ? count + 1 : count, 0);
  const after = marks.map(({ cycle, messages }) => ({
    cycle,
    messages: Math.min(depth, messages - countUpTo(messages)),
  }));
  // What stood there when a cycle began also stood there when a later one did, so the earlier of two equal marks says it all.
  return after.filter(({ messages }, i) => messages > 0 && messages > (after[i - 1]?.messages ?? 0));
}

/** Returns the marks to carry into the next cycle, for which the server adds one. `depth`: messages in the DLQ. */
export function carriedMarks(marks: readonly StandingMark[], depth: number): readonly StandingMark[] {
  const carried = standingAfter(marks, { moved: 0, depth });
  return carried.length < MAX_MARKS ? carried : carried.filter((_, i) => i % 2 === 0);
}

/** Whether the message at this place (from 1 at the oldest) certainly stood there when the cycle began. */
export function stoodThere(
  marks: readonly StandingMark[],
  { cycle, place }: { cycle: number; place: number },
): boolean {
  return marks.some((mark) => mark.cycle <= cycle && place <= mark.messages);
}
