/** BullMQ's `retryJobs`: failed jobs return to the list `wait`, a thousand a script. */
import { fileURLToPath } from "node:url";
import { onPath } from "../../scripts/child.ts";
import type { BenchRedis } from "../harness/bench_redis.ts";
import { makeMessage } from "../harness/messages.ts";
import { type MoverCommand, prepareMover, startRedrive } from "../harness/mover.ts";
import { installFromNpm, isFolder, PEER_CACHE } from "../harness/peer_packages.ts";
import { type FoundPeer, inRedis, type Peer } from "./peer.ts";

const SCRIPT = fileURLToPath(new URL("bullmq.mjs", import.meta.url));
const VERSION = "6.7.0", IOREDIS_VERSION = "5.11.1";
const FOLDER = `${PEER_CACHE}/bullmq-${VERSION}`;
const QUEUE = "alerter", PREFIX = `bull:${QUEUE}:`;
const FAILED = `${PREFIX}failed`, WAIT = `${PREFIX}wait`;
const JOBS_PER_TRIP = 2_000;
const FAILED_AT_MS = Date.UTC(2026, 0, 15, 14, 30, 0);

/** Finds it, or installs it if it may. */
export async function findBullMq(
  redis: BenchRedis,
  { bytes, install }: { bytes: number; install: boolean },
): Promise<FoundPeer> {
  if (onPath("node") === undefined) return { leftOut: "BullMQ is left out: no node here." };
  if (!isFolder(FOLDER) && install) {
    await installFromNpm([`bullmq@${VERSION}`, `ioredis@${IOREDIS_VERSION}`], FOLDER).catch(() => {});
  }
  if (!isFolder(FOLDER)) return { leftOut: "BullMQ is left out: not installed here." };
  return { peer: createBullMq(redis, bytes) };
}

function createBullMq(redis: BenchRedis, bytes: number): Peer {
  const client = redis.client();
  const mover: MoverCommand = { command: ["node", SCRIPT, FOLDER, String(redis.port), QUEUE] };
  return {
    ...{ name: `BullMQ ${VERSION}`, isSlow: false },
    ...inRedis(redis),
    async load(count) {
      await redis.empty();
      for (let from = 0; from < count; from += JOBS_PER_TRIP) {
        const pipeline = client.pipeline();
        for (let index = from; index < Math.min(count, from + JOBS_PER_TRIP); index++) {
          const id = String(index + 1), failedAtMs = FAILED_AT_MS + index;
          pipeline.hset(PREFIX + id, failedJob(makeMessage(index, bytes).toString(), failedAtMs));
          pipeline.zadd(FAILED, failedAtMs, id);
        }
        await pipeline.exec();
      }
      await client.set(`${PREFIX}id`, count);
    },
    prepare: () => prepareMover(mover),
    async expectArrived(count) {
      const found = await Promise.all([client.zcard(FAILED), client.llen(WAIT)]);
      if (String(found) !== String([0, count])) throw new Error(`BullMQ's failed and waiting jobs are ${found}`);
    },
    depth: () => client.zcard(FAILED),
    start: () => Promise.resolve(startRedrive(mover)),
    async readTexts() {
      const ids = [...await client.zrange(FAILED, "0", "-1"), ...await client.lrange(WAIT, 0, -1)];
      const texts: string[] = [];
      for (let from = 0; from < ids.length; from += JOBS_PER_TRIP) {
        const pipeline = client.pipeline();
        for (const id of ids.slice(from, from + JOBS_PER_TRIP)) pipeline.hget(PREFIX + id, "data");
        for (const [, data] of await pipeline.exec() ?? []) texts.push(String(data));
      }
      return texts;
    },
  };
}

/** The fields of a job that failed in a worker, as BullMQ 6 writes them. */
function failedJob(message: string, failedAtMs: number): Record<string, string | number> {
  return {
    ...{ name: "replay", data: JSON.stringify({ message }), opts: '{"attempts":0}' },
    ...{ timestamp: failedAtMs - 100, delay: 0, priority: 0 },
    ...{ processedOn: failedAtMs - 10, ats: 1, atm: 1 },
    ...{ finishedOn: failedAtMs, failedReason: "refused", stacktrace: '["Error: refused"]' },
  };
}
