/** Counts the attempts of one client to connect in a row. A connection that is cut at once does not end the row. */
import type { Clock } from "../runtime/clock.ts";

/** A connection that lasts at least this long is good, in milliseconds. */
const LASTING_MS = 2_000;
/** Pauses grow after this many connections in a row were cut at once. An occasional cut must not delay the reconnect. */
export const CUTS_AT_ONCE = 10;

/** Counts the attempts of one client since its last good connection. */
export class Attempts {
  readonly #clock: Clock;
  #failed = 0;
  #cut = 0;
  #readyAtMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records that the connection takes commands. */
  ready(): void {
    this.#readyAtMs = this.#clock.monotonicMs();
    this.#failed = 0;
  }

  /** Records that the connection was lost or failed. @returns the number of the next attempt in the row, from 1 */
  lost(): number {
    if (this.#readyAtMs === null) this.#failed++;
    else if (this.#clock.monotonicMs() - this.#readyAtMs < LASTING_MS) this.#cut++;
    else this.#cut = 0;
    this.#readyAtMs = null;
    return Math.max(1, this.#failed + Math.max(0, this.#cut - CUTS_AT_ONCE));
  }

  /** Returns how many connections were cut at once since the last good one. */
  cuts(): number {
    return this.#cut;
  }

  /** Begins a new row. Call it when the client switches to another server. */
  reset(): void {
    this.#failed = this.#cut = 0;
    this.#readyAtMs = null;
  }
}
