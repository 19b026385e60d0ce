/** What the notifier keeps in a real Redis: one writer at a time, incidents and their journal in one step. */
import assert from "node:assert/strict";
import { StoreError } from "../../src/redis/errors.ts";
import { JournalStore } from "../../src/redis/journal_store.ts";
import { journalHeadKey, journalKey, noticesKey } from "../../src/redis/keys.ts";
import { NoticeStore } from "../../src/redis/notice_store.ts";
import { ChainCheck } from "../../src/journal/chain.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();
const storeOf = (name: string) => new NoticeStore(server().client(), { token: name, name: `pod ${name}` });

async function readJournal() {
  const client = server().client(), store = new JournalStore({ reader: client, committer: client });
  return await store.read("incidents", { count: 100 });
}

Deno.test("NoticeStore: one instance at a time writes, and only after it has entered", async () => {
  const [one, other] = [storeOf("a"), storeOf("b")];
  assert.equal(await one.take(60_000), true);
  assert.equal(await other.take(60_000), false);
  assert.equal(await one.save({ tracking: "1" }, []), false, "it has not entered");
  assert.equal(await one.enter(), true);
  assert.equal(await other.enter(), false);
  assert.equal(await one.save({ tracking: "1", "receiver:ops": "2" }, ["x"]), true);
  assert.equal(await other.save({ tracking: "9" }, ["y"]), false);
  const { holder, fields, nowMs } = await other.read(["tracking", "receiver:ops", "receiver:new"]);
  assert.deepEqual([holder, fields], ["pod a", { tracking: "1", "receiver:ops": "2", "receiver:new": "" }]);
  const [seconds] = await server().client().time();
  assert.ok(Math.abs(nowMs - Number(seconds) * 1_000) < 10_000);
  await one.release();
  assert.equal((await one.read([])).holder, "");
  assert.equal(await one.save({ tracking: "3" }, []), false);
});

Deno.test("NoticeStore: who lost the lease for a moment must enter again", async () => {
  const [one, other] = [storeOf("a"), storeOf("b")];
  await one.take(60_000);
  await one.enter();
  await one.release();
  await other.take(60_000);
  await other.enter();
  await other.save({ tracking: "of b" }, []);
  await other.release();
  await one.take(60_000);
  assert.equal(await one.save({ tracking: "of a, too old" }, ["z"]), false);
  assert.equal((await one.read(["tracking"])).fields.tracking, "of b");
  assert.equal(await one.enter(), true);
  assert.equal(await one.save({ tracking: "of a" }, []), true);
});

Deno.test("NoticeStore.save: appends to the chain of the journal", async () => {
  const store = storeOf("a"), client = server().client();
  await client.del(journalKey("incidents"), journalHeadKey("incidents"));
  await store.take(60_000);
  await store.enter();
  assert.equal(await store.save({ tracking: "1" }, [`{"n":1}`, `{"n":2}`]), true);
  assert.equal(await store.save({ tracking: "2" }, [`{"n":3}`]), true);
  const { entries, head } = await readJournal(), check = new ChainCheck({ kept: 100 });
  for (const entry of entries) check.add(entry);
  assert.deepEqual(entries.map(({ text }) => text), [`{"n":1}`, `{"n":2}`, `{"n":3}`]);
  assert.deepEqual(check.finish(head).breaks, []);
});

Deno.test("NoticeStore: nothing is written if a key has a wrong type, and the error names it", async () => {
  const client = server().client(), store = storeOf("a");
  await store.take(60_000);
  await store.enter();
  await store.save({ tracking: "before" }, []);
  await client.del(journalKey("incidents"));
  await client.set(journalKey("incidents"), "a text");
  await assert.rejects(store.save({ tracking: "after" }, ["x"]), (error: StoreError) => {
    assert.ok(error instanceof StoreError);
    assert.equal(error.code, "WRONGTYPE");
    return true;
  });
  assert.equal((await store.read(["tracking"])).fields.tracking, "before");
  await client.del(journalKey("incidents"), noticesKey());
  await client.set(noticesKey(), "a text");
  await assert.rejects(store.read(["tracking"]), /notices/);
  await assert.rejects(store.take(1_000));
  await client.del(noticesKey());
});

Deno.test("NoticeStore.read: leaves out a field that is too large", async () => {
  const client = server().client(), store = storeOf("a");
  await client.hset(noticesKey(), { tracking: "x".repeat(2_000_000), "receiver:ops": "small", leaderUntilMs: "soon" });
  assert.deepEqual((await store.read(["tracking", "receiver:ops"])).fields, { tracking: "", "receiver:ops": "small" });
  await client.del(noticesKey());
});

Deno.test("NoticeStore.save: a user who may not write the journal changes nothing", async () => {
  const client = server().client(), store = storeOf("a");
  await store.take(60_000);
  await store.enter();
  await store.save({ tracking: "before" }, []);
  await client.acl("SETUSER", "default", "-xadd");
  try {
    await assert.rejects(store.save({ tracking: "after" }, ["x"]), StoreError);
    assert.equal((await store.read(["tracking"])).fields.tracking, "before");
    assert.equal(await store.save({ tracking: "no entry" }, []), true);
  } finally {
    await client.acl("SETUSER", "default", "+xadd");
  }
});
