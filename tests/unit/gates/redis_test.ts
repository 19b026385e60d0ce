import assert from "node:assert/strict";
import { createRedisGate } from "../../../src/gates/redis.ts";
import type { RedisErrorCode } from "../../../src/redis/errors.ts";
import type { Refusal } from "../../../src/redis/move_trial.ts";

Deno.test("createRedisGate: names the code of the failure when Redis cannot be used, and what was refused when it can", async () => {
  const ask = async (ready: boolean, code: RedisErrorCode | "", refused: Refusal | null = null) => {
    const link = { isReady: () => ready, lastErrorCode: () => code, lastFailure: () => code && `${code}: it says so` };
    return await createRedisGate(link, { ask: () => Promise.resolve(refused), last: () => refused }).ask();
  };
  const verdict = async (...given: Parameters<typeof ask>) => {
    const { open, reason } = await ask(...given);
    return [open, reason];
  };
  const refusal: Refusal = { code: "OOM", text: "raise maxmemory" };
  assert.deepEqual(await verdict(true, ""), [true, "connected"]);
  assert.deepEqual(await verdict(false, ""), [false, "connecting"]);
  assert.deepEqual(await verdict(false, "WRONGPASS"), [false, "wrongpass"]);
  assert.match((await ask(false, "WRONGPASS")).detail, /WRONGPASS: it says so/);
  assert.deepEqual(await verdict(true, "", refusal), [false, "oom"]);
  assert.match((await ask(true, "", refusal)).detail, /raise maxmemory/);
  assert.deepEqual(await verdict(false, "", refusal), [false, "oom"], "the connections are made anew");
  assert.deepEqual(await verdict(false, "CONNECTION", refusal), [false, "connection"]);
  const lost: Refusal = { code: "CONNECTION", text: "Stream isn't writeable" };
  assert.deepEqual(await verdict(true, "", lost), [false, "connection"], "it broke during the trial");
  assert.doesNotMatch((await ask(true, "", lost)).detail, /refuses|writeable/);
});
