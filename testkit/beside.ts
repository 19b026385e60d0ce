/** A source that records its stamps beside the messages, and a consumer that keeps nothing but their bytes. */
import { Buffer } from "node:buffer";
import { recordOrderKey, recordsKey } from "../src/redis/keys.ts";
import { BESIDE, createEngine, DLQ, type Engine, type EngineOptions, TARGET } from "./engine.ts";
import type { TestRedis } from "./redis.ts";

/** Keys of the records. */
export const RECORDS = recordsKey(DLQ), ORDER = recordOrderKey(DLQ);

/** Creates an engine of such a source. `entry`: more of what the sources file says of it. */
export function createBeside(
  redis: TestRedis,
  { entry = {}, ...options }: EngineOptions = {},
): Engine {
  return createEngine(redis, { ...options, entry: { ...BESIDE, ...entry } });
}

/** What the consumer makes of a message: `null`: it works; else what it dead-letters. */
export type Consume = (message: Buffer) => Buffer | null;

/** Takes all messages, one after the other, and dead-letters what fails. @returns all that were taken */
export async function consumeAll(redis: TestRedis, consume: Consume): Promise<Buffer[]> {
  const taken: Buffer[] = [];
  for (;;) {
    const [message] = await redis.popList(TARGET);
    if (message === undefined) return taken;
    taken.push(message);
    const failed = consume(message);
    if (failed !== null) await redis.seedList(DLQ, [failed]);
  }
}

/** Reads the records by key, without the second of their last change. */
export async function readRecords(redis: TestRedis): Promise<Record<string, string>> {
  const found = Object.entries(await redis.client().hgetall(RECORDS));
  return Object.fromEntries(found.map(([key, text]) => [key, text.replace(/:\d+$/, "")]));
}

/** The counts of the records: failures, evidence, sheds. */
export async function readCounts(redis: TestRedis): Promise<string[]> {
  return Object.values(await readRecords(redis)).map((text) => text.split(":").slice(0, 3).join(":")).sort();
}
