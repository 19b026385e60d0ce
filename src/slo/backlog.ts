/** How long what lies in a dead-letter queue takes to leave it, whatever arrives behind it meanwhile. Pure: told the time. */

/**
 * A backlog is what lay in the queue when it was marked. It has drained once as many messages have left; what lies there then is
 * the next one. So neither a steady inflow nor messages that come back (they queue up behind) make it older than it is.
 */
export class Backlog {
  #left = 0;
  #movedBefore = 0;
  #ageMs = 0;

  /** @param moved messages that have left the queue so far: a counter that only grows */
  measured({ depth, moved }: { depth: number; moved: number }): void {
    // Others may take messages out as well: of a backlog never more is left than there is.
    this.#left = Math.min(this.#left - (moved - this.#movedBefore), depth);
    this.#movedBefore = moved;
    if (this.#left > 0) return;
    this.#left = depth;
    this.#ageMs = 0;
  }

  /** Time went by in which the backlog could have drained. */
  grewOlder(ms: number): void {
    if (this.#left > 0) this.#ageMs += ms;
  }

  /** For how long the backlog could have drained and has not; 0 where there is none. */
  get ageMs(): number {
    return this.#ageMs;
  }
}
