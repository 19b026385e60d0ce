/** The history of a source in a real Redis: who writes it, how large it becomes, and what happens when it cannot be written. */
import assert from "node:assert/strict";
import { HistoryRecorder } from "../../src/history/recorder.ts";
import { formatCounted } from "../../src/history/sample.ts";
import { history } from "../../src/operations/history.ts";
import { checkInput } from "../../src/operations/input.ts";
import { HistoryStore, type LastSeen } from "../../src/redis/history_store.ts";
import { historyKey } from "../../src/redis/keys.ts";
import { createEngine, DEAD, DLQ, type Engine, eventTexts, STATE, TARGET } from "../../testkit/engine.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { shareRedis, withRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const KEY = historyKey(DLQ);
const NOTHING = formatCounted({ replayed: 0, dead: 0, cameBack: 0, downstream: null, limit: null, heldBy: [] });

function recorderOf({ source }: Engine): HistoryRecorder {
  const found = source.watches.find((watch) => watch instanceof HistoryRecorder);
  assert.ok(found);
  return found;
}

async function readHistory(engine: Engine, input: object = {}) {
  const { sources: [found] } = await history.run(operatorContext(engine), checkInput(history.input, input));
  return found!;
}

const led = (name: string, port: { port: number } = server()) =>
  createEngine(port, { name, settings: { leaderElection: true, batchSize: 5 } });

Deno.test("history: the leader alone writes it, and every instance reads the same", async () => {
  await using one = led("a");
  await using other = led("b");
  await server().seedList(DLQ, ["not JSON", ...eventTexts(7)]);
  await one.turn();
  await other.turn({ begin: "due" });
  for (const engine of [one, other]) await recorderOf(engine).runOnce();
  const client = server().client();
  assert.equal(await client.xlen(KEY), 1);
  const [mine, theirs] = [await readHistory(one), await readHistory(other)];
  const last = mine.steps.at(-1)!;
  assert.deepEqual([last.depth, last.target, last.dead, last.replayed, last.buried], [3, 4, 1, 4, 1]);
  assert.deepEqual(mine.totals, { replayed: 4, buried: 1, cameBack: 0, arrived: null });
  assert.deepEqual(theirs.totals, mine.totals);
  assert.deepEqual([mine.emptySince, mine.staleSince, mine.steps.length], [null, null, 120]);
  assert.ok(mine.lastReplayAt);
  const leftMs = await client.pttl(KEY);
  assert.ok(leftMs > 86_400_000 && leftMs <= 90_000_000, `it ends with the service: ${leftMs}`);
});

Deno.test("history: what arrived is what the DLQ grew by and what left it; a job in between makes it unknown", async () => {
  const store = new HistoryStore(server().client(), { dlq: DLQ, dead: DEAD, target: TARGET }),
    client = server().client();
  const append = async (last: LastSeen | null) => (await store.append(NOTHING, { last, leastMs: 0 }))!;
  const arrived = async () => (await client.xrevrange(KEY, "+", "-", "COUNT", 1))[0]![1][7];
  await server().seedList(DLQ, eventTexts(10));
  const first = await append(null);
  assert.deepEqual([first, await arrived()], [{ depth: 10, picked: "0", hasJob: false }, ""]);
  await server().popList(DLQ, 4);
  await client.lpush(DLQ, "1", "2", "3");
  const second = await append({ ...first, moved: 4 });
  assert.deepEqual([second.depth, await arrived()], [9, "3"]);
  await server().popList(DLQ, 2);
  const third = await append({ ...second, moved: 0 });
  assert.equal(await arrived(), "0", "somebody else took them");
  await client.hset(STATE, { pickedTotal: "1" });
  const fourth = await append({ ...third, moved: 0 });
  assert.deepEqual([fourth.picked, await arrived()], ["1", ""]);
  await client.hset(STATE, { job: "j_1", jobList: "dlq" });
  await client.lpush(`${STATE}:shelf`, "on the shelf");
  const fifth = await append({ ...fourth, moved: 0 });
  assert.deepEqual([fifth, await arrived()], [{ depth: 8, picked: "1", hasJob: true }, ""]);
  assert.equal(await store.append(NOTHING, { last: null, leastMs: 60_000 }), null, "the newest is younger");
  assert.equal(await client.xlen(KEY), 5);
});

