/**
 * Periodic work in the background. Three details:
 *
 * One run at a time: {@link PeriodicTask.runOnce} joins a run in hand instead of starting a second one. A wake is never lost: during
 * a run it makes the next run follow at once. `stop` waits for the run in hand, whoever asked for it.
 */
import type { Clock } from "../runtime/clock.ts";

/** How a run ended. `skipped`: there was nothing to do, so it says nothing about failures. Nothing returned means `done`. */
export type RunResult = "done" | "failed" | "skipped";

/** What a {@link PeriodicTask} needs. */
export interface PeriodicTaskOptions {
  readonly clock: Clock;
  /** When the first run after `start` is due; default `now`. */
  readonly firstRun?: "now" | "after_interval";
  /** Shortest pause after a run in milliseconds, even after a wake; default 0. */
  readonly minPauseMs?: number;
  /** Receives what a run throws: a bug, which ends the task. Default: the rejection stays unhandled and ends the process. */
  readonly onBug?: (error: unknown) => void;
}

/** Repeats {@link PeriodicTask.run} from `start` to `stop`. Pauses are counted from the end of a run. */
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

  /** One turn of the work. Throws only for a bug; an expected failure is the result `failed`. */
  protected abstract run(): Promise<RunResult | void> | RunResult | void;

  /** Pause until the next run in milliseconds. Asked after each run, so it may depend on {@link PeriodicTask.failures}. */
  protected abstract intervalMs(): number;

  /** Aborts when the task is stopped. */
  protected get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** How many runs in a row have failed. */
  protected get failures(): number {
    return this.#failures;
  }

  /** Starts in the background. Safe to call twice; does nothing after `stop`. */
  start(): void {
    if (this.#stop.signal.aborted || this.#loop) return;
    const { onBug } = this.#options, loop = this.#repeat();
    this.#loop = onBug ? loop.catch(onBug) : loop;
  }

  /** Makes the next run due now: ends the pause, or shortens the one that follows the run in hand. */
  wake(): void {
    this.#isWoken = true;
    this.#pause.abort();
  }

  /** Runs now, whether started or not, or joins the run in hand. Does nothing after `stop`. Rejects only for a bug. */
  async runOnce(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#inHand ??= this.#run().finally(() => this.#inHand = null);
    await this.#inHand;
  }

  /** Resolves when the run in hand is over; none begins afterwards. Safe to call twice, and without `start`. */
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

/** Pause after `failures` failures in a row (at least 1), in milliseconds: `firstMs`, then twice as long each time, up to `maxMs`. */
export function growingPauseMs(failures: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }): number {
  // 2^30 is beyond every bound in use; more would overflow after a long outage.
  return Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
}
