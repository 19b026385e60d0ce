/** Since when the oldest dead letter has waited: what several instances see of a queue that others work on too. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Redis } from "ioredis";
import { stateKey, waitingKey } from "../../src/redis/keys.ts";
import { WaitingStore } from "../../src/redis/waiting_store.ts";
import { endsOf } from "../../src/redis/list_ends.ts";
import { propertyRuns } from "../../testkit/payloads.ts";
import { pushOf, shareRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";

const DLQ = "mutt:dlq:alerter";
const SOURCE = { dlq: DLQ, push: pushOf(import.meta) };
const MOST = { mostBytes: 1_000 };

/** As the alerter pushes, by default to the left. */
function push(redis: Redis, ...messages: string[]): Promise<number> {
  return redis[endsOf(DLQ, SOURCE.push).push](DLQ, ...messages);
}

/** As others take the oldest. */
async function take(redis: Redis, count = 1): Promise<string[]> {
  const taken: string[] = [];
  for (let i = 0; i < count; i++) {
    const message = await redis[SOURCE.push === "LPUSH" ? "rpop" : "lpop"](DLQ);
    if (message !== null) taken.push(message);
  }
  return taken;
}

/** As this service moves: the oldest, and counted in the record. */
async function move(redis: Redis, count: number, cycle = 1): Promise<void> {
  const moved = await take(redis, count);
  if (Number(await redis.hget(stateKey(DLQ), "cycle")) !== cycle) {
    await redis.hset(stateKey(DLQ), { cycle, replayed: 0, dead: 0 });
  }
  await redis.hincrby(stateKey(DLQ), "replayed", moved.length);
}

/** Looks, once the server's clock has gone on since the last look. */
async function look(store: WaitingStore): Promise<{ nowMs: number; sinceMs: number; depth: number }> {
  await new Promise((resolve) => setTimeout(resolve, 2));
  return await store.look(MOST);
}

withRedis("WaitingStore: tells nothing of an empty queue, and leaves no key behind", async (server) => {
  const redis = server.client();
  const seen = await new WaitingStore(redis, SOURCE).look(MOST);
  assert.deepEqual([seen.depth, seen.digest, seen.oldest, seen.sinceMs], [0, "", null, seen.nowMs]);
  assert.equal(await redis.exists(waitingKey(DLQ)), 0);
});

withRedis("WaitingStore: says for each message when it was first seen, wherever it lay then", async (server) => {
  const redis = server.client(), store = new WaitingStore(redis, SOURCE);
  await push(redis, "a", "b");
  const first = await look(store);
  assert.equal(first.sinceMs, first.nowMs);
  await push(redis, "c");
  const second = await look(store);
  assert.equal(second.sinceMs, first.nowMs);
  await push(redis, "d", "e");
  const third = await look(store);
  // Ours and others' moves alike.
  const expected = [first, first, second, third, third];
  for (const [taken, { nowMs }] of expected.entries()) {
    assert.equal((await look(store)).sinceMs, nowMs, `message ${taken}`);
    if (taken % 2 === 0) await move(redis, 1);
    else await take(redis);
  }
  assert.equal((await look(store)).depth, 0);
  await push(redis, "a");
  const again = await look(store);
  assert.equal(again.sinceMs, again.nowMs, "what comes back waits anew");
});

withRedis("WaitingStore: forgets at once what others take while as many come", async (server) => {
  const redis = server.client(), store = new WaitingStore(redis, SOURCE);
  await push(redis, "a");
  const first = await look(store);
  await push(redis, "b");
  const second = await look(store);
  await take(redis);
  await push(redis, "c");
  const third = await look(store);
  assert.deepEqual([third.depth, third.sinceMs], [2, second.nowMs]);
  await redis.del(DLQ);
  await push(redis, "x", "y");
  const fourth = await look(store);
  assert.deepEqual([fourth.depth, fourth.sinceMs], [2, fourth.nowMs]);
  assert.ok(first.nowMs < fourth.nowMs);
});

