/** How many attempts to connect one client has made in a row; a connection that is cut at once does not end the row. */
import type { Clock } from "../runtime/clock.ts";

/** A connection that lasted for so long was a good one, in milliseconds. */
const LASTING_MS = 2_000;
/** Connections that were cut at once after which the pauses grow. One that is cut now and then is to be there again soon. */
export const CUTS_AT_ONCE = 10;

/** The attempts of one client, from those that follow its last good connection. */
export class Attempts {
  readonly #clock: Clock;
  #failed = 0;
  #cut = 0;
  #readyAtMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The connection takes commands. */
  ready(): void {
    this.#readyAtMs = this.#clock.monotonicMs();
    this.#failed = 0;
  }

  /** The connection is gone, or was not to be had. @returns the number of the next attempt in the row, from 1 */
  lost(): number {
    if (this.#readyAtMs === null) this.#failed++;
    else if (this.#clock.monotonicMs() - this.#readyAtMs < LASTING_MS) this.#cut++;
    else this.#cut = 0;
    this.#readyAtMs = null;
    return Math.max(1, this.#failed + Math.max(0, this.#cut - CUTS_AT_ONCE));
  }

  /** How many connections were cut at once since the last that lasted. */
  cuts(): number {
    return this.#cut;
  }

  /** Begins a new row: the connection is given up for another server. */
  reset(): void {
    this.#failed = this.#cut = 0;
    this.#readyAtMs = null;
  }
}
