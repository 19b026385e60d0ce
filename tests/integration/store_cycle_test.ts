/** begin_cycle.lua and settle_commit.lua by themselves. */
import { createHash } from "node:crypto";
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import type { Chunk, Commit } from "../../src/cycle/chunk.ts";
import { createStore, DLQ, dumpKeys, ODD_NUMBERS, readLists, STATE } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const START = { sequence: "0", intervalMs: 60_000, budget: 100, fields: {} };
const BOUNDS = { messages: 200, bytes: 1_000_000, messageBytes: 1_000_000 };

Deno.test("begin: records number, start, bound and the newest message when there was no cycle", async () => {
  await server().seedList(DLQ, ["old", "new"]);
  const store = createStore(server());
  strictEqual(await store.begin({ ...START, fields: { boundBy: "depth", suspect: "0" } }), "ok");
  const { startedAtMs, ...record } = await server().client().hgetall(STATE);
  deepStrictEqual(record, {
    ...{ cycle: "1", seq: "1", depthAtStart: "2", remaining: "2", replayed: "0", dead: "0", firsts: "0" },
    ...{ newestBytes: "3", newestDigest: createHash("sha1").update("newnew").digest("hex") },
    ...{ boundBy: "depth", suspect: "0", push: server().push },
  });
  const { nowMs } = await store.readState();
  ok(Number(startedAtMs) <= nowMs && Number(startedAtMs) > nowMs - 5_000, `${startedAtMs} by the clock ${nowMs}`);
  deepStrictEqual((await readLists(server())).dlq, ["old", "new"]);
});

Deno.test("begin: takes the budget as the bound when more messages are there", async () => {
  await server().seedList(DLQ, ["a", "b", "c"]);
  const store = createStore(server());
  await store.begin({ ...START, budget: 2 });
  const { remaining, depthAtStart } = (await store.readState()).record;
  deepStrictEqual({ remaining, depthAtStart }, { remaining: 2, depthAtStart: 3 });
});

Deno.test("begin: starts a cycle of nothing when the DLQ is not there", async () => {
  const store = createStore(server());
  strictEqual(await store.begin(START), "ok");
  const { cycle, remaining, newestBytes } = (await store.readState()).record;
  deepStrictEqual({ cycle, remaining, newestBytes }, { cycle: 1, remaining: 0, newestBytes: 0 });
});

Deno.test("begin: sets the counts of the last cycle back and keeps what is not its own when another has been", async () => {
  const client = server().client();
  await server().seedList(DLQ, ["a"]);
  await client.hset(STATE, {
    seq: "9",
    cycle: "4",
    startedAtMs: "1",
    replayed: "7",
    dead: "3",
    remaining: "5",
    recent: "x",
  });
  strictEqual(await createStore(server()).begin({ ...START, sequence: "9" }), "ok");
  const { cycle, seq, replayed, dead, remaining, recent } = await client.hgetall(STATE);
  deepStrictEqual({ cycle, seq, replayed, dead, remaining, recent }, {
    ...{ cycle: "5", seq: "10", replayed: "0", dead: "0", remaining: "1", recent: "x" },
  });
});

/** The start of the last cycle against the server's clock, in milliseconds, and whether the next is due after a minute. */
const intervals: [name: string, agoMs: number, intervalMs: number, answer: string][] = [
  ["a second is missing", 59_000, 60_000, "not_due"],
  ["it has begun this instant", 0, 60_000, "not_due"],
  ["the interval has passed", 60_000, 60_000, "ok"],
  ["it was asked for at once", 0, 0, "ok"],
  ["the last one began in the future", -60_000, 60_000, "ok"],
];

for (const [name, agoMs, intervalMs, answer] of intervals) {
  Deno.test(`begin: answers ${answer} by the server's clock when ${name}`, async () => {
    const client = server().client();
    const store = createStore(server());
    await server().seedList(DLQ, ["a"]);
    await client.hset(STATE, { seq: "1", cycle: "1", startedAtMs: String((await store.readState()).nowMs - agoMs) });
    const before = await dumpKeys(client);
    strictEqual(await store.begin({ ...START, sequence: "1", intervalMs }), answer);
    const after = await dumpKeys(client);
    if (answer === "ok") strictEqual((await store.readState()).record.cycle, 2);
    else deepStrictEqual(after, before);
  });
}

Deno.test("begin: answers ok to one instance and stale to the others when four begin at the same time", async () => {
  await server().seedList(DLQ, ["a"]);
  const stores = Array.from({ length: 4 }, () => createStore(server()));
  const answers = await Promise.all(stores.map((store) => store.begin(START)));
  deepStrictEqual(answers.sort(), ["ok", "stale", "stale", "stale"]);
  strictEqual((await stores[0]!.readState()).record.cycle, 1);
});

