/**
 * Periodic work in the background. Three details:
 *
 * One run at a time: {@link PeriodicTask.runOnce} joins a run in progress instead of starting a second one. A wake is never
 * lost: during a run, it makes the next run follow at once. `stop` waits for the run in progress, also one that `runOnce`
 * started.
 */
import type { Clock } from "../runtime/clock.ts";

/** How a run ended. `skipped`: there was nothing to do; the count of failures stays. A run that returns nothing is `done`. */
export type RunResult = "done" | "failed" | "skipped";

/** Dependencies and timing of a {@link PeriodicTask}. */
export interface PeriodicTaskOptions {
  readonly clock: Clock;
  /** When the first run after `start` is due; default `now`. */
  readonly firstRun?: "now" | "after_interval";
  /** Shortest pause after a run in milliseconds, even after a wake; default 0. */
  readonly minPauseMs?: number;
  /** Called with the error that a run throws: a bug, which ends the task. Default: the unhandled rejection ends the process. */
  readonly onBug?: (error: unknown) => void;
}

/** Repeats {@link PeriodicTask.run} from `start` to `stop`. A pause begins at the end of a run. */
export abstract class PeriodicTask {
  readonly #options: PeriodicTaskOptions;
  readonly #stop = new AbortController();
  #pause = new AbortController();
  #isWoken = false;
  #loop: Promise<void> | null = null;
  #inHand: Promise<void> | null = null;
  #endedAtMs = -Infinity;
  #failures = 0;

  constructor(options: PeriodicTaskOptions) {
    this.#options = options;
  }

  /** Does one turn of the work. Throws only for a bug; an expected failure is the result `failed`. */
  protected abstract run(): Promise<RunResult | void> | RunResult | void;

  /**
   * Returns the pause before the next run in milliseconds. Called after each run, so it may use {@link
   * PeriodicTask.failures}.
   */
  protected abstract intervalMs(): number;

  /** Aborts when the task is stopped. */
  protected get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** Number of failed runs in a row. */
  protected get failures(): number {
    return this.#failures;
  }

  /** Starts in the background. Safe to call twice; does nothing after `stop`. */
  start(): void {
    if (this.#stop.signal.aborted || this.#loop) return;
    const { onBug } = this.#options, loop = this.#repeat();
    this.#loop = onBug ? loop.catch(onBug) : loop;
  }

  /** Makes the next run due now: ends the current pause, or shortens the one that follows the run in progress. */
  wake(): void {
    this.#isWoken = true;
    this.#pause.abort();
  }

  /** Runs now, started or not, or joins the run in progress. Does nothing after `stop`. Rejects only for a bug. */
  async runOnce(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#inHand ??= this.#run().finally(() => this.#inHand = null);
    await this.#inHand;
  }

  /** Stops the task and waits for the run in progress. No run begins afterwards. Safe to call twice, and without `start`. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#pause.abort();
    await this.#loop;
    await this.#inHand;
  }

  async #repeat(): Promise<void> {
    if (this.#options.firstRun === "after_interval") await this.#rest();
    while (!this.#stop.signal.aborted) {
      await this.runOnce();
      await this.#rest();
    }
  }

  async #run(): Promise<void> {
    this.#isWoken = false;
    const result = await this.run() ?? "done";
    if (result !== "skipped") this.#failures = result === "failed" ? this.#failures + 1 : 0;
    this.#endedAtMs = this.#options.clock.monotonicMs();
  }

  async #rest(): Promise<void> {
    const { clock, minPauseMs = 0 } = this.#options, { signal } = this.#stop;
    if (signal.aborted) return;
    if (!this.#isWoken) {
      this.#pause = new AbortController();
      await clock.sleep(this.intervalMs(), this.#pause.signal);
    }
    const leftMs = this.#endedAtMs + minPauseMs - clock.monotonicMs();
    if (leftMs > 0) await clock.sleep(leftMs, signal);
  }
}

/**
 * Returns the pause after `failures` failures in a row (at least 1), in milliseconds: `firstMs`, doubled each time, up
 * to `maxMs`.
 */
export function growingPauseMs(failures: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }): number {
  // 2^30 exceeds every bound in use. A larger exponent would overflow after a long outage.
  return Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
}