withRedis("WaitingStore: keeps the age of a queue that drains and fills at once", async (server) => {
  const redis = server.client(), store = new WaitingStore(redis, SOURCE);
  await push(redis, ...Array.from({ length: 3_000 }, (_, at) => `m${at}`));
  const first = await look(store);
  for (const cycle of [1, 2, 3]) {
    await push(redis, ...Array.from({ length: 700 }, (_, at) => `${cycle}:${at}`));
    await move(redis, 600, cycle);
    assert.equal((await look(store)).sinceMs, first.nowMs);
  }
});

withRedis("WaitingStore: keeps the age of a queue whose messages are picked from both ends", async (server) => {
  const redis = server.client(), store = new WaitingStore(redis, SOURCE);
  await push(redis, ...Array.from({ length: 10 }, (_, at) => `m${at}`));
  const first = await look(store);
  for (const cycle of [1, 2, 3]) {
    // Messages of the cycle before stay: they are no longer the least tried.
    await redis.lrem(DLQ, 1, `m${10 - cycle}`);
    await take(redis);
    await redis.hset(stateKey(DLQ), { cycle, replayed: 2, dead: 0, pickedTotal: 2 * cycle });
    assert.equal((await look(store)).sinceMs, first.nowMs, `picked in cycle ${cycle}`);
    await push(redis, `${cycle}a`, `${cycle}b`);
    assert.equal((await look(store)).sinceMs, first.nowMs, `came back in cycle ${cycle}`);
  }
  if (SOURCE.push === "LPUSH") await redis.ltrim(DLQ, 0, 5);
  else await redis.ltrim(DLQ, -6, -1);
  assert.ok((await look(store)).sinceMs > first.nowMs, "all of the first are gone");
});

withRedis("WaitingStore: keeps the age of the oldest when messages are pushed behind it", async (server) => {
  const redis = server.client(), store = new WaitingStore(redis, SOURCE);
  await push(redis, "a", "b");
  const { nowMs } = await look(store);
  await redis[SOURCE.push === "LPUSH" ? "rpush" : "lpush"](DLQ, "older", "oldest");
  assert.equal((await look(store)).sinceMs, nowMs);
  await take(redis, 2);
  assert.equal((await look(store)).sinceMs, nowMs);
});

withRedis("WaitingStore: shares what was seen, also with an instance that starts later", async (server) => {
  const redis = server.client();
  await push(redis, "a");
  const { nowMs } = await look(new WaitingStore(redis, SOURCE));
  await push(redis, "b");
  const other = new WaitingStore(server.client(), SOURCE);
  assert.equal((await look(other)).sinceMs, nowMs);
  const leftMs = await redis.pttl(waitingKey(DLQ));
  assert.ok(leftMs > 0 && leftMs <= 30 * 86_400_000);
});

withRedis("WaitingStore: returns the oldest message once, and none that is too long", async (server) => {
  const redis = server.client(), store = new WaitingStore(redis, SOURCE);
  await push(redis, "a", "b", "x".repeat(1_001), "c");
  const texts: (string | undefined)[] = [];
  for (const _ of [1, 2, 3, 4]) {
    texts.push(...[(await store.look(MOST)).oldest?.toString(), (await store.look(MOST)).oldest?.toString()]);
    await take(redis);
  }
  assert.deepEqual(texts, ["a", undefined, "b", undefined, undefined, undefined, "c", undefined]);
});

withRedis("WaitingStore: goes on by itself where Redis takes no write, and hurts nothing", async (server) => {
  const admin = server.client();
  await admin.call("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-set");
  const store = new WaitingStore(server.client({ username: "u", password: "p" }), SOURCE);
  await push(admin, "a");
  const { nowMs } = await look(store);
  await push(admin, "b");
  assert.equal((await look(store)).sinceMs, nowMs);
  assert.equal(await admin.exists(waitingKey(DLQ)), 0);
});

