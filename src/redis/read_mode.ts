/**
 * Decides how a read fetches messages. An LRANGE costs Redis a tenth of what a script does per message (bench/figures.md), but
 * its reply is as large as the messages are. So it takes as many as should fit by the sizes of those before, and is not used
 * where samples of the messages ahead, or a reply that had to be cut off, say otherwise.
 */
import type { ChunkBounds } from "../cycle/chunk.ts";

/** Default distance between the places ahead that are sampled. So at most this many neighbours are read without a look. */
const STEP = 32;
/** An LRANGE may return this many times the bytes of a chunk if all its messages are as long as the longest sample. */
const MOST_CHUNKS = 32;
/** Reads by the script after a reply that was cut off, because that costs a connection; doubled each time. */
const FIRST_PAUSE = 64, LONGEST_PAUSE = 4_096;

/** A read: the number of messages that an LRANGE takes (0: the script reads them), and the places to sample behind them. */
export interface ReadPlan {
  readonly range: number;
  readonly step: number;
  readonly samples: number;
}

/** What a read has found. */
export interface ReadSizes {
  readonly messages: number;
  /** Total size of the messages. */
  readonly bytes: number;
  /** Size of the longest sample behind them. */
  readonly longestAhead: number;
}

/** Adapts to the sizes of a source's messages. The first read is by the script. */
export class ReadMode {
  readonly #step: number;
  /** Mean size of the messages of the last read; `null`: not known, or of no use. */
  #meanBytes: number | null = null;
  #longestAhead = 0;
  #pause = 0;
  #nextPause = FIRST_PAUSE;

  /** `step`: distance between samples; default: 32. */
  constructor({ step = STEP }: { step?: number } = {}) {
    this.#step = step;
  }

  /** Plans the next read. */
  plan({ messages, bytes }: Pick<ChunkBounds, "messages" | "bytes">): ReadPlan {
    const fitting = this.#meanBytes === null ? 1 : Math.max(1, Math.floor(bytes / this.#meanBytes));
    const range = Math.min(messages, fitting);
    const isSafe = this.#meanBytes !== null && this.#pause === 0 && range * this.#longestAhead <= MOST_CHUNKS * bytes;
    const ahead = this.#meanBytes === null ? messages : range;
    return { range: isSafe ? range : 0, step: this.#step, samples: Math.floor(ahead / this.#step) };
  }

  /** Records what a read has found. */
  note({ messages, bytes, longestAhead }: ReadSizes): void {
    this.#meanBytes = messages === 0 ? null : bytes / messages;
    this.#longestAhead = longestAhead;
    this.#pause = Math.max(0, this.#pause - 1);
  }

  /** The next read is by the script. */
  forget(): void {
    this.#meanBytes = null;
  }

  /** Records that a reply was longer than the memory that was set aside for it. */
  cutOff(): void {
    this.#meanBytes = null;
    this.#pause = this.#nextPause;
    this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause);
  }
}
