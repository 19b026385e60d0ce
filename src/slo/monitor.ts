/** Samples the objectives, and reports their state over the window. */
import { samplePeriodMs } from "../config/objective_limits.ts";
import { judgeSlo, type SloName, type SloState, worstState } from "./objectives.ts";
import type { Role } from "../gates/leader.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import type { SourceIndicators } from "./indicators.ts";
import type { SharedCounts } from "./shared_counts.ts";
import type { WindowCounts } from "./slots.ts";

/** The recent window as a share of the whole window: one hour of a day. */
const RECENT = 1 / 24;

/** A monitored source. */
export interface MonitoredSource {
  readonly name: string;
  /** The objectives that can be judged of it. */
  readonly objectives: readonly SloName[];
  readonly indicators: Pick<SourceIndicators, "sample">;
  readonly sloCounts: Pick<SharedCounts, "over" | "staleSinceMs">;
  /** Role of this instance for the source. */
  readonly role: () => Role;
}

/** Dependencies of {@link SloMonitor}. */
export interface SloMonitorDeps {
  readonly clock: Clock;
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
  /** Part of the window in which an instance has counted; shorter than the window for a new source, or after a pause. */
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
  /** Role of this instance. The counts are those of all instances. */
  readonly role: Role;
  /** Since when Redis could not be read, ISO 8601. Other instances may know more. `null`: the counts are current. */
  readonly stale_since: string | null;
}

/** Response of `GET /api/v1/slo`. */
export interface SloReport {
  readonly window_hours: number;
  readonly components: Readonly<Record<string, SloComponent>>;
  /** Worst state of the components. */
  readonly state: SloState;
  /** The instance that answers. All report the same counts. */
  readonly pod: string;
  /** Start of the earliest count in the window, ISO 8601, by the clock of the Redis server; now, if nothing was counted. */
  readonly since: string;
}

/** Samples the sources periodically and reports their objectives at any time. */
export class SloMonitor extends PeriodicTask {
  readonly #deps: SloMonitorDeps;

  constructor(deps: SloMonitorDeps) {
    super(deps);
    this.#deps = deps;
  }

  /** Takes one sample of each source. */
  protected run(): void {
    for (const { indicators } of this.#deps.sources()) indicators.sample();
  }

  /** Returns the current state of all objectives. Does no IO. */
  report(): SloReport {
    const { clock, sources, podName } = this.#deps, windowMs = this.#deps.windowMs();
    const counted = sources().map((source) => ({
      source,
      whole: source.sloCounts.over(windowMs),
      recent: source.sloCounts.over(windowMs * RECENT),
    }));
    const components = Object.fromEntries(
      counted.flatMap((one) =>
        one.source.objectives.map((slo) =>
          [`${one.source.name}.${slo}`, this.#describe(slo, { ...one, windowMs })] as const
        )
      ),
    );
    return {
      window_hours: toHours(windowMs),
      components,
      state: worstState(Object.values(components).map(({ state }) => state)),
      pod: podName,
      since: toIso(Math.min(clock.nowMs(), ...counted.flatMap(({ whole }) => whole.sinceMs ?? []))),
    };
  }

  protected intervalMs(): number {
    return samplePeriodMs(this.#deps.windowMs());
  }

  #describe(
    slo: SloName,
    { source: { name, role, sloCounts }, whole, recent, windowMs }: {
      source: MonitoredSource;
      whole: WindowCounts;
      recent: WindowCounts;
      windowMs: number;
    },
  ): SloComponent {
    const { targets, thresholdMs } = this.#deps;
    const target = targets[slo], counts = whole.of[slo], verdict = judgeSlo(counts, target);
    const staleSinceMs = sloCounts.staleSinceMs();
    return {
      target,
      availability: verdict.availability,
      error_budget_remaining: verdict.errorBudgetRemaining,
      burn_rate: verdict.burnRate,
      state: verdict.state,
      window_hours: toHours(windowMs),
      observed_hours: toHours(whole.observedMs),
      recent_burn_rate: judgeSlo(recent.of[slo], target).burnRate,
      events: counts.events,
      bad_events: counts.bad,
      events_needed: verdict.eventsNeeded,
      ...(thresholdMs[slo] === undefined ? {} : { threshold_seconds: thresholdMs[slo] / 1_000 }),
      ...{ source: name, slo, role: role() },
      stale_since: staleSinceMs === null ? null : toIso(staleSinceMs),
    };
  }
}

function toHours(ms: number): number {
  return Math.round(ms / 3.6) / 1e6;
}
