/**
 * What became of what each cycle replayed, and what that tells of a message that came back. Pure.
 *
 * - A message *returned* when it stands in the DLQ with our stamp of that cycle. What bears no stamp is inflow and says nothing.
 * - A failure weighs −log2(share of the cycle's first-timers that came back, the message itself counted among them) bits.
 *   First-timers are messages that were never replayed before, so known poison does not make the consumer look bad. If everything
 *   came back, or nothing can be compared, a failure weighs nothing; if the message alone of 20 came back, 4.3 bits.
 * - Why no outage kills: let every message fail with the same chance p. Then E[1 ÷ share, if it fails] = 1 − (1−p)^n ≤ 1, so the
 *   product over a healthy message's failures is a supermartingale: however long the outage, it reaches 1,000 with a chance of at
 *   most 1 in 1,000 (Ville's inequality). `tests/property/healing_test.ts` shows the same by counting.
 */

/** Share of a cycle's replays that must have come back for the cycle to count as troubled. */
export const TROUBLED_SHARE = 0.9;
/** Cycles that are remembered, oldest forgotten first. What comes back from an older one tells nothing. */
export const MAX_TALLIES = 64;
/** Fewest messages of others that show that the consumer works, and by how much they must outnumber those that failed. */
const MIN_OTHERS = 3, OTHERS_FACTOR = 2;

/** What one cycle replayed, and what is known of it. */
export interface CycleTally {
  readonly cycle: number;
  /** Messages put into the target. */
  readonly replayed: number;
  /** Of these, messages that were never replayed before. */
  readonly firsts: number;
  /** Messages seen in the DLQ with the stamp of this cycle. */
  readonly returned: number;
  /** Of these, first-timers. */
  readonly firstsReturned: number;
  /** First-timers that may still come back: the consumer has not had its time. They weigh as if they had. */
  readonly pending: number;
  /** Live messages, never replayed, that the consumer got through meanwhile, and that it failed. */
  readonly others: number;
  readonly othersFailed: number;
  /** When it last replayed a message, by the server's clock. */
  readonly movedAtMs: number;
  /** `all`: its returns count and weigh; `nothing`: they weigh nothing (an outage was seen); `uncounted`: a breaker's canary. */
  readonly says: "all" | "nothing" | "uncounted";
  /** Whether the brake has acted on its trouble. */
  readonly isTroubled: boolean;
}

/** What a look at the DLQ found of one cycle. */
export interface FoundReturns {
  readonly returned: number;
  readonly firsts: number;
}

/** What a look at the DLQ found. Counts are estimates where it took a sample. */
export interface Returns {
  /** Messages that arrived since the last look, whoever pushed them. */
  readonly arrived: number;
  /** Those that bear our stamp, by the cycle that it names. */
  readonly found: ReadonlyMap<number, FoundReturns>;
  /** Those that bear none: inflow. */
  readonly unstamped: number;
  /** Length of the DLQ at the look. */
  readonly depth: number;
}

/** Whether the cycle's replays came back as a whole. First-timers decide as well, so that old poison condemns no consumer. */
export function isTroubled({ replayed, returned, firsts, firstsReturned }: CycleTally): boolean {
  return replayed > 0 && returned >= TROUBLED_SHARE * replayed && firstsReturned >= TROUBLED_SHARE * firsts;
}

/** Whether live messages got through meanwhile, so that what came back is itself the cause. */
export function isProvenToWork({ others, othersFailed }: CycleTally): boolean {
  return others >= MIN_OTHERS && others > OTHERS_FACTOR * othersFailed;
}

/** How many of the messages that can be compared with one that came back there were, and how many of them failed. */
export function comparedWith(tally: CycleTally, { isFirst }: { isFirst: boolean }): { count: number; failed: number } {
  if (tally.says !== "all") return { count: 0, failed: 0 };
  const itself = isFirst ? 1 : 0;
  const count = Math.max(0, tally.firsts - itself) + tally.others + tally.othersFailed;
  const failed = tally.firstsReturned + tally.pending - itself + tally.othersFailed;
  return { count, failed: Math.min(count, Math.max(0, failed)) };
}

/** What it tells, in bits, that a message came back from the cycle. `isFirst`: that was its first replay. */
export function weigh(tally: CycleTally, of: { isFirst: boolean }): number {
  const { count, failed } = comparedWith(tally, of);
  return Math.log2((count + 1) / (failed + 1));
}

/** Adds what a look found. @returns the tallies, and how many returns are new */
export function countReturns(
  tallies: readonly CycleTally[],
  found: ReadonlyMap<number, FoundReturns>,
): { tallies: readonly CycleTally[]; returned: number } {
  let total = 0;
  const counted = tallies.map((tally) => {
    const more = found.get(tally.cycle);
    if (!more) return tally;
    const returned = addUpTo(tally.replayed, tally.returned, more.returned);
    const firstsReturned = Math.min(returned, addUpTo(tally.firsts, tally.firstsReturned, more.firsts));
    total += returned - tally.returned;
    return { ...tally, returned, firstsReturned };
  });
  return { tallies: counted, returned: total };
}

/**
 * More than went cannot come back: then some were seen before (somebody has moved the list away and back), or a sample has estimated
 * too many.
 */
function addUpTo(most: number, known: number, more: number): number {
  const sum = known + Math.round(more);
  return sum <= most ? sum : Math.min(most, Math.max(known, Math.round(more)));
}

/**
 * How many first-timers may still come back. What waits in the target has not failed yet, and nor has what went more recently
 * than the consumer was seen to need (`lagMs`).
 */
export function pendingOf(
  { firsts, firstsReturned, movedAtMs }: CycleTally,
  { nowMs, lagMs, waiting }: { nowMs: number; lagMs: number; waiting: number },
): number {
  const open = Math.max(0, firsts - firstsReturned);
  return nowMs - movedAtMs < lagMs ? open : Math.min(open, waiting);
}

/** Reads the text of the source's record. It may have been edited by hand: what is no tally of a cycle up to `newest` is left out. */
export function parseTallies(text: string, newest: number): readonly CycleTally[] {
  return text.split(",").slice(-MAX_TALLIES).flatMap((part) => {
    const match = /^((?:\d{1,15}:){9})([anu])(t?)$/.exec(part);
    if (!match) return [];
    const [cycle, replayed, firsts, returned, firstsReturned, pending, others, othersFailed, movedAtMs] = match[1]!
      .split(":").map(Number) as [number, number, number, number, number, number, number, number, number];
    if (cycle > newest) return [];
    const says = SAYS.find((one) => one[0] === match[2]) ?? "nothing";
    const isTroubled = match[3] === "t";
    return {
      cycle,
      replayed,
      firsts,
      returned,
      firstsReturned,
      pending,
      others,
      othersFailed,
      movedAtMs,
      says,
      isTroubled,
    };
  });
}

/** The text form of {@link parseTallies}: `cycle:replayed:firsts:returned:firstsReturned:pending:others:othersFailed:movedAtMs:says`. */
export function formatTallies(tallies: readonly CycleTally[]): string {
  return tallies.slice(-MAX_TALLIES).map((tally) => {
    const { cycle, replayed, firsts, returned, firstsReturned, pending, others, othersFailed, movedAtMs } = tally;
    const numbers = [cycle, replayed, firsts, returned, firstsReturned, pending, others, othersFailed, movedAtMs];
    return `${numbers.join(":")}:${tally.says[0]}${tally.isTroubled ? "t" : ""}`;
  }).join(",");
}

const SAYS = ["all", "nothing", "uncounted"] as const;
