/** Measures a source's queues and the age of its oldest message, whether or not anything moves. */
import type { RedisClient } from "../redis/cluster.ts";
import { eventTimeOf } from "../message/preview.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Metrics, QueueRole } from "../observability/metrics.ts";
import { WaitingStore } from "../redis/waiting_store.ts";
import type { Clock } from "../runtime/clock.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { ReplayStore } from "./store.ts";

/** How often the queues are measured. */
const PERIOD_MS = 5_000;
/** A message over this size is not asked for its time; to look at one at all holds Redis up. */
const LARGE_BYTES = 65_536;
/** So, where either end of the queue is one, it is not looked at again for so long while nothing seems to change. */
const LARGE_PERIOD_MS = 600_000;

/** Every queue that belongs to a source, with its role; each key once. */
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

/** A source's dead-letter queue as it was measured. */
export interface Measurement {
  readonly depth: number;
  /** How long the oldest message has waited in the queue, as far as this service has seen; 0 where there is none. */
  readonly oldestAgeMs: number;
}

/** The oldest message of a dead-letter queue, for people. */
export interface OldestMessage {
  /** When it was first seen in the queue; milliseconds since the epoch, by this machine's clock. */
  readonly sinceMs: number;
  /** The time that it gives of itself; `null`: none that is understood. */
  readonly eventAtMs: number | null;
}

/** Sets `queue_depth`, `dlq_depth` and the ages of the oldest message every few seconds. Failures leave the last values. */
export class DepthWatch extends PeriodicTask {
  readonly #policy: SourcePolicy;
  readonly #deps: {
    readonly redis: RedisClient;
    readonly store: Pick<ReplayStore, "readState">;
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
    this.#waiting = new WaitingStore(deps.redis, policy.dlq);
  }

  /** The oldest message as it was last seen; `null` where there is none, or nothing was seen yet. Does no IO. */
  oldest(): OldestMessage | null {
    const last = this.#last;
    if (last === null || last.digest === "") return null;
    return { sinceMs: this.#deps.clock.nowMs() - this.#ageMs(last), eventAtMs: last.eventAtMs };
  }

  protected async run(): Promise<void> {
    // Whatever Redis refuses here, it also refuses the replay, which counts and logs it.
    await this.#measure().catch(() => {});
  }

  protected intervalMs(): number {
    return PERIOD_MS;
  }

  async #measure(): Promise<void> {
    const { redis, queues, metrics, clock, onMeasured } = this.#deps;
    const source = this.#policy.name;
    const depths = await Promise.all(queues.map(({ name }) => redis.llen(name)));
    queues.forEach(({ name: queue, role }, i) => metrics.queueDepth.set({ source, queue, role }, depths[i]!));
    metrics.dlqDepth.set({ dlq_name: this.#policy.dlq }, depths[0]!);
    const last = this.#last = await this.#lookAtOldest(depths[0]!);
    const oldestAgeMs = this.#ageMs(last);
    metrics.oldestAge.set({ source }, oldestAgeMs / 1_000);
    if (last.eventAtMs === null) metrics.oldestEventAge.remove({ source });
    else metrics.oldestEventAge.set({ source }, (clock.nowMs() - last.eventAtMs) / 1_000);
    onMeasured({ depth: depths[0]!, oldestAgeMs });
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
    const eventAtMs = seen.oldest && eventTimeOf(seen.oldest, clock.nowMs());
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

/** A queue as it was looked at. */
interface Look {
  readonly depth: number;
  readonly sequence: string;
  /** Of the oldest message; `""`: there is none. */
  readonly digest: string;
  /** Whether it costs Redis much to look again. */
  readonly isLarge: boolean;
  /** How long the oldest message had waited. */
  readonly ageMs: number;
  readonly eventAtMs: number | null;
  /** By the monotonic clock. */
  readonly atMs: number;
}
