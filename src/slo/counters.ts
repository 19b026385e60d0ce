/** Counts the events of the service level objectives since the process started, for the metrics. */
import { NO_EVENTS, type SloCount, type SloName } from "./objectives.ts";

/** The count of one objective of one source. */
export interface SourceSloCount extends SloCount {
  readonly source: string;
  readonly slo: SloName;
}

/** Counts events by source and objective. Counters only grow. */
export class SloCounters {
  readonly #counts = new Map<string, Map<SloName, SloCount>>();

  /** Adds objectives of a source at 0. Those that are known keep their counts. */
  addSource(source: string, objectives: readonly SloName[]): void {
    const known = this.#counts.get(source);
    this.#counts.set(source, new Map(objectives.map((slo) => [slo, known?.get(slo) ?? NO_EVENTS])));
  }

  /** Removes a source. */
  removeSource(source: string): void {
    this.#counts.delete(source);
  }

  /** Adds events to an objective of a source. Ignores a removed source, and an objective that it does not have. */
  add(source: string, slo: SloName, { events = 0, bad = 0 }: Partial<SloCount>): void {
    const counts = this.#counts.get(source), count = counts?.get(slo);
    if (counts && count) counts.set(slo, { events: count.events + events, bad: count.bad + bad });
  }

  /** Returns the count of one objective of a source. */
  of(source: string, slo: SloName): SloCount {
    return this.#counts.get(source)?.get(slo) ?? NO_EVENTS;
  }

  /** Returns all counts, source by source. */
  all(): SourceSloCount[] {
    return [...this.#counts].flatMap(([source, counts]) =>
      [...counts].map(([slo, count]) => ({ source, slo, ...count }))
    );
  }
}
