/** The guard of a read: when a commit rests on WATCH, when it falls back on the digest, and what a broken one changes. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import type { Chunk, Commit } from "../../src/cycle/chunk.ts";
import { DeadLetterStore } from "../../src/redis/dead_letter_store.ts";
import { DLQ, eventTexts, policyOf, readLists, STATE } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { aclAll } from "../../testkit/redis_version.ts";
import { TransactionProxy } from "../../testkit/transaction_proxy.ts";
import { waitUntil } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });

const movers: Redis[] = [];
// What leaves a transaction in vain makes its connection anew; the sanitizers see the timers of that.
Deno.test.afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (const mover of movers.splice(0)) await ready(mover);
  await new Promise((resolve) => setTimeout(resolve, 5));
});

const BOUNDS = { messages: 4, bytes: 1_000_000, messageBytes: 1_000_000 };
const MANY = eventTexts(40);

/** A store whose own connection is at hand. */
function open(
  { port = server().port, ...options }: {
    username?: string;
    password?: string;
    connectionName?: string;
    /** Of the proxy that the store goes through; default: none. */
    port?: number;
  } = {},
): { store: DeadLetterStore; mover: Redis } {
  // As the service connects: whatever was not sent is refused, whatever was sent is never sent again.
  // What goes through a proxy ends with it, instead of connecting anew from there on.
  const way = { port, ...port === server().port ? {} : { retryStrategy: () => null } };
  const mover = server().client({ enableOfflineQueue: false, maxRetriesPerRequest: 0, ...way, ...options });
  if (port === server().port) movers.push(mover);
  const store = new DeadLetterStore(
    { reader: server().client(way), committer: server().client(way), mover },
    policyOf(server()),
  );
  return { store, mover };
}

async function prepare(options = {}) {
  await server().client().hset(STATE, { seq: "0", remaining: "1000" });
  await server().seedList(DLQ, MANY);
  const opened = open(options);
  await ready(opened.mover);
  return { ...opened, client: server().client() };
}

async function ready(redis: Redis): Promise<void> {
  await waitUntil(() => Promise.resolve(redis.status === "ready"), { what: "the connection is ready" });
}

let id = 0;
function commitOf({ messages, oversize, guard, record: { sequence }, nowMs }: Chunk): Commit {
  return {
    ...{ id: `commit ${id++}`, sequence, messages, oversize, guard, notAfterMs: nowMs + 60_000, targetLimit: null },
    ...{ endsCycle: false, fields: {}, moves: messages.map(() => ({ to: "target" as const, payload: null })) },
  };
}

/** How often commands of that name have run since {@link Redis.config} reset the figures. */
async function callsOf(client: Redis, command: string): Promise<number> {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await client.info("commandstats"))?.[1] ?? 0);
}

/** Whether the commits since the figures were reset rested on WATCH alone: then no script has hashed the messages. */
async function proofsOf(client: Redis) {
  const [exec, scripts] = [
    await callsOf(client, "exec"),
    await callsOf(client, "evalsha") + await callsOf(client, "eval"),
  ];
  return { transactions: exec, scripts };
}

async function moved(count: number): Promise<void> {
  const { dlq, target } = await readLists(server());
  assert.deepEqual([target, dlq], [MANY.slice(0, count), MANY.slice(count)]);
}

Deno.test("guard: a commit and the next read are one transaction and one script more when nobody touches the DLQ", async () => {
  const { store, client } = await prepare();
  // The first one tells Redis the scripts.
  const first = await store.commitAndRead(commitOf(await store.readForCommit(BOUNDS)), BOUNDS);
  let chunk = await first.next;
  assert.ok(chunk);
  await client.config("RESETSTAT");
  for (let i = 0; i < 5; i++) {
    const { result, next } = await store.commitAndRead(commitOf(chunk), BOUNDS);
    assert.equal(result, "ok");
    const read = await next;
    assert.ok(read?.guard, `chunk ${i}`);
    chunk = read;
  }
  assert.deepEqual(await proofsOf(client), { transactions: 5, scripts: 10 });
  await moved(24);
});

Deno.test("guard: a commit falls back on the digest, and moves the chunk, when a producer pushes meanwhile", async () => {
  const { store, client } = await prepare();
  assert.equal(await store.commit(commitOf(await store.readForCommit(BOUNDS))), "ok");
  const chunk = await store.readForCommit(BOUNDS);
  await client.config("RESETSTAT");
  await server().seedList(DLQ, ["new"]);
  const { result, next } = await store.commitAndRead(commitOf(chunk), BOUNDS);
  assert.equal(result, "ok");
  const read = await next;
  assert.equal(read?.record.sequence, "2");
  assert.deepEqual(read.messages.map(String), MANY.slice(8, 8 + read.messages.length));
  assert.equal((await proofsOf(client)).transactions, 1);
  const { dlq, target } = await readLists(server());
  assert.deepEqual([target, dlq], [MANY.slice(0, 8), [...MANY.slice(8), "new"]]);
});

