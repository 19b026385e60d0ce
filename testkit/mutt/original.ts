/** The loop of MUTT's own remediation service, rewritten from the contract (§2). */
import type { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { KEYS } from "./keys.ts";
import { judgeAsOriginal } from "./original_rules.ts";
import type { SimClock } from "./sim_clock.ts";
import { closeRedis, openRedis, type Worker, workerOf } from "./worker.ts";

/** Cache time of its probe's answer, and timeout of the probe. */
const HEALTH_CACHE_SECONDS = 60, HEALTH_TIMEOUT_SECONDS = 5;
/** Minimum real time of a local request, with any time compression. */
const MIN_TIMEOUT_MS = 500;

/** Options of the loop. */
export interface OriginalOptions {
  readonly redisUrl: string;
  readonly moogUrl: string;
  readonly clock: SimClock;
  /** `REMEDIATION_INTERVAL`. */
  readonly intervalSeconds: number;
  /** `REMEDIATION_BATCH_SIZE`. */
  readonly batchSize: number;
}

/** Starts the loop. */
export function startOriginal({ redisUrl, moogUrl, clock, intervalSeconds, batchSize }: OriginalOptions): Worker {
  const stopping = new AbortController();
  const { signal } = stopping;
  const redis = openRedis(redisUrl);
  const probe = new Probe(moogUrl, clock);
  const loop = async () => {
    const pacer = clock.pacer();
    while (!signal.aborted) {
      if (await probe.isHealthy()) await replay(redis, { batchSize });
      // Counts from the end of a pass to the start of the next.
      await pacer.sleep(intervalSeconds * 1_000, signal);
    }
  };
  return workerOf(loop().finally(() => closeRedis(redis)), stopping);
}

/** One pass. Pop and push are two commands. A message that raises returns to the tail, where it is next again. */
export async function replay(redis: Redis, { batchSize }: { batchSize: number }): Promise<void> {
  const depth = await redis.llen(KEYS.dlqAlerter);
  for (let i = 0; i < Math.min(batchSize, depth); i++) {
    const message: Buffer | null = await redis.rpopBuffer(KEYS.dlqAlerter);
    if (message === null) return;
    const verdict = judgeAsOriginal(message);
    if (verdict === "put_back") await redis.rpush(KEYS.dlqAlerter, message);
    else await redis.lpush(verdict === "dead" ? KEYS.dead : KEYS.ingest, message);
  }
}

class Probe {
  readonly #url: string;
  readonly #clock: SimClock;
  #last: { readonly healthy: boolean; readonly atMs: number } | undefined;

  constructor(url: string, clock: SimClock) {
    this.#url = url;
    this.#clock = clock;
  }

  async isHealthy(): Promise<boolean> {
    const nowMs = this.#clock.elapsedMs();
    if (this.#last && nowMs - this.#last.atMs < HEALTH_CACHE_SECONDS * 1_000) return this.#last.healthy;
    const healthy = await this.#ask();
    this.#last = { healthy, atMs: this.#clock.elapsedMs() };
    return healthy;
  }

  async #ask(): Promise<boolean> {
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ source: "MUTT_HEALTH_CHECK", severity: "clear" }),
        signal: AbortSignal.timeout(Math.max(MIN_TIMEOUT_MS, this.#clock.realMs(HEALTH_TIMEOUT_SECONDS * 1_000))),
      });
      await response.body?.cancel();
      return [200, 201, 202].includes(response.status);
    } catch {
      return false;
    }
  }
}
