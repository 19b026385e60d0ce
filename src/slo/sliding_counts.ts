/** What was counted within a window that slides, out of a few readings of counters that only grow. Pure: told the time. */
import { SLOTS } from "../config/objective_limits.ts";
import { NO_EVENTS, type SloCount } from "./objectives.ts";

/** Readings kept: of a window, and of another one before it where it was changed. The bound of memory: 12 KiB. */
const CAPACITY = 2 * SLOTS + 32;

/** What a window holds, and how long it really is. */
export interface WindowCount extends SloCount {
  /** From the reading it is counted from until now: the window and at most a slot and a pause more, less after a start. */
  readonly observedMs: number;
}

/** Readings of one pair of counters, oldest first, in a ring. */
export class SlidingCounts {
  readonly #atMs = new Float64Array(CAPACITY);
  readonly #events = new Float64Array(CAPACITY);
  readonly #bad = new Float64Array(CAPACITY);
  #first = 0;
  #length = 0;
  #now: SloCount = NO_EVENTS;
  #nowMs: number;

  /** @param startMs from when on it is counted, with both counters at `count` */
  constructor(startMs: number, count: SloCount = NO_EVENTS) {
    this.#nowMs = startMs;
    this.#now = count;
    this.#keep();
  }

  /** Notes the counters at a time that is not before the last one. Kept is one reading a slot. */
  note(nowMs: number, count: SloCount, { windowMs }: { windowMs: number }): void {
    this.#nowMs = nowMs;
    this.#now = count;
    if (nowMs - this.#atMs[this.#at(this.#length - 1)]! >= windowMs / SLOTS) this.#keep();
  }

  /** What was counted in the window that ends at the last note. */
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

  /** The newest reading at or before a time; the oldest of all where none is. */
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
