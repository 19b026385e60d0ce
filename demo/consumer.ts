/** A stand-in for MUTT's alerter: does with each message what the real one does (contract §1.3), and keeps the books. */
import { Buffer } from "node:buffer";
import { Redis } from "ioredis";
import { fitsTable, judgeEvent, retriedEvent } from "./simulator/alerter_rules.ts";

const HEARTBEAT_KEY = "mutt:heartbeat:alerter:demo";
const HEARTBEAT_TTL_SECONDS = 30, HEARTBEAT_EVERY_MS = 10_000;
/** How long one blocking pop waits, and so how long {@link Consumer.stop} may take. */
const POP_TIMEOUT_SECONDS = 0.2;
/** What an INSERT into the database takes. */
const WORK_MS = 3;

/** The lists of MUTT that the stand-in knows. */
export const LISTS = {
  dlq: "mutt:dlq:alerter",
  ingest: "mutt:ingest_queue",
  dead: "mutt:dlq:dead",
  processing: "mutt:processing:alerter:demo",
} as const;

/** A stand-in that runs. */
export interface Consumer {
  /** What it accepted, as it came. */
  readonly delivered: readonly Uint8Array[];
  /** What it threw away as the real one does: lost for good. A replayer must never send such a thing. */
  readonly discarded: readonly Uint8Array[];
  /** Rejects if it fails; never resolves before it was stopped. */
  readonly running: Promise<void>;
  /** Finishes the message in hand. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts it against that Redis; it is known to be alive (by its heartbeat) once this resolves. With `keepsBooks` false (default
 * true) it forgets what it took, so that it can run for ever.
 */
export async function startConsumer(redisUrl: string, { keepsBooks = true } = {}): Promise<Consumer> {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: 0 });
  redis.on("error", () => {}); // commands reject all the same
  const beat = () => redis.setex(HEARTBEAT_KEY, HEARTBEAT_TTL_SECONDS, "alive");
  await beat();
  const heart = setInterval(() => void beat().catch(() => {}), HEARTBEAT_EVERY_MS);
  const books = { delivered: [] as Uint8Array[], discarded: [] as Uint8Array[] };
  const stopping = new AbortController();
  const running = consume(redis, { books, keepsBooks, signal: stopping.signal }).finally(() => {
    clearInterval(heart);
    redis.disconnect();
  });
  running.catch(() => {}); // told by whoever awaits it
  return {
    ...books,
    running,
    stop() {
      stopping.abort();
      return running.catch(() => {});
    },
  };
}

interface Books {
  readonly delivered: Uint8Array[];
  readonly discarded: Uint8Array[];
}

async function consume(
  redis: Redis,
  { books, keepsBooks, signal }: { books: Books; keepsBooks: boolean; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    const message = await redis.brpoplpushBuffer(LISTS.ingest, LISTS.processing, POP_TIMEOUT_SECONDS);
    if (message === null) continue;
    await new Promise((resolve) => setTimeout(resolve, WORK_MS));
    await handle(message, { redis, books });
    await redis.lrem(LISTS.processing, 1, message);
    if (!keepsBooks) books.delivered.length = books.discarded.length = 0;
  }
}

async function handle(bytes: Buffer, { redis, books }: { redis: Redis; books: Books }): Promise<void> {
  const verdict = judgeEvent(bytes);
  switch (verdict.action) {
    case "discard":
    case "wedge": // The real one never gets past it; here it is as lost.
      return void books.discarded.push(bytes);
    case "dead_letter":
      return void await redis.lpush(LISTS.dlq, bytes);
    case "attempt": {
      const { message, retries } = verdict;
      if (fitsTable(message)) return void books.delivered.push(bytes);
      await redis.lpush(LISTS.ingest, Buffer.from(retriedEvent(message, retries)));
    }
  }
}
