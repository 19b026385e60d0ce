/** The oracle of a drill: finds each synthetic message by its number, and says which are missing and which are there twice. Pure. */
import { MAX_DRILL_MESSAGES } from "../message/drill_mark.ts";
import { parseRanges } from "../cycle/number_ranges.ts";

/** What was found of a drill. */
export interface FoundMessages {
  /** Messages that were pushed to the DLQ: the numbers 1 to this. */
  readonly seeded: number;
  /** Numbers in the list of drills, each as often as it is there. */
  readonly kept: readonly number[];
  /** Numbers that were found in the DLQ, each as often as it is there. */
  readonly waiting: readonly number[];
  /** Numbers that commits have moved to the real target, as ranges, and how many were moved there more than once. */
  readonly sent: string;
  readonly sentTwice: number;
}

/** The count. */
export interface DrillCount {
  /** Different messages that have arrived downstream. */
  readonly arrived: number;
  /** With the real target: messages that came back from the consumer, and are in the list of drills. */
  readonly returned: number;
  /** Messages that are nowhere. */
  readonly lost: number;
  /** Copies beyond the first. */
  readonly doubled: number;
  /** Messages that are still in the DLQ. */
  readonly left: number;
}

/** Counts. `isReal`: whether the messages go to the real target. */
export function countMessages(found: FoundMessages, { isReal }: { isReal: boolean }): DrillCount {
  const kept = new Set(found.kept),
    waiting = new Set(found.waiting),
    sent = parseRanges(found.sent, MAX_DRILL_MESSAGES);
  let lost = 0;
  for (let number = 1; number <= found.seeded; number++) {
    if (!kept.has(number) && !waiting.has(number) && !sent.has(number)) lost++;
  }
  // A message that came back from the consumer is in the numbers of the target and, rightly, once more in a list.
  const once = new Set([...kept, ...waiting]);
  const doubled = isReal
    ? found.sentTwice + found.kept.length + found.waiting.length - once.size
    : found.kept.length - kept.size +
      found.waiting.filter((number, i, all) => kept.has(number) || all.indexOf(number) !== i).length;
  return {
    ...{ arrived: isReal ? sent.size : kept.size, lost, doubled },
    returned: [...kept].filter((number) => sent.has(number)).length,
    left: found.waiting.length,
  };
}
