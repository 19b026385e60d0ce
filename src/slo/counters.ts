/** The events of the service level objectives, counted from the start of the process: one account for metrics and windows. */
import { NO_EVENTS, SLO_NAMES, type SloCount, type SloName } from "./objectives.ts";

/** One objective of one source, and what was counted for it. */
export interface SourceSloCount extends SloCount {
  readonly source: string;
  readonly slo: SloName;
}

/** Counters of every objective of every source. They only grow. */
export class SloCounters {
  readonly #counts = new Map<string, Record<SloName, SloCount>>();

  /** Starts a source at 0; one that is there already goes on. */
  addSource(source: string): void {
    if (this.#counts.has(source)) return;
    this.#counts.set(source, Object.fromEntries(SLO_NAMES.map((slo) => [slo, NO_EVENTS])) as Record<SloName, SloCount>);
  }

  /** Forgets a source. */
  removeSource(source: string): void {
    this.#counts.delete(source);
  }

  /** Adds to an objective of a source; of one that was removed nothing is counted any more. */
  add(source: string, slo: SloName, { events = 0, bad = 0 }: Partial<SloCount>): void {
    const counts = this.#counts.get(source);
    if (!counts) return;
    counts[slo] = { events: counts[slo].events + events, bad: counts[slo].bad + bad };
  }

  /** What was counted so far. */
  of(source: string, slo: SloName): SloCount {
    return this.#counts.get(source)?.[slo] ?? NO_EVENTS;
  }

  /** Everything that was counted so far, source by source. */
  all(): SourceSloCount[] {
    return [...this.#counts].flatMap(([source, counts]) => SLO_NAMES.map((slo) => ({ source, slo, ...counts[slo] })));
  }
}
