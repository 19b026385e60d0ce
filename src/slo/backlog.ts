/**
 * Measures how long a dead-letter queue takes to drain, whatever arrives meanwhile. Pure: the caller passes the time.
 */

/**
 * Tracks the age of a backlog: the messages in the queue at a mark. It has drained when that many messages have left;
 * the next mark then covers the current queue. Neither a steady inflow nor returned messages, which queue up behind,
 * add to its age.
 */
export class Backlog {
  #left = 0;
  #movedBefore = 0;
  #ageMs = 0;

  /**
   * Updates the backlog with a measurement. @param moved messages that have left the queue so far: a counter that only
   * grows
   */
  measured({ depth, moved }: { depth: number; moved: number }): void {
    // Other clients may remove messages too, so the backlog never exceeds the depth.
    this.#left = Math.min(this.#left - (moved - this.#movedBefore), depth);
    this.#movedBefore = moved;
    if (this.#left > 0) return;
    this.#left = depth;
    this.#ageMs = 0;
  }

  /** Adds time in which the backlog could have drained. */
  grewOlder(ms: number): void {
    if (this.#left > 0) this.#ageMs += ms;
  }

  /** Time in which the backlog could have drained but has not, in milliseconds; 0 if there is no backlog. */
  get ageMs(): number {
    return this.#ageMs;
  }
}
