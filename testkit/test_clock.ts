/** A clock that moves only when a test advances it. */
import type { Clock } from "../src/runtime/clock.ts";

/** {@link TestClock.advance} fires the timers that it passes, in order of time. */
export class TestClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; fire: () => void }[] = [];

  nowMs(): number {
    return 1_795_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      this.#timers.push({ atMs: this.#nowMs + ms, fire: resolve });
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** Advances the time and runs what was waiting. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs).sort((a, b) => a.atMs - b.atMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { fire } of due) fire();
    await turn();
  }
}

/** Runs everything that is ready. */
export async function turn(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
