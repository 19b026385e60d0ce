/** The same cases on the store in Redis and on the fake of the engine's tests. */
import { Buffer } from "node:buffer";
import { createStore, DEAD, DLQ, type Lists, readLists, STATE, TARGET } from "../../testkit/engine.ts";
import { FakeSource, FakeStore } from "../../testkit/fake_store.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { testStoreContract } from "../../testkit/store_contract.ts";

const server = shareRedis();
const KEYS = { dlq: DLQ, target: TARGET, dead: DEAD };

testStoreContract("Redis", () => {
  const redis = server();
  return {
    open: (options) => createStore(redis, options),
    seed: (list, messages) => redis.seedList(KEYS[list], messages),
    takeOldest: async () => void await redis.client().rpop(DLQ),
    write: async (fields) => void await redis.client().hset(STATE, fields),
    lists: () => readLists(redis),
  };
});

testStoreContract("fake", () => {
  const source = new FakeSource();
  return {
    open: (options) => new FakeStore(source, options),
    seed: (list, messages) => Promise.resolve(void source[list].push(...messages.map((text) => Buffer.from(text)))),
    takeOldest: () => Promise.resolve(void source.dlq.shift()),
    write: (fields) => Promise.resolve(source.write(fields)),
    lists: () => Promise.resolve(listsOf(source)),
  };
});

function listsOf({ dlq, target, dead, oversize }: FakeSource): Lists {
  const shown = (list: readonly Buffer[]) => list.map((message) => message.toString("latin1"));
  return {
    ...{ dlq: shown(dlq), target: shown(target), dead: shown(dead) },
    ...(oversize.length > 0 ? { oversize: shown(oversize) } : {}),
  };
}
