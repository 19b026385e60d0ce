/** A fact that is found out beside the loop, so that asking for it never waits. */
import type { Clock } from "../runtime/clock.ts";

/** What was found, and how old it already is. */
export interface Finding<T> {
  readonly value: T;
  readonly ageMs: number;
}

/** What a {@link BackgroundFact} needs. */
export interface BackgroundFactOptions<T> {
  readonly clock: Clock;
  /** How long a value is fresh; a stale one is looked for again when somebody asks. */
  readonly freshMs: number;
  /** How much longer a stale value counts meanwhile. `Infinity`: until there is another. */
  readonly graceMs: (value: T) => number;
  /** Finds it out. Rejects only when the signal aborts. */
  readonly find: (signal: AbortSignal) => Promise<Finding<T>>;
}

/** Keeps the last known value and refreshes it in the background, one search at a time. */
export class BackgroundFact<T> {
  readonly #options: BackgroundFactOptions<T>;
  readonly #stop = new AbortController();
  #known: { readonly value: T; readonly freshUntilMs: number } | undefined;
  #search: Promise<void> | undefined;
  /** Counts what made a search pointless that had begun before. */
  #expiries = 0;

  constructor(options: BackgroundFactOptions<T>) {
    this.#options = options;
  }

  /** The value as far as it counts; `undefined`: none is known. Starts a search if it is stale. Does no IO itself. */
  current(): T | undefined {
    const known = this.#known;
    if (known !== undefined && this.freshForMs() > 0) return known.value;
    this.#startSearch();
    if (known === undefined) return undefined;
    return -this.freshForMs() < this.#options.graceMs(known.value) ? known.value : undefined;
  }

  /** Makes the value stale, and that of a search that is under way: what it depends on has changed. */
  expire(): void {
    this.#expiries++;
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#known) this.#known = { ...this.#known, freshUntilMs: Math.min(this.#known.freshUntilMs, nowMs) };
  }

  /** For how long the value is fresh still; 0 or less when it is stale or none is known. */
  freshForMs(): number {
    return this.#known === undefined ? 0 : this.#known.freshUntilMs - this.#options.clock.monotonicMs();
  }

  /** Resolves once a fresh value is known, or the search for one has ended. Starts it where needed. */
  async settled(): Promise<void> {
    this.current();
    await this.#search;
  }

  /** Ends the search, if there is one, and waits for it. No search starts afterwards. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#search;
  }

  #startSearch(): void {
    if (this.#stop.signal.aborted) return;
    this.#search ??= this.#run().finally(() => this.#search = undefined);
  }

  async #run(): Promise<void> {
    const { clock, freshMs, find } = this.#options;
    const expiries = this.#expiries;
    try {
      const { value, ageMs } = await find(this.#stop.signal);
      const freshForMs = expiries === this.#expiries ? freshMs - ageMs : 0;
      this.#known = { value, freshUntilMs: clock.monotonicMs() + freshForMs };
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }
}

/** The promise's outcome, or a rejection as soon as the signal aborts: a Redis call cannot be called back. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
