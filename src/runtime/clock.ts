/** The only place that reads the time or sets a timer; everything else is handed a {@link Clock}. */

/** Time and timers, injected so that tests can drive them. */
export interface Clock {
  /** Milliseconds since the epoch, by this machine's clock. For people and logs, never for ordering. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start that never jump; for durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms` milliseconds, or at once when the signal aborts (it never rejects). Does not throw. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's own clock. Safe to share between components. */
export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done, { once: true });
    });
  },
};

/** ISO 8601 in UTC with milliseconds, as MUTT's retention reads it: `2026-01-02T03:04:05.678Z`. */
export function toIso(atMs: number): string {
  return new Date(atMs).toISOString();
}
