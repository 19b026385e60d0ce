/** The counts of the objectives in a real Redis: who writes them, who reads them, and what happens when that fails. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ObjectiveStore, type SlotSizes } from "../../src/redis/objective_store.ts";
import { coarseCountsKey, countsKey } from "../../src/redis/keys.ts";
import { SharedCounts } from "../../src/slo/shared_counts.ts";
import { COARSE_MS, fineSlotMs, MOST_COARSE, MOST_FINE, NO_COUNTS, parseSlot } from "../../src/slo/slots.ts";
import { createEngine, DLQ, type Engine, eventTexts } from "../../testkit/engine.ts";
import { formatSlot, MemoryObjectiveStore } from "../../testkit/objective_store.ts";
import { propertyRuns } from "../../testkit/payloads.ts";
import { shareRedis, withRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const FINE = countsKey(DLQ), COARSE = coarseCountsKey(DLQ);
const DAY_MS = 86_400_000, HOUR_MS = 3_600_000;
const SIZES: SlotSizes = {
  ...{ fineMs: fineSlotMs(DAY_MS), mostFine: MOST_FINE, coarseMs: COARSE_MS, mostCoarse: MOST_COARSE },
};

const led = (name: string, port: { port: number } = server()) =>
  createEngine(port, { name, settings: { leaderElection: true } });

/** Events of one objective in the last day, and how long that was observed. */
function countOf({ source }: Engine, slo: "redrive_success" | "oldest_age" = "redrive_success") {
  const { of } = source.sloCounts.over(DAY_MS);
  return [of[slo].events, of[slo].bad];
}

/** Takes a sample of the oldest age, as the monitor does, and lets the instance write and read. */
async function sample({ source }: Engine): Promise<void> {
  source.indicators.measured({ depth: 0, oldestAgeMs: 0 });
  source.indicators.sample();
  await source.sloCounts.runOnce();
}

/** An addition: the time from the end of the last one to its start (negative: the clock was set back), and its length. */
const ADDITION = fc.record({
  jumpMs: fc.oneof({ weight: 30, arbitrary: fc.constant(0) }, fc.integer({ min: -HOUR_MS, max: 5 * HOUR_MS })),
  lengthMs: fc.oneof({ weight: 9, arbitrary: fc.nat(200_000) }, fc.nat(2 * HOUR_MS)),
  counts: fc.array(fc.nat(1_000_000), { minLength: NO_COUNTS.length, maxLength: NO_COUNTS.length }),
});

Deno.test("objectives: the script keeps slots by the same rule as the program", async () => {
  const client = server().client(), store = new ObjectiveStore(client, { dlq: DLQ });
  const options = { sizes: { ...SIZES, mostFine: 9, coarseMs: HOUR_MS, mostCoarse: 5 }, leastMs: 0, newest: 3 };
  await fc.assert(
    fc.asyncProperty(fc.array(ADDITION, { minLength: 1, maxLength: 60, size: "max" }), async (additions) => {
      await client.del(FINE, COARSE);
      let nowMs = 0, ageMs = 30 * DAY_MS;
      const memory = new MemoryObjectiveStore(() => nowMs);
      for (const { jumpMs, lengthMs, counts } of additions) {
        const fromAgeMs = ageMs - jumpMs,
          untilAgeMs = fromAgeMs - lengthMs,
          added = [{ fromAgeMs, untilAgeMs, counts }];
        const stored = (await store.add(added, options))!;
        nowMs = stored.nowMs;
        assert.deepEqual(stored, await memory.add(added, options));
        ageMs = untilAgeMs;
      }
      const { fine, coarse } = await store.read({ newest: 99 });
      assert.deepEqual([fine, coarse], [memory.fine, memory.coarse].map((slots) => slots.map(formatSlot).toReversed()));
    }),
    propertyRuns(15),
  );
  for (const key of [FINE, COARSE]) {
    const leftMs = await client.pttl(key);
    assert.ok(leftMs > 30 * DAY_MS && leftMs <= 31 * DAY_MS, `it ends with the source: ${leftMs}`);
  }
});

Deno.test("objectives: a full month of counts is at most 40 KB, and a write takes and returns only the newest", async () => {
  const client = server().client(), store = new ObjectiveStore(client, { dlq: DLQ });
  const counts = [72, 0, 72, 3, 123_456, 1_234, 72, 1];
  for (let ageMs = 32 * DAY_MS; ageMs > DAY_MS; ageMs -= COARSE_MS) {
    await store.add([{ fromAgeMs: ageMs, untilAgeMs: ageMs - COARSE_MS, counts }], {
      sizes: SIZES,
      leastMs: 0,
      newest: 0,
    });
  }
  for (let ageMs = DAY_MS; ageMs > 0; ageMs -= SIZES.fineMs) {
    const added = [{ fromAgeMs: ageMs, untilAgeMs: Math.max(0, ageMs - SIZES.fineMs), counts }];
    await store.add(added, { sizes: SIZES, leastMs: 0, newest: 0 });
  }
  const [fine, coarse] = await Promise.all([FINE, COARSE].map((key) => client.llen(key)));
  assert.deepEqual([fine, coarse], [MOST_FINE, MOST_COARSE]);
  const bytes = await Promise.all([FINE, COARSE].map((key) => client.memory("USAGE", key, "SAMPLES", 0)));
  const sum = bytes.reduce<number>((sum, bytes) => sum + Number(bytes), 0);
  assert.ok(sum < 40_000, `${sum} bytes`);
  const now = { fromAgeMs: 5, untilAgeMs: 0, counts };
  const written = (await store.add([now], { sizes: SIZES, leastMs: 0, newest: 4 }))!;
  assert.deepEqual([written.fine.length, written.coarse.length], [4, 4]);
  assert.equal(
    await store.add([now], { sizes: SIZES, leastMs: 60_000, newest: 4 }),
    null,
    "another one has just written",
  );
});

