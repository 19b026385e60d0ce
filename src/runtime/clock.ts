/** The only module that reads the time or sets timers. All others receive a {@link Clock}. */

/** Time and timers, injected so that tests can control them. */
export interface Clock {
  /** Milliseconds since the epoch, by the machine's clock. For logs and display only, never for ordering. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start; never jumps. For durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms` milliseconds, or at once if the signal aborts. Never rejects. */
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

/** Formats a time as ISO 8601 in UTC with milliseconds, as MUTT's retention expects: `2026-01-02T03:04:05.678Z`. */
export function toIso(atMs: number): string {
  return new Date(atMs).toISOString();
}
