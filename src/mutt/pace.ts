/**
 * Computes how many messages may be replayed now: under a fixed rate, or in the room that the rate-limited consumer has
 * left.
 */

/** Share of the consumer's rate limit available to replays and live traffic together. */
export const ROOM_SHARE = 0.8;
/**
 * How long a replayed message may be invisible in the consumer, in milliseconds: no longer queued, not yet in the
 * limiter's books.
 */
export const UNSEEN_MS = 100;
/**
 * Unused allowance of a fixed rate that may accumulate, in milliseconds; always enough for one message. It is about the
 * duration of a turn, because a burst adds to the rate in a limiter's window.
 */
const BURST_MS = 100;

/** How many messages may move; if 0, when that may change, in milliseconds. */
export interface PaceAnswer {
  readonly room: number;
  readonly retryInMs: number;
}

/**
 * Returns the room under a fixed rate of `perSecond` messages. `spentUntilMs` is the instant up to which the rate is
 * used, on the server's clock, as returned by {@link spendRate} (0 at first).
 */
export function rateRoom(
  { perSecond, nowMs, spentUntilMs }: { perSecond: number; nowMs: number; spentUntilMs: number },
): PaceAnswer {
  const from = savedFrom({ perSecond, nowMs, spentUntilMs });
  const room = Math.floor((nowMs - from) * perSecond / 1_000 + 1e-9);
  return { room, retryInMs: room > 0 ? 0 : Math.max(1, Math.ceil(from + 1_000 / perSecond - nowMs)) };
}

/** Returns the new `spentUntilMs` after `count` replays under the rate. */
export function spendRate(
  { perSecond, nowMs, spentUntilMs, count }: { perSecond: number; nowMs: number; spentUntilMs: number; count: number },
): number {
  return Math.ceil(savedFrom({ perSecond, nowMs, spentUntilMs }) + count * 1_000 / perSecond);
}

/**
 * Start of the unused allowance. If `spentUntilMs` is far ahead, the clock was set back and the source counts as
 * unused.
 */
function savedFrom({ perSecond, nowMs, spentUntilMs }: { perSecond: number; nowMs: number; spentUntilMs: number }) {
  // Rounded up: floating-point instants lack precision for fractions, and slightly less than one message rounds to 0.
  const window = Math.max(BURST_MS, Math.ceil(1_000 / perSecond));
  const oldest = nowMs - window;
  // Spending leads by at most one message beyond the saved allowance, so a larger lead means that the clock moved.
  return spentUntilMs > nowMs + 2 * window ? oldest : Math.max(spentUntilMs, oldest);
}

/** Recent replays of all sources and instances into one rate-limited consumer. Shared through Redis. */
export interface PaceLedger {
  /** Our replays, newest last: instants on the server's clock, and counts. */
  readonly grants: readonly (readonly [atMs: number, count: number])[];
  /** Recent peak of live traffic per period, and its instant. */
  readonly livePeak: number;
  readonly livePeakAtMs: number;
}

/** Parses grants from text, `1700000000000:40,…`. Skips invalid entries. */
export function parseGrants(text: string): PaceLedger["grants"] {
  return text.split(",").flatMap((part) => {
    const match = /^(\d{1,15}):(\d{1,9})$/.exec(part);
    return match ? [[Number(match[1]), Number(match[2])] as const] : [];
  });
}

/** Formats grants as text for {@link parseGrants}. */
export function formatGrants(grants: PaceLedger["grants"]): string {
  return grants.map(([atMs, count]) => `${atMs}:${count}`).join(",");
}

/** The consumer's limit and its current use. */
export interface LimiterReading {
  /** Messages accepted per period. */
  readonly limit: number;
  /** Length of the period, in milliseconds. */
  readonly periodMs: number;
  /** Messages accepted within the last period. */
  readonly used: number;
  /** Messages in the queues before the consumer. */
  readonly waiting: number;
  readonly nowMs: number;
}

/**
 * Equal steps into which a period's share is divided. If a replay took the whole share at once, live traffic just
 * behind it would find the limit used up.
 */
const STEPS = 10;
/** Shortest time after which to ask again, in milliseconds: a step's end may be a moment away. */
const MIN_RETRY_MS = 10;
/**
 * Most that another instance's entry may lead a reading, in milliseconds. A larger lead means that a clock was set
 * back.
 */
const MOST_LEAD_MS = 10_000;
/**
 * Most that an entry of the limiter may lead the server's clock, in milliseconds, because the limiter uses another
 * clock. Entries farther ahead (`+inf`) are not the limiter's and would stop the pace forever.
 */
export const BOOKS_LEAD_MS = 60_000;
/** How long the peak of live traffic is remembered: the longer of this many milliseconds and this many periods. */
const PEAK_MS = 10_000, PEAK_PERIODS = 10;

/**
 * Returns the room that a rate-limited consumer has left: `floor(0.8 × limit)`, minus the messages of the last period,
 * minus the waiting messages, minus our replays too recent to be visible. If live traffic recently exceeded its current
 * rate by more than the unused fifth, the difference stays free too. At most a tenth of the share goes in a tenth of
 * the period. Also returns the ledger with an updated peak.
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
  // It is known when our own recent replays make room, but not when the limiter's books do.
  const retryInMs = left > 0
    ? firstLeavesInMs(ledger, { windowMs: periodMs / STEPS, nowMs })
    : Math.min(Math.ceil(periodMs / 20), firstLeavesInMs(ledger, { windowMs: UNSEEN_MS, nowMs }));
  return {
    answer: { room, retryInMs: room > 0 ? 0 : Math.min(1_000, Math.max(MIN_RETRY_MS, retryInMs)) },
    ledger: peak === live ? { ...ledger, livePeak: live, livePeakAtMs: nowMs } : ledger,
  };
}

/** Adds replays to the ledger and drops entries older than every window. Replays close in time share an entry. */
export function grantReplays(
  ledger: PaceLedger,
  { nowMs, count, periodMs }: { nowMs: number; count: number; periodMs: number },
): PaceLedger {
  const keptMs = periodMs + 2 * UNSEEN_MS, widthMs = entryWidthMs(periodMs);
  const kept = withoutFuture(ledger, nowMs).grants.filter(([atMs]) => nowMs - atMs <= keptMs);
  const last = kept.at(-1);
  // Keep the later instant: an entry must not leave a window too early.
  const isNear = last !== undefined && Math.floor(nowMs / widthMs) <= Math.floor(last[0] / widthMs);
  const grants = isNear
    ? [...kept.slice(0, -1), [Math.max(nowMs, last[0]), last[1] + count] as const]
    : [...kept, [nowMs, count] as const];
  return { ...ledger, grants };
}

/** Returns in how many milliseconds our oldest replay in the window drops out of it; `Infinity` if the window holds none. */
function firstLeavesInMs({ grants }: PaceLedger, { windowMs, nowMs }: { windowMs: number; nowMs: number }): number {
  const first = grants.find(([atMs]) => atMs > nowMs - windowMs);
  return first ? Math.ceil(first[0] + windowMs - nowMs) : Infinity;
}

/** Drops future entries, which remain after a clock was set back. */
function withoutFuture(ledger: PaceLedger, nowMs: number): PaceLedger {
  const isPossible = (atMs: number) => atMs <= nowMs + MOST_LEAD_MS;
  const grants = ledger.grants.filter(([atMs]) => isPossible(atMs));
  return { ...ledger, grants, livePeak: isPossible(ledger.livePeakAtMs) ? ledger.livePeak : 0 };
}

/** Time span of one entry, in milliseconds. */
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
