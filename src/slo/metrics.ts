/** Metrics of the service level objectives: events, bad events and the target of each, by source. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { MeasuredSource, SourceSeries } from "../observability/metrics.ts";
import { SloCounters } from "./counters.ts";
import { objectivesOf, SLO_NAMES, type SloName } from "./objectives.ts";

const LABELS = ["source", "slo"] as const;

/** Exposes the counters and targets of every source at each scrape. Use one instance per registry. */
export class SloMetrics implements SourceSeries {
  /** The exposed counters. */
  readonly counters = new SloCounters();
  readonly #targets: Readonly<Record<SloName, number>>;
  readonly #target = new Gauge({
    name: "mutt_remediation_slo_target",
    help: "Target share of good events of a service level objective.",
    labelNames: LABELS,
    registers: [],
  });

  /** @param targets target shares of good events */
  constructor(targets: Readonly<Record<SloName, number>>) {
    this.#targets = targets;
  }

  register(registry: Registry): void {
    registry.registerMetric(this.#target);
    this.#count(registry, { name: "slo_events_total", help: "Events of a service level objective.", which: "events" });
    this.#count(registry, {
      name: "slo_bad_events_total",
      help: "Bad events of a service level objective.",
      which: "bad",
    });
  }

  addSource({ name: source, gates }: MeasuredSource): void {
    const objectives = objectivesOf(gates);
    this.counters.addSource(source, objectives);
    for (const slo of objectives) this.#target.set({ source, slo }, this.#targets[slo]);
  }

  removeSource(source: string, { keepCounters }: { keepCounters: boolean }): void {
    for (const slo of SLO_NAMES) this.#target.remove({ source, slo });
    if (!keepCounters) this.counters.removeSource(source);
  }

  #count(registry: Registry, { name, help, which }: { name: string; help: string; which: "events" | "bad" }): void {
    const { counters } = this;
    new Counter({
      name: `mutt_remediation_${name}`,
      help,
      labelNames: LABELS,
      registers: [registry],
      collect() {
        this.reset();
        for (const { source, slo, [which]: count } of counters.all()) this.inc({ source, slo }, count);
      },
    });
  }
}
