/** Measures a source's queues and the age of its oldest message, even while nothing moves. */
import type { RedisClient } from "../redis/cluster.ts";
import { pathsOf } from "../message/policy_paths.ts";
import { eventTimeOf } from "../message/preview.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Metrics, QueueRole } from "../observability/metrics.ts";
import { WaitingStore } from "../redis/waiting_store.ts";
import type { Clock } from "../runtime/clock.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { ReplayStore } from "./store.ts";

/** How often the queues are measured, in milliseconds. */
const PERIOD_MS = 5_000;
/** A message over this size, in bytes, is not read for its time. Reading it holds up Redis. */
const LARGE_BYTES = 65_536;
/** If either end of the queue is such a message, it is read again only after this time, in milliseconds, or after a change. */
const LARGE_PERIOD_MS = 600_000;

/** Lists the queues of a source with their roles, each key once. */
export function measuredQueues(
  policy: SourcePolicy,
  downstream: readonly string[],
): { name: string; role: QueueRole }[] {
  const own = [policy.dlq, policy.target, policy.dead];
  return [
    { name: policy.dlq, role: "dlq" as const },
    { name: policy.target, role: "target" as const },
    { name: policy.dead, role: "dead" as const },
    ...downstream.filter((name) => !own.includes(name)).map((name) => ({ name, role: "downstream" as const })),
  ];
}

/** One measurement of a source's dead-letter queue. */
export interface Measurement {
  readonly depth: number;
  /** Time since this service first saw the oldest message in the queue; 0 if the queue is empty. */
  readonly oldestAgeMs: number;
}

/** The oldest message of a dead-letter queue, for display. */
export interface OldestMessage {
  /** Time when it was first seen in the queue, in milliseconds since the epoch, by this machine's clock. */
  readonly sinceMs: number;
  /** Its own timestamp, in milliseconds since the epoch; `null` if it has no valid one. */
  readonly eventAtMs: number | null;
}

/** Sets `queue_depth`, `dlq_depth` and the ages of the oldest message every 5 s. After a failure the last values remain. */
export class DepthWatch extends PeriodicTask {
  readonly #policy: SourcePolicy;
  readonly #deps: {
    readonly redis: RedisClient;
    readonly store: Pick<ReplayStore, "readState">;
    /** The DLQ first. */
    readonly queues: readonly { name: string; role: QueueRole }[];
    readonly metrics: Metrics;
    readonly clock: Clock;
    readonly onMeasured: (measurement: Measurement) => void;
  };
  readonly #waiting: WaitingStore;
  #last: Look | null = null;

  constructor(
    policy: SourcePolicy,
    deps: {
      redis: RedisClient;
      store: Pick<ReplayStore, "readState">;
      queues: readonly { name: string; role: QueueRole }[];
      metrics: Metrics;
      clock: Clock;
      onMeasured: (measurement: Measurement) => void;
    },
  ) {
    super(deps);
    this.#policy = policy;
    this.#deps = deps;
    this.#waiting = new WaitingStore(deps.redis, policy);
  }

  /** Returns the oldest message as last seen; `null` if the queue was empty or was not read yet. Does no IO. */
  oldest(): OldestMessage | null {
    const last = this.#last;
    if (last === null || last.digest === "") return null;
    return { sinceMs: this.#deps.clock.nowMs() - this.#ageMs(last), eventAtMs: last.eventAtMs };
  }

  protected async run(): Promise<void> {
    // If Redis refuses this, it also refuses the replay, which counts and logs the failure.
    await this.#measure().catch(() => {});
  }

  protected intervalMs(): number {
    return PERIOD_MS;
  }

  async #measure(): Promise<void> {
    const { redis, store, queues, metrics, clock, onMeasured } = this.#deps;
    const source = this.#policy.name;
    const [{ record, depth }, ...others] = await Promise.all([
      store.readState(),
      ...queues.slice(1).map(({ name }) => redis.llen(name)),
    ]);
    const depths = [depth, ...others];
    queues.forEach(({ name: queue, role }, i) => metrics.queueDepth.set({ source, queue, role }, depths[i]!));
    metrics.dlqDepth.set({ dlq_name: this.#policy.dlq }, depth);
    // While a job has put the oldest messages on its shelf, the oldest one is still the one that was last seen.
    const isSwept = this.#last !== null && record.job?.list === "dlq" &&
      ["sweep", "restore"].includes(record.job.phase);
    const last = this.#last = isSwept ? this.#last! : await this.#lookAtOldest(depth);
    const oldestAgeMs = this.#ageMs(last);
    metrics.oldestAge.set({ source }, oldestAgeMs / 1_000);
    if (last.eventAtMs === null) metrics.oldestEventAge.remove({ source });
    else metrics.oldestEventAge.set({ source }, (clock.nowMs() - last.eventAtMs) / 1_000);
    onMeasured({ depth, oldestAgeMs });
  }

  async #lookAtOldest(depth: number): Promise<Look> {
    const { store, clock } = this.#deps;
    const last = this.#last, atMs = clock.monotonicMs();
    if (last?.isLarge && last.depth === depth && atMs - last.atMs < LARGE_PERIOD_MS) {
      const { record } = await store.readState();
      if (record.sequence === last.sequence) return last;
    }
    const seen = await this.#waiting.look({ mostBytes: LARGE_BYTES });
    const isSame = last !== null && seen.digest === last.digest;
    const eventAtMs = seen.oldest && eventTimeOf(seen.oldest, clock.nowMs(), pathsOf(this.#policy));
    return {
      ...{ depth: seen.depth, sequence: seen.sequence, digest: seen.digest, atMs },
      isLarge: seen.longestBytes > LARGE_BYTES,
      ageMs: Math.max(0, seen.nowMs - seen.sinceMs),
      eventAtMs: eventAtMs ?? (isSame ? last.eventAtMs : null),
    };
  }

  #ageMs({ digest, ageMs, atMs }: Look): number {
    return digest === "" ? 0 : ageMs + this.#deps.clock.monotonicMs() - atMs;
  }
}

/** One look at a queue. */
interface Look {
  readonly depth: number;
  readonly sequence: string;
  /** Digest of the oldest message; `""` if the queue is empty. */
  readonly digest: string;
  /** Whether looking again is expensive for Redis. */
  readonly isLarge: boolean;
  /** Age of the oldest message at this look. */
  readonly ageMs: number;
  readonly eventAtMs: number | null;
  /** Time of this look, by the monotonic clock. */
  readonly atMs: number;
}
