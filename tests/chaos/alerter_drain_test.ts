/** A drain of the alerter's dead letters through the whole chain, beside live traffic (contract §1.3-1.4). */
import assert from "node:assert/strict";
import { DEFAULT_SETTINGS, type Settings } from "../../src/config/fields.ts";
import { createEngine, eventTexts } from "../../testkit/engine.ts";
import { startAlerter } from "../../testkit/mutt/alerter.ts";
import { SHED_THRESHOLD } from "../../testkit/mutt/alerter_rules.ts";
import { type RateLimit, startForwarder } from "../../testkit/mutt/forwarder.ts";
import { AlertRecord, LiveTraffic, tellDelays } from "../../testkit/mutt/live_traffic.ts";
import { SimClock } from "../../testkit/mutt/sim_clock.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const { alertQueue, alerterDlq, deadList, ingestQueue } = DEFAULT_SETTINGS;

/** All 20,000 take two minutes a test and are for `MUTT_TEST_FULL=1`. */
const IS_FULL = Deno.env.get("MUTT_TEST_FULL") !== undefined;

/** One drain. */
interface Drain {
  readonly backlog: number;
  readonly livePerSecond: number;
  /** Length of the alert queue above which the alerter sheds. */
  readonly shedOver: number;
  /** The forwarder's limit; absent: it has none. */
  readonly rate?: RateLimit;
  /** How long its sending takes. */
  readonly sendMs: number;
  readonly settings: Partial<Settings>;
}

const PACED: Drain = {
  ...{ backlog: IS_FULL ? 20_000 : 500, livePerSecond: 250, shedOver: SHED_THRESHOLD },
  ...{ rate: { limit: 500, periodSeconds: 1 }, sendMs: 0 },
  settings: { maxPerSecond: "auto", moogRateLimit: 500, moogRatePeriodMs: 1_000, targetMaxDepth: null },
};

/** A forwarder slower than the alerter: what is replayed gathers in the alert queue. Short: all a tenth of what it is. */
const BY_DEPTH: Drain = {
  ...{ backlog: IS_FULL ? 20_000 : 600, livePerSecond: 100, shedOver: IS_FULL ? SHED_THRESHOLD : SHED_THRESHOLD / 10 },
  sendMs: 2,
  settings: { maxPerSecond: 0, targetMaxDepth: IS_FULL ? null : 100 },
};

for (const [what, drain] of [["the automatic pace", PACED], ["the sum of the queues alone", BY_DEPTH]] as const) {
  withRedis(`drain of alerter: sheds and destroys nothing when room is by ${what}`, async (redis) => {
    console.log(`drain of ${drain.backlog}, room by ${what}: ${await drainBesideLive(redis, drain)}`);
  });
}

/** @returns what it saw. Times are told, not asserted: a busy machine may be slower. */
async function drainBesideLive(redis: TestRedis, drain: Drain): Promise<string> {
  const { backlog, livePerSecond, shedOver, rate, sendMs, settings } = drain;
  const calmMs = IS_FULL ? 30_000 : 1_000;
  await redis.seedList(alerterDlq, eventTexts(backlog));
  const record = new AlertRecord({ windowMs: 1_000 * (rate?.periodSeconds ?? 0) });
  const mutt = { redisUrl: redis.url, clock: new SimClock(1), observer: record, pod: "test" };
  await using _forwarder = startForwarder({
    ...{ ...mutt, rate },
    ...{ hasBreaker: false, post: () => Promise.resolve(200), moogLatencyMs: () => sendMs },
  });
  await using _alerter = startAlerter({ ...mutt, shedOver });
  await using live = new LiveTraffic(redis, { queue: ingestQueue, everyMs: 1_000 / livePerSecond, record });
  await waitUntil(() => live.pushedAtMs.size >= livePerSecond * calmMs / 1_000, {
    what: "live traffic flows",
    timeoutMs: calmMs + 10_000,
  });
  const startedMs = performance.now();
  const engine = createEngine(redis, { settings: { ...settings, chunkMessages: 200 }, longestPauseMs: Infinity });
  try {
    await engine.start();
    const isOver = () => record.replayedAtMs.length + record.overTheLimit.length >= backlog;
    await waitUntil(isOver, { what: "the backlog is drained", timeoutMs: 30_000 + 30 * backlog });
  } finally {
    await engine[Symbol.asyncDispose]();
  }
  const endedMs = performance.now();
  await live[Symbol.asyncDispose]();
  const isWorkedOff = () => record.sentAtMs.size + record.overTheLimit.length >= backlog + live.pushedAtMs.size;
  await waitUntil(isWorkedOff, { what: "all was forwarded", timeoutMs: 60_000 });

  assert.deepEqual([record.backInDlq, record.refused, record.overTheLimit, record.doubled], [[], [], [], []]);
  assert.equal(record.replayedAtMs.length, backlog);
  const client = redis.client();
  const lists = [alerterDlq, deadList, ingestQueue, alertQueue];
  assert.deepEqual(await Promise.all(lists.map((key) => client.llen(key))), [0, 0, 0, 0]);
  const seconds = (endedMs - startedMs) / 1_000;
  return [
    `${(backlog / seconds).toFixed(0)} a second, all of it in ${seconds.toFixed(0)} s`,
    `live delay before: ${tellDelays(live.delaysMs(record, [0, startedMs]))}`,
    `live delay beside: ${tellDelays(live.delaysMs(record, [startedMs, endedMs]))}`,
  ].join("; ");
}
