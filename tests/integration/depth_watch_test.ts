/** What the watch of a queue costs Redis where messages are large. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { createEngine, DLQ } from "../../testkit/engine.ts";
import { withRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

/** How often a message was read so far. */
async function readsOf(redis: Redis): Promise<number> {
  return Number(/cmdstat_lindex:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
}

withRedis(
  "DepthWatch: does not read a large message again while nothing changes, and at once when something does",
  async (server) => {
    const redis = server.client();
    await using engine = createEngine(server);
    await engine.connections.waitUntilReady(PATIENT_MS);
    const [watch] = engine.source.watches;
    await redis.lpush(DLQ, JSON.stringify({ timestamp: "2026-01-01T00:00:00Z", message: "x".repeat(100_000) }));
    await watch!.runOnce();
    const first = engine.source.oldest();
    assert.equal(first?.eventAtMs, null, "too large to be read for its time");
    const reads = await readsOf(redis);
    for (let i = 0; i < 5; i++) await watch!.runOnce();
    assert.equal(await readsOf(redis), reads);
    await redis.lpush(DLQ, JSON.stringify({ timestamp: "2026-01-02T00:00:00Z" }));
    await redis.rpop(DLQ);
    await redis.lpush(DLQ, "{}");
    await watch!.runOnce();
    assert.equal(engine.source.oldest()?.eventAtMs, Date.UTC(2026, 0, 2));
    assert.ok(await readsOf(redis) > reads);
  },
);