const strange: [what: string, write: (redis: Redis) => Promise<unknown>][] = [
  ["a list", (redis) => redis.lpush(waitingKey(DLQ), "x")],
  ["text", (redis) => redis.set(waitingKey(DLQ), "not ours")],
  ["a megabyte", (redis) => redis.set(waitingKey(DLQ), "1 ".repeat(500_000))],
  ["a time to come", (redis) => redis.set(waitingKey(DLQ), "0 0 1 1 aa aa 99999999999999 0;0:99999999999999")],
  [
    "a place beyond reason",
    (redis) => redis.set(waitingKey(DLQ), `0 0 ${"9".repeat(400)} 1 aa aa 1 0;${"9".repeat(400)}:1`),
  ],
];

for (const [what, write] of strange) {
  withRedis(`WaitingStore: begins anew where the key holds ${what}`, async (server) => {
    const redis = server.client(), store = new WaitingStore(redis, SOURCE);
    await push(redis, "a");
    await write(redis);
    const first = await look(store);
    assert.equal(first.sinceMs, first.nowMs);
    assert.equal((await look(store)).sinceMs, first.nowMs);
    assert.ok(await redis.strlen(waitingKey(DLQ)) < 300);
  });
}

withRedis("WaitingStore: keeps within its bounds, and near the truth, whatever comes how long", async (server) => {
  const redis = server.client(), store = new WaitingStore(redis, SOURCE);
  const seen: number[] = [];
  for (let at = 0; at < 400; at++) {
    await push(redis, `m${at}`);
    seen.push((await look(store)).nowMs);
  }
  assert.ok(await redis.strlen(waitingKey(DLQ)) < 8_192);
  const endMs = seen.at(-1)!;
  for (const wasSeenMs of seen) {
    const { sinceMs } = await store.look(MOST);
    assert.ok(sinceMs >= wasSeenMs, "older than it can be");
    const ageMs = endMs - wasSeenMs;
    // 400 marks in 128 places, evenly spread: each age is right to a tenth, or to some looks.
    assert.ok(sinceMs - wasSeenMs <= Math.max(0.1 * ageMs, 250), `${sinceMs - wasSeenMs} of ${ageMs} ms`);
    await take(redis);
  }
});

const shared = shareRedis();

type Step = { readonly kind: "push" | "move" | "take"; readonly count: number } | {
  readonly kind: "look";
  readonly by: number;
};

const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("look" as const), by: fc.integer({ min: 0, max: 1 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("push" as const, "move" as const, "take" as const),
      count: fc.integer({ min: 1, max: 30 }),
    }),
  },
);

Deno.test("WaitingStore: agrees with a list that knows when each message was first seen", async () => {
  const server: TestRedis = shared();
  const redis = server.client();
  await fc.assert(
    fc.asyncProperty(fc.array(STEP, { minLength: 5, maxLength: 40 }), async (steps) => {
      await redis.del(DLQ, stateKey(DLQ), waitingKey(DLQ));
      const stores = [new WaitingStore(redis, SOURCE), new WaitingStore(server.client(), SOURCE)];
      const model: { seenMs: number | null }[] = [];
      let made = 0;
      for (const step of steps) {
        if (step.kind === "push") {
          await push(redis, ...Array.from({ length: step.count }, () => `m${made++}`));
          model.push(...Array.from({ length: step.count }, () => ({ seenMs: null })));
        } else if (step.kind === "look") {
          const { sinceMs, nowMs, depth } = await look(stores[step.by]!);
          for (const message of model) message.seenMs ??= nowMs;
          assert.deepEqual([depth, sinceMs], [model.length, model[0]?.seenMs ?? nowMs]);
        } else {
          if (step.kind === "move") await move(redis, step.count);
          else await take(redis, step.count);
          model.splice(0, step.count);
        }
      }
    }),
    propertyRuns(60),
  );
});
