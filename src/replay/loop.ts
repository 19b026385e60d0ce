/** The loop of one source: takes a turn, pauses until the next one is due, and repeats until it is stopped. */
import type { Clock } from "../runtime/clock.ts";
import { hasTrait } from "../gates/gate.ts";
import type { TurnOutcome } from "./outcome.ts";
import type { SourceReplay } from "./source_replay.ts";

/** What a loop drives. */
export type Turns = Pick<SourceReplay, "runOnce" | "askGates" | "hasUnsettled" | "lastProgressMs">;

/** A loop without progress for this long counts as stuck, in milliseconds. */
const STUCK_MS = 120_000;

/** How often the gates are asked during a pause, in milliseconds. */
const GATES_EVERY_MS = 5_000;

/** How long a stopped loop tries to find out whether its last commit ran, and how long it waits between tries, in milliseconds. */
const SETTLE_MS = 2_000, SETTLE_PAUSE_MS = 100;

/** The dependencies of a {@link ReplayLoop}. */
export interface ReplayLoopDeps {
  readonly clock: Clock;
  readonly intervalMs: () => number;
  /** Called with the length of each pass in seconds: a whole cycle, or, while a gate is closed, one turn per interval. */
  readonly onPass: (seconds: number) => void;
  /** Called with the error of a turn, which is a bug. The service should end. */
  readonly onBug: (error: unknown) => void;
}

/** Runs the turns of one source. Not a `PeriodicTask`, because its pause asks the gates and ends early when one opens. */
export class ReplayLoop {
  readonly #source: Turns;
  readonly #deps: ReplayLoopDeps;
  readonly #stop = new AbortController();
  #pause = new AbortController();
  #running: Promise<void> | null = null;
  #wakesAtMs = 0;
  #lastPassMs = -Infinity;
  /** Start of the first turn of the current pass. */
  #passSinceMs: number | null = null;

  constructor(source: Turns, deps: ReplayLoopDeps) {
    this.#source = source;
    this.#deps = deps;
  }

  /** Starts in the background. Safe to call twice. */
  start(): void {
    this.#wakesAtMs = this.#deps.clock.monotonicMs();
    this.#running ??= this.#run().catch(this.#deps.onBug);
  }

  /** Ends the pause, so that a changed setting takes effect at once. */
  wake(): void {
    this.#pause.abort();
  }

  /**
   * Finishes the current chunk, and resolves when the loop has ended. If the reply to its last commit was lost, it first tries
   * for 2 s to find out whether the commit ran: afterwards nobody could count it. Safe to call twice, and without `start()`.
   */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#running;
  }

  /** Tells whether the loop was started, which happens when Redis is ready. */
  isStarted(): boolean {
    return this.#running !== null;
  }

  /** Tells whether the loop makes progress. A loop that waits for Redis, Moogsoft or a gate does. */
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
    await this.#settle();
  }

  /** A turn with a signal that has aborted only settles. */
  async #settle(): Promise<void> {
    const { clock } = this.#deps, { signal } = this.#stop, untilMs = clock.monotonicMs() + SETTLE_MS;
    while (this.#source.hasUnsettled() && clock.monotonicMs() < untilMs) {
      await this.#source.runOnce({ begin: "never", signal });
      if (this.#source.hasUnsettled()) await clock.sleep(SETTLE_PAUSE_MS);
    }
  }

  /**
   * Pauses. Asks the gates every 5 s, so that the reason why nothing moves stays current, and a gate that opens early ends the
   * pause (tests/integration/breaker_gate_test.ts).
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

  /** Reports a pass when its cycle ends or a gate closes. While a gate is closed, at most one pass per interval. */
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
