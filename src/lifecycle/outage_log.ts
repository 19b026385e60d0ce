/** Logs outages: when one begins, when its cause changes, and at its end how long it lasted. Repeats are not logged. */
import type { Log, LogFields } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";

/** A line of the log. The default level is `warning` while something is down, and `info` at the end. */
export interface OutageLine {
  readonly level?: "info" | "warning" | "error";
  /** Stable snake_case name. */
  readonly event: string;
  readonly message: string;
  readonly fields?: LogFields;
}

/** An outage that is over. */
export interface EndedOutage {
  /** The last cause that was logged. */
  readonly cause: string;
  /** How long it lasted, for people: `35 s`, `4 min`. */
  readonly lasted: string;
}

/** Follows one thing that may be down. */
export class OutageLog {
  readonly #deps: { readonly clock: Clock; readonly log: Log };
  #outage: { readonly sinceMs: number; cause: string } | null = null;

  constructor(deps: { readonly clock: Clock; readonly log: Log }) {
    this.#deps = deps;
  }

  /** Whether an outage goes on. */
  isDown(): boolean {
    return this.#outage !== null;
  }

  /** Begins an outage without a line, if none goes on: at a start nothing is up yet, and nothing was lost. */
  begin(): void {
    this.#outage ??= { sinceMs: this.#deps.clock.monotonicMs(), cause: "" };
  }

  /** It is down. Logs the line if an outage begins, or if its cause is not the last one. */
  down(cause: string, { level = "warning", event, message, fields }: OutageLine): void {
    if (this.#outage?.cause === cause) return;
    this.begin();
    this.#outage!.cause = cause;
    this.#deps.log[level](event, message, fields);
  }

  /** It works. Ends the outage, if one goes on, and logs the line with the field `outage_seconds`. */
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

/** What a {@link HealthLog} needs. */
export interface HealthLogOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Event of every line. */
  readonly event: string;
  /** What the lines are about, e.g. `moog health`. */
  readonly subject: string;
}

/** Health as a check found it. */
export interface SeenHealth {
  readonly ok: boolean;
  readonly reason: string;
  readonly detail: string;
}

/** Logs the result of a repeated health check when its reason changes. The lines begin with `Remediation:`, which MUTT's runbooks grep. */
export class HealthLog {
  readonly #options: HealthLogOptions;
  readonly #outages: OutageLog;
  #upReason: string | null = null;

  constructor(options: HealthLogOptions) {
    this.#options = options;
    this.#outages = new OutageLog(options);
  }

  /** Takes the result of one check. */
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

/** Rounds a duration to one unit: `35 s`, `4 min`, `3 h`, `2 d`. A unit is used from two of it on. */
export function describeDuration(ms: number): string {
  for (const [unit, unitMs] of [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000]] as const) {
    if (ms >= 2 * unitMs) return `${Math.round(ms / unitMs)} ${unit}`;
  }
  return `${Math.round(ms / 1_000)} s`;
}