Deno.test("objectives: the leader alone counts samples; every instance, and one started after a kill, reports the same", async () => {
  const one = led("a");
  await using other = led("b");
  await using third = led("c");
  await server().seedList(DLQ, eventTexts(7));
  await one.turn();
  for (const engine of [other, third]) await engine.turn();
  for (let i = 0; i < 3; i++) for (const engine of [one, other, third]) await sample(engine);
  const before = [countOf(one), countOf(one, "oldest_age")];
  assert.deepEqual(before, [[7, 0], [3, 0]]);
  for (const engine of [other, third]) assert.deepEqual([countOf(engine), countOf(engine, "oldest_age")], before);
  await one.kill();
  await using again = led("a");
  await again.connections.waitUntilReady(10_000);
  assert.deepEqual([countOf(again), typeof again.source.sloCounts.staleSinceMs()], [[0, 0], "number"]);
  await again.source.sloCounts.runOnce();
  assert.deepEqual([countOf(again), countOf(again, "oldest_age")], before);
  assert.equal(again.source.sloCounts.staleSinceMs(), null);
});

Deno.test("objectives: when the leader stops, it writes what it has counted, and the next one adds to it", async () => {
  await using other = led("b");
  {
    await using one = led("a");
    await server().seedList(DLQ, eventTexts(5));
    await one.turn();
    await one.source.sloCounts.stop();
  }
  await server().seedList(DLQ, eventTexts(4, 100));
  await other.turn({ begin: "now" });
  await sample(other);
  assert.deepEqual([countOf(other), countOf(other, "oldest_age")], [[9, 0], [1, 0]]);
});

withRedis(
  "objectives: while Redis is away it reports what it knew and has counted, and goes on when Redis is back",
  async (redis) => {
    await using engine = createEngine(redis, { name: "a" });
    await redis.seedList(DLQ, eventTexts(3));
    await engine.turn();
    await sample(engine);
    await redis.kill("SIGKILL");
    await sample(engine);
    await sample(engine);
    assert.deepEqual([countOf(engine), countOf(engine, "oldest_age")], [[3, 0], [3, 0]]);
    await redis.restart();
    await waitUntil(async () => {
      await engine.source.sloCounts.runOnce();
      return await redis.client().llen(FINE) > 0;
    }, { what: "it is written" });
    const { counts } = parseSlot((await redis.client().lindex(FINE, 0))!)!;
    assert.ok(counts[2]! >= 2, "the samples that were taken meanwhile; Redis may have lost the first with its memory");
    assert.deepEqual(engine.lines.filter(({ event }) => event.startsWith("objectives")), []);
  },
);

Deno.test("objectives: a key of another type is logged once and disturbs nothing; reports go on from memory", async () => {
  for (const key of [FINE, COARSE]) {
    await server().client().set(key, "somebody else's");
    await using engine = led("a");
    await server().seedList(DLQ, eventTexts(3));
    await engine.turn({ begin: "now" });
    for (let i = 0; i < 3; i++) await sample(engine);
    const told = engine.lines.filter(({ event }) => event.startsWith("objectives"));
    assert.deepEqual(told.map(({ event, fields }) => [event, fields.code]), [["objectives_unshared", "WRONGTYPE"]]);
    assert.deepEqual([countOf(engine), countOf(engine, "oldest_age")], [[3, 0], [3, 0]]);
    assert.ok(engine.source.sloCounts.staleSinceMs() !== null);
    assert.deepEqual(await engine.moved(), { replayed: 3, dead: {} });
    assert.deepEqual(await engine.errors(), {});
    await server().client().del(key);
    await sample(engine);
    assert.deepEqual([countOf(engine), countOf(engine, "oldest_age")], [[3, 0], [4, 0]]);
    assert.equal(engine.lines.at(-1)!.event, "objectives_shared");
    await server().client().del(FINE, COARSE);
  }
});

Deno.test("objectives: what other clients write into the lists counts nothing and stops nothing", async () => {
  const client = server().client(), far = `7 ${Date.now()} 999999999999999 9 9 9 9 9 9 9 9`;
  await using engine = led("a");
  await engine.turn();
  await sample(engine);
  for (
    const text of ["{}", "", far, `7 ${Date.now() + DAY_MS} 5 1 1 1 1 1 1 1 1`, "9".repeat(100_000), "-1 -1 x", "1 2"]
  ) {
    await client.lpush(FINE, text);
    await client.lpush(COARSE, text);
    await sample(engine);
  }
  assert.deepEqual(countOf(engine, "oldest_age"), [8, 0]);
  await using reader = led("b");
  await reader.turn();
  await reader.source.sloCounts.runOnce();
  assert.deepEqual(countOf(reader, "oldest_age"), [8, 0]);
  assert.deepEqual(engine.lines.filter(({ event }) => event.startsWith("objectives")), []);
});

Deno.test("objectives: the service runs the task that shares them", async () => {
  await using engine = led("a");
  assert.ok(engine.source.watches.includes(engine.source.sloCounts));
  assert.ok(engine.source.sloCounts instanceof SharedCounts);
});
