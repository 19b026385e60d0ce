import assert from "node:assert/strict";
import { type Brake, RELEASED } from "../../../src/cycle/brake.ts";
import type { CycleLimit } from "../../../src/cycle/cycle_limit.ts";
import { NEW_CYCLE_STATE } from "../../../src/cycle/cycle_state.ts";
import { createBrakeGate } from "../../../src/gates/brake.ts";

Deno.test("createBrakeGate: is closed only while a suspect source waits for its next canary group", async () => {
  const ask = async (brake: Partial<Brake>, cycleLimit: CycleLimit) => {
    const record = { ...NEW_CYCLE_STATE, brake: { ...RELEASED, ...brake }, cycleLimit };
    const { open, reason } = await createBrakeGate(() => ({ record, nextCycleInMs: 700 })).ask();
    return [open, reason];
  };
  assert.deepEqual(await ask({}, "depth"), [true, "healthy"]);
  assert.deepEqual(await ask({ suspect: true, allowance: 5 }, "returns"), [true, "canary"]);
  assert.deepEqual(await ask({ suspect: true, wait: 1, allowance: 5 }, "held"), [false, "common_failure"]);
  assert.deepEqual(await ask({ allowance: 20 }, "returns"), [true, "ramping"]);
  const { open, reason } = await createBrakeGate(() => null).ask();
  assert.deepEqual([open, reason], [true, "unknown"]);
});
