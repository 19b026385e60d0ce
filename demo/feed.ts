/**
 * Keeps a Redis busy for as long as it runs: puts dead letters into the alerter's DLQ and stands in for the alerter behind it.
 * The generator of `compose.yaml`; alone it is `REDIS_URL=redis://localhost:6379 deno run -A demo/feed.ts`.
 *
 * `FEED_MESSAGES` (default 100) dead letters come every `FEED_SECONDS` (default 30), but none while the DLQ holds ten times as
 * many: nobody drains it then. It ends with an error when Redis does, for its supervisor to start it anew.
 */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { DEMO_MIX, generateDeadLetters, type Mix } from "../testkit/mutt/dead_letters.ts";
import { KEYS } from "../testkit/mutt/keys.ts";
import { closeRedis, openRedis } from "../testkit/mutt/worker.ts";
import { startDemoAlerter } from "./alerter.ts";

const { large: _, ...withoutLarge } = DEMO_MIX;

/** The demo's mix without messages of 1 MiB: one would be in every batch, however small. */
export const FEED_MIX: Mix = withoutLarge;

/** What {@link runFeed} needs. */
export interface FeedOptions {
  readonly redisUrl: string;
  readonly messages: number;
  readonly everyMs: number;
  readonly signal: AbortSignal;
}

/** Feeds until the signal aborts. Rejects when Redis cannot be used. */
export async function runFeed({ redisUrl, messages, everyMs, signal }: FeedOptions): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const redis = openRedis(redisUrl);
  parts.defer(() => closeRedis(redis));
  const alerter = await startDemoAlerter(redis, { redisUrl, observer: {} });
  parts.defer(() => alerter.stop());
  for (let seed = 1; !signal.aborted; seed++) {
    await put(redis, { messages, seed });
    await Promise.race([alerter.running, pause(everyMs, signal)]);
  }
}

async function put(redis: Redis, { messages, seed }: { messages: number; seed: number }): Promise<void> {
  const depth = await redis.llen(KEYS.dlqAlerter);
  if (depth >= 10 * messages) return console.log(`${depth} dead letters are waiting: none added`);
  const letters = generateDeadLetters({ count: messages, seed, mix: FEED_MIX });
  await redis.lpush(KEYS.dlqAlerter, ...letters.map(({ payload }) => Buffer.from(payload)));
  console.log(`${messages} dead letters added to the ${depth} that were waiting`);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

/** A whole number from 1 on out of the environment. @throws {RangeError} */
function readCount(variable: string, initial: number): number {
  const text = Deno.env.get(variable) || String(initial);
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new RangeError(`${variable} "${text}" is not a whole number from 1 to 999999`);
}

if (import.meta.main) {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => stop.abort());
  await runFeed({
    redisUrl: Deno.env.get("REDIS_URL") ?? "redis://localhost:6379",
    messages: readCount("FEED_MESSAGES", 100),
    everyMs: readCount("FEED_SECONDS", 30) * 1_000,
    signal: stop.signal,
  });
  Deno.exit(0);
}
