/** What surrounds the service in the demo: an own Redis, a mock Moogsoft, a stand-in for the alerter. */
import { Buffer } from "node:buffer";
import { Redis } from "ioredis";
import { startRedisServer } from "../scripts/redis_server.ts";
import type { Found } from "./account.ts";
import { type Consumer, LISTS, startConsumer } from "./consumer.ts";
import type { DeadLetter } from "./generator.ts";
import { type MockMoog, startMockMoog } from "./mock_moog.ts";

/** Lengths of the lists at one instant, and what the consumer accepted so far. */
export interface Depths {
  readonly dlq: number;
  readonly ingest: number;
  readonly processing: number;
  readonly dead: number;
  readonly delivered: number;
}

/** The stage. Disposing of it leaves nothing: no process, no listener, no folder. */
export interface Stage extends AsyncDisposable {
  readonly redisUrl: string;
  /** A temporary folder that goes with the stage. */
  readonly dir: string;
  readonly moog: MockMoog;
  readonly consumer: Consumer;
  /** Puts dead letters into the dead-letter queue, oldest first. */
  put(letters: readonly DeadLetter[]): Promise<void>;
  measure(): Promise<Depths>;
  /** Everything that is anywhere. Stop who moves it first. */
  collect(): Promise<Found>;
}

/** Builds it, Moogsoft healthy. Rejects, with nothing left, where a part does not start or the signal aborts meanwhile. */
export async function openStage(signal: AbortSignal): Promise<Stage> {
  await using parts = new AsyncDisposableStack();
  const server = await startRedisServer();
  parts.defer(() => server.stop());
  signal.throwIfAborted();
  const moog = startMockMoog();
  parts.defer(() => moog.stop());
  const redis = new Redis(server.url, { maxRetriesPerRequest: 0 });
  redis.on("error", () => {}); // commands reject all the same
  parts.defer(() => redis.disconnect());
  const consumer = await startConsumer(server.url);
  parts.defer(() => consumer.stop());
  const owned = parts.move();
  return {
    ...{ redisUrl: server.url, dir: server.dir, moog, consumer },
    put: (letters) => put(redis, letters),
    measure: () => measure(redis, consumer),
    collect: () => collect(redis, consumer),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function put(redis: Redis, letters: readonly DeadLetter[]): Promise<void> {
  if (letters.length > 0) await redis.lpush(LISTS.dlq, ...letters.map(({ payload }) => Buffer.from(payload)));
}

/** In one transaction: a message on its way from one list to another is counted once. */
async function measure(redis: Redis, consumer: Consumer): Promise<Depths> {
  const { dlq, ingest, processing, dead } = LISTS;
  const replies = await redis.multi().llen(dlq).llen(ingest).llen(processing).llen(dead).exec() ?? [];
  const [inDlq = 0, inIngest = 0, inProcessing = 0, inDead = 0] = replies.map(([, length]) => Number(length));
  return {
    ...{ dlq: inDlq, ingest: inIngest, processing: inProcessing, dead: inDead },
    delivered: consumer.delivered.length,
  };
}

async function collect(redis: Redis, { delivered, discarded }: Consumer): Promise<Found> {
  const read = (list: string) => redis.lrangeBuffer(list, 0, -1);
  const waiting = await Promise.all([LISTS.dlq, LISTS.ingest, LISTS.processing].map(read));
  return { delivered, discarded, dead: await read(LISTS.dead), waiting: waiting.flat() };
}
