import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { stateKey } from "../../src/redis/keys.ts";
import { LiveTraffic } from "../../src/mutt/live_traffic.ts";
import { createEngine, DEAD, DLQ, eventTexts, STATE, TARGET } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { TestClock } from "../../testkit/test_clock.ts";

const redis = shareRedis();
const { moogRateLimitKey: rateKey, alertQueue, moogDlq } = DEFAULT_SETTINGS;
const FAILURES = "mutt:circuit_breaker:moogsoft:failures", BREAKER = "mutt:circuit_breaker:moogsoft:state";
const ALERTER = { dlq: DLQ, isRefusalsDlq: false }, MOOG = { dlq: moogDlq, isRefusalsDlq: true };

/** A flow that has looked once, and hands to move the pipeline with. */
async function setup({ dlq, isRefusalsDlq }: typeof ALERTER = ALERTER, { breakerEnabled = true } = {}) {
  const client = redis().client(), clock = new TestClock();
  const flow = new LiveTraffic({
    ...{ redis: client, clock, intervalMs: () => 300_000, breakerEnabled, rateKey, alertQueue, dlq, isRefusalsDlq },
    otherDlqs: dlq === DLQ ? [moogDlq] : [],
  });
  let taken = 0;
  const take = async (count: number) => {
    for (let i = 0; i < count; i++) await client.zadd(rateKey, 1_000 + ++taken, `m${taken}`);
  };
  /** Looks a second later, after so many messages came to the DLQ. */
  const look = async ({ arrive = 0 } = {}) => {
    for (let i = 0; i < arrive; i++) await client.lpush(dlq, "{}");
    await clock.advance(1_000);
    await flow.runOnce();
    return flow.liveSuccesses(3_600_000);
  };
  await client.lpush(dlq, "{}");
  await client.set(FAILURES, "0");
  await client.set(BREAKER, "CLOSED");
  await take(5);
  await flow.runOnce();
  return { client, clock, flow, take, look };
}

Deno.test("LiveTraffic: counts what the forwarder took when messages came back, and not what it took before", async () => {
  const { take, look, flow } = await setup();
  assert.equal(await look({ arrive: 1 }), 0, "nothing was taken since");
  await take(4);
  assert.equal(await look({ arrive: 1 }), 4);
  await take(2);
  assert.equal(await look(), 6);
  assert.deepEqual([flow.liveSuccesses(500), flow.liveSuccesses(0)], [0, 0], "without an arrival in that time");
});

Deno.test("LiveTraffic: takes nothing for proof that got through long before or after messages came back", async () => {
  const { take, look } = await setup();
  await take(9);
  for (let i = 0; i < 6; i++) await look();
  assert.equal(await look({ arrive: 3 }), 0, "the consumer may have failed since");
  for (let i = 0; i < 5; i++) await look();
  await take(9);
  assert.equal(await look(), 0, "it may have failed until now");
});

Deno.test("LiveTraffic: takes nothing for proof that waited before, or that another source put before the forwarder", async () => {
  const { client, take, look } = await setup();
  await client.lpush(alertQueue, "a", "b", "c");
  assert.equal(await look({ arrive: 1 }), 0);
  await client.del(alertQueue);
  await take(3);
  assert.equal(await look(), 0, "those had waited");
  await client.hset(stateKey(moogDlq), { replayedTotal: 2 });
  await take(1);
  assert.equal(await look(), 0, "one of two");
  await take(1);
  assert.equal(await look(), 0, "the other");
  await take(1);
  assert.equal(await look(), 1);
});

Deno.test("LiveTraffic: goes on across cycles of this source and of others, and is not held up by poison that never becomes an alert", async () => {
  const { client, take, look } = await setup();
  let proof = 0;
  for (let cycle = 1; cycle <= 5; cycle++) {
    // All of its replays come back: none of them is ever an alert.
    await client.hset(STATE, { cycle, replayed: 40, dead: 0, replayedTotal: 40 * cycle });
    await client.hset(stateKey(moogDlq), { cycle: 7 * cycle, replayed: 0 });
    await take(3);
    proof = await look({ arrive: 40 });
  }
  assert.equal(proof, 15);
});

