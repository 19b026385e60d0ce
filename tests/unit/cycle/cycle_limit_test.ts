import assert from "node:assert/strict";
import { CYCLE_LIMITS } from "../../../src/cycle/cycle_limit.ts";
import { NEW_CYCLE_STATE, parseCycleState } from "../../../src/cycle/cycle_state.ts";
import { planCycle, stateOf } from "../../../src/cycle/plan_cycle.ts";

const limitOf = (text: string) => parseCycleState(["cycle", "4", "boundBy", text]).cycleLimit;

Deno.test("parseCycleLimit: reads every limit as it is written", () => {
  for (const limit of CYCLE_LIMITS) assert.equal(limitOf(limit), limit);
  const nothing = { arrived: 0, found: new Map<number, never>(), unstamped: 0 };
  const returns = { ...nothing, depth: 9, waiting: { depth: 0, firsts: null } };
  const { fields, cycleLimit } = planCycle({ depth: 9, nowMs: 1_000, record: NEW_CYCLE_STATE }, {
    ...{ batchSize: 3, intervalMs: 1_000, returns },
  });
  assert.deepEqual([cycleLimit, fields.boundBy], ["batch_size", "batch_size"]);
});

Deno.test("parseCycleLimit: takes a text that it does not know for no limit at all, so that it holds nothing", () => {
  for (const text of ["", "Held", "held ", "from_a_later_build", "toString"]) {
    assert.equal(limitOf(text), "depth", text);
  }
  assert.equal(NEW_CYCLE_STATE.cycleLimit, "depth");
  const brake = { suspect: true, distance: 3, wait: 2, allowance: 5, reason: "returns" as const };
  assert.equal(stateOf({ ...NEW_CYCLE_STATE, brake, cycleLimit: limitOf("from_a_later_build") }), "canary");
});
