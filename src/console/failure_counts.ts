/**
 * Counts what failed in each DLQ, for all who look at the console. Three details:
 *
 * Only what is looked at is counted, one source at a time. A count of a million messages takes seconds of a processor, so the next one
 * of a source waits for a multiple of the time that the last one took. A page never waits for a count: it shows the last one.
 */
import { groups } from "../operations/groups.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Reader } from "./page.ts";
import type { CountedFailures, FoundGroup, Settled } from "./readings.ts";

/** Groups of a source that are kept. */
const MOST_GROUPS = 12;
/** Shortest time between two counts of a source, in milliseconds. */
const EVERY_MS = 10_000;
/** Multiple of the time that a count took until the next one. */
const REST = 30;

/** What was counted last, and when it is due again. */
interface Count {
  readonly failures: Settled<CountedFailures>;
  readonly dueMs: number;
}

/** Dependencies of {@link FailureCounts}. */
export interface FailureCountsOptions {
  readonly reader: Pick<Reader, "stream">;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/** Counts from the first look until {@link FailureCounts.stop}. */
export class FailureCounts {
  readonly #options: FailureCountsOptions;
  readonly #counts = new Map<string, Count>();
  readonly #stopped = new AbortController();
  #running: Promise<void> | null = null;

  constructor(options: FailureCountsOptions) {
    this.#options = options;
  }

  /** Returns the last count of a source, or why it failed; `null`: the first one has not ended. Never waits. */
  latest(source: string): Settled<CountedFailures> | null {
    const known = this.#counts.get(source);
    const isDue = !known || this.#options.clock.monotonicMs() >= known.dueMs;
    if (isDue && !this.#running && !this.#stopped.signal.aborted) {
      this.#running = this.#count(source).finally(() => this.#running = null);
    }
    return known?.failures ?? null;
  }

  /** Ends the count under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  /** Never rejects. */
  async #count(source: string): Promise<void> {
    const { clock } = this.#options, beganMs = clock.monotonicMs();
    const failures = await this.#read(source).catch((error) =>
      error instanceof Error ? error : new Error(String(error))
    );
    if (failures === null) return;
    const endedMs = clock.monotonicMs();
    this.#counts.set(source, { failures, dueMs: endedMs + Math.max(EVERY_MS, REST * (endedMs - beganMs)) });
  }

  /** Returns `null` if the count was stopped. */
  async #read(source: string): Promise<CountedFailures | null> {
    const list = "dlq", maxAge = EVERY_MS / 1_000, found: FoundGroup[] = [];
    const items = this.#options.reader.stream(groups, { source, list, top: MOST_GROUPS, maxAge }, this.#stopped.signal);
    for await (const item of items) {
      if (item.kind === "group") {
        const { group, reason, text, count, firstSeen, lastSeen, trend } = item;
        found.push({ source, list, group, reason, text, count, firstSeen, lastSeen, trend });
      }
      if (item.kind !== "end") continue;
      const { matched, countedAt, sampled, isComplete } = item;
      return isComplete ? { groups: found, matched, countedAt, isSampled: sampled } : null;
    }
    return null;
  }
}