for (
  const [name, key, sequence] of [["the DLQ is a string", DLQ, "0"], ["the record is a string", STATE, "0"]] as const
) {
  Deno.test(`begin: answers wrong_type and changes nothing when ${name}`, async () => {
    const client = server().client();
    await client.set(key, "text");
    const before = await dumpKeys(client);
    strictEqual(await createStore(server()).begin({ ...START, sequence }), "wrong_type");
    deepStrictEqual(await dumpKeys(client), before);
  });
}

for (const [name, odd] of ODD_NUMBERS) {
  Deno.test(`begin: starts anew when the record's numbers are ${name}`, async () => {
    const client = server().client();
    await server().seedList(DLQ, ["a", "b"]);
    const numbers = ["seq", "cycle", "startedAtMs", "remaining", "replayed", "dead"];
    await client.hset(STATE, new Map(numbers.map((field) => [field, odd])));
    const store = createStore(server());
    const { sequence, cycle, startedAtMs, remaining } = (await store.readState()).record;
    deepStrictEqual({ sequence, cycle, startedAtMs, remaining }, {
      ...{ sequence: "0", cycle: 0, startedAtMs: 0, remaining: 0 },
    });
    strictEqual((await store.readForCommit(BOUNDS)).record.sequence, "0");
    strictEqual(await store.begin({ ...START, sequence }), "ok");
    const { seq, cycle: begun, replayed, dead } = await client.hgetall(STATE);
    deepStrictEqual({ seq, begun, replayed, dead }, { seq: "1", begun: "1", replayed: "0", dead: "0" });
    strictEqual(await store.commit(commitOf(await store.readForCommit(BOUNDS), "mine")), "ok");
  });

  Deno.test(`commit and resolveLostCommit: count from 0 when the record's numbers are ${name}`, async () => {
    const client = server().client();
    await server().seedList(DLQ, ["a", "b"]);
    const store = createStore(server());
    const broken = { seq: odd, replayed: odd, dead: odd };
    await client.hset(STATE, new Map<string, string | Uint8Array>(Object.entries({ ...broken, remaining: "5" })));
    strictEqual(await store.commit(commitOf(await store.readForCommit({ ...BOUNDS, messages: 1 }), "mine")), "ok");
    deepStrictEqual(await client.hmget(STATE, "seq", "replayed", "dead", "remaining"), ["1", "1", "0", "1"]);
    await client.hset(STATE, new Map(Object.entries({ ...broken, remaining: odd })));
    strictEqual(await store.commit(commitOf(await store.readForCommit(BOUNDS), "other")), "bound");
    strictEqual(await store.resolveLostCommit("other"), false);
    strictEqual(await client.hget(STATE, "seq"), "1");
  });
}

function commitOf({ record: { sequence }, messages, nowMs }: Chunk, id: string): Commit {
  return {
    ...{ id, sequence, messages, oversize: null, moves: messages.map(() => ({ to: "target", payload: null })) },
    ...{ notAfterMs: nowMs + 60_000, targetLimit: null, endsCycle: false, fields: {} },
  };
}

Deno.test("resolveLostCommit: answers true and changes nothing when the commit has run", async () => {
  const client = server().client();
  const store = createStore(server());
  await server().seedList(DLQ, ["a", "b"]);
  await store.begin(START);
  strictEqual(await store.commit(commitOf(await store.readForCommit(BOUNDS), "mine")), "ok");
  const before = await dumpKeys(client);
  strictEqual(await store.resolveLostCommit("mine"), true);
  deepStrictEqual(await dumpKeys(client), before);
});

Deno.test("resolveLostCommit: answers true when other instances have committed since", async () => {
  const [store, other] = [createStore(server()), createStore(server())];
  await server().seedList(DLQ, ["a", "b"]);
  await store.begin(START);
  await store.commit(commitOf(await store.readForCommit({ ...BOUNDS, messages: 1 }), "mine"));
  strictEqual(await other.commit(commitOf(await other.readForCommit(BOUNDS), "theirs")), "ok");
  deepStrictEqual([await store.resolveLostCommit("mine"), await other.resolveLostCommit("theirs")], [true, true]);
});

Deno.test("resolveLostCommit: answers false, and the commit is stale for ever, when the commit has not run", async () => {
  const store = createStore(server());
  await server().seedList(DLQ, ["a", "b"]);
  await store.begin(START);
  const chunk = await store.readForCommit(BOUNDS);
  strictEqual(await store.resolveLostCommit("mine"), false);
  strictEqual(await store.commit(commitOf(chunk, "mine")), "stale");
  deepStrictEqual(await readLists(server()), { dlq: ["a", "b"], target: [], dead: [] });
});

Deno.test("resolveLostCommit: answers false when there is no record", async () => {
  strictEqual(await createStore(server()).resolveLostCommit("mine"), false);
});

Deno.test("resolveLostCommit: rejects with WRONGTYPE and changes nothing when the record is a list", async () => {
  const client = server().client();
  await client.lpush(STATE, "x");
  const before = await dumpKeys(client);
  await rejects(createStore(server()).resolveLostCommit("0"), /WRONGTYPE/);
  deepStrictEqual(await dumpKeys(client), before);
});
