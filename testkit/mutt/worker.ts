/** What the stand-ins for alerter and forwarder have in common: a connection, a heartbeat, a loop, an end. */
import { Redis } from "ioredis";
import type { SimClock } from "./sim_clock.ts";

/** MUTT's heartbeats: SETEX of so long, each so often; the first one after that time (contract §1.1). */
const HEARTBEAT_TTL_SECONDS = 30, HEARTBEAT_EVERY_SECONDS = 10;
/** However compressed the time, a heartbeat outlives a stall of this process. */
const MIN_HEARTBEAT_TTL_MS = 1_500;
const DISCONNECT_TIMEOUT_MS = 1;
/** How long one blocking pop waits, and so how long stopping may take. Real seconds. */
export const POP_TIMEOUT_SECONDS = 0.2;

/** A stand-in that runs. */
export interface Worker {
  /** Rejects if it fails; never resolves before it was stopped. */
  readonly running: Promise<void>;
  /** Finishes the message in hand. Safe to call twice. */
  stop(): Promise<void>;
}

/** A stand-in of this folder. Disposing of it stops it, and rejects if it has failed. */
export type RunningWorker = Worker & AsyncDisposable;

/** How a worker is made. */
export interface WorkerOptions {
  readonly redisUrl: string;
  readonly clock: SimClock;
  readonly heartbeatKey: string;
  /** One turn of its loop. */
  turn(redis: Redis, signal: AbortSignal): Promise<void>;
  /** What else it does as often as it beats. */
  onBeat?(redis: Redis): Promise<unknown>;
}

/** Opens a connection whose commands reject, rather than wait, while there is no server. */
export function openRedis(url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    replyMapping: "legacy", // ioredis' default; its types want it named
  });
  redis.on("error", () => {}); // commands reject all the same
  return redis;
}

/** Closes it; resolves when nothing of it is left, its timer included. */
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
  // A blocking pop holds its connection up, so the heart has its own.
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
  // Where one of them fails the other is ended, and both are waited for.
  const either = (part: Promise<void>) => part.finally(() => stopping.abort());
  const running = settleAll([either(work()), either(beat())]).finally(() =>
    Promise.all([closeRedis(redis), closeRedis(heart)])
  );
  return workerOf(running, stopping);
}

/** A worker of what runs until `stopping` is aborted. */
export function workerOf(running: Promise<void>, stopping: AbortController): RunningWorker {
  running.catch(() => {}); // told by whoever awaits it
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

/** Waits for all of them, then rejects with the first failure, if there was one. */
async function settleAll(parts: readonly Promise<void>[]): Promise<void> {
  const failure = (await Promise.allSettled(parts)).find((outcome) => outcome.status === "rejected");
  if (failure) throw failure.reason;
}
