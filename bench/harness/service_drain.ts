/** The service as a process, from an idle start to an empty list. */
import type { Redis } from "ioredis";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { DLQ } from "../../testkit/engine.ts";
import { startService } from "../../testkit/service.ts";
import type { BenchRedis } from "./bench_redis.ts";
import type { Bench, Figures } from "./family.ts";
import { readPeakMib, readResidentMib, resetPeak } from "./process_memory.ts";
import { median } from "./rounds.ts";

const POLL_MS = 5, HEALTH_EVERY_MS = 20;
/** A drain that takes longer hangs. */
const LIMIT_MS = 120_000;

/** Headings. */
export const IDLE_MIB = "idle MiB", PEAK_MIB = "peak MiB", HEALTH_MAX = "/health max ms";

/** What is drained. */
export interface ServiceLoad {
  /** Messages of each list. */
  readonly count: number;
  /** Of as many declared sources; none: the built-in one. */
  readonly sources?: readonly string[];
  /** How long the service is idle before. */
  readonly idleMs: number;
}

/** The environment of a service that nothing holds back. */
export function serviceEnv({ port }: { port: number }): Record<string, string> {
  return {
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(port),
    REMEDIATION_INTERVAL: "1",
    REMEDIATION_BATCH_SIZE: "0",
    REMEDIATION_MAX_PER_SECOND: "0",
    REMEDIATION_TARGET_MAX_DEPTH: "0",
    REMEDIATION_CONSUMER_GATE: "off",
    MOOG_HEALTH_CHECK_ENABLED: "false",
  };
}

/** Starts it, lets it idle, gives it all messages at once, waits until they are gone. */
export async function drainByService(
  redis: BenchRedis,
  { count, sources = [], idleMs }: ServiceLoad,
  { signal }: Bench,
): Promise<Figures> {
  const client = redis.client();
  const lists = sources.length === 0 ? [DLQ] : sources.map(dlqOf);
  await redis.empty();
  for (const list of lists) await redis.copySeed(parked(list), count);
  using file = writeSources(sources);
  await using service = startService({ env: { ...serviceEnv(redis), ...file.env } });
  const { health } = await service.ports();
  await SYSTEM_CLOCK.sleep(idleMs, signal);
  const idle = await readResidentMib(service.pid);
  await resetPeak(service.pid);
  await redis.resetTimes();
  for (const list of lists) await client.rename(parked(list), list);
  const watching = new AbortController();
  const latencies = watchHealth(health, watching.signal);
  const rate = await waitUntilGone(client, lists, signal).finally(() => watching.abort());
  const waits = await latencies;
  return {
    "messages/s": rate,
    [IDLE_MIB]: idle,
    [PEAK_MIB]: await readPeakMib(service.pid),
    "/health p50 ms": median(waits),
    [HEALTH_MAX]: Math.max(...waits),
    "script max ms": (await redis.scriptTimes()).max,
  };
}

/** Polls until all lists are empty. @returns messages a second since it was first seen to move; `null` where it was too quick. */
export async function waitUntilGone(
  client: Redis,
  lists: readonly string[],
  signal: AbortSignal,
): Promise<number | null> {
  const readDepth = async () => {
    const depths = await Promise.all(lists.map((list) => client.llen(list)));
    return depths.reduce((a, b) => a + b, 0);
  };
  const total = await readDepth(), giveUpAtMs = performance.now() + LIMIT_MS;
  let first: { depth: number; atMs: number } | null = null;
  for (let depth = total; depth > 0; depth = await readDepth()) {
    signal.throwIfAborted();
    const atMs = performance.now();
    if (atMs > giveUpAtMs) throw new Error(`${depth} of ${total} messages are left after ${LIMIT_MS / 1_000} s`);
    if (depth < total) first ??= { depth, atMs };
    await SYSTEM_CLOCK.sleep(POLL_MS, signal);
  }
  return first && first.depth / (performance.now() - first.atMs) * 1_000;
}

/** Asks `/health` again and again; how long each answer took. */
async function watchHealth(port: number, signal: AbortSignal): Promise<number[]> {
  const latencies: number[] = [];
  do {
    const startedAtMs = performance.now();
    await (await fetch(`http://127.0.0.1:${port}/health`)).text();
    latencies.push(performance.now() - startedAtMs);
    await SYSTEM_CLOCK.sleep(HEALTH_EVERY_MS, signal);
  } while (!signal.aborted);
  return latencies;
}

/** The DLQ of a source of {@link writeSources}. */
export function dlqOf(source: string): string {
  return `bench:dlq:${source}`;
}

/** Where a list is prepared, out of the service's sight. */
export function parked(list: string): string {
  return `parked:${list}`;
}

/** Writes a sources file for these; none: no file. `env` names it. Dispose of it to remove it. */
export function writeSources(names: readonly string[]) {
  if (names.length === 0) return { env: {}, [Symbol.dispose]: () => {} };
  const folder = Deno.makeTempDirSync({ prefix: "bench-" }), path = `${folder}/sources.json`;
  const sources = Object.fromEntries(names.map((name) => [name, {
    dlq: dlqOf(name),
    target: `bench:target:${name}`,
    dead: `bench:dead:${name}`,
    counter: "_moog_retry_count",
    cutOnReplay: ["_retry_count"],
    maxPerSecond: 0,
    targetMaxDepth: 0,
  }]));
  Deno.writeTextFileSync(path, JSON.stringify({ sources }));
  return {
    env: { REMEDIATION_SOURCES: "none", REMEDIATION_SOURCES_PATH: path },
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}
