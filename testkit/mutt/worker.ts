/** The base of the fake alerter and forwarder: connection, heartbeat, loop and stop. */
import { Redis } from "ioredis";
import type { SimClock } from "./sim_clock.ts";

/** MUTT's heartbeats: expiry and interval of SETEX; the first comes after one interval (contract §1.1). */
const HEARTBEAT_TTL_SECONDS = 30, HEARTBEAT_EVERY_SECONDS = 10;
/** Minimum real expiry, so that a heartbeat outlives a stall of this process with any time compression. */
const MIN_HEARTBEAT_TTL_MS = 1_500;
const DISCONNECT_TIMEOUT_MS = 1;
/** Timeout of a blocking pop, which bounds the time to stop, in real seconds. */
export const POP_TIMEOUT_SECONDS = 0.2;

/** A running fake. */
export interface Worker {
  /** Rejects if it fails; resolves only after a stop. */
  readonly running: Promise<void>;
  /** Stops after the current message. Safe to call twice. */
  stop(): Promise<void>;
}

/** A fake of this folder. Disposing stops it and rejects if it has failed. */
export type RunningWorker = Worker & AsyncDisposable;

/** Options of a worker. */
export interface WorkerOptions {
  readonly redisUrl: string;
  readonly clock: SimClock;
  readonly heartbeatKey: string;
  /** One turn of its loop. */
  turn(redis: Redis, signal: AbortSignal): Promise<void>;
  /** An additional action at each heartbeat. */
  onBeat?(redis: Redis): Promise<unknown>;
}

/** Opens a connection. Commands reject instead of waiting while the server is down. */
export function openRedis(url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    replyMapping: "legacy", // ioredis' default; its types require it
  });
  redis.on("error", () => {}); // commands still reject
  return redis;
}

/** Closes it. Resolves when it is gone, including its timer. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === "end") return;
  const connected = ["connect", "ready", "connecting"].includes(redis.status);
  const ended = new Promise<void>((resolve) => redis.once("end", resolve));
  redis.disconnect();
  await (connected ? ended : new Promise((resolve) => setTimeout(resolve, 5 * DISCONNECT_TIMEOUT_MS)));
}

/** Starts a worker. */
export function startWorker({ redisUrl, clock, heartbeatKey, turn, onBeat }: WorkerOptions): RunningWorker {
  const stopping = new AbortController();
  const { signal } = stopping;
  // A blocking pop blocks its connection, so the heartbeat has its own.
  const [redis, heart] = [openRedis(redisUrl), openRedis(redisUrl)];
  const ttlMs = Math.round(Math.max(MIN_HEARTBEAT_TTL_MS, clock.realMs(HEARTBEAT_TTL_SECONDS * 1_000)));
  const beat = async () => {
    const pacer = clock.pacer();
    for (;;) {
      await pacer.sleep(HEARTBEAT_EVERY_SECONDS * 1_000, signal);
      if (signal.aborted) return;
      await heart.psetex(heartbeatKey, ttlMs, "alive");
      await onBeat?.(heart);
    }
  };
  const work = async () => {
    while (!signal.aborted) await turn(redis, signal);
  };
  // If one fails, end the other and wait for both.
  const either = (part: Promise<void>) => part.finally(() => stopping.abort());
  const running = settleAll([either(work()), either(beat())]).finally(() =>
    Promise.all([closeRedis(redis), closeRedis(heart)])
  );
  return workerOf(running, stopping);
}

/** Makes a worker of a task that runs until `stopping` aborts. */
export function workerOf(running: Promise<void>, stopping: AbortController): RunningWorker {
  running.catch(() => {}); // reported by the caller that awaits it
  return {
    running,
    stop() {
      stopping.abort();
      return running.catch(() => {});
    },
    [Symbol.asyncDispose]() {
      stopping.abort();
      return running;
    },
  };
}

/** Waits for all, then rejects with the first failure, if any. */
async function settleAll(parts: readonly Promise<void>[]): Promise<void> {
  const failure = (await Promise.allSettled(parts)).find((outcome) => outcome.status === "rejected");
  if (failure) throw failure.reason;
}
