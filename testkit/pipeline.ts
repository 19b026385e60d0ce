/** A small pipeline for tests of many cycles: replicas of the service and a consumer, with time in ticks. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { SourceEntry } from "../src/config/source_fields.ts";
import { createEngine, DLQ, type Engine, idOf, STATE, TARGET } from "./engine.ts";
import { exhaustedEvent, SHED_THRESHOLD, shedEvent } from "./mutt/alerter_rules.ts";
import type { TestRedis } from "./redis.ts";

/** The consumer's result for a message; `null` if it succeeds and returns nothing. */
export type Consumer = (message: Buffer) => Uint8Array | null;
export const ACCEPT: Consumer = () => null;
export const FAIL: Consumer = exhaustedEvent;
export const SHED: Consumer = (message) => shedEvent(message, SHED_THRESHOLD + 1);

/** Replicas, a consumer, and its deliveries. */
export class Pipeline implements AsyncDisposable {
  readonly delivered: string[] = [];
  readonly engines: Engine[];
  readonly redis: TestRedis;
  readonly #client: ReturnType<TestRedis["client"]>;
  #cycles = 0;

  constructor(
    redis: TestRedis,
    { replicas = 1, entry = {}, ...settings }: {
      replicas?: number;
      batchSize?: number;
      intervalMs?: number;
      entry?: SourceEntry;
    } = {},
  ) {
    this.redis = redis;
    this.#client = redis.client();
    const given = { chunkMessages: 200, intervalMs: 300_000, ...settings };
    this.engines = Array.from({ length: replicas }, () => createEngine(redis, { settings: given, entry }));
  }

  /** Ticks so far. */
  get cycles(): number {
    return this.#cycles;
  }

  /** Runs one interval: all replicas take a turn concurrently, then the consumer processes its queue. */
  async tick(consumer: Consumer): Promise<void> {
    await this.#dueNow();
    await this.#turnAll();
    await this.consume(consumer);
    this.#cycles++;
  }

  /** Runs one interval with one replica and a forced cycle, like `once`. */
  async force(consumer: Consumer): Promise<void> {
    await this.engines[0]!.turn({ begin: "now" });
    await this.consume(consumer);
    this.#cycles++;
  }

  /** Processes the current messages of the target. @returns their number. */
  async consume(consumer: Consumer): Promise<number> {
    let count = 0;
    for (;;) {
      const messages = await this.redis.popList(TARGET, 1_000);
      if (messages.length === 0) return count;
      count += messages.length;
      const back = messages.flatMap((message) => {
        const returned = consumer(message);
        if (returned === null) this.delivered.push(idOf(message));
        return returned === null ? [] : [Buffer.from(returned)];
      });
      await this.redis.seedList(DLQ, back);
    }
  }

  /** Runs ticks until the DLQ is empty. @throws after `most` ticks */
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

  /** Runs a turn while a concurrent consumer returns every message at once, through the same kind of connection. */
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

/** Ids of messages in the form of `delivered`, sorted as text. */
export const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i)).sort();
