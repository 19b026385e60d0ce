/** Counts the events of the service level objectives since the process started, for the metrics. */
import { NO_EVENTS, SLO_NAMES, type SloCount, type SloName } from "./objectives.ts";

/** The count of one objective of one source. */
export interface SourceSloCount extends SloCount {
  readonly source: string;
  readonly slo: SloName;
}

/** Counts events by source and objective. Counters only grow. */
export class SloCounters {
  readonly #counts = new Map<string, Record<SloName, SloCount>>();

  /** Adds a source at 0. A known source keeps its counts. */
  addSource(source: string): void {
    if (this.#counts.has(source)) return;
    this.#counts.set(source, Object.fromEntries(SLO_NAMES.map((slo) => [slo, NO_EVENTS])) as Record<SloName, SloCount>);
  }

  /** Removes a source. */
  removeSource(source: string): void {
    this.#counts.delete(source);
  }

  /** Adds events to an objective of a source. Ignores a removed source. */
  add(source: string, slo: SloName, { events = 0, bad = 0 }: Partial<SloCount>): void {
    const counts = this.#counts.get(source);
    if (!counts) return;
    counts[slo] = { events: counts[slo].events + events, bad: counts[slo].bad + bad };
  }

  /** Returns the count of one objective of a source. */
  of(source: string, slo: SloName): SloCount {
    return this.#counts.get(source)?.[slo] ?? NO_EVENTS;
  }

  /** Returns all counts, source by source. */
  all(): SourceSloCount[] {
    return [...this.#counts].flatMap(([source, counts]) => SLO_NAMES.map((slo) => ({ source, slo, ...counts[slo] })));
  }
}
