/** The loop of one source: a turn, a pause until the next is worth taking, and so on until it is stopped. */
import type { Clock } from "../runtime/clock.ts";
import { hasTrait } from "../gates/gate.ts";
import type { TurnOutcome } from "./outcome.ts";
import type { SourceReplay } from "./source_replay.ts";

/** How long a loop may be without progress before it counts as stuck, in milliseconds. */
const STUCK_MS = 120_000;

/** How often the gates are asked while the loop rests. */
const GATES_EVERY_MS = 5_000;

/** What a loop needs. */
export interface ReplayLoopDeps {
  readonly clock: Clock;
  readonly intervalMs: () => number;
  /** Called with the seconds of each pass: a cycle from its beginning to its end, or one an interval while a gate holds. */
  readonly onPass: (seconds: number) => void;
  /** Called with what a turn threw: a bug. The service should end. */
  readonly onBug: (error: unknown) => void;
}

/** Drives one source. Not a `PeriodicTask`: its pause asks the gates meanwhile and ends when one opens. */
export class ReplayLoop {
  readonly #source: SourceReplay;
  readonly #deps: ReplayLoopDeps;
  readonly #stop = new AbortController();
  #pause = new AbortController();
  #running: Promise<void> | null = null;
  #wakesAtMs = 0;
  #lastPassMs = -Infinity;
  /** When the turn began that the pass in hand began with. */
  #passSinceMs: number | null = null;

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

  /** Whether it was started: Redis has answered and may be used. */
  isStarted(): boolean {
    return this.#running !== null;
  }

  /** Whether the loop turns. Redis, Moogsoft and closed gates do not matter here: waiting for them is turning. */
  isTurning(): boolean {
    if (!this.isStarted()) return true; // Still waiting for Redis.
    return this.#deps.clock.monotonicMs() < Math.max(this.#wakesAtMs, this.#source.lastProgressMs()) + STUCK_MS;
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#stop.signal.aborted) {
      this.#pause = new AbortController();
      const startedMs = clock.monotonicMs();
      const outcome = await this.#source.runOnce({ begin: "due", signal: this.#stop.signal });
      this.#countPass(outcome, startedMs);
      this.#wakesAtMs = clock.monotonicMs() + outcome.nextInMs;
      await this.#rest(this.#pause.signal);
    }
  }

  /**
   * Pauses; asks the gates meanwhile, so that "why is nothing moving?" is never answered from long ago, and so that one that
   * opens before its time ends the pause (tests/integration/breaker_gate_test.ts).
   */
  async #rest(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    while (!signal.aborted && !this.#stop.signal.aborted) {
      const leftMs = this.#wakesAtMs - clock.monotonicMs();
      if (leftMs <= 0) return;
      await clock.sleep(Math.min(leftMs, GATES_EVERY_MS), signal);
      if (leftMs > GATES_EVERY_MS && !signal.aborted && await this.#source.askGates()) return;
    }
  }

  /** A pass ends with its cycle, or when a gate holds the source; held ones count once an interval. */
  #countPass({ began, stoppedBy }: TurnOutcome, startedMs: number): void {
    if (began) this.#passSinceMs ??= startedMs;
    if (hasTrait(stoppedBy, "limitsFlow")) return;
    const isDue = startedMs - this.#lastPassMs >= this.#deps.intervalMs();
    if (this.#passSinceMs === null && !isDue) return;
    this.#deps.onPass((this.#deps.clock.monotonicMs() - (this.#passSinceMs ?? startedMs)) / 1_000);
    this.#passSinceMs = null;
    this.#lastPassMs = startedMs;
  }
}
