/** Deletes the records of one source whose time is over, also while nothing moves. Every instance does it: it is safe to repeat. */
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Metrics } from "../observability/metrics.ts";
import { StoreError } from "../redis/errors.ts";
import type { RecordStore } from "../redis/record_store.ts";
import type { Clock } from "../runtime/clock.ts";

/** Pause between two runs, and between two calls of a run, in milliseconds: Redis has other work. */
const PERIOD_MS = 60_000, AGAIN_MS = 20;

/** Dependencies of a {@link RecordTrim}. */
export interface RecordTrimDeps {
  readonly store: Pick<RecordStore, "trim">;
  readonly source: string;
  readonly isReady: () => boolean;
  readonly metrics: Pick<Metrics, "records">;
  readonly clock: Clock;
  readonly onRedisError: (error: unknown) => void;
}

/** Trims every minute, and shows how many records there are. */
export class RecordTrim extends PeriodicTask {
  readonly #deps: RecordTrimDeps;

  constructor(deps: RecordTrimDeps) {
    super(deps);
    this.#deps = deps;
  }

  protected override async run(): Promise<RunResult> {
    const { store, source, isReady, metrics, clock, onRedisError } = this.#deps;
    if (!isReady()) return "skipped";
    try {
      while (!this.stopping.aborted) {
        const { kept, hasMore } = await store.trim();
        metrics.records.set({ source }, kept);
        if (!hasMore) break;
        await clock.sleep(AGAIN_MS, this.stopping);
      }
      return "done";
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      onRedisError(error);
      return "failed";
    }
  }

  protected override intervalMs(): number {
    return PERIOD_MS;
  }
}
