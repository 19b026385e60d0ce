/** Looks at something again and again in the background: what every watch of a source shares. */
import type { Clock } from "../runtime/clock.ts";

/** A look, repeated until it is stopped. What a look cannot find out must not end the watch: it never rejects. */
export abstract class Watch {
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #pause = new AbortController();
  #running: Promise<void> | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Looks once. Never rejects. */
  abstract look(): Promise<void>;

  /** Time from one look to the next, in milliseconds. */
  protected abstract periodMs(): number;

  /** Starts in the background. Safe to call twice. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when the last look is over. Safe to call twice, and without start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#running;
  }

  /** Ends the pause: the next look is due now. */
  protected wake(): void {
    this.#pause.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#pause = new AbortController();
      await this.look();
      await this.#clock.sleep(this.periodMs(), this.#pause.signal);
    }
  }
}
