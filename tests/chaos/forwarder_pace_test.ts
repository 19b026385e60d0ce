/** The automatic pace beside a forwarder that destroys whatever is over its shared limit (contract §1.4). */
import assert from "node:assert/strict";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { ROOM_SHARE } from "../../src/mutt/pace.ts";
import { createEngine, eventTexts } from "../../testkit/engine.ts";
import { startForwarder } from "../../testkit/mutt/forwarder.ts";
import { AlertRecord, LiveTraffic, tellDelays } from "../../testkit/mutt/live_traffic.ts";
import { SimClock } from "../../testkit/mutt/sim_clock.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const { alertQueue, deadList, moogDlq } = DEFAULT_SETTINGS;

/** A limit that all forwarders share. */
interface Limit {
  readonly limit: number;
  readonly periodMs: number;
}

/** One replay beside live traffic at half the limit. */
interface Run extends Limit {
  readonly backlog: number;
  readonly replicas: number;
  /** How long live traffic flows alone: the pace judges by its first period, and its delay is compared. */
  readonly calmMs: number;
  /** How long the forwarder's sending takes. */
  readonly sendMs: number;
}

const AT_500 = { limit: 500, periodMs: 1_000, backlog: 600, calmMs: 1_000, sendMs: 0 };
const SHORT: readonly Run[] = [
  { ...AT_500, replicas: 1 },
  { ...AT_500, replicas: 3 },
  { limit: 1_000, periodMs: 4_000, backlog: 600, replicas: 3, calmMs: 4_000, sendMs: 0 },
];

/** MUTT's default, and what its script seeds. These take 35 minutes and are for `MUTT_TEST_FULL=1`. */
const AT_50 = { limit: 50, periodMs: 1_000, calmMs: 60_000, sendMs: 10 };
const AT_100_A_MINUTE = { limit: 100, periodMs: 60_000, backlog: 180, calmMs: 180_000, sendMs: 10 };
const FULL: readonly Run[] = [
  { ...AT_50, backlog: 10_000, replicas: 1 },
  { ...AT_50, backlog: 2_000, replicas: 3 },
  { ...AT_100_A_MINUTE, replicas: 1 },
  { ...AT_100_A_MINUTE, replicas: 3 },
];

for (const run of Deno.env.get("MUTT_TEST_FULL") === undefined ? SHORT : [...SHORT, ...FULL]) {
  const { limit, periodMs, replicas, backlog } = run;
  const what = `${backlog} at ${limit} per ${periodMs / 1_000} s, live traffic at half of it (${replicas} replicas)`;
  withRedis(`pace auto: destroys nothing while it replays ${what}`, async (redis) => {
    console.log(`pace auto: ${what}: ${await replayBesideLive(redis, run)}`);
  });
}

/** @returns what it saw. Times are told, not asserted: a busy machine may be slower. */
async function replayBesideLive(redis: TestRedis, run: Run): Promise<string> {
  const { limit, periodMs, backlog, replicas, calmMs, sendMs } = run;
  await redis.seedList(moogDlq, eventTexts(backlog));
  const record = new AlertRecord({ windowMs: periodMs });
  await using _forwarder = startForwarder({
    ...{ redisUrl: redis.url, clock: new SimClock(1), observer: record, pod: "test" },
    ...{ rate: { limit, periodSeconds: periodMs / 1_000 } },
    ...{ hasBreaker: false, post: () => Promise.resolve(200), moogLatencyMs: () => sendMs },
  });
  await using live = new LiveTraffic(redis, { queue: alertQueue, everyMs: 2 * periodMs / limit, record });
  await waitUntil(() => live.pushedAtMs.size >= limit * calmMs / periodMs / 2, {
    what: "live traffic flows",
    timeoutMs: calmMs + 10_000,
  });
  const startedMs = performance.now();
  const settings: Partial<Settings> = {
    ...{ sources: ["moog"], maxPerSecond: "auto", moogRateLimit: limit, moogRatePeriodMs: periodMs },
    ...{ targetMaxDepth: null, breakerEnabled: true, chunkMessages: 200 },
  };
  const engines = Array.from({ length: replicas }, () => createEngine(redis, { settings, longestPauseMs: Infinity }));
  try {
    await Promise.all(engines.map((engine) => engine.start()));
    const isOver = () => record.replayedAtMs.length + record.overTheLimit.length >= backlog;
    const timeoutMs = 60_000 + 3 * backlog / leftOver(run) * periodMs;
    await waitUntil(isOver, { what: "the backlog is replayed", timeoutMs });
  } finally {
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  }
  const endedMs = performance.now();
  await live[Symbol.asyncDispose]();
  const isWorkedOff = () => record.sentAtMs.size + record.overTheLimit.length >= backlog + live.pushedAtMs.size;
  await waitUntil(isWorkedOff, { what: "all was forwarded", timeoutMs: 60_000 });

  assert.deepEqual(record.overTheLimit, []);
  assert.deepEqual([record.replayedAtMs.length, record.doubled], [backlog, []]);
  const client = redis.client();
  assert.deepEqual(await Promise.all([moogDlq, deadList, alertQueue].map((key) => client.llen(key))), [0, 0, 0]);
  return [
    `${tellShare(record.replayedAtMs, { ...run, startedMs })} of what was left over`,
    `all of it in ${((endedMs - startedMs) / 1_000).toFixed(0)} s`,
    `live delay before: ${tellDelays(live.delaysMs(record, [0, startedMs]))}`,
    `live delay beside: ${tellDelays(live.delaysMs(record, [startedMs, endedMs]))}`,
  ].join("; ");
}

/** Replays that the limit leaves room for in a period. */
function leftOver({ limit }: Limit): number {
  return ROOM_SHARE * limit - limit / 2;
}

/**
 * How much of that was used, over whole periods from the second on: the first one's room is there at once, and in a short
 * replay that would count for more than all else.
 */
function tellShare(replayedAtMs: readonly number[], { startedMs, ...run }: Run & { startedMs: number }): string {
  const { periodMs } = run;
  const periods = Math.floor((replayedAtMs.at(-1)! - startedMs) / periodMs) - 1;
  if (periods < 1) return "too short to tell the share";
  const fromMs = startedMs + periodMs, toMs = fromMs + periods * periodMs;
  const replayed = replayedAtMs.filter((atMs) => atMs >= fromMs && atMs < toMs).length;
  return `${(100 * replayed / periods / leftOver(run)).toFixed(1)} % (over ${periods} periods)`;
}
