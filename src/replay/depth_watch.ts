/** Measures a source's queues and the age of its oldest message, whether or not anything moves. */
import type { RedisClient } from "../redis/cluster.ts";
import { timestampOf } from "../domain/preview.ts";
import type { SourcePolicy } from "../domain/source.ts";
import type { Metrics, QueueRole } from "../observability/metrics.ts";
import type { DeadLetterStore } from "../redis/dead_letter_store.ts";
import type { Clock } from "../runtime/clock.ts";
import { Watch } from "./watch.ts";

/** How often the queues are measured. */
const PERIOD_MS = 5_000;
/** How long the oldest message is remembered while nothing of ours moves (others may pop it), in milliseconds. */
const REREAD_MS = 600_000;
/** A message over this size is not read for its age. */
const MAX_READ_BYTES = 65_536;

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
  /** Age of the oldest message, 0 where there is none. */
  readonly oldestAgeMs: number;
}

/** Sets `queue_depth`, `dlq_depth` and `oldest_age_seconds` every few seconds. Failures leave the last values. */
export class DepthWatch extends Watch {
  readonly #policy: SourcePolicy;
  readonly #deps: {
    readonly redis: RedisClient;
    readonly store: DeadLetterStore;
    readonly queues: readonly { name: string; role: QueueRole }[];
    readonly metrics: Metrics;
    readonly clock: Clock;
    readonly onMeasured: (measurement: Measurement) => void;
  };
  #oldest: Oldest | null = null;

  constructor(
    policy: SourcePolicy,
    deps: {
      redis: RedisClient;
      store: DeadLetterStore;
      queues: readonly { name: string; role: QueueRole }[];
      metrics: Metrics;
      clock: Clock;
      onMeasured: (measurement: Measurement) => void;
    },
  ) {
    super(deps.clock);
    this.#policy = policy;
    this.#deps = deps;
  }

  async look(): Promise<void> {
    // What Redis refuses here it refuses the replay as well, where it is counted and told.
    await this.#measure().catch(() => {});
  }

  protected periodMs(): number {
    return PERIOD_MS;
  }

  async #measure(): Promise<void> {
    const { redis, queues, metrics, onMeasured } = this.#deps;
    const source = this.#policy.name;
    const depths = await Promise.all(queues.map(({ name }) => redis.llen(name)));
    queues.forEach(({ name: queue, role }, i) => metrics.queueDepth.set({ source, queue, role }, depths[i]!));
    metrics.dlqDepth.set({ dlq_name: this.#policy.dlq }, depths[0]!);
    if (depths[0] === 0) this.#oldest = null;
    const ageSeconds = depths[0] === 0 ? 0 : await this.#oldestAgeSeconds();
    metrics.oldestAge.set({ source }, ageSeconds);
    onMeasured({ depth: depths[0]!, oldestAgeMs: ageSeconds * 1_000 });
  }

  /**
   * Age by the oldest message's own time, else by when it was first seen. It is read again only when something has moved, and
   * a large one only every ten minutes: reading it holds Redis up.
   */
  async #oldestAgeSeconds(): Promise<number> {
    const { store, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const { record: { sequence } } = await store.peek();
    const known = this.#oldest;
    const isKnown = known !== null && nowMs - known.readAtMs < REREAD_MS &&
      (known.sequence === sequence || known.isLarge);
    if (!isKnown) {
      const { messages: [message], oversize } = await store.look({
        messages: 1,
        bytes: 1,
        messageBytes: MAX_READ_BYTES,
      });
      const isSame = known !== null && known.bytes === (message?.length ?? oversize?.bytes ?? 0);
      this.#oldest = {
        sequence,
        bytes: message?.length ?? oversize?.bytes ?? 0,
        isLarge: !message,
        sinceMs: (message && timestampOf(message)) ?? (isSame ? known.sinceMs : nowMs),
        readAtMs: nowMs,
      };
    }
    return Math.max(0, (nowMs - this.#oldest!.sinceMs) / 1_000);
  }
}

/** The oldest message as it was last read. */
interface Oldest {
  readonly sequence: string;
  readonly bytes: number;
  /** Over {@link MAX_READ_BYTES}: described, not read. */
  readonly isLarge: boolean;
  readonly sinceMs: number;
  readonly readAtMs: number;
}
