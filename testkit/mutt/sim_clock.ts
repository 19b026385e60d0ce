/**
 * The time of the stand-ins for MUTT: every duration is divided by one factor, so that Redis' own clock need not be faked. With
 * a factor of 1 they run in real time.
 */
import { type Clock, SYSTEM_CLOCK } from "../../src/runtime/clock.ts";

/** Simulated milliseconds in one real one: a simulated minute takes a second. See demo/simulator/figures.md for what limits it. */
export const DEFAULT_FACTOR = 60;

/** Longest stall that a pacer makes up for, in real milliseconds: after a longer one it goes on without a burst. */
const MAX_OVERSHOT_MS = 50;

/** The clock of one simulation. */
export class SimClock {
  /** Simulated milliseconds in a real one. */
  readonly factor: number;
  /** Real milliseconds that workers came late and could not make up for: a machine too slow for this factor. */
  lostMs = 0;
  readonly #clock: Clock;
  #startedAtMs: number;

  constructor(factor: number = DEFAULT_FACTOR, clock: Clock = SYSTEM_CLOCK) {
    this.factor = factor;
    this.#clock = clock;
    this.#startedAtMs = clock.monotonicMs();
  }

  /** The incident begins now. */
  restart(): void {
    this.lostMs = 0;
    this.#startedAtMs = this.#clock.monotonicMs();
  }

  /** Simulated milliseconds since the incident began. */
  elapsedMs(): number {
    return (this.#clock.monotonicMs() - this.#startedAtMs) * this.factor;
  }

  /** The instant from which {@link SimClock.since} counts. */
  mark(): number {
    return this.#clock.monotonicMs();
  }

  /** Simulated milliseconds since a mark. */
  since(mark: number): number {
    return (this.#clock.monotonicMs() - mark) * this.factor;
  }

  /** How long simulated milliseconds take. */
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

/** Sleeps for one worker so that the sum is right: what a timer takes too long is made up for by the next sleep. */
export class Pacer {
  readonly #sim: SimClock;
  readonly #clock: Clock;
  #overshotMs = 0;

  constructor(sim: SimClock, clock: Clock) {
    this.#sim = sim;
    this.#clock = clock;
  }

  /**
   * Sleeps for simulated milliseconds, or until the signal. A negative time is one by which the worker is late already: the
   * next sleeps are the shorter for it.
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
