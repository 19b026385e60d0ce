/** The loop of one source: a turn, a pause until the next is worth taking, and so on until it is stopped. */
import type { Clock } from "../runtime/clock.ts";
import type { SourceReplay } from "./source_replay.ts";

/** How long a loop may be without progress before it counts as stuck, in milliseconds. */
const STUCK_MS = 120_000;

/** What a loop needs. */
export interface ReplayLoopDeps {
  readonly clock: Clock;
  readonly intervalMs: () => number;
  /** Called with the seconds of each turn that counts as a pass: one that began a cycle, or one an interval while held. */
  readonly onPass: (seconds: number) => void;
  /** Called with what a turn threw: a bug. The service should end. */
  readonly onBug: (error: unknown) => void;
}

/** Drives one source. */
export class ReplayLoop {
  readonly #source: SourceReplay;
  readonly #deps: ReplayLoopDeps;
  readonly #stop = new AbortController();
  #pause = new AbortController();
  #running: Promise<void> | null = null;
  #wakesAtMs = 0;
  #lastPassMs = -Infinity;

  constructor(source: SourceReplay, deps: ReplayLoopDeps) {
    this.#source = source;
    this.#deps = deps;
  }

  /** Starts in the background. Safe to call twice. */
  start(): void {
    this.#wakesAtMs = this.#deps.clock.monotonicMs();
    this.#running ??= this.#run().catch(this.#deps.onBug);
  }

  /** Ends the pause, so that a changed setting counts at once. */
  wake(): void {
    this.#pause.abort();
  }

  /** Finishes the chunk in hand and resolves when the loop has ended. Safe to call twice, and without start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#running;
  }

  /** Whether the loop turns. Redis, Moogsoft and closed gates do not matter here: waiting for them is turning. */
  isTurning(): boolean {
    if (!this.#running) return true; // Still waiting for Redis.
    return this.#deps.clock.monotonicMs() < Math.max(this.#wakesAtMs, this.#source.lastProgressMs()) + STUCK_MS;
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#stop.signal.aborted) {
      this.#pause = new AbortController();
      const startedMs = clock.monotonicMs();
      const { began, nextInMs } = await this.#source.runOnce({ begin: "due", signal: this.#stop.signal });
      this.#countPass({ began, startedMs });
      this.#wakesAtMs = clock.monotonicMs() + nextInMs;
      if (!this.#stop.signal.aborted) await clock.sleep(nextInMs, this.#pause.signal);
    }
  }

  #countPass({ began, startedMs }: { began: boolean; startedMs: number }): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (!began && startedMs - this.#lastPassMs < this.#deps.intervalMs()) return;
    this.#lastPassMs = startedMs;
    this.#deps.onPass((nowMs - startedMs) / 1_000);
  }
}