Deno.test("history: keeps some 4,000 samples in at most 600 KB", async () => {
  const client = server().client(), store = new HistoryStore(client, { dlq: DLQ, dead: DEAD, target: TARGET });
  const heldBy = [{ name: "downstream", reason: "unhealthy", detail: "" }] as const;
  const counted = formatCounted({ replayed: 1234, dead: 12, cameBack: 123, downstream: 12_345, limit: 20_000, heldBy });
  const last = { depth: 0, picked: "0", moved: 9_999 };
  for (let i = 0; i < 45; i++) {
    await Promise.all(
      Array.from({ length: 100 }, () => store.append(counted, { last, leastMs: 0 })),
    );
  }
  const kept = await client.xlen(KEY), bytes = Number(await client.memory("USAGE", KEY, "SAMPLES", 0));
  assert.ok(kept >= 4_000 && kept <= 4_200, String(kept));
  assert.ok(bytes < 600_000, String(bytes));
  await using engine = led("a");
  await engine.connections.waitUntilReady(10_000);
  assert.equal((await readHistory(engine, { minutes: 1440, points: 1 })).totals.replayed, kept * 1234);
});

Deno.test("history: tells which gate held the source, since when, and in words", async () => {
  await using engine = led("a");
  await engine.turn();
  const recorder = recorderOf(engine);
  await recorder.runOnce();
  await engine.source.control.pause({ forMs: 60_000, by: "ann", reason: "network work" });
  await engine.turn();
  await engine.source.board.ask();
  await recorder.runOnce();
  const { steps, changes, emptySince } = await readHistory(engine, { minutes: 1, points: 5 });
  assert.deepEqual(steps.at(-1)!.heldBy, ["pause"]);
  assert.deepEqual(changes.map(({ gate, open, reason }) => [gate, open, reason]), [["pause", false, "paused"]]);
  assert.match(changes[0]!.words, /^by ann until .*: network work/);
  assert.ok(emptySince);
});

Deno.test("history: a key of another type is logged once and disturbs nothing else; what is read is stale", async () => {
  await server().client().set(KEY, "somebody else's");
  await using engine = led("a");
  await server().seedList(DLQ, eventTexts(3));
  await engine.turn();
  for (let i = 0; i < 3; i++) await recorderOf(engine).runOnce();
  const told = engine.lines.filter(({ event }) => event.startsWith("history"));
  assert.deepEqual(told.map(({ event, fields }) => [event, fields.code]), [["history_unwritable", "WRONGTYPE"]]);
  assert.deepEqual(await engine.moved(), { replayed: 3, dead: {} });
  assert.deepEqual(await engine.errors(), {});
  const { steps, staleSince } = await readHistory(engine);
  assert.ok(staleSince);
  assert.ok(steps.every(({ depth }) => depth === null));
});

withRedis(
  "history: while Redis is away the last samples are shown as stale, and it goes on when Redis is back",
  async (redis) => {
    await using engine = led("a", redis);
    await redis.seedList(DLQ, eventTexts(2));
    await engine.turn();
    await recorderOf(engine).runOnce();
    assert.equal((await readHistory(engine)).totals.replayed, 2);
    await redis.kill("SIGKILL");
    await waitUntil(async () => (await readHistory(engine)).staleSince !== null, { what: "the history is stale" });
    assert.equal((await readHistory(engine)).totals.replayed, 2);
    await recorderOf(engine).runOnce();
    await redis.restart();
    await waitUntil(async () => (await readHistory(engine)).staleSince === null, { what: "the history is current" });
    assert.equal(engine.lines.filter(({ event }) => event === "history_unwritable").length, 0);
  },
);

Deno.test("history: refuses a window or a number of steps that it does not have, and an unknown source", async () => {
  await using engine = led("a");
  for (const input of [{ minutes: 0 }, { minutes: 1441 }, { points: 0 }, { points: 1001 }, { more: 1 }]) {
    assert.throws(() => checkInput(history.input, input), /is not/);
  }
  await assert.rejects(readHistory(engine, { source: "nobody" }), /is not one of alerter/);
});
