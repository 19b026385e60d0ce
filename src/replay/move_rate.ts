/** Measures how fast this instance moves the messages of a source, over the last two minutes. */
import type { Clock } from "../runtime/clock.ts";

/** Moves within this time are counted together, and older ones than this are forgotten, in milliseconds. */
const STEP_MS = 5_000, WINDOW_MS = 120_000;

/** Counts moves. Does no IO. */
export class MoveRate {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #steps: { readonly atMs: number; count: number }[] = [];

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** Counts messages that have moved now. */
  moved(count: number): void {
    const nowMs = this.#clock.monotonicMs(), last = this.#steps.at(-1);
    if (last && nowMs - last.atMs < STEP_MS) last.count += count;
    else this.#steps = [...this.#recent(nowMs), { atMs: nowMs, count }];
  }

  /** Returns the messages moved per second since the first of the last two minutes; `null` if none moved, or for too short a time. */
  perSecond(): number | null {
    const nowMs = this.#clock.monotonicMs(), steps = this.#recent(nowMs), first = steps[0];
    if (!first || nowMs - first.atMs < 1_000) return null;
    return steps.reduce((sum, { count }) => sum + count, 0) / (nowMs - first.atMs) * 1_000;
  }

  #recent(nowMs: number) {
    return this.#steps.filter(({ atMs }) => nowMs - atMs < WINDOW_MS);
  }
}
