/** The same cases on the store in Redis and on the fake of the engine's tests. */
import { Buffer } from "node:buffer";
import { BESIDE, createStore, DEAD, DLQ, type Lists, readLists, STATE, TARGET } from "../../testkit/engine.ts";
import { FakeSource, FakeStore } from "../../testkit/fake_store.ts";
import type { SourcePolicy } from "../../src/message/source_policy.ts";
import { recordsKey } from "../../src/redis/keys.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { type StoreWorld, testStoreContract } from "../../testkit/store_contract.ts";

const push = pushOf(import.meta), server = shareRedis({ push });
const POLICY: SourcePolicy = {
  ...{ name: "alerter", push, dlq: DLQ, target: TARGET, dead: DEAD, counter: null, cutOnReplay: [], required: [] },
  beside: { idMember: null, keepMs: 3_600_000 },
};
const KEYS = { dlq: DLQ, target: TARGET, dead: DEAD };

testStoreContract("Redis", () => {
  const redis = server();
  return {
    open: ({ mostRecords, ...options } = {}) =>
      createStore(redis, { ...options, ...(mostRecords === undefined ? {} : { mostRecords, entry: BESIDE }) }),
    seed: (list, messages) => redis.seedList(KEYS[list], messages),
    takeOldest: async () => void await redis.popList(DLQ),
    write: async (fields) => void await redis.client().hset(STATE, fields),
    lists: () => readLists(redis),
    records: async () => {
      const found = Object.entries(await redis.client().hgetall(recordsKey(DLQ)));
      return Object.fromEntries(found.map(([key, text]) => [key, text.replace(/:\d+$/, "")]));
    },
  };
});

// A fake's lists have no sides.
if (push === "LPUSH") testStoreContract("fake", createFake);

function createFake(): StoreWorld {
  const source = new FakeSource();
  return {
    open: ({ mostRecords, ...options } = {}) =>
      new FakeStore(source, { ...options, ...(mostRecords === undefined ? {} : { mostRecords, policy: POLICY }) }),
    seed: (list, messages) => Promise.resolve(void source[list].push(...messages.map((text) => Buffer.from(text)))),
    takeOldest: () => Promise.resolve(void source.dlq.shift()),
    write: (fields) => Promise.resolve(source.write(fields)),
    lists: () => Promise.resolve(listsOf(source)),
    records: () => Promise.resolve(Object.fromEntries([...source.records].map(([key, { text }]) => [key, text]))),
  };
}

function listsOf({ dlq, target, dead, oversize }: FakeSource): Lists {
  const shown = (list: readonly Buffer[]) => list.map((message) => message.toString("latin1"));
  return {
    ...{ dlq: shown(dlq), target: shown(target), dead: shown(dead) },
    ...(oversize.length > 0 ? { oversize: shown(oversize) } : {}),
  };
}
