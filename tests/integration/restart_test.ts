/** What a process that starts anew does with the cycle that was begun before it. */
import assert from "node:assert/strict";
import { createEngine, DLQ, eventTexts, STATE } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();
const startedAgo = async (ms: number) => {
  const { nowMs } = await nowOf();
  await server().client().hset(STATE, "startedAtMs", nowMs - ms);
};
const nowOf = async () => {
  const [seconds, micros] = await server().client().time() as [number | string, number | string];
  return { nowMs: Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000) };
};

/** What a first and a second turn of a new process begin, of an interval of an hour. */
async function turnsOfNewProcess(): Promise<boolean[]> {
  await using engine = createEngine(server());
  return [(await engine.turn()).began, (await engine.turn()).began];
}

Deno.test("restart: a cycle begins at once, and only once, unless one began within the last seconds", async () => {
  await turnsOfNewProcess();
  await server().seedList(DLQ, eventTexts(3));
  assert.deepEqual(await turnsOfNewProcess(), [false, false], "one began just now");
  await startedAgo(60_000);
  assert.deepEqual(await turnsOfNewProcess(), [true, false]);
});

Deno.test("restart: a source in trouble keeps its canary groups' distance, and a cycle in hand goes on", async () => {
  await server().seedList(DLQ, eventTexts(3));
  await turnsOfNewProcess();
  await server().seedList(DLQ, eventTexts(3));
  await server().client().hset(STATE, { suspect: "1", allowance: "1" });
  await startedAgo(60_000);
  assert.deepEqual(await turnsOfNewProcess(), [false, false]);
  await server().client().hset(STATE, { suspect: "0", allowance: "", remaining: "3", depthAtStart: "6" });
  assert.deepEqual(await turnsOfNewProcess(), [false, false]);
  assert.equal(await server().depth(DLQ), 0, "the cycle in hand took them");
});