Deno.test("LiveTraffic: takes nothing for proof while Moogsoft fails, or the breaker is open, silent or not in use", async () => {
  const { client, take, look } = await setup();
  const cases = [[FAILURES, "1", "0"], [FAILURES, "x", "0"], [FAILURES, "", "0"], [
    BREAKER,
    "HALF_OPEN",
    "CLOSED",
  ]] as const;
  for (const [key, bad, good] of cases) {
    await client.set(key, bad);
    await take(9);
    assert.equal(await look({ arrive: 1 }), 0, `${key} ${bad}`);
    await client.set(key, good);
    await take(9);
    assert.equal(await look(), 0, `${key} was ${bad} at the look before`);
  }
  await take(1);
  assert.equal(await look(), 1);
  const unused = await setup(ALERTER, { breakerEnabled: false });
  await unused.take(9);
  assert.equal(await unused.look({ arrive: 1 }), 0);
});

Deno.test("LiveTraffic: proves nothing, and asks little, while no message waits and none was moved", async () => {
  const { client, take, look } = await setup();
  await client.del(DLQ);
  await look();
  await client.config("RESETSTAT");
  await take(9);
  assert.equal(await look(), 0);
  assert.doesNotMatch(await client.info("commandstats"), /cmdstat_zcount/);
  assert.equal(await look({ arrive: 1 }), 0, "nothing is known of before");
  await take(3);
  assert.equal(await look({ arrive: 1 }), 3);
});

Deno.test("LiveTraffic: is not blinded by an entry of the future in the forwarder's books", async () => {
  const { client, take, look } = await setup();
  await client.zadd(rateKey, "+inf", "nobody's");
  await look();
  await take(4);
  assert.equal(await look({ arrive: 1 }), 4);
});

Deno.test("LiveTraffic: does not take what the forwarder refuses for what it got through", async () => {
  const { take, look } = await setup(MOOG);
  await take(4);
  assert.equal(await look({ arrive: 4 }), 0);
  await take(5);
  assert.equal(await look({ arrive: 2 }), 3);
});

Deno.test("LiveTraffic: proves nothing by a look that fails or finds nonsense, and goes on", async () => {
  const { client, take, look } = await setup();
  const entries = await client.zrange(rateKey, 0, "-1", "WITHSCORES");
  await client.set(rateKey, "of the wrong type");
  assert.equal(await look({ arrive: 1 }), 0);
  await client.del(rateKey);
  for (let i = 0; i < entries.length; i += 2) await client.zadd(rateKey, entries[i + 1]!, entries[i]!);
  await take(3);
  assert.equal(await look({ arrive: 1 }), 0, "nothing is known of before");
  await client.hset(stateKey(moogDlq), { replayedTotal: "many" });
  await take(3);
  assert.equal(await look({ arrive: 1 }), 3);
});

/** A consumer that fails everything that it is given, at once. */
async function failAll(client: ReturnType<ReturnType<typeof redis>["client"]>): Promise<void> {
  while (await client.rpoplpush(TARGET, DLQ) !== null);
}

Deno.test("source alerter: lets others pass messages that fail while live alerts get through, and buries these", async () => {
  for (const isProven of [true, false]) {
    await redis().client().flushall();
    await redis().seedList(DLQ, eventTexts(12));
    await using engine = createEngine(redis());
    const client = redis().client();
    await client.set(FAILURES, "0");
    await client.set(BREAKER, "CLOSED");
    const alerts = engine.source.watches.find((watch) => watch instanceof LiveTraffic);
    assert.ok(alerts instanceof LiveTraffic);
    const replayed = [];
    for (let cycle = 1; cycle <= 5; cycle++) {
      await alerts.runOnce();
      replayed.push((await engine.turn({ begin: "now" })).replayed);
      await failAll(client);
      await alerts.runOnce();
      if (isProven) { for (let i = 0; i < 400; i++) await client.zadd(rateKey, 1_000 * cycle + i, `${cycle}:${i}`); }
      await alerts.runOnce();
    }
    if (!isProven) assert.deepEqual(replayed.slice(0, 4), [12, 1, 0, 1], "only canaries go");
    else assert.deepEqual(replayed, [12, 12, 12, 0, 0], "three replays each, and then they are dead");
    assert.equal((await redis().readTexts(DEAD)).length, isProven ? 12 : 0);
    const states = await engine.metrics.brakeState.get();
    const shown = states.values.filter(({ value }) => value === 1).map(({ labels }) => labels.state);
    assert.deepEqual(shown, isProven ? ["healthy"] : ["suspect"]);
    const event = isProven ? "messages_fail" : "common_failure";
    assert.ok(engine.lines.some((line) => line.event === event), event);
  }
});
