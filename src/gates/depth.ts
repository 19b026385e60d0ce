/** Gate `depth`: open while the downstream queues together hold fewer messages than the limit. */
import type { RedisClient } from "../redis/cluster.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Gate } from "./gate.ts";

/** The gate's last reading, for the commit's own check and for metrics. */
export interface DepthReading {
  /** Length of each queue, in the order given. */
  readonly depths: readonly number[];
  /** Limit for their sum; `null` if there is no limit. */
  readonly limit: number | null;
}

/** The gate, and its last reading. */
export interface DepthGate extends Gate<"depth"> {
  last(): DepthReading | null;
}

/**
 * Creates the gate. Its room is the limit minus the sum of the queues' lengths (one LLEN each). `limit()` returns the limit,
 * where 0 means no limit, and the name of the setting that decides it.
 */
export function createDepthGate(
  redis: RedisClient,
  { queues, limit, onRedisError }: {
    queues: readonly string[];
    limit: () => { limit: number; decidedBy: string };
    onRedisError?: (error: unknown) => void;
  },
): DepthGate {
  let last: DepthReading | null = null;
  return {
    name: "depth",
    last: () => last,
    async ask() {
      const { limit: most, decidedBy } = limit();
      try {
        const depths = await Promise.all(queues.map((queue) => redis.llen(queue)));
        last = { depths, limit: most === 0 ? null : most };
        const sum = depths.reduce((a, b) => a + b, 0);
        if (most === 0) return { open: true, reason: "no_limit", detail: `${decidedBy} is 0` };
        const detail = `${queues.join(" + ")} ${
          queues.length === 1 ? "holds" : "hold"
        } ${sum} messages of at most ${most} (${decidedBy})`;
        return sum < most
          ? { open: true, reason: "room", detail, room: most - sum }
          : { open: false, reason: "over_limit", detail, retryInMs: 250 };
      } catch (error) {
        last = null;
        onRedisError?.(error);
        const detail = `could not read the length of ${queues.join(" and ")} (${redisErrorCode(error)})`;
        return { open: false, reason: "unknown", detail, retryInMs: 1_000 };
      }
    },
  };
}
