/** How many messages may be replayed right now: a fixed rate, or the room that the rate-limited consumer has left. */

/** Share of the consumer's rate limit that replays and live traffic together may use. */
export const ROOM_SHARE = 0.8;
/** How long before a replayed message must be visible in the consumer's own books, in milliseconds. */
export const ROOM_LAG_MS = 2_000;
/** How much unused allowance of a fixed rate may be saved up, in milliseconds (always enough for one message). */
const BURST_MS = 1_000;

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

/** From when unused allowance counts. An instant far ahead (a clock that was set back) is not believed. */
function savedFrom({ perSecond, nowMs, spentUntilMs }: { perSecond: number; nowMs: number; spentUntilMs: number }) {
  const window = Math.max(BURST_MS, 1_000 / perSecond);
  const oldest = nowMs - window;
  // Spending never leads by more than one message's share beyond what was saved, so a larger lead is a moved clock.
  return spentUntilMs > nowMs + 2 * window ? nowMs : Math.max(spentUntilMs, oldest);
}

/** Own replays of late, newest last: instants by the server's clock and counts. */
export type RecentReplays = readonly (readonly [atMs: number, count: number])[];

/** Reads the text form `1700000000000:40,…`; what is not an entry is left out. */
export function parseRecent(text: string): RecentReplays {
  return text.split(",").flatMap((part) => {
    const match = /^(\d{1,15}):(\d{1,9})$/.exec(part);
    return match ? [[Number(match[1]), Number(match[2])] as const] : [];
  });
}

/** The text form of {@link parseRecent}. */
export function formatRecent(recent: RecentReplays): string {
  return recent.map(([atMs, count]) => `${atMs}:${count}`).join(",");
}

/** Adds replays made now and forgets those that the consumer's books must show by now. */
export function addRecent(recent: RecentReplays, { nowMs, count }: { nowMs: number; count: number }): RecentReplays {
  const kept = recent.filter(([atMs]) => atMs <= nowMs && nowMs - atMs < ROOM_LAG_MS);
  return count > 0 ? [...kept, [nowMs, count] as const] : kept;
}

/**
 * Room that a consumer with a rate limit has left: `floor(0.8 × limit)` less what it did of late (`used`), what waits for
 * it (`waiting`), and own replays that its books cannot show yet. Without the last, a second chunk sent a moment after the
 * first would see the same room again.
 */
export function limiterRoom(
  { limit, used, waiting, recent, nowMs }: {
    limit: number;
    used: number;
    waiting: number;
    recent: RecentReplays;
    nowMs: number;
  },
): PaceAnswer {
  const unseen = addRecent(recent, { nowMs, count: 0 }).reduce((sum, [, count]) => sum + count, 0);
  const room = Math.max(0, Math.floor(ROOM_SHARE * limit) - used - waiting - unseen);
  return { room, retryInMs: room > 0 ? 0 : 100 };
}
