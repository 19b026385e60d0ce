/** What surrounds the service in the demo: an own Redis, a mock Moogsoft, a stand-in for the alerter. */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { startRedisServer } from "../scripts/redis_server.ts";
import type { DeadLetter } from "../testkit/mutt/dead_letters.ts";
import { KEYS } from "../testkit/mutt/keys.ts";
import { type MockMoog, startMockMoog } from "../testkit/mutt/mock_moog.ts";
import { type Inbox, startInbox } from "../testkit/inbox.ts";
import { closeRedis, openRedis, type Worker } from "../testkit/mutt/worker.ts";
import { historyKey } from "../src/redis/keys.ts";
import type { Found } from "./account.ts";
import { PROCESSING, startDemoAlerter } from "./alerter.ts";
import type { PastSample } from "./past.ts";

/** Lease of the service in the demo: how long a killed leader is waited for. */
export const LEASE_SECONDS = 5;

/** Receivers of the demo: real servers on this machine. */
export const TOLD = ["slack", "email", "teams", "pagerduty", "webhook"] as const;
/** Only outages are told here, and soon. */
const NOTIFY = {
  routes: [{ kinds: ["gate_closed"], receivers: TOLD }],
  incidents: { gate_closed: { afterSeconds: 1 } },
} as const;

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
  readonly alerter: Worker;
  /** Who is told of incidents. */
  readonly inbox: Inbox;
  /** Puts dead letters into the dead-letter queue, oldest first. */
  put(letters: readonly DeadLetter[]): Promise<void>;
  /** Writes the past of the dead-letter queue's history, oldest first. */
  recall(samples: readonly PastSample[]): Promise<void>;
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
  const inbox = parts.use(await startInbox({ dir: server.dir, types: TOLD, ...NOTIFY }));
  const redis = openRedis(server.url);
  parts.defer(() => closeRedis(redis));
  const books = { delivered: [] as Uint8Array[], discarded: [] as Uint8Array[] };
  const alerter = await startDemoAlerter(redis, {
    redisUrl: server.url,
    observer: {
      stored: (event) => void books.delivered.push(event),
      discarded: (event) => void books.discarded.push(event),
    },
  });
  parts.defer(() => alerter.stop());
  const owned = parts.move();
  return {
    ...{ redisUrl: server.url, dir: server.dir, moog, alerter, inbox },
    put: (letters) => put(redis, letters),
    recall: (samples) => recall(redis, samples),
    measure: async () => ({ ...await measure(redis), delivered: books.delivered.length }),
    collect: () => collect(redis, books),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Variables of the service that differ from the defaults; the pace stays as it is shipped. */
export function serviceEnvironment(stage: Stage): Record<string, string> {
  return {
    REDIS_URL: stage.redisUrl,
    MOOG_WEBHOOK_URL: stage.moog.url,
    MOOG_HEALTH_CACHE_SECONDS: "1",
    REMEDIATION_INTERVAL: "1",
    REMEDIATION_BATCH_SIZE: "0",
    LOG_LEVEL: "DEBUG",
    LOG_JSON_ENABLED: "true",
    REMEDIATION_LEASE_DURATION: String(LEASE_SECONDS),
    REMEDIATION_NOTIFY_PATH: stage.inbox.path,
  };
}

async function put(redis: Redis, letters: readonly DeadLetter[]): Promise<void> {
  if (letters.length > 0) await redis.lpush(KEYS.dlqAlerter, ...letters.map(({ payload }) => Buffer.from(payload)));
}

/** The ids of the stream are the times. */
async function recall(redis: Redis, samples: readonly PastSample[]): Promise<void> {
  const writing = redis.pipeline();
  for (const { atMs, fields } of samples) {
    writing.xadd(historyKey(KEYS.dlqAlerter), `${atMs}-0`, ...Object.entries(fields).flat());
  }
  for (const [error] of await writing.exec() ?? []) if (error) throw error;
}

/** In one transaction: a message on its way from one list to another is counted once. */
async function measure(redis: Redis): Promise<Omit<Depths, "delivered">> {
  const { dlqAlerter, ingest, dead } = KEYS;
  const replies = await redis.multi().llen(dlqAlerter).llen(ingest).llen(PROCESSING).llen(dead).exec() ?? [];
  const [inDlq = 0, inIngest = 0, inProcessing = 0, inDead = 0] = replies.map(([, length]) => Number(length));
  return { dlq: inDlq, ingest: inIngest, processing: inProcessing, dead: inDead };
}

async function collect(redis: Redis, books: Pick<Found, "delivered" | "discarded">): Promise<Found> {
  const read = (list: string) => redis.lrangeBuffer(list, 0, -1);
  return {
    ...books,
    // The alerter finishes what it has in hand before it stops.
    stuck: await read(PROCESSING),
    dead: await read(KEYS.dead),
    waiting: [...await read(KEYS.dlqAlerter), ...await read(KEYS.ingest)],
  };
}
