import assert from "node:assert/strict";
import { createDepthGate } from "../../src/gates/depth.ts";
import { createPaceGate, type PaceSettings } from "../../src/mutt/pace_gate.ts";
import { paceLedgerKey } from "../../src/redis/keys.ts";
import { parseCycleState, type Snapshot } from "../../src/cycle/cycle_state.ts";
import { ODD_NUMBERS } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";

const redis = shareRedis();
const RATE_KEY = "mutt:rate_limit:moog", ALERTS = "mutt:alert_queue", INGEST = "mutt:ingest_queue";

Deno.test("createDepthGate: bounds the sum of the queues, and closes when it reaches the limit", async () => {
  const client = redis().client();
  let limit = 10;
  const gate = createDepthGate(client, {
    queues: [INGEST, ALERTS],
    limit: () => ({ limit, decidedBy: "SOME_VARIABLE" }),
  });
  await redis().seedList(INGEST, ["1", "2", "3"]);
  await redis().seedList(ALERTS, ["1", "2"]);
  const { open, reason, room, detail } = await gate.ask();
  assert.deepEqual([open, reason, room], [true, "room", 5]);
  assert.match(detail, /hold 5 messages of at most 10 \(SOME_VARIABLE\)/);
  assert.deepEqual(gate.last(), { depths: [3, 2], limit: 10 });
  limit = 5;
  assert.deepEqual([(await gate.ask()).open, (await gate.ask()).reason], [false, "over_limit"]);
  limit = 0;
  assert.deepEqual([(await gate.ask()).open, gate.last()?.limit], [true, null]);
});

Deno.test("createDepthGate: is closed when a queue cannot be measured, and says why", async () => {
  const client = redis().client();
  await client.set(ALERTS, "no list");
  const gate = createDepthGate(client, { queues: [INGEST, ALERTS], limit: () => ({ limit: 10, decidedBy: "x" }) });
  const { open, reason, detail } = await gate.ask();
  assert.deepEqual([open, reason], [false, "unknown"]);
  assert.match(detail, /WRONGTYPE/);
});

function pace(
  settings: PaceSettings,
  { nowMs = Date.now(), feedsForwarder = true }: { nowMs?: number; feedsForwarder?: boolean } = {},
) {
  const snapshot: Snapshot = { nowMs, depth: 1, record: parseCycleState([]) };
  const client = redis().client();
  const deps = {
    settings: () => settings,
    rateKey: RATE_KEY,
    waitingQueues: [INGEST, ALERTS],
    feedsForwarder,
    snapshot: () => snapshot,
  };
  return { nowMs, client, gate: createPaceGate(client, deps) };
}

const AUTO: PaceSettings = {
  maxPerSecond: "auto",
  decidedBy: "REMEDIATION_MAX_PER_SECOND",
  rateLimit: 50,
  ratePeriodMs: 1_000,
};

Deno.test("createPaceGate: leaves room by the forwarder's own books and the queues before it", async () => {
  const { client, gate, nowMs } = pace(AUTO);
  assert.equal((await gate.ask()).room, 4, "a tenth of the share at a time");
  for (let i = 0; i < 33; i++) await client.zadd(RATE_KEY, nowMs - 200, `sent ${i}`);
  for (const [score, member] of [[nowMs - 100, "a"], [nowMs - 900, "b"], [nowMs - 1_100, "too old"]] as const) {
    await client.zadd(RATE_KEY, score, member);
  }
  await redis().seedList(ALERTS, ["1", "2", "3"]);
  await redis().seedList(INGEST, ["1"]);
  assert.equal((await gate.ask()).room, 40 - 33 - 2 - 4);
});

Deno.test("createPaceGate: shares its room with every other source and instance", async () => {
  const [one, two] = [pace(AUTO), pace(AUTO)];
  assert.equal((await one.gate.ask()).room, 4);
  assert.equal((await two.gate.ask()).room, 4);
  assert.equal(await one.gate.reserve(3), true);
  assert.equal(await two.gate.reserve(3), false, "the room was asked for before the other took it");
  assert.equal((await two.gate.ask()).room, 1);
  assert.equal(await two.gate.reserve(1), true);
  const { open, reason } = await one.gate.ask();
  assert.deepEqual([open, reason], [false, "no_room"]);
});

Deno.test("createPaceGate: takes its room when the version of the shared ledger is no number", async () => {
  const { client, gate } = pace(AUTO);
  for (const [, odd] of ODD_NUMBERS) {
    await client.hset(paceLedgerKey(RATE_KEY), new Map(Object.entries({ version: odd })));
    await gate.ask();
    assert.equal(await gate.reserve(1), true, String(odd));
    assert.equal(await client.hget(paceLedgerKey(RATE_KEY), "version"), "1");
  }
});

Deno.test("createPaceGate: is closed when the forwarder's books cannot be read, and says what needs them", async () => {
  const { client, gate } = pace(AUTO);
  await client.set(RATE_KEY, "no sorted set");
  const { open, reason, detail } = await gate.ask();
  assert.deepEqual([open, reason], [false, "unknown"]);
  assert.match(detail, /WRONGTYPE.*REMEDIATION_MAX_PER_SECOND = auto/);
  assert.equal(await gate.reserve(1), false);
});

Deno.test("createPaceGate: keeps a fixed rate in the source's record, and asks nothing when there is no limit", async () => {
  const fixed = pace({ ...AUTO, maxPerSecond: 50 }).gate;
  assert.equal((await fixed.ask()).room, 5);
  assert.equal(await fixed.reserve(5), true);
  assert.deepEqual(Object.keys(fixed.fieldsAfter(5)), ["spentUntilMs"]);
  const free = pace({ ...AUTO, maxPerSecond: 0 }).gate;
  assert.deepEqual([(await free.ask()).reason, free.fieldsAfter(5), await free.reserve(5)], ["no_limit", {}, true]);
});

Deno.test("createPaceGate: lets an automatic pace see what a source at a fixed rate replays", async () => {
  const [auto, fixed] = [pace(AUTO), pace({ ...AUTO, maxPerSecond: 50 })];
  assert.equal((await auto.gate.ask()).room, 4);
  assert.equal((await fixed.gate.ask()).room, 5);
  assert.equal(await fixed.gate.reserve(3), true);
  assert.equal(await auto.gate.reserve(4), false, "the room was asked for before");
  assert.equal((await auto.gate.ask()).room, 1);
});

Deno.test("createPaceGate: keeps a fixed rate of another pipeline out of the forwarder's books", async () => {
  const [auto, fixed] = [pace(AUTO), pace({ ...AUTO, maxPerSecond: 5 }, { feedsForwarder: false })];
  await auto.gate.ask();
  assert.equal(await fixed.gate.reserve(5), true);
  assert.equal(await auto.gate.reserve(4), true);
});
