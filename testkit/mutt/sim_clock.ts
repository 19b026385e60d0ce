/**
 * The clock of MUTT's fakes: divides every duration by one factor, so that Redis' clock need not be faked. With a
 * factor of 1 they run in real time.
 */
import { type Clock, SYSTEM_CLOCK } from "../../src/runtime/clock.ts";

/** Simulated milliseconds per real one: a simulated minute takes a second. demo/simulator/figures.md explains its limits. */
export const DEFAULT_FACTOR = 60;

/** Longest stall that a pacer catches up, in real milliseconds. After a longer one it continues without a burst. */
const MAX_OVERSHOT_MS = 50;

/** The clock of one simulation. */
export class SimClock {
  /** Simulated milliseconds per real one. */
  readonly factor: number;
  /** Real milliseconds that workers could not catch up: the machine is too slow for this factor. */
  lostMs = 0;
  readonly #clock: Clock;
  #startedAtMs: number;

  constructor(factor: number = DEFAULT_FACTOR, clock: Clock = SYSTEM_CLOCK) {
    this.factor = factor;
    this.#clock = clock;
    this.#startedAtMs = clock.monotonicMs();
  }

  /** Starts the incident. */
  restart(): void {
    this.lostMs = 0;
    this.#startedAtMs = this.#clock.monotonicMs();
  }

  /** Simulated milliseconds since the incident began. */
  elapsedMs(): number {
    return (this.#clock.monotonicMs() - this.#startedAtMs) * this.factor;
  }

  /** A mark for {@link SimClock.since}. */
  mark(): number {
    return this.#clock.monotonicMs();
  }

  /** Simulated milliseconds since a mark. */
  since(mark: number): number {
    return (this.#clock.monotonicMs() - mark) * this.factor;
  }

  /** Converts simulated to real milliseconds. */
  realMs(simulatedMs: number): number {
    return simulatedMs / this.factor;
  }

  /** Sleeps for simulated milliseconds, or until the signal. */
  sleep(simulatedMs: number, signal?: AbortSignal): Promise<void> {
    return this.#clock.sleep(this.realMs(simulatedMs), signal);
  }

  /** A pacer for one worker. */
  pacer(): Pacer {
    return new Pacer(this, this.#clock);
  }
}

/** Sleeps for one worker with an exact sum: the next sleep compensates for a late timer. */
export class Pacer {
  readonly #sim: SimClock;
  readonly #clock: Clock;
  #overshotMs = 0;

  constructor(sim: SimClock, clock: Clock) {
    this.#sim = sim;
    this.#clock = clock;
  }

  /**
   * Sleeps for simulated milliseconds, or until the signal. A negative time means that the worker is late; it shortens
   * the next sleeps.
   */
  async sleep(simulatedMs: number, signal?: AbortSignal): Promise<void> {
    const wantedMs = this.#sim.realMs(simulatedMs) - this.#overshotMs;
    const startedAtMs = this.#clock.monotonicMs();
    if (wantedMs >= 0.5) await this.#clock.sleep(wantedMs, signal);
    if (signal?.aborted) return;
    const overshotMs = this.#clock.monotonicMs() - startedAtMs - wantedMs;
    this.#overshotMs = Math.min(MAX_OVERSHOT_MS, overshotMs);
    this.#sim.lostMs += overshotMs - this.#overshotMs;
  }
}
