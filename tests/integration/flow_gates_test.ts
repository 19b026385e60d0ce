import assert from "node:assert/strict";
import { createDepthGate } from "../../src/gates/depth.ts";
import { createPaceGate, type PaceSettings } from "../../src/gates/pace.ts";
import type { Snapshot } from "../../src/redis/dead_letter_store.ts";
import { parseRecord } from "../../src/redis/source_record.ts";
import { shareRedis } from "../support/redis.ts";

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

function pace(settings: PaceSettings, record: Record<string, string> = {}) {
  const nowMs = Date.now();
  const snapshot: Snapshot = { nowMs, depth: 1, record: parseRecord(Object.entries(record).flat()) };
  const client = redis().client();
  const deps = { settings: () => settings, rateKey: RATE_KEY, alertQueue: ALERTS, snapshot: () => snapshot };
  return { nowMs, client, gate: createPaceGate(client, deps) };
}

const AUTO: PaceSettings = { maxPerSecond: "auto", rateLimit: 50, ratePeriodSeconds: 1 };

Deno.test("createPaceGate: leaves room by the forwarder's own books, its queue, and replays not yet visible there", async () => {
  const { client, gate, nowMs } = pace(AUTO);
  assert.equal((await gate.ask()).room, 40);
  for (const [score, member] of [[nowMs - 100, "a"], [nowMs - 2_500, "b"], [nowMs - 3_500, "too old"]] as const) {
    await client.zadd(RATE_KEY, score, member);
  }
  await redis().seedList(ALERTS, ["1", "2", "3"]);
  assert.equal((await gate.ask()).room, 40 - 2 - 3);
  assert.equal((await pace(AUTO, { recent: `${nowMs - 50}:30` }).gate.ask()).room, 40 - 2 - 3 - 30);
  const full = await pace(AUTO, { recent: `${nowMs - 50}:39` }).gate.ask();
  assert.deepEqual([full.open, full.reason, full.room], [false, "no_room", undefined]);
});

Deno.test("createPaceGate: is closed when the forwarder's books cannot be read, and says what needs them", async () => {
  const { client, gate } = pace(AUTO);
  await client.set(RATE_KEY, "no sorted set");
  const { open, reason, detail } = await gate.ask();
  assert.deepEqual([open, reason], [false, "unknown"]);
  assert.match(detail, /WRONGTYPE.*REMEDIATION_MAX_PER_SECOND=auto/);
});

Deno.test("createPaceGate: leaves the fields by which the next ask knows what was replayed", async () => {
  for (const maxPerSecond of ["auto", 5] as const) {
    const settings = { ...AUTO, maxPerSecond };
    const first = pace(settings);
    const { room } = await first.gate.ask();
    const second = pace(settings, { ...first.gate.fieldsAfter(room!) });
    assert.equal((await second.gate.ask()).open, false, String(maxPerSecond));
  }
});

Deno.test("createPaceGate: asks nothing when there is no limit", async () => {
  const { gate } = pace({ ...AUTO, maxPerSecond: 0 });
  assert.deepEqual([(await gate.ask()).reason, gate.fieldsAfter(5)], ["no_limit", {}]);
});
