import assert from "node:assert/strict";
import { type Brake, RELEASED } from "../../../src/domain/brake.ts";
import { createEnabledGate, createRedisGate, createReturnsGate } from "../../../src/gates/local.ts";
import type { GateAnswer } from "../../../src/gates/gate.ts";
import { parseRecord } from "../../../src/redis/source_record.ts";

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

Deno.test("createRedisGate: names the code of the failure when Redis cannot be used", () => {
  const ask = (ready: boolean, code: string) =>
    verdict(createRedisGate({ isReady: () => ready, lastErrorCode: () => code }).ask());
  assert.deepEqual(ask(true, ""), [true, "connected"]);
  assert.deepEqual(ask(false, ""), [false, "connecting"]);
  assert.deepEqual(ask(false, "WRONGPASS"), [false, "wrongpass"]);
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
