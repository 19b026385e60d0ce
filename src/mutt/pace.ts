/** How many messages may be replayed right now: a fixed rate, or the room that the rate-limited consumer has left. */

/** Share of the consumer's rate limit that replays and live traffic together may use. */
export const ROOM_SHARE = 0.8;
/** How long a replayed message may be in a consumer's hands, neither in a queue nor in the limiter's books, in milliseconds. */
export const UNSEEN_MS = 100;
/**
 * How much unused allowance of a fixed rate may be saved up, in milliseconds (always enough for one message): what a turn takes,
 * and little more, since what goes at once adds to the rate in a limiter's window.
 */
const BURST_MS = 100;

/** How many messages may move, and if none, in how many milliseconds that may change. */
export interface PaceAnswer {
  readonly room: number;
  readonly retryInMs: number;
}

/**
 * Room under a fixed rate of `perSecond` messages. `spentUntilMs` is the instant up to which the rate is used up, by the
 * server's clock, as {@link spendRate} left it (0 at first).
 */
export function rateRoom(
  { perSecond, nowMs, spentUntilMs }: { perSecond: number; nowMs: number; spentUntilMs: number },
): PaceAnswer {
  const from = savedFrom({ perSecond, nowMs, spentUntilMs });
  const room = Math.floor((nowMs - from) * perSecond / 1_000 + 1e-9);
  return { room, retryInMs: room > 0 ? 0 : Math.max(1, Math.ceil(from + 1_000 / perSecond - nowMs)) };
}

/** The new `spentUntilMs` after `count` messages were replayed under the rate. */
export function spendRate(
  { perSecond, nowMs, spentUntilMs, count }: { perSecond: number; nowMs: number; spentUntilMs: number; count: number },
): number {
  return Math.ceil(savedFrom({ perSecond, nowMs, spentUntilMs }) + count * 1_000 / perSecond);
}

/** From when unused allowance counts. An instant far ahead (a clock that was set back) reads as on a source that never replayed. */
function savedFrom({ perSecond, nowMs, spentUntilMs }: { perSecond: number; nowMs: number; spentUntilMs: number }) {
  // Rounded up: instants have too many digits for a fraction to be exact, and a hair less than one message is none.
  const window = Math.max(BURST_MS, Math.ceil(1_000 / perSecond));
  const oldest = nowMs - window;
  // Spending never leads by more than one message's share beyond what was saved, so a larger lead is a moved clock.
  return spentUntilMs > nowMs + 2 * window ? oldest : Math.max(spentUntilMs, oldest);
}

/** What all sources and instances have replayed of late into one rate-limited consumer; shared through Redis. */
export interface PaceLedger {
  /** Own replays, newest last: instants by the server's clock and counts. */
  readonly grants: readonly (readonly [atMs: number, count: number])[];
  /** Most live traffic of a period that was seen of late, and when. */
  readonly livePeak: number;
  readonly livePeakAtMs: number;
}

/** Reads the text form of the grants, `1700000000000:40,…`; what is not an entry is left out. */
export function parseGrants(text: string): PaceLedger["grants"] {
  return text.split(",").flatMap((part) => {
    const match = /^(\d{1,15}):(\d{1,9})$/.exec(part);
    return match ? [[Number(match[1]), Number(match[2])] as const] : [];
  });
}

/** The text form of {@link parseGrants}. */
export function formatGrants(grants: PaceLedger["grants"]): string {
  return grants.map(([atMs, count]) => `${atMs}:${count}`).join(",");
}

/** The consumer's limit, and what its own books say. */
export interface LimiterReading {
  /** Messages that it takes … */
  readonly limit: number;
  /** … in so many milliseconds. */
  readonly periodMs: number;
  /** What it took within the last period. */
  readonly used: number;
  /** What stands in the queues before it. */
  readonly waiting: number;
  readonly nowMs: number;
}

/**
 * A period's share is taken in so many equal steps: live traffic that begins just behind a replay of the whole share at once
 * would find the limit used up.
 */
