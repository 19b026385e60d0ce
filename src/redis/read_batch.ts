/** How many messages a read may fetch in one call: their sizes are only known once they are there. */

/** Most in one call. A call costs Redis as much as some 500 bytes, so small messages are cheaper several at once. */
const MOST = 4;
/** What is longer is large: fetched by mistake, it holds Redis up (2 ms a MiB) for nothing. */
const LARGE_BYTES = 4_096;
/** Reads that go message by message after a large one surprised a call; doubled each time up to the second. */
const FIRST_PAUSE = 64, LONGEST_PAUSE = 4_096;

/** Learns from what a source's reads met: several at once while all is small, one by one for a while after a large one. */
export class ReadBatch {
  /** The first read finds out. */
  #pause = 1;
  #nextPause = FIRST_PAUSE;

  /** For the next read. */
  size(): number {
    return this.#pause > 0 ? 1 : MOST;
  }

  /** Tells the length of the longest message that the last read looked at. */
  note(longestBytes: number): void {
    if (longestBytes <= LARGE_BYTES) {
      this.#pause = Math.max(0, this.#pause - 1);
      return;
    }
    const isSurprise = this.#pause === 0;
    this.#pause = Math.max(this.#pause, this.#nextPause);
    if (isSurprise) this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause);
  }
}
