/** Limits wrong keys by address. */
import type { Clock } from "../runtime/clock.ts";

/** Wrong keys that have no consequence. */
const FREE = 4;
/** Longest wait, in seconds. */
const LONGEST_SECONDS = 60;
/** An address without a wrong key for this long is forgotten, in milliseconds. */
const FORGET_MS = 600_000;
/** Maximum number of addresses; the one that failed longest ago is forgotten first. */
const MOST_ADDRESSES = 10_000;

interface Attempts {
  readonly count: number;
  readonly lastAtMs: number;
  /** Until when further attempts are refused. */
  readonly untilMs: number;
}

/** Counts wrong keys of an address. From the fifth on, each makes the address wait 1, 2, 4 … 60 s. */
export class AttemptLimit {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** The address that failed last is the last one. */
  readonly #attempts = new Map<string, Attempts>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** Number of addresses, for tests. */
  get size(): number {
    return this.#attempts.size;
  }

  /** Counts a wrong key. Returns the seconds that this address must wait; 0: it need not have waited. */
  fail(address: string): number {
    const nowMs = this.#clock.monotonicMs(), before = this.#recent(address, nowMs);
    if (before && nowMs < before.untilMs) return Math.ceil((before.untilMs - nowMs) / 1_000);
    const count = (before?.count ?? 0) + 1;
    const waitSeconds = count <= FREE ? 0 : Math.min(LONGEST_SECONDS, 2 ** Math.min(count - FREE - 1, 10));
    this.#attempts.delete(address);
    this.#attempts.set(address, { count, lastAtMs: nowMs, untilMs: nowMs + waitSeconds * 1_000 });
    if (this.#attempts.size > MOST_ADDRESSES) this.#attempts.delete(this.#attempts.keys().next().value!);
    return 0;
  }

  #recent(address: string, nowMs: number): Attempts | undefined {
    const found = this.#attempts.get(address);
    return found && nowMs - found.lastAtMs < FORGET_MS ? found : undefined;
  }
}
