/** Where the objectives stand: windows over the process's own counters, kept in memory and nowhere else. */
import { SlidingCounts } from "./sliding_counts.ts";
import { samplePeriodMs } from "../config/objective_limits.ts";
import { judgeSlo, SLO_NAMES, type SloName, type SloState, worstState } from "./objectives.ts";
import type { Role } from "../gates/leader.ts";
import type { SloCounters } from "./counters.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import type { SourceIndicators } from "./indicators.ts";

/** The recent window is this part of the whole one: an hour of a day. */
const RECENT = 1 / 24;

/** A source as the monitor sees it. */
export interface MonitoredSource {
  readonly name: string;
  readonly indicators: Pick<SourceIndicators, "sample">;
  /** What this instance is to it. */
  readonly role: () => Role;
}

/** What {@link SloMonitor} needs. */
export interface SloMonitorDeps {
  readonly clock: Clock;
  readonly counters: SloCounters;
  /** The sources that run now. */
  readonly sources: () => readonly MonitoredSource[];
  readonly windowMs: () => number;
  readonly targets: Readonly<Record<SloName, number>>;
  /** What an event is held against, in seconds, where it is a time. */
  readonly thresholdMs: Partial<Readonly<Record<SloName, number>>>;
  readonly podName: string;
}

/** One objective of one source. The first six members are those that MUTT documents (contract §6). */
export interface SloComponent {
  readonly target: number;
  readonly availability: number | null;
  readonly error_budget_remaining: number | null;
  readonly burn_rate: number | null;
  readonly state: SloState;
  readonly window_hours: number;
  /** How much of the window was seen: less than all of it after a start. */
  readonly observed_hours: number;
  /** The burn rate of the last 1/24 of the window: whether it still burns. */
  readonly recent_burn_rate: number | null;
  readonly events: number;
  readonly bad_events: number;
  /** Events without which the state is `insufficient_data`. */
  readonly events_needed: number;
  readonly threshold_seconds?: number;
  readonly source: string;
  readonly slo: SloName;
  /** A standby instance moves nothing, so it counts neither `redrive_success` nor `time_to_drain`. */
  readonly role: Role;
}

/** The answer of `GET /api/v1/slo`. */
export interface SloReport {
  readonly window_hours: number;
  readonly components: Readonly<Record<string, SloComponent>>;
  /** The worst of the components. */
  readonly state: SloState;
  /** The instance that counted: each counts for itself, from its start on. */
  readonly pod: string;
  /** ISO 8601: from when on it counts. */
  readonly since: string;
}

/** Samples the sources while it runs, and reports at any time. */
export class SloMonitor extends PeriodicTask {
  readonly #deps: SloMonitorDeps;
  readonly #since: string;
  /** By source and objective. */
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

  /** How the objectives stand now. Does no IO. */
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

  /** Reads the counters. A source that is new is counted from now on, one that is gone is forgotten. */
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
