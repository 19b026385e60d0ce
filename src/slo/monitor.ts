/** Reports the state of the objectives: windows over the process's own counters, kept in memory only. */
import { SlidingCounts } from "./sliding_counts.ts";
import { samplePeriodMs } from "../config/objective_limits.ts";
import { judgeSlo, SLO_NAMES, type SloName, type SloState, worstState } from "./objectives.ts";
import type { Role } from "../gates/leader.ts";
import type { SloCounters } from "./counters.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import type { SourceIndicators } from "./indicators.ts";

/** The recent window as a share of the whole window: one hour of a day. */
const RECENT = 1 / 24;

/** A monitored source. */
export interface MonitoredSource {
  readonly name: string;
  readonly indicators: Pick<SourceIndicators, "sample">;
  /** Role of this instance for the source. */
  readonly role: () => Role;
}

/** Dependencies of {@link SloMonitor}. */
export interface SloMonitorDeps {
  readonly clock: Clock;
  readonly counters: SloCounters;
  /** Returns the running sources. */
  readonly sources: () => readonly MonitoredSource[];
  readonly windowMs: () => number;
  readonly targets: Readonly<Record<SloName, number>>;
  /** Threshold in milliseconds of each objective that is a time. */
  readonly thresholdMs: Partial<Readonly<Record<SloName, number>>>;
  readonly podName: string;
}

/** State of one objective of one source. MUTT documents the first six members (contract §6). */
export interface SloComponent {
  readonly target: number;
  readonly availability: number | null;
  readonly error_budget_remaining: number | null;
  readonly burn_rate: number | null;
  readonly state: SloState;
  readonly window_hours: number;
  /** Observed part of the window; shorter than the window after a start. */
  readonly observed_hours: number;
  /** Burn rate over the last 1/24 of the window: shows whether the budget still burns. */
  readonly recent_burn_rate: number | null;
  readonly events: number;
  readonly bad_events: number;
  /** Minimum number of events; with fewer the state is `insufficient_data`. */
  readonly events_needed: number;
  readonly threshold_seconds?: number;
  readonly source: string;
  readonly slo: SloName;
  /** Role of this instance. A standby moves nothing, so it counts neither `redrive_success` nor `time_to_drain`. */
  readonly role: Role;
}

/** Response of `GET /api/v1/slo`. */
export interface SloReport {
  readonly window_hours: number;
  readonly components: Readonly<Record<string, SloComponent>>;
  /** Worst state of the components. */
  readonly state: SloState;
  /** The instance that counted. Each instance counts on its own, from its start. */
  readonly pod: string;
  /** Start of counting, ISO 8601. */
  readonly since: string;
}

/** Samples the sources periodically and reports their objectives at any time. */
export class SloMonitor extends PeriodicTask {
  readonly #deps: SloMonitorDeps;
  readonly #since: string;
  /** Counts by source and objective. */
  readonly #series = new Map<string, Map<SloName, SlidingCounts>>();

  constructor(deps: SloMonitorDeps) {
    super(deps);
    this.#deps = deps;
    this.#since = toIso(deps.clock.nowMs());
    this.#note();
  }

  /** Takes one sample of each source. */
  protected run(): void {
    for (const { indicators } of this.#deps.sources()) indicators.sample();
    this.#note();
  }

  /** Returns the current state of all objectives. Does no IO. */
  report(): SloReport {
    this.#note();
    const windowMs = this.#deps.windowMs();
    const components = Object.fromEntries(
      this.#deps.sources().flatMap((source) =>
        SLO_NAMES.map((slo) => [`${source.name}.${slo}`, this.#describe(source, { slo, windowMs })] as const)
      ),
    );
    return {
      window_hours: toHours(windowMs),
      components,
      state: worstState(Object.values(components).map(({ state }) => state)),
      pod: this.#deps.podName,
      since: this.#since,
    };
  }

  protected intervalMs(): number {
    return samplePeriodMs(this.#deps.windowMs());
  }

  /** Reads the counters. Starts counting new sources and drops removed ones. */
  #note(): void {
    const { clock, counters, sources, windowMs } = this.#deps;
    const nowMs = clock.monotonicMs(), names = new Set(sources().map(({ name }) => name));
    for (const name of this.#series.keys()) if (!names.has(name)) this.#series.delete(name);
    for (const name of names) {
      const known = this.#series.get(name);
      if (!known) {
        this.#series.set(
          name,
          new Map(SLO_NAMES.map((slo) => [slo, new SlidingCounts(nowMs, counters.of(name, slo))])),
        );
      } else {
        for (const [slo, counts] of known) counts.note(nowMs, counters.of(name, slo), { windowMs: windowMs() });
      }
    }
  }

  #describe({ name, role }: MonitoredSource, { slo, windowMs }: { slo: SloName; windowMs: number }): SloComponent {
    const { targets, thresholdMs } = this.#deps;
    const counts = this.#series.get(name)!.get(slo)!;
    const whole = counts.over(windowMs), target = targets[slo];
    const verdict = judgeSlo(whole, target);
    return {
      target,
      availability: verdict.availability,
      error_budget_remaining: verdict.errorBudgetRemaining,
      burn_rate: verdict.burnRate,
      state: verdict.state,
      window_hours: toHours(windowMs),
      observed_hours: toHours(Math.min(whole.observedMs, windowMs)),
      recent_burn_rate: judgeSlo(counts.over(windowMs * RECENT), target).burnRate,
      events: whole.events,
      bad_events: whole.bad,
      events_needed: verdict.eventsNeeded,
      ...(thresholdMs[slo] === undefined ? {} : { threshold_seconds: thresholdMs[slo] / 1_000 }),
      ...{ source: name, slo, role: role() },
    };
  }
}

function toHours(ms: number): number {
  return Math.round(ms / 3.6) / 1e6;
}
