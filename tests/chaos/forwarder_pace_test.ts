/** The automatic pace beside a forwarder that destroys whatever is over its shared limit (contract §1.4). */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { createEngine } from "../support/engine.ts";
import { type TestRedis, withRedis } from "../support/redis.ts";
import { waitUntil } from "../support/wait.ts";

const { alertQueue, moogDlq, moogRateLimitKey } = DEFAULT_SETTINGS;

/** MUTT's sliding window. ARGV: limit, window in ms, now in ms, member. */
const ADMIT = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3] - ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
return 1`;

interface Limit {
  readonly limit: number;
  readonly periodMs: number;
}

/** Forwarder and live traffic, until stopped. */
class Forwarder implements AsyncDisposable {
  sent = 0;
  readonly destroyed: string[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(redis: TestRedis, { limit, periodMs, livePerPeriod }: Limit & { livePerPeriod: number }) {
    this.#running = Promise.all([
      this.#forward(redis.client(), { limit, periodMs }),
      this.#feed(redis.client(), periodMs / livePerPeriod),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #forward(redis: Redis, { limit, periodMs }: Limit): Promise<void> {
    for (let number = 0; !this.#stop.signal.aborted; number++) {
      const taken = await redis.brpop(alertQueue, 0.1);
      if (!taken) continue;
      const nowMs = Date.now();
      const admitted = await redis.eval(ADMIT, 1, moogRateLimitKey, limit, periodMs, nowMs, `${nowMs}:${number}`);
      if (admitted === 1) this.sent++;
      else this.destroyed.push(taken[1]);
    }
  }

  /** One live alert each `everyMs`, on the dot, whatever the machine does in between. */
  async #feed(redis: Redis, everyMs: number): Promise<void> {
    const startedMs = performance.now();
    for (let fed = 0; !this.#stop.signal.aborted;) {
      const due = Math.floor((performance.now() - startedMs) / everyMs);
      const live = Array.from({ length: Math.min(due - fed, 50) }, (_, i) => `{"live": ${fed + i}}`);
      if (live.length > 0) await redis.lpush(alertQueue, ...live);
      fed += live.length;
      await new Promise((resolve) => setTimeout(resolve, Math.min(everyMs, 5)));
    }
  }
}

for (const [limit, periodMs, backlog] of [[500, 1_000, 600], [1_000, 4_000, 500]] as const) {
  for (const replicas of limit === 500 ? [1, 3] : [3]) {
    const what = `${limit} per ${periodMs / 1_000} s, live traffic at half of it (${replicas} replicas)`;
    withRedis(`pace auto: destroys nothing while it replays at ${what}`, async (redis) => {
      await redis.seedList(
        moogDlq,
        Array.from({ length: backlog }, (_, i) => `{"alert": ${i}, "_moog_retry_count": 6}`),
      );
      const settings: Partial<Settings> = {
        ...{ sources: ["moog"], maxPerSecond: "auto", moogRateLimit: limit, moogRatePeriodSeconds: periodMs / 1_000 },
        ...{ targetMaxDepth: null, breakerEnabled: true, chunkMessages: 200 },
      };
      await using forwarder = new Forwarder(redis, { limit, periodMs, livePerPeriod: limit / 2 });
      // Live traffic first: its first period is what the pace judges by.
      await waitUntil(() => forwarder.sent >= limit / 2, { what: "live traffic flows", timeoutMs: 2 * periodMs });
      const engines = Array.from({ length: replicas }, () => createEngine(redis, { settings }));
      const startedMs = performance.now();
      try {
        await Promise.all(engines.map((engine) => engine.start()));
        const client = redis.client();
        await waitUntil(async () => await client.llen(moogDlq) === 0, {
          what: "the backlog is replayed",
          timeoutMs: 60_000,
        });
        const tookMs = performance.now() - startedMs;
        await waitUntil(async () => await client.llen(alertQueue) < 5, { what: "all was forwarded" });
        assert.deepEqual(forwarder.destroyed, []);
        const leftOver = (0.8 * limit - limit / 2) / periodMs;
        const share = backlog / tookMs / leftOver;
        // Told, not asserted: a busy machine may be slower.
        console.log(`pace auto: ${what}: ${(100 * share).toFixed(0)} % of what was left over`);
      } finally {
        for (const engine of engines) await engine[Symbol.asyncDispose]();
      }
    });
  }
}