Deno.test("guard: reads are unguarded and smaller for a while after one was broken, then guarded again", async () => {
  const { store } = await prepare();
  let chunk = await store.readForCommit(BOUNDS);
  await server().seedList(DLQ, ["new"]);
  const seen: [guarded: boolean, messages: number][] = [];
  for (let i = 0; i < 4; i++) {
    const { result, next } = await store.commitAndRead(commitOf(chunk), BOUNDS);
    assert.equal(result, "ok");
    chunk = await next ?? await store.readForCommit(BOUNDS);
    seen.push([chunk.guard !== null, chunk.messages.length]);
  }
  assert.deepEqual(seen, [[false, 1], [true, 4], [true, 4], [true, 4]]);
});

const foreign: [name: string, take: (client: Redis) => Promise<unknown>][] = [
  ["took the oldest", () => server().popList(DLQ)],
  ["took the oldest and put another there", async () => {
    await server().popList(DLQ);
    await server().unpopList(DLQ, [MANY[9]!]);
  }],
  ["took the list away and filled it anew", async (client) => {
    await client.del(DLQ);
    await server().seedList(DLQ, MANY.slice(2));
  }],
];

for (const [name, take] of foreign) {
  Deno.test(`guard: a commit answers conflict and changes nothing when somebody ${name} behind the read`, async () => {
    const { store, client } = await prepare();
    const chunk = await store.readForCommit(BOUNDS);
    await take(client);
    const before = await readLists(server());
    const { result, next } = await store.commitAndRead(commitOf(chunk), BOUNDS);
    assert.deepEqual([result, await next], ["conflict", null]);
    assert.deepEqual(await readLists(server()), before);
  });
}

Deno.test("guard: what was read before another read is committed by its digest, and refused where it is gone", async () => {
  const { store } = await prepare();
  const first = await store.readForCommit(BOUNDS);
  const second = await store.readForCommit({ ...BOUNDS, messages: 2 });
  assert.equal(await store.commit(commitOf(second)), "ok");
  assert.equal(await store.commit({ ...commitOf(first), sequence: "1" }), "conflict");
  await moved(2);
});

Deno.test("guard: a chunk that was read and left alone hinders neither the next read nor a look", async () => {
  const { store } = await prepare();
  await store.readForCommit(BOUNDS);
  await store.browseOldest(BOUNDS);
  const chunk = await store.readForCommit(BOUNDS);
  await store.browseOldest(BOUNDS);
  assert.ok(chunk.guard && await chunk.guard.isValid);
  assert.equal(await store.commit(commitOf(chunk)), "ok");
  await moved(4);
});

Deno.test("guard: none outlives its connection: the commit proves the tail by its digest on the next one", async () => {
  const { store, mover, client } = await prepare({ connectionName: "cut" });
  const chunk = await store.readForCommit(BOUNDS);
  assert.ok(await chunk.guard!.isValid);
  const connections = String(await client.client("LIST")).split("\n");
  const movers = connections.filter((line) => line.includes("name=cut ") && line.includes("multi=0"));
  assert.equal(movers.length, 1, "one connection has entered a transaction");
  const ended = new Promise((resolve) => mover.once("close", resolve));
  await client.client("KILL", "ID", /id=(\d+)/.exec(movers[0]!)![1]!);
  await ended;
  await server().popList(DLQ);
  await server().unpopList(DLQ, [MANY[0]!.replace("m", "n")]);
  await ready(mover);
  assert.equal(await store.commit(commitOf(chunk)), "conflict");
  assert.equal(await store.commit(commitOf(await store.readForCommit(BOUNDS))), "ok");
});

Deno.test("guard: a commit never rests on a WATCH that a proxy sends by another connection than its transaction", async () => {
  await using proxy = new TransactionProxy({ port: server().port });
  const { store } = await prepare({ port: proxy.port });
  let moved = 0;
  for (let i = 0; i < 4; i++) {
    const chunk = await store.readForCommit(BOUNDS);
    assert.equal(chunk.guard, null);
    await server().popList(DLQ);
    assert.equal(await store.commit(commitOf(chunk)), "conflict");
    const again = await store.readForCommit(BOUNDS);
    assert.equal(await store.commit(commitOf(again)), "ok");
    moved += again.messages.length;
  }
  const { dlq, target } = await readLists(server());
  assert.deepEqual([dlq.length, target.length], [MANY.length - 4 - moved, moved]);
  assert.equal(new Set([...dlq, ...target]).size, MANY.length - 4);
  assert.equal(proxy.transactions, 1, "it was tried out once");
});

for (const takes of ["last", "longest"] as const) {
  Deno.test(`guard: a commit never rests on the WATCH of a pool that takes the free connection that was used ${takes}`, async () => {
    await using proxy = new TransactionProxy({ port: server().port, takes });
    const { store } = await prepare({ port: proxy.port });
    for (let i = 0; i < 4; i++) {
      const chunk = await store.readForCommit(BOUNDS);
      assert.equal(chunk.guard, null);
      await server().popList(DLQ);
      assert.equal(await store.commit(commitOf(chunk)), "conflict");
    }
    assert.equal((await readLists(server())).target.length, 0);
  });
}

