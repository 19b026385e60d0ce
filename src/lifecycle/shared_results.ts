/** Shares slow results among callers: one computation at a time for each key, one result for all. */
import type { Clock } from "../runtime/clock.ts";
import { unlessAborted } from "./cached_lookup.ts";

/** A result, and when its computation began. */
export interface SharedResult<T> {
  readonly value: T;
  readonly beganAtMs: number;
}

/** How to get a result. */
export interface SharedRequest<T> {
  /** Largest age of a result, from the beginning of its computation, in milliseconds. One that is under way is always taken. */
  readonly maxAgeMs: number;
  /** Abort to stop waiting. */
  readonly signal: AbortSignal;
  /** Computes the result; `null` if the signal was aborted meanwhile. */
  readonly compute: () => Promise<T | null>;
}

/**
 * Keeps the last result of each key. The first caller that finds it too old computes a new one, and later callers wait for that. If
 * the computation is aborted, one of the waiting callers starts another.
 */
export class SharedResults<T> {
  readonly #clock: Pick<Clock, "nowMs" | "monotonicMs">;
  readonly #known = new Map<string, { readonly result: SharedResult<T>; readonly beganMs: number }>();
  readonly #running = new Map<string, Promise<SharedResult<T> | null>>();

  constructor({ clock }: { clock: Pick<Clock, "nowMs" | "monotonicMs"> }) {
    this.#clock = clock;
  }

  /** Returns `null` if the signal was aborted first. Rejects as the computation does. Use few keys: each keeps a result. */
  async get(key: string, request: SharedRequest<T>): Promise<SharedResult<T> | null> {
    const { maxAgeMs, signal } = request;
    while (!signal.aborted) {
      const known = this.#known.get(key);
      if (known && this.#clock.monotonicMs() - known.beganMs <= maxAgeMs) return known.result;
      const running = this.#running.get(key);
      if (!running) return await this.#compute(key, request);
      const result = await unlessAborted(running, signal).catch((error) => {
        if (signal.aborted) return null;
        throw error;
      });
      if (result) return result;
    }
    return null;
  }

  async #compute(key: string, { compute }: SharedRequest<T>): Promise<SharedResult<T> | null> {
    const beganMs = this.#clock.monotonicMs(), beganAtMs = this.#clock.nowMs();
    const running = compute().then((value) => {
      if (value === null) return null;
      const result = { value, beganAtMs };
      this.#known.set(key, { result, beganMs });
      return result;
    }).finally(() => this.#running.delete(key));
    this.#running.set(key, running);
    return await running;
  }
}
