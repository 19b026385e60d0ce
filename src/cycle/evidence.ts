/**
 * Counts the returns of each cycle, and weighs them as evidence against a message that came back. Pure.
 *
 * - A message has *returned* if it is in the DLQ with our stamp of that cycle. A message without a stamp is inflow and proves
 *   nothing.
 * - A failure weighs −log2(share of the cycle's first-timers that came back, including the message) bits. First-timers are
 *   messages that were never replayed before, so known poison does not make the consumer look bad. If everything came back, or
 *   there is nothing to compare with, a failure weighs 0 bits; if only the message itself came back out of 20, 4.3 bits.
 * - Why an outage kills no message: let every message fail with the same chance p. Then E[1 ÷ share, if it fails] =
 *   1 − (1−p)^n ≤ 1, so the product over a healthy message's failures is a supermartingale. However long the outage lasts, it
 *   reaches 1,000 with a chance of at most 1 in 1,000 (Ville's inequality). `tests/long/healing_test.ts` confirms it by
 *   counting.
 */

/** A cycle is in trouble if at least this share of its replays came back. */
export const TROUBLED_SHARE = 0.9;
/** Maximum number of tallies; the oldest are dropped first. A return from an older cycle weighs nothing. */
export const MAX_TALLIES = 64;
/** Minimum live messages that prove that the consumer works, and the factor by which they must outnumber failed ones. */
const MIN_OTHERS = 3, OTHERS_FACTOR = 2;

/** The replays of one cycle, and their outcomes so far. */
export interface CycleTally {
  readonly cycle: number;
  /** Messages moved to the target. */
  readonly replayed: number;
  /** Of these, first-timers: messages that were never replayed before. */
  readonly firsts: number;
  /** Messages found in the DLQ with a stamp of this cycle. */
  readonly returned: number;
  /** Of these, first-timers. */
  readonly firstsReturned: number;
  /** First-timers that may still come back, because the consumer may not be done with them. They count as returned. */
  readonly pending: number;
  /** Live messages, never replayed, that got through the consumer meanwhile, and those that failed. */
  readonly others: number;
  readonly othersFailed: number;
  /** Time of its last replay, by the server's clock. */
  readonly movedAtMs: number;
  /** `all`: returns count and weigh; `nothing`: they count but weigh 0 (an outage); `uncounted`: neither (a breaker's canary). */
  readonly says: "all" | "nothing" | "uncounted";
  /** Whether the brake has already reacted to its trouble. */
  readonly isTroubled: boolean;
}

/** The newly found returns of one cycle. */
export interface FoundReturns {
  readonly returned: number;
  readonly firsts: number;
}

/** What waits in the target, and has not failed yet. */
export interface Waiting {
  /** Messages in it. */
  readonly depth: number;
  /**
   * First-timers among them, by the cycle in their stamps. `null`: that is not known, because they are too many, or cannot be told from
   * others; so any of them may be one.
   */
  readonly firsts: ReadonlyMap<number, number> | null;
}

/** The messages that arrived in the DLQ since the last count. The numbers are estimates if only a sample was read. */
export interface Returns {
  /** All arrivals. */
  readonly arrived: number;
  /** Arrivals with a stamp of this source, by the cycle in the stamp. */
  readonly found: ReadonlyMap<number, FoundReturns>;
  /** Arrivals without one: inflow. */
  readonly unstamped: number;
  /** What waited in the target before they were counted. So a message may be in both, but none that waited is in neither. */
  readonly waiting: Waiting;
  /** Length of the DLQ when they were counted. */
  readonly depth: number;
}

/** Tells whether nearly all replays of the cycle, and nearly all its first-timers, came back. So old poison is not enough. */
export function isTroubled({ replayed, returned, firsts, firstsReturned }: CycleTally): boolean {
  return replayed > 0 && returned >= TROUBLED_SHARE * replayed && firstsReturned >= TROUBLED_SHARE * firsts;
}

/** Tells whether enough live messages got through meanwhile. Then the returned messages themselves are the cause. */
export function isProvenToWork({ others, othersFailed }: CycleTally): boolean {
  return others >= MIN_OTHERS && others > OTHERS_FACTOR * othersFailed;
}

/** Counts the messages to compare a returned message with, and how many of them failed. `isFirst`: this was its first replay. */
export function comparedWith(tally: CycleTally, { isFirst }: { isFirst: boolean }): { count: number; failed: number } {
  if (tally.says !== "all") return { count: 0, failed: 0 };
  const itself = isFirst ? 1 : 0;
  const count = Math.max(0, tally.firsts - itself) + tally.others + tally.othersFailed;
  const failed = tally.firstsReturned + tally.pending - itself + tally.othersFailed;
  return { count, failed: Math.min(count, Math.max(0, failed)) };
}

/** Returns the evidence against a message that came back from the cycle, in bits. `isFirst`: this was its first replay. */
export function weigh(tally: CycleTally, of: { isFirst: boolean }): number {
  const { count, failed } = comparedWith(tally, of);
  return Math.log2((count + 1) / (failed + 1));
}

/** Adds newly found returns to the tallies. @returns the new tallies, and the number of new returns */
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
 * Adds returns, up to the number of replays. A higher sum means that some were counted before, because the list was moved away
 * and back, or that a sample overestimated.
 */
function addUpTo(most: number, known: number, more: number): number {
  const sum = known + Math.round(more);
  return sum <= most ? sum : Math.min(most, Math.max(known, Math.round(more)));
}

/**
 * Returns how many first-timers may still come back: those that still wait in the target, or all of them if the last replay is
 * more recent than the consumer's lag (`lagMs`).
 */
export function pendingOf(
  { firsts, firstsReturned, movedAtMs }: CycleTally,
  { nowMs, lagMs, waiting }: { nowMs: number; lagMs: number; waiting: number },
): number {
  const open = Math.max(0, firsts - firstsReturned);
  return nowMs - movedAtMs < lagMs ? open : Math.min(open, waiting);
}

/** Parses the tallies of a cycle state. People may edit the text, so invalid tallies and cycles after `newest` are skipped. */
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

/**
 * Formats tallies for {@link parseTallies}, each as
 * `cycle:replayed:firsts:returned:firstsReturned:pending:others:othersFailed:movedAtMs:says`, with `t` at the end if in trouble.
 */
export function formatTallies(tallies: readonly CycleTally[]): string {
  return tallies.slice(-MAX_TALLIES).map((tally) => {
    const { cycle, replayed, firsts, returned, firstsReturned, pending, others, othersFailed, movedAtMs } = tally;
    const numbers = [cycle, replayed, firsts, returned, firstsReturned, pending, others, othersFailed, movedAtMs];
    return `${numbers.join(":")}:${tally.says[0]}${tally.isTroubled ? "t" : ""}`;
  }).join(",");
}

const SAYS = ["all", "nothing", "uncounted"] as const;
