import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { stateKey } from "../../src/redis/keys.ts";
import { AlertFlow } from "../../src/replay/alert_flow.ts";
import { createEngine, DEAD, DLQ, eventTexts, STATE, TARGET } from "../support/engine.ts";
import { shareRedis } from "../support/redis.ts";
import { TestClock } from "../support/test_clock.ts";

const redis = shareRedis();
const { moogRateLimitKey: rateKey, alertQueue, moogDlq } = DEFAULT_SETTINGS;
const FAILURES = "mutt:circuit_breaker:moogsoft:failures";

/** A flow that has looked once, and hands to move the pipeline with. */
async function setup() {
  const client = redis().client(), clock = new TestClock();
  const flow = new AlertFlow({ redis: client, clock, intervalMs: () => 300_000, rateKey, alertQueue, moogDlq });
  let taken = 0;
  const take = async (count: number) => {
    for (let i = 0; i < count; i++) await client.zadd(rateKey, 1_000 + ++taken, `m${taken}`);
  };
  const lookLater = async () => {
    await clock.advance(1_000);
    await flow.look();
    return flow.since(0);
  };
  await client.set(FAILURES, "0");
  await take(5);
  await flow.look();
  return { client, clock, flow, take, lookLater };
}

Deno.test("AlertFlow: counts what the forwarder took between two looks, not what it took before", async () => {
  const { take, lookLater, flow, clock } = await setup();
  assert.equal(flow.since(0), 0, "one look proves nothing");
  assert.equal(await lookLater(), 0);
  await take(4);
  assert.equal(await lookLater(), 4);
  const nowMs = clock.nowMs();
  await take(2);
  assert.equal(await lookLater(), 6);
  assert.equal(flow.since(nowMs), 2);
});

Deno.test("AlertFlow: takes nothing for proof that waited before, or was replayed by source moog", async () => {
  const { client, take, lookLater } = await setup();
  await client.lpush(alertQueue, "a", "b", "c");
  assert.equal(await lookLater(), 0);
  await client.del(alertQueue);
  await take(3);
  assert.equal(await lookLater(), 0, "those had waited");
  await client.hset(stateKey(moogDlq), { cycle: 7, replayed: 2 });
  await take(3);
  assert.equal(await lookLater(), 1);
  await client.hset(stateKey(moogDlq), { cycle: 8, replayed: 4 });
  await take(4);
  assert.equal(await lookLater(), 1, "a new cycle counts from 0");
});

Deno.test("AlertFlow: takes nothing for proof while Moogsoft fails, or the breaker says nothing", async () => {
  const { client, take, lookLater } = await setup();
  for (const failures of ["1", null, "x"]) {
    if (failures === null) await client.del(FAILURES);
    else await client.set(FAILURES, failures);
    await take(9);
    assert.equal(await lookLater(), 0, `${failures}`);
    await take(9);
    assert.equal(await lookLater(), 0, `${failures}`);
  }
  await client.set(FAILURES, "0");
  await take(9);
  assert.equal(await lookLater(), 0, "it failed at the look before");
  await take(1);
  assert.equal(await lookLater(), 1);
});

Deno.test("AlertFlow: proves nothing by a look that fails, and goes on", async () => {
  const { client, take, lookLater } = await setup();
  const entries = await client.zrange(rateKey, 0, "-1", "WITHSCORES");
  await client.set(rateKey, "of the wrong type");
  assert.equal(await lookLater(), 0);
  await client.del(rateKey);
  for (let i = 0; i < entries.length; i += 2) await client.zadd(rateKey, entries[i + 1]!, entries[i]!);
  await take(3);
  assert.equal(await lookLater(), 0, "nothing is known of before");
  await take(3);
  assert.equal(await lookLater(), 3);
});

/** A consumer that fails everything that it is given, at once. */
async function failAll(client: ReturnType<ReturnType<typeof redis>["client"]>): Promise<void> {
  while (await client.lmove(TARGET, DLQ, "RIGHT", "LEFT") !== null);
}

Deno.test("source alerter: blames the messages when all of them come back while live alerts get through, and only then", async () => {
  for (const isProven of [true, false]) {
    await redis().client().flushall();
    await redis().seedList(DLQ, eventTexts(12));
    await using engine = createEngine(redis());
    const client = redis().client();
    await client.set(FAILURES, "0");
    const alerts = engine.source.watches.find((watch) => watch instanceof AlertFlow)!;
    assert.ok(alerts instanceof AlertFlow);
    for (let cycle = 1; cycle <= 4; cycle++) {
      await engine.turn({ begin: "now" });
      await failAll(client);
      await alerts.look();
      if (isProven) { for (let i = 0; i < 9; i++) await client.zadd(rateKey, 100 * cycle + i, `${cycle}:${i}`); }
      await alerts.look();
    }
    assert.equal((await redis().readTexts(DEAD)).length, isProven ? 12 : 0);
    assert.equal(await client.hget(STATE, "brakeReason"), isProven ? "none" : "returns");
    assert.equal(await client.hget(STATE, "troubled"), isProven ? "" : "1-2");
  }
});
