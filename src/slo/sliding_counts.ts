/** Counts events within a sliding window, from a few readings of growing counters. Pure: the caller passes the time. */
import { SLOTS } from "../config/objective_limits.ts";
import { NO_EVENTS, type SloCount } from "./objectives.ts";

/**
 * Readings kept: for the current window, and for another one before it if the window changed. Bounds the memory at 12
 * KiB.
 */
const CAPACITY = 2 * SLOTS + 32;

/** Count of a window and its real length. */
export interface WindowCount extends SloCount {
  /** Observed time in milliseconds: the window plus at most a slot and a pause; shorter after a start. */
  readonly observedMs: number;
}

/** Keeps readings of one pair of counters in a ring, oldest first. */
export class SlidingCounts {
  readonly #atMs = new Float64Array(CAPACITY);
  readonly #events = new Float64Array(CAPACITY);
  readonly #bad = new Float64Array(CAPACITY);
  #first = 0;
  #length = 0;
  #now: SloCount = NO_EVENTS;
  #nowMs: number;

  /** @param startMs start of counting, with both counters at `count` */
  constructor(startMs: number, count: SloCount = NO_EVENTS) {
    this.#nowMs = startMs;
    this.#now = count;
    this.#keep();
  }

  /** Records the counters at a time not before the last one. Keeps one reading per slot. */
  note(nowMs: number, count: SloCount, { windowMs }: { windowMs: number }): void {
    this.#nowMs = nowMs;
    this.#now = count;
    if (nowMs - this.#atMs[this.#at(this.#length - 1)]! >= windowMs / SLOTS) this.#keep();
  }

  /** Returns the count of the window that ends at the last record. */
  over(windowMs: number): WindowCount {
    const from = this.#at(this.#newestUpTo(this.#nowMs - windowMs));
    return {
      events: this.#now.events - this.#events[from]!,
      bad: this.#now.bad - this.#bad[from]!,
      observedMs: this.#nowMs - this.#atMs[from]!,
    };
  }

  #keep(): void {
    if (this.#length === CAPACITY) this.#first = this.#at(1);
    else this.#length++;
    const last = this.#at(this.#length - 1);
    this.#atMs[last] = this.#nowMs;
    this.#events[last] = this.#now.events;
    this.#bad[last] = this.#now.bad;
  }

  /** Index of the newest reading at or before a time; the oldest reading if all are later. */
  #newestUpTo(atMs: number): number {
    let low = 0, high = this.#length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#atMs[this.#at(middle)]! <= atMs) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #at(place: number): number {
    return (this.#first + place) % CAPACITY;
  }
}
