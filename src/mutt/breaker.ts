/** Decides what the forwarder's circuit breaker allows, from its Redis keys alone. Pure. */

/** A breaker that is not closed counts as abandoned after this many timeouts without a change. */
const ABANDONED_TIMEOUTS = 10;

/** The breaker's keys (contract §7). Only the forwarder writes them, and they never expire. */
export interface BreakerReading {
  /** `CLOSED`, `OPEN` or `HALF_OPEN`; `null` if the key is missing. */
  readonly state: string | null;
  /** When it opened, in seconds since the epoch, as text; `null` if the key is missing. */
  readonly openTime: string | null;
}

/** The last reading of a breaker and its age. Times are on the server's clock. */
export interface BreakerMemory {
  readonly reading: BreakerReading;
  /** When this reading was first seen. */
  readonly sinceMs: number;
}

/** The number of messages that a breaker allows. */
export type BreakerVerdict =
  /** Any number of messages. */
  | { readonly kind: "open_to_all"; readonly reason: "closed" | "absent" | "abandoned" }
  /** One message per timeout. The caller tracks when the last one was sent. */
  | { readonly kind: "canary"; readonly reason: "half_open" | "open_past_timeout" }
  | { readonly kind: "shut"; readonly reason: "open"; readonly retryInMs: number };

/** Stores a reading. An unchanged reading keeps its `sinceMs`. */
export function rememberBreaker(
  memory: BreakerMemory | null,
  { reading, nowMs }: { reading: BreakerReading; nowMs: number },
): BreakerMemory {
  const isSame = memory?.reading.state === reading.state && memory?.reading.openTime === reading.openTime;
  return isSame && memory ? memory : { reading, sinceMs: nowMs };
}

/**
 * Judges a breaker. An open breaker allows a canary after its timeout, because without traffic the forwarder never
 * closes it. If its opening time is unreadable, the time of the first sighting counts.
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

/** When it opened; `null` if the time is invalid or in the future. */
function openedAt({ openTime }: BreakerReading, nowMs: number): number | null {
  const seconds = openTime === null ? NaN : Number(openTime);
  return seconds > 0 && seconds * 1_000 <= nowMs ? seconds * 1_000 : null;
}
