/** Decides how many messages a read fetches in one call: their sizes are not known before they arrive. */

/**
 * Most messages in one call. A call costs Redis as much as about 500 bytes, so several small messages in one call are
 * cheaper.
 */
const MOST = 4;
/** Longer messages are large: fetching one in vain blocks Redis for 2 ms per MiB. */
const LARGE_BYTES = 4_096;
/** Number of reads, message by message, after an unexpected large message; doubled each time, up to the second value. */
const FIRST_PAUSE = 64, LONGEST_PAUSE = 4_096;

/**
 * Adapts to the sizes of a source's messages: several in one call while all are small, one by one for a while after a
 * large one.
 */
export class ReadBatch {
  /** The first read goes message by message. */
  #pause = 1;
  #nextPause = FIRST_PAUSE;

  /** Returns the number of messages in one call for the next read. */
  size(): number {
    return this.#pause > 0 ? 1 : MOST;
  }

  /** Records the length of the longest message that the last read fetched. */
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
