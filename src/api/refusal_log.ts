/** Logs refused requests without letting a client fill the log. */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ProblemCode } from "./problem.ts";

/** Lines a minute; the rest are counted. */
const LINES = 20, PERIOD_MS = 60_000;

/** A refused request. */
export interface Refusal {
  /** Template of its path. */
  readonly route: string;
  readonly status: number;
  readonly code: ProblemCode;
  readonly correlationId: string;
  readonly address: string;
  /** The caller's name; `null` if it is not known. */
  readonly actor: string | null;
}

/** Refusals that are a normal part of using the API. */
const EXPECTED: readonly ProblemCode[] = ["stale", "conflict", "not_found", "invalid"];

/** Writes at most {@link LINES} lines a minute. */
export class RefusalLog {
  readonly #deps: { readonly clock: Pick<Clock, "monotonicMs">; readonly log: Log };
  #beganAtMs = -Infinity;
  #count = 0;

  constructor(deps: { readonly clock: Pick<Clock, "monotonicMs">; readonly log: Log }) {
    this.#deps = deps;
  }

  /** Logs a refusal: WARNING, or DEBUG if it is a normal part of using the API. */
  note({ route, status, code, correlationId, address, actor }: Refusal): void {
    const { clock, log } = this.#deps, nowMs = clock.monotonicMs();
    const fields = { correlation_id: correlationId, route, status, code, address, actor };
    if (EXPECTED.includes(code)) return log.debug("api_refused", `Refused: ${code}`, fields);
    if (nowMs - this.#beganAtMs >= PERIOD_MS) {
      const left = this.#count - LINES;
      if (left > 0) {
        log.warning("api_refusals_dropped", `${left} more requests were refused in the last minute`, { left });
      }
      this.#beganAtMs = nowMs;
      this.#count = 0;
    }
    if (++this.#count <= LINES) log.warning("api_refused", `Refused: ${code}`, fields);
  }
}
