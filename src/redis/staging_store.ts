/**
 * Stages the messages of an import in the own list of a job that is not planned yet. They are in no other list, and expire unless the
 * job is planned and started. A chunk names how many messages must have been staged before it, so it may be sent again.
 */
import { Buffer } from "node:buffer";
import type { RedisClient } from "./cluster.ts";
import { throwStoreError, unknownAnswer } from "./errors.ts";
import { jobKey, jobListKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import stageChunk from "./scripts/stage_chunk.lua" with { type: "text" };

/** Messages of an import. */
export interface StagedChunk {
  readonly job: string;
  /** Messages staged before. */
  readonly offset: number;
  /** Oldest first; may be empty, to let the list live longer. */
  readonly messages: readonly Uint8Array[];
  /** Time until the list expires, in milliseconds. */
  readonly expiresInMs: number;
}

/** The staged messages of one source. Calls reject with a `StoreError`. */
export class StagingStore {
  readonly #redis: RedisClient;
  readonly #dlq: string;
  readonly #stage: Script;

  constructor(redis: RedisClient, dlq: string) {
    this.#redis = redis;
    this.#dlq = dlq;
    this.#stage = loadScript(redis, { name: "stageChunk", keys: 2, lua: stageChunk });
  }

  /**
   * Stages a chunk, if it has not been staged. Safe to call again with the same chunk.
   * @returns false if the messages before it are gone, or the job is already planned
   */
  async stage({ job, offset, messages, expiresInMs }: StagedChunk): Promise<boolean> {
    const payloads = messages.map(({ buffer, byteOffset, length }) => Buffer.from(buffer, byteOffset, length));
    const reply = await this.#stage(
      ...[jobListKey(this.#dlq, job), jobKey(this.#dlq, job), offset, expiresInMs],
      ...payloads,
    );
    if (typeof reply !== "number") throw unknownAnswer(reply);
    return reply === offset + messages.length;
  }

  /** Drops what was staged for a job that is not planned. */
  async drop(job: string): Promise<void> {
    await this.#redis.pexpire(jobListKey(this.#dlq, job), 0).catch(throwStoreError);
  }
}
