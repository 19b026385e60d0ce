import assert from "node:assert/strict";
import { type Brake, RELEASED } from "../../../src/cycle/brake.ts";
import { createEnabledGate, createRedisGate, createReturnsGate } from "../../../src/gates/local.ts";
import type { GateAnswer } from "../../../src/gates/gate.ts";
import type { Refusal } from "../../../src/redis/move_trial.ts";
import { parseRecord } from "../../../src/cycle/cycle_state.ts";

const verdict = (answer: GateAnswer | Promise<GateAnswer>) => {
  const { open, reason } = answer as GateAnswer;
  return [open, reason];
};

Deno.test("createEnabledGate: is open when replay is switched on and that is known", () => {
  const ask = (isEnabled: boolean, isKnown: boolean) =>
    verdict(createEnabledGate({ isEnabled: () => isEnabled, isKnown: () => isKnown }).ask());
  assert.deepEqual(ask(true, true), [true, "enabled"]);
  assert.deepEqual(ask(false, true), [false, "switched_off"]);
  assert.deepEqual(ask(true, false), [false, "unknown"]);
});

Deno.test("createRedisGate: names the code of the failure when Redis cannot be used, and what was refused when it can", async () => {
  const ask = async (ready: boolean, code: string, refused: Refusal | null = null) => {
    const link = { isReady: () => ready, lastErrorCode: () => code, lastFailure: () => code && `${code}: it says so` };
    return await createRedisGate(link, { ask: () => Promise.resolve(refused), last: () => refused }).ask();
  };
  const refusal: Refusal = { code: "OOM", text: "raise maxmemory" };
  assert.deepEqual(verdict(await ask(true, "")), [true, "connected"]);
  assert.deepEqual(verdict(await ask(false, "")), [false, "connecting"]);
  assert.deepEqual(verdict(await ask(false, "WRONGPASS")), [false, "wrongpass"]);
  assert.match((await ask(false, "WRONGPASS")).detail, /WRONGPASS: it says so/);
  assert.deepEqual(verdict(await ask(true, "", refusal)), [false, "oom"]);
  assert.match((await ask(true, "", refusal)).detail, /raise maxmemory/);
  assert.deepEqual(verdict(await ask(false, "", refusal)), [false, "oom"], "the connections are made anew");
  assert.deepEqual(verdict(await ask(false, "CONNECTION", refusal)), [false, "connection"]);
});

Deno.test("createReturnsGate: is closed only while a suspect source waits for its next canary group", () => {
  const ask = (brake: Partial<Brake>, boundBy: string) => {
    const record = { ...parseRecord([]), brake: { ...RELEASED, ...brake }, boundBy };
    return verdict(createReturnsGate(() => ({ record, nextCycleInMs: 700 })).ask());
  };
  assert.deepEqual(ask({}, "depth"), [true, "healthy"]);
  assert.deepEqual(ask({ suspect: true, allowance: 5 }, "returns"), [true, "canary"]);
  assert.deepEqual(ask({ suspect: true, wait: 1, allowance: 5 }, "held"), [false, "common_failure"]);
  assert.deepEqual(ask({ allowance: 20 }, "returns"), [true, "ramping"]);
  assert.deepEqual(verdict(createReturnsGate(() => null).ask()), [true, "unknown"]);
});
