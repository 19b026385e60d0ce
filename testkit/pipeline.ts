/** A pipeline in miniature for tests of many cycles: replicas of the service, a consumer behind them, time by the tick. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createEngine, DLQ, type Engine, idOf, STATE, TARGET } from "./engine.ts";
import { exhaustedEvent, SHED_THRESHOLD, shedEvent } from "./mutt/alerter_rules.ts";
import type { TestRedis } from "./redis.ts";

/** What the consumer makes of a message: nothing comes back where it is `null`. */
export type Consumer = (message: Buffer) => Uint8Array | null;
export const ACCEPT: Consumer = () => null;
export const FAIL: Consumer = exhaustedEvent;
export const SHED: Consumer = (message) => shedEvent(message, SHED_THRESHOLD + 1);

/** A pipeline in miniature: replicas, the consumer behind them, and what it delivered. */
export class Pipeline implements AsyncDisposable {
  readonly delivered: string[] = [];
  readonly engines: Engine[];
  readonly redis: TestRedis;
  readonly #client: ReturnType<TestRedis["client"]>;
  #cycles = 0;

  constructor(
    redis: TestRedis,
    { replicas = 1, ...settings }: { replicas?: number; batchSize?: number; intervalMs?: number } = {},
  ) {
    this.redis = redis;
    this.#client = redis.client();
    const given = { chunkMessages: 200, intervalMs: 300_000, ...settings };
    this.engines = Array.from({ length: replicas }, () => createEngine(redis, { settings: given }));
  }

  /** Ticks so far. */
  get cycles(): number {
    return this.#cycles;
  }

  /** One interval: every replica takes its turn, all at a time; then the consumer works its queue off. */
  async tick(consumer: Consumer): Promise<void> {
    await this.#dueNow();
    await this.#turnAll();
    await this.consume(consumer);
    this.#cycles++;
  }

  /** The same with one replica and a cycle that is forced, as `once` does it. */
  async force(consumer: Consumer): Promise<void> {
    await this.engines[0]!.turn({ begin: "now" });
    await this.consume(consumer);
    this.#cycles++;
  }

  /** Works off what is in the target now. @returns how many messages that were. */
  async consume(consumer: Consumer): Promise<number> {
    let count = 0;
    for (;;) {
      const messages = await this.#client.rpopBuffer(TARGET, 1_000) ?? [];
      if (messages.length === 0) return count;
      count += messages.length;
      const back = messages.flatMap((message) => {
        const returned = consumer(message);
        if (returned === null) this.delivered.push(idOf(message));
        return returned === null ? [] : [Buffer.from(returned)];
      });
      if (back.length > 0) await this.#client.lpush(DLQ, ...back);
    }
  }

  /** Ticks until the DLQ is empty. @throws after `most`. */
  async untilEmpty(consumer: Consumer, { most }: { most: number }): Promise<number> {
    const from = this.#cycles;
    while (await this.depth(DLQ) > 0) {
      assert.ok(this.#cycles - from < most, `not empty after ${most} cycles: ${await this.depth(DLQ)} left`);
      await this.tick(consumer);
    }
    return this.#cycles - from;
  }

  depth(key: string): Promise<number> {
    return this.#client.llen(key);
  }

  /** A turn while a consumer beside it takes what comes and returns it at once, through the same kind of connection. */
  async tickPaced(consumer: Consumer): Promise<void> {
    await this.#dueNow();
    let isOver = false;
    const turns = this.#turnAll().finally(() => isOver = true);
    while (!isOver) await this.consume(consumer);
    await turns;
    await this.consume(consumer);
    this.#cycles++;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.engines) await engine[Symbol.asyncDispose]();
  }

  /** Every replica takes its turn, and another while the others, or the consumer, have kept it from going on. */
  async #turnAll(): Promise<void> {
    await Promise.all(this.engines.map(async (engine) => {
      while ((await engine.turn({ begin: "due" })).stoppedBy === "contended");
    }));
  }

  async #dueNow(): Promise<void> {
    if (this.#cycles > 0) await this.#client.hset(STATE, "startedAtMs", 1);
  }
}

/** Ids of messages as `delivered` holds them, sorted as text. */
export const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i)).sort();
