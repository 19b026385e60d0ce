/** This service's engine in this process, with nothing that holds it back. */
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { createEngine, type EngineOptions } from "../../testkit/engine.ts";
import type { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench } from "../harness/family.ts";
import { type Drainer, spend } from "./drainer.ts";

/** As it is shipped, but for gates, pace and batch size. */
const AS_SHIPPED: Partial<Settings> = {
  chunkMessages: DEFAULT_SETTINGS.chunkMessages,
  leaderElection: DEFAULT_SETTINGS.leaderElection,
};
const COMMAND_TIMEOUT_MS = 5_000;

/** Drains in one cycle. `entry`: what the sources file says of the source; default: nothing. */
export function createOurs(
  redis: BenchRedis,
  { signal }: Bench,
  { settings = {}, ...options }: Pick<EngineOptions, "settings" | "entry"> = {},
): Drainer {
  return {
    ...{ name: "ours", isSlow: false, judges: true },
    async drain() {
      await using engine = createEngine(redis, {
        ...options,
        settings: { ...AS_SHIPPED, ...settings },
        commandTimeoutMs: COMMAND_TIMEOUT_MS,
      });
      await engine.connections.waitUntilReady(COMMAND_TIMEOUT_MS);
      return await spend(async () => void await engine.turn({ begin: "now", signal }));
    },
  };
}
