/** Logs the state of something watched: only when it changes, and an outage's length at its end. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";

/** What an {@link OutageLog} needs. */
export interface OutageLogOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** The lines' stable event name. */
  readonly event: string;
  /** What the lines speak of, e.g. `moog health`. */
  readonly subject: string;
}

/** A state as it was seen. */
export interface SeenState {
  readonly ok: boolean;
  readonly reason: string;
  readonly detail: string;
}

/** Remembers the last state. The lines begin with `Remediation:`, which MUTT's runbooks grep. */
export class OutageLog {
  readonly #options: OutageLogOptions;
  #reason: string | undefined;
  #downSinceMs: number | undefined;

  constructor(options: OutageLogOptions) {
    this.#options = options;
  }

  /** Notes a state; writes a line if its reason is another one than before. */
  note(state: SeenState): void {
    if (state.reason === this.#reason) return;
    this.#reason = state.reason;
    if (state.ok) this.#noteUp(state);
    else this.#noteDown(state);
  }

  #noteDown({ reason, detail }: SeenState): void {
    const { clock, log, event, subject } = this.#options;
    this.#downSinceMs ??= clock.monotonicMs();
    log.warning(event, `Remediation: ${subject} is down (${reason}): ${detail}`, { reason });
  }

  #noteUp({ reason, detail }: SeenState): void {
    const { clock, log, event, subject } = this.#options;
    const downSinceMs = this.#downSinceMs;
    this.#downSinceMs = undefined;
    if (downSinceMs === undefined) {
      return log.info(event, `Remediation: ${subject} is ${reason}: ${detail}`, { reason });
    }
    const outageSeconds = Math.round((clock.monotonicMs() - downSinceMs) / 1000);
    log.info(event, `Remediation: ${subject} is ${reason} again after ${outageSeconds} s: ${detail}`, {
      reason,
      outage_seconds: outageSeconds,
    });
  }
}
