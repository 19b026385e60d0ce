/** Caches a value that is looked up in the background, so that reading it never waits. */
import type { Clock } from "../runtime/clock.ts";

/** The result of a lookup, and its age. */
export interface LookupResult<T> {
  readonly value: T;
  readonly ageMs: number;
}

/** Dependencies and limits of a {@link CachedLookup}. */
export interface CachedLookupOptions<T> {
  readonly clock: Clock;
  /** How long a value stays fresh. A stale value is looked up again at the next read. */
  readonly freshMs: number;
  /** How long a stale value is still returned while the lookup runs. `Infinity`: until a new value arrives. */
  readonly graceMs: (value: T) => number;
  /** Looks the value up. Rejects only when the signal aborts. */
  readonly find: (signal: AbortSignal) => Promise<LookupResult<T>>;
}

/** Keeps the last value and refreshes it in the background, one lookup at a time. */
export class CachedLookup<T> {
  readonly #options: CachedLookupOptions<T>;
  readonly #stop = new AbortController();
  #known: { readonly value: T; readonly freshUntilMs: number } | undefined;
  #inHand: Promise<void> | undefined;
  /** Number of {@link CachedLookup.expire} calls: a lookup that began before one gives a stale value. */
  #expiries = 0;

  constructor(options: CachedLookupOptions<T>) {
    this.#options = options;
  }

  /**
   * Returns the value if it is fresh or within its grace, else `undefined`. Starts a lookup if it is stale. Never
   * waits for IO.
   */
  current(): T | undefined {
    const known = this.#known;
    if (known !== undefined && this.freshForMs() > 0) return known.value;
    this.#startLookup();
    if (known === undefined) return undefined;
    return -this.freshForMs() < this.#options.graceMs(known.value) ? known.value : undefined;
  }

  /** Marks the value as stale, including the result of a running lookup. Call it when something it depends on has changed. */
  expire(): void {
    this.#expiries++;
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#known) this.#known = { ...this.#known, freshUntilMs: Math.min(this.#known.freshUntilMs, nowMs) };
  }

  /** Returns how long the value stays fresh, in milliseconds; 0 or less if it is stale or not known. */
  freshForMs(): number {
    return this.#known === undefined ? 0 : this.#known.freshUntilMs - this.#options.clock.monotonicMs();
  }

  /** Resolves once the value is fresh or its lookup has ended. Starts the lookup if needed. */
  async whenKnown(): Promise<void> {
    this.current();
    await this.#inHand;
  }

  /** Aborts the running lookup and waits for it to end. No lookup starts afterwards. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#inHand;
  }

  #startLookup(): void {
    if (this.#stop.signal.aborted) return;
    this.#inHand ??= this.#lookUp().finally(() => this.#inHand = undefined);
  }

  async #lookUp(): Promise<void> {
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

/**
 * Settles like the promise, or rejects with the signal's reason as soon as the signal aborts. It does not cancel the work
 * behind the promise: a Redis call cannot be cancelled and ends by its own timeout.
 */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
