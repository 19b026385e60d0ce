/** What the forwarder's circuit breaker says about replaying, by its keys in Redis alone. Pure. */

/** After so many timeouts without a change a breaker that is not closed is taken to be abandoned. */
const ABANDONED_TIMEOUTS = 10;

/** The breaker as it was read (contract §7): nobody but the forwarder writes it, and nothing of it ever expires. */
export interface BreakerReading {
  /** `CLOSED`, `OPEN`, `HALF_OPEN`; `null` where there is none. */
  readonly state: string | null;
  /** When it opened, in seconds since the epoch, as text; `null` where there is none. */
  readonly openTime: string | null;
}

/** What is remembered of a breaker from look to look; times on the server's clock. */
export interface BreakerMemory {
  readonly reading: BreakerReading;
  /** Since when it has read the same. */
  readonly sinceMs: number;
}

/** What a breaker means for replay. */
export type BreakerVerdict =
  /** Replay. */
  | { readonly kind: "open_to_all"; readonly reason: "closed" | "absent" | "abandoned" }
  /** One message may go; whether it may go now depends on when the last one went. */
  | { readonly kind: "canary"; readonly reason: "half_open" | "open_past_timeout" }
  | { readonly kind: "shut"; readonly reason: "open"; readonly retryInMs: number };

/** Remembers a reading: the same reading keeps its time. */
export function rememberBreaker(
  memory: BreakerMemory | null,
  { reading, nowMs }: { reading: BreakerReading; nowMs: number },
): BreakerMemory {
  const isSame = memory?.reading.state === reading.state && memory?.reading.openTime === reading.openTime;
  return isSame && memory ? memory : { reading, sinceMs: nowMs };
}

/**
 * Judges a breaker. An open one lets a message through once its timeout has passed, since without traffic no forwarder ever
 * closes it; one that opened at an unreadable time counts from when it was first seen.
 */
export function judgeBreaker(
  { reading, sinceMs }: BreakerMemory,
  { nowMs, timeoutMs }: { nowMs: number; timeoutMs: number },
): BreakerVerdict {
  const { state } = reading;
  if (state === null || state === "") return { kind: "open_to_all", reason: "absent" };
  if (state === "CLOSED") return { kind: "open_to_all", reason: "closed" };
  const openedAtMs = openedAt(reading, nowMs) ?? sinceMs;
  if (nowMs - Math.max(openedAtMs, sinceMs) >= ABANDONED_TIMEOUTS * timeoutMs) {
    return { kind: "open_to_all", reason: "abandoned" };
  }
  if (state === "HALF_OPEN") return { kind: "canary", reason: "half_open" };
  const retryInMs = openedAtMs + timeoutMs - nowMs;
  return retryInMs <= 0 ? { kind: "canary", reason: "open_past_timeout" } : { kind: "shut", reason: "open", retryInMs };
}

/** When it opened; `null` for a time that is none, or lies in the future. */
function openedAt({ openTime }: BreakerReading, nowMs: number): number | null {
  const seconds = openTime === null ? NaN : Number(openTime);
  return seconds > 0 && seconds * 1_000 <= nowMs ? seconds * 1_000 : null;
}