Deno.test("guard: commits prove the tail by its digest when a proxy keeps WATCH and takes no script into a transaction", async () => {
  await using proxy = new TransactionProxy({ port: server().port, pinsWatch: true, refusesScripts: true });
  const { store } = await prepare({ port: proxy.port });
  for (let i = 1; i <= 4; i++) {
    assert.equal(
      await store.commit(commitOf(await store.readForCommit({ ...BOUNDS, messages: 2 }))),
      "ok",
      `commit ${i}`,
    );
  }
  const { dlq, target } = await readLists(server());
  assert.deepEqual([...target, ...dlq], MANY);
  assert.ok(target.length >= 4);
});

Deno.test("guard: a commit runs when Redis has forgotten the scripts", async () => {
  const { store, client } = await prepare();
  for (let i = 1; i <= 3; i++) {
    const chunk = await store.readForCommit(BOUNDS);
    await client.script("FLUSH");
    assert.equal(await store.commit(commitOf(chunk)), "ok");
    await moved(4 * i);
  }
});

for (const command of ["watch", "multi", "exec", "discard"]) {
  Deno.test(`guard: every chunk is moved when the user may not ${command.toUpperCase()}`, async () => {
    await server().client().acl(
      "SETUSER",
      "svc",
      "reset",
      "on",
      "nopass",
      ...aclAll(),
      `-${command}`,
    );
    const { store, mover } = await prepare({ username: "svc", password: "any" });
    let total = 0;
    for (let i = 0; i < 6; i++) {
      // Where leaving a transaction is forbidden, the connection is made anew once.
      await ready(mover);
      let chunk = await store.readForCommit(BOUNDS).catch(() => null);
      if (i === 2) chunk = await store.readForCommit(BOUNDS).catch(() => null); // the one before is left alone
      if (i === 3) await server().seedList(DLQ, ["pushed"]);
      if (!chunk) continue;
      if (await store.commit(commitOf(chunk)).catch(() => "") === "ok") total += chunk.messages.length;
    }
    assert.ok(total >= 4, `${total} messages were moved`);
    const { dlq, target } = await readLists(server());
    assert.deepEqual([target, dlq], [MANY.slice(0, total), [...MANY.slice(total), "pushed"]]);
  });
}

Deno.test("guard: a transaction that Redis refuses to enter while it may watch never lets a commit run unguarded", async () => {
  await server().client().acl("SETUSER", "svc", "reset", "on", "nopass", ...aclAll());
  const { store, client } = await prepare({ username: "svc", password: "any" });
  const chunk = await store.readForCommit(BOUNDS);
  assert.ok(await chunk.guard!.isValid);
  assert.equal(await store.commit(commitOf(chunk)), "ok");
  // The right is taken away while the service runs.
  await client.acl("SETUSER", "svc", "-multi");
  const next = await store.readForCommit(BOUNDS);
  await server().popList(DLQ);
  const before = await readLists(server());
  assert.equal(await store.commit(commitOf(next)), "conflict");
  assert.deepEqual(await readLists(server()), before);
});

Deno.test("readForCommit: LRANGE reads what can be foreseen, the script what cannot", async () => {
  const { store, client } = await prepare();
  const calls: number[] = [];
  const read = async (list: readonly string[]) => {
    await client.del(DLQ);
    await server().seedList(DLQ, list);
    await client.config("RESETSTAT");
    const { messages } = await store.readForCommit({ ...BOUNDS, messages: 32, bytes: 20_000 });
    assert.deepEqual(messages.map(String), list.slice(0, messages.length));
    calls.push(await callsOf(client, "lrange"));
  };
  const small = eventTexts(70), largeAhead = small.with(32, "x".repeat(100_000));
  // A sample behind the 32 messages of a chunk meets the large one, so that the next chunk is read one by one.
  for (const list of [small, small, largeAhead, small, small]) await read(list);
  assert.deepEqual(calls, [0, 1, 1, 0, 1]);
});

Deno.test("readForCommit: cuts a reply off that is far longer than foreseen, and goes on with the script", async () => {
  const { store, mover, client } = await prepare();
  const bounds = { ...BOUNDS, messages: 100, bytes: 100_000, messageBytes: 200_000 };
  await store.readForCommit(bounds);
  await client.del(DLQ);
  const large = Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(150_000, "x"));
  await server().seedList(DLQ, large);
  for (const calls of [1, 0, 0]) {
    await client.config("RESETSTAT");
    const { messages, guard } = await store.readForCommit(bounds);
    assert.deepEqual(messages.map(String), [large[0]]);
    assert.ok(guard);
    assert.equal(await callsOf(client, "lrange"), calls);
  }
  assert.ok(mover.status === "ready");
});