const STEPS = 10;
/** By how much what another instance entered may lead a reading, in milliseconds; farther ahead is a clock that was set back. */
const MOST_LEAD_MS = 10_000;
/**
 * By how much an entry of the limiter's own books may lead the server's clock, in milliseconds: its clock is another. What lies
 * farther ahead (`+inf`) it cannot have written, and would keep the pace at nothing for good.
 */
export const BOOKS_LEAD_MS = 60_000;
/** How long live traffic's peak is kept in mind: at least so long, and so many periods. */
const PEAK_MS = 10_000, PEAK_PERIODS = 10;

/**
 * Room that a rate-limited consumer has left: `floor(0.8 × limit)` less what it took in the last period, what waits for it,
 * and own replays so young that they may be in nobody's books. Where live traffic was higher of late than it is now, by more
 * than the fifth that is never used, the difference is kept free as well. No more than a tenth of the share goes in a tenth of
 * the period. Also gives the ledger with the peak brought up to date.
 */
export function limiterRoom(read: PaceLedger, reading: LimiterReading): { answer: PaceAnswer; ledger: PaceLedger } {
  const { limit, periodMs, used, waiting, nowMs } = reading;
  const ledger = withoutFuture(read, nowMs);
  const share = limit >= 1 ? Math.max(1, Math.floor(ROOM_SHARE * limit)) : 0;
  const taken = used + waiting;
  const live = Math.max(0, taken - countSince(ledger, nowMs - periodMs - UNSEEN_MS));
  const peak = Math.max(live, fadedPeak(ledger, { nowMs, periodMs }));
  const keptFree = Math.max(0, Math.ceil(peak - live) - (limit - share));
  const left = share - taken - countSince(ledger, nowMs - UNSEEN_MS) - keptFree;
  const stepLeft = Math.max(1, Math.ceil(share / STEPS)) -
    countSince(ledger, nowMs - periodMs / STEPS);
  const room = Math.max(0, Math.min(left, stepLeft));
  return {
    answer: { room, retryInMs: room > 0 ? 0 : Math.min(1_000, Math.max(20, Math.ceil(periodMs / 20))) },
    ledger: peak === live ? { ...ledger, livePeak: live, livePeakAtMs: nowMs } : ledger,
  };
}

/** Enters own replays, and forgets those that have left every window. Neighbours in time share an entry. */
export function grantReplays(
  ledger: PaceLedger,
  { nowMs, count, periodMs }: { nowMs: number; count: number; periodMs: number },
): PaceLedger {
  const keptMs = periodMs + 2 * UNSEEN_MS, widthMs = entryWidthMs(periodMs);
  const kept = withoutFuture(ledger, nowMs).grants.filter(([atMs]) => nowMs - atMs <= keptMs);
  const last = kept.at(-1);
  // The later instant counts: an entry must not leave a window too early.
  const isNear = last !== undefined && Math.floor(nowMs / widthMs) <= Math.floor(last[0] / widthMs);
  const grants = isNear
    ? [...kept.slice(0, -1), [Math.max(nowMs, last[0]), last[1] + count] as const]
    : [...kept, [nowMs, count] as const];
  return { ...ledger, grants };
}

/** The ledger without what a clock that was set back has left in the future. */
function withoutFuture(ledger: PaceLedger, nowMs: number): PaceLedger {
  const isPossible = (atMs: number) => atMs <= nowMs + MOST_LEAD_MS;
  const grants = ledger.grants.filter(([atMs]) => isPossible(atMs));
  return { ...ledger, grants, livePeak: isPossible(ledger.livePeakAtMs) ? ledger.livePeak : 0 };
}

/** Time within which grants share an entry. */
function entryWidthMs(periodMs: number): number {
  return Math.max(20, periodMs / 100);
}

function countSince({ grants }: PaceLedger, fromMs: number): number {
  return grants.reduce((sum, [atMs, count]) => atMs > fromMs ? sum + count : sum, 0);
}

function fadedPeak({ livePeak, livePeakAtMs }: PaceLedger, { nowMs, periodMs }: { nowMs: number; periodMs: number }) {
  const fadesInMs = Math.max(PEAK_MS, PEAK_PERIODS * periodMs);
  return livePeak * Math.max(0, 1 - Math.max(0, nowMs - livePeakAtMs) / fadesInMs);
}
