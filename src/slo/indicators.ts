/** Counts the sampled events of one source's objectives: the state at each sample (docs/slos.md). */
import { Backlog } from "./backlog.ts";
import type { GateStatus } from "../gates/board.ts";
import { type GateReason, hasTrait } from "../gates/gate.ts";
import type { Measurement } from "../replay/depth_watch.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SloCount, SloName } from "./objectives.ts";

/** How long a measurement of the queue is valid, in milliseconds. Measurements come every 5 s. */
const FRESH_MS = 15_000;
/** Answers of the gate `downstream` without a probe result, or in the simulated outage of a drill, which say nothing about Moogsoft. */
const NOT_ASKED: ReadonlySet<GateReason> = new Set<GateReason<"downstream">>([
  "unknown",
  "no_url",
  "disabled",
  "error",
  "drill",
]);

/** Dependencies of {@link SourceIndicators}. */
export interface SourceIndicatorsDeps {
  /** Counts a sample. */
  readonly count: (slo: SloName, counts: SloCount) => void;
  readonly clock: Clock;
  /** Longest time that a backlog may take to drain, in milliseconds. */
  readonly drainMs: number;
  /** Maximum age of the oldest dead letter, in milliseconds. */
  readonly oldestAgeMs: number;
  /** Returns the last answers of the source's gates. */
  readonly gates: () => readonly Pick<GateStatus, "name" | "open" | "reason">[];
  /** Whether this instance is the leader. Only the leader knows how many messages have left the queue. */
  readonly leads: () => boolean;
  /** Messages that this instance has moved out of the queue so far. */
  readonly moved: () => number;
}

/** Samples the objectives of one source, except `redrive_success`, which the account of its replays counts. */
export class SourceIndicators {
  readonly #deps: SourceIndicatorsDeps;
  #measured: (Measurement & { readonly atMs: number }) | null = null;
  #sampledAtMs: number;
  #backlog = new Backlog();

  constructor(deps: SourceIndicatorsDeps) {
    this.#deps = deps;
    this.#sampledAtMs = deps.clock.monotonicMs();
  }

  /** Takes a new measurement of the queue. */
  measured(measurement: Measurement): void {
    const { clock, moved } = this.#deps;
    this.#measured = { ...measurement, atMs: clock.monotonicMs() };
    this.#backlog.measured({ depth: measurement.depth, moved: moved() });
  }

  /** Counts one sample of each objective with current data. Does no IO. */
  sample(): void {
    const { clock, gates, leads, drainMs, oldestAgeMs } = this.#deps;
    const nowMs = clock.monotonicMs();
    const sinceMs = Math.min(nowMs - this.#sampledAtMs, FRESH_MS);
    this.#sampledAtMs = nowMs;
    const statuses = gates();
    const downstream = statuses.find(({ name }) => name === "downstream");
    if (downstream && !NOT_ASKED.has(downstream.reason)) this.#count("downstream_availability", downstream.open);
    const known = this.#measured;
    if (!known || nowMs - known.atMs > FRESH_MS) return;
    this.#count("oldest_age", known.oldestAgeMs <= oldestAgeMs);
    if (!leads()) this.#backlog = new Backlog();
    else if (!statuses.some(isClockStopped)) {
      this.#backlog.grewOlder(sinceMs);
      this.#count("time_to_drain", this.#backlog.ageMs <= drainMs);
    }
  }

  #count(slo: "downstream_availability" | "oldest_age" | "time_to_drain", isGood: boolean): void {
    this.#deps.count(slo, { events: 1, bad: isGood ? 0 : 1 });
  }
}

/** Whether the backlog cannot drain because of this gate. A drill stops the clock, whichever gate it holds. */
function isClockStopped({ name, open, reason }: Pick<GateStatus, "name" | "open" | "reason">): boolean {
  return !open && (hasTrait(name, "stopsDrainClock") || reason === "drill");
}
