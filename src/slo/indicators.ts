/** Counts the events of one source's objectives that are samples: what holds when it is looked at (docs/slos.md). */
import { Backlog } from "./backlog.ts";
import type { GateStatus } from "../gates/board.ts";
import { type GateReason, hasTrait } from "../gates/gate.ts";
import type { SloCounters } from "./counters.ts";
import type { Measurement } from "../replay/depth_watch.ts";
import type { Clock } from "../runtime/clock.ts";

/** How long a measurement of the queue holds; they are made every 5 s. */
const FRESH_MS = 15_000;
/** Answers of the gate `downstream` that say nothing of the system behind: nobody has asked it. */
const NOT_ASKED: ReadonlySet<GateReason> = new Set<GateReason<"downstream">>([
  "unknown",
  "no_url",
  "disabled",
  "error",
]);

/** What {@link SourceIndicators} needs. */
export interface SourceIndicatorsDeps {
  readonly counters: SloCounters;
  readonly clock: Clock;
  /** Longest time that a backlog may take to drain. */
  readonly drainMs: number;
  /** Highest age of the oldest dead letter. */
  readonly oldestAgeMs: number;
  /** The last answers of the source's gates. */
  readonly gates: () => readonly Pick<GateStatus, "name" | "open" | "reason">[];
  /** Whether this instance moves the messages: only then it knows how many have left the queue. */
  readonly leads: () => boolean;
  /** Messages that this instance has taken out of the queue so far. */
  readonly moved: () => number;
}

/** The objectives of one source, but for `redrive_success`, which the account of its replays counts. */
export class SourceIndicators {
  readonly #source: string;
  readonly #deps: SourceIndicatorsDeps;
  #measured: (Measurement & { readonly atMs: number }) | null = null;
  #sampledAtMs: number;
  #backlog = new Backlog();

  constructor(source: string, deps: SourceIndicatorsDeps) {
    this.#source = source;
    this.#deps = deps;
    this.#sampledAtMs = deps.clock.monotonicMs();
  }

  /** Takes what was just measured. */
  measured(measurement: Measurement): void {
    const { clock, moved } = this.#deps;
    this.#measured = { ...measurement, atMs: clock.monotonicMs() };
    this.#backlog.measured({ depth: measurement.depth, moved: moved() });
  }

  /** Counts one sample of each objective of which something is known now. Does no IO. */
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
    else if (statuses.every(({ name, open }) => open || !hasTrait(name, "stopsDrainClock"))) {
      this.#backlog.grewOlder(sinceMs);
      this.#count("time_to_drain", this.#backlog.ageMs <= drainMs);
    }
  }

  #count(slo: "downstream_availability" | "oldest_age" | "time_to_drain", isGood: boolean): void {
    this.#deps.counters.add(this.#source, slo, { events: 1, bad: isGood ? 0 : 1 });
  }
}
