/** Logs when an outage begins, when its cause changes, and, at its end, how long it lasted. Repeats are not logged. */
import type { Log, LogFields } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";

/** A line of the log. The default level is `warning` during an outage and `info` at its end. */
export interface OutageLine {
  readonly level?: "info" | "warning" | "error";
  /** Stable snake_case name. */
  readonly event: string;
  readonly message: string;
  readonly fields?: LogFields;
}

/** An outage that has ended. */
export interface EndedOutage {
  /** The last cause that was logged. */
  readonly cause: string;
  /** How long it lasted, as text: `35 s`, `4 min`. */
  readonly lasted: string;
}

/** Logs the outages of one thing. */
export class OutageLog {
  readonly #deps: { readonly clock: Clock; readonly log: Log };
  #outage: { readonly sinceMs: number; cause: string } | null = null;

  constructor(deps: { readonly clock: Clock; readonly log: Log }) {
    this.#deps = deps;
  }

  /** Returns whether an outage is in progress. */
  isDown(): boolean {
    return this.#outage !== null;
  }

  /** Begins an outage without logging it, if none is in progress. For startup, when nothing is up yet and nothing was lost. */
  begin(): void {
    this.#outage ??= { sinceMs: this.#deps.clock.monotonicMs(), cause: "" };
  }

  /** Records that it is down. Logs the line if an outage begins or its cause changes. */
  down(cause: string, { level = "warning", event, message, fields }: OutageLine): void {
    if (this.#outage?.cause === cause) return;
    this.begin();
    this.#outage!.cause = cause;
    this.#deps.log[level](event, message, fields);
  }

  /** Records that it works. Ends the outage in progress, if any, and logs the line with the field `outage_seconds`. */
  up(describe: (outage: EndedOutage) => OutageLine): void {
    const { clock, log } = this.#deps, outage = this.#outage;
    if (outage === null) return;
    this.#outage = null;
    const outageMs = Math.round(clock.monotonicMs() - outage.sinceMs);
    const { level = "info", event, message, fields } = describe({
      cause: outage.cause,
      lasted: describeDuration(outageMs),
    });
    log[level](event, message, { ...fields, outage_seconds: outageMs / 1_000 });
  }
}

/** Dependencies and texts of a {@link HealthLog}. */
export interface HealthLogOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Event of every line. */
  readonly event: string;
  /** Subject of the lines, e.g. `moog health`. */
  readonly subject: string;
}

/** The result of one health check. */
export interface SeenHealth {
  readonly ok: boolean;
  readonly reason: string;
  readonly detail: string;
}

/** Logs a repeated health check when its reason changes. MUTT's runbooks grep for `Remediation:`, the start of each line. */
export class HealthLog {
  readonly #options: HealthLogOptions;
  readonly #outages: OutageLog;
  #upReason: string | null = null;

  constructor(options: HealthLogOptions) {
    this.#options = options;
    this.#outages = new OutageLog(options);
  }

  /** Records the result of one check. */
  note({ ok, reason, detail }: SeenHealth): void {
    const { log, event, subject } = this.#options, fields = { reason };
    if (!ok) {
      this.#upReason = null;
      const message = `Remediation: ${subject} is down (${reason}): ${detail}`;
      return this.#outages.down(reason, { event, message, fields });
    }
    if (this.#outages.isDown()) {
      this.#outages.up(({ lasted }) => {
        return { event, message: `Remediation: ${subject} is ${reason} again after ${lasted}: ${detail}`, fields };
      });
    } else if (reason !== this.#upReason) {
      log.info(event, `Remediation: ${subject} is ${reason}: ${detail}`, fields);
    }
    this.#upReason = reason;
  }
}

/** Rounds a duration to the largest unit that it holds at least twice: `35 s`, `4 min`, `3 h`, `2 d`. */
export function describeDuration(ms: number): string {
  for (const [unit, unitMs] of [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000]] as const) {
    if (ms >= 2 * unitMs) return `${Math.round(ms / unitMs)} ${unit}`;
  }
  return `${Math.round(ms / 1_000)} s`;
}
