import assert from "node:assert/strict";
import type { GateName } from "../../../src/gates/gate.ts";
import { NEW_RECORD, type SourceRecord } from "../../../src/redis/source_record.ts";
import { planCycle } from "../../../src/replay/cycle.ts";

const at = (depth: number, record: Partial<SourceRecord>) =>
  planCycle({ depth, nowMs: 0, record: { ...NEW_RECORD, ...record } }, { batchSize: 0, intervalMs: 300_000 });

Deno.test("planCycle: counts what arrived from the start of the last cycle, so that a long one hides nothing", () => {
  // 100 of 1,000 were replayed and every one was back before the cycle had ended.
  const { last, step } = at(1_000, { cycle: 4, depthAtStart: 1_000, replayed: 100 });
  assert.deepEqual(last, { replayed: 100, arrived: 100, proof: 0 });
  assert.equal(step.troubled, true);
});

Deno.test("planCycle: counts returns as a whole only where the cause was common, and never more than were replayed", () => {
  const outage = { gate: "downstream" as GateName, reason: "unhealthy", fromMs: 0, untilMs: 1, isOver: false };
  const cameBack = (depth: number, { outages = [] as typeof outage[], boundBy = "" } = {}) =>
    planCycle({
      ...{ depth, nowMs: 0 },
      record: { ...NEW_RECORD, cycle: 4, depthAtStart: 1_000, replayed: 100, boundBy },
    }, { batchSize: 0, intervalMs: 300_000, outages }).cameBack;
  assert.equal(cameBack(1_000), 100, "all");
  assert.equal(cameBack(995), 95, "most");
  assert.equal(cameBack(1_400), 100, "and others as well");
  assert.equal(cameBack(950), 0, "half of them: not common, each is counted when it is read");
  assert.equal(cameBack(950, { outages: [outage] }), 50, "half of them, amid an outage");
  assert.equal(cameBack(800, { outages: [outage] }), 0, "others took more out than came back");
  assert.equal(cameBack(1_000, { boundBy: "breaker" }), 0, "a breaker's canary is not judged");
});

Deno.test("planCycle: counts the dead as gone, not as arrived", () => {
  assert.deepEqual(at(900, { depthAtStart: 1_000, replayed: 60, dead: 40 }).last, {
    ...{ replayed: 60, arrived: 0, proof: 0 },
  });
});

Deno.test("planCycle: records a troubled cycle, the last one that replayed, and why the next is bound", () => {
  const { fields, number } = at(1_000, {
    cycle: 4,
    depthAtStart: 1_000,
    replayed: 100,
    lastReplayingCycle: 3,
    troubled: [[1, 2]],
  });
  assert.equal(number, 5);
  assert.deepEqual(fields, {
    suspect: "1",
    distance: "1",
    wait: "0",
    allowance: "20",
    brakeReason: "returns",
    troubled: "1-2,4",
    uncounted: "",
    lastReplayingCycle: "4",
    boundBy: "returns",
  });
});

Deno.test("planCycle: is held while a suspect source waits, and keeps the last replaying cycle meanwhile", () => {
  const brake = { suspect: true, distance: 3, wait: 2, allowance: 20, reason: "returns" as const };
  const { fields, step } = at(1_000, { cycle: 9, replayed: 0, lastReplayingCycle: 7, brake });
  assert.equal(step.budget, 0);
  assert.deepEqual([fields.boundBy, fields.wait, fields.lastReplayingCycle], ["held", "1", "7"]);
});

Deno.test("planCycle: sends one message in a cycle of its own when a breaker wants a canary, and does not judge it", () => {
  const record = { ...NEW_RECORD, cycle: 4, depthAtStart: 50, replayed: 20, lastReplayingCycle: 3 };
  const settings = { batchSize: 0, intervalMs: 300_000, breakerCanary: true };
  const canary = planCycle({ depth: 30, nowMs: 0, record }, settings);
  assert.deepEqual([canary.budget, canary.fields.boundBy, canary.fields.uncounted], [1, "breaker", "5"]);
  const after = { ...record, cycle: 5, depthAtStart: 30, replayed: 1, boundBy: "breaker" };
  const { step } = planCycle({ depth: 30, nowMs: 0, record: after }, { ...settings, breakerCanary: false });
  assert.deepEqual([step.troubled, step.budget], [false, 30]);
});

const SETTINGS = { batchSize: 0, intervalMs: 300_000, canaryAfterMs: 60_000 };
const outage = (seconds: number, gate: GateName = "downstream") => ({
  ...{ gate, reason: "unhealthy", fromMs: 0, untilMs: seconds * 1_000, isOver: true },
});

Deno.test("planCycle: excuses what was replayed into an outage, and keeps the evidence", () => {
  const record = { ...NEW_RECORD, cycle: 4, depthAtStart: 1_000, replayed: 100, lastReplayingCycle: 3 };
  const settings = { ...SETTINGS, outages: [outage(2)] };
  const { fields, step } = planCycle({ depth: 910, nowMs: 0, record }, settings);
  assert.deepEqual([fields.troubled, fields.outages], ["4", "downstream unhealthy 0-2000 4"]);
  assert.equal(step.budget, 910, "it was short: all goes on");
  const idle = { ...record, replayed: 0 };
  assert.equal(planCycle({ depth: 910, nowMs: 0, record: idle }, settings).fields.troubled, "", "nothing was replayed");
});

Deno.test("planCycle: keeps the evidence of the last sixteen outages", () => {
  let record = { ...NEW_RECORD };
  for (let cycle = 1; cycle <= 20; cycle++) {
    record = { ...record, cycle };
    const { fields } = planCycle({ depth: 9, nowMs: 0, record }, { ...SETTINGS, outages: [outage(7)] });
    record = { ...record, outages: fields.outages! };
  }
  const kept = record.outages.split(";");
  assert.deepEqual([kept.length, kept[0], kept.at(-1)], [
    ...[16, "downstream unhealthy 0-7000 5", "downstream unhealthy 0-7000 20"],
  ]);
});

Deno.test("planCycle: begins with care after a full queue as well, which excuses nothing", () => {
  const record = { ...NEW_RECORD, cycle: 4, depthAtStart: 1_000, replayed: 100 };
  const full = planCycle({ depth: 910, nowMs: 0, record }, { ...SETTINGS, outages: [outage(60, "depth")] });
  assert.deepEqual([full.step.budget, full.fields.brakeReason, full.fields.troubled], [19, "outage", ""]);
  const moment = planCycle({ depth: 910, nowMs: 0, record }, { ...SETTINGS, outages: [outage(1, "depth")] });
  assert.deepEqual([moment.step.budget, moment.fields.outages], [910, undefined], "the flow of messages does that");
});

Deno.test("planCycle: judges the group that went when the full queue had room again, and not before", () => {
  const brake = { suspect: true, distance: 1, wait: 0, allowance: 20, reason: "outage" as const };
  const record = { ...NEW_RECORD, cycle: 4, depthAtStart: 1_000, replayed: 20, brake };
  const after = (isOver: boolean) =>
    planCycle({ depth: 980, nowMs: 0, record }, { ...SETTINGS, outages: [{ ...outage(90, "depth"), isOver }] });
  assert.deepEqual([after(true).step.budget, after(false).step.budget], [80, 20]);
});

Deno.test("planCycle: falls back while ramping when a gate was closed for some seconds", () => {
  const brake = { suspect: false, distance: 1, wait: 0, allowance: 320, reason: "stayed_away" as const };
  const record = { ...NEW_RECORD, cycle: 4, depthAtStart: 1_320, replayed: 320, brake };
  for (const gate of ["depth", "consumer"] as const) {
    const { step } = planCycle({ depth: 1_000, nowMs: 0, record }, { ...SETTINGS, outages: [outage(6, gate)] });
    assert.deepEqual([step.budget, step.brake.reason], [80, "strain"], gate);
  }
  assert.equal(planCycle({ depth: 1_000, nowMs: 0, record }, SETTINGS).step.budget, 1_000);
});

Deno.test("planCycle: bounds nothing with the brake switched off, and excuses all the same", () => {
  const brake = { suspect: true, distance: 3, wait: 2, allowance: 20, reason: "returns" as const };
  const record = { ...NEW_RECORD, cycle: 4, depthAtStart: 1_000, replayed: 100, brake };
  const settings = { ...SETTINGS, brakeEnabled: false, outages: [outage(600)] };
  const { step, fields } = planCycle({ depth: 1_000, nowMs: 0, record }, settings);
  assert.deepEqual([step.budget, step.troubled, fields.troubled, fields.allowance], [1_000, true, "4", ""]);
});

Deno.test("planCycle: sends a canary group first after a long outage, and ramps up behind it", () => {
  const record = { ...NEW_RECORD, cycle: 4, depthAtStart: 1_000 };
  const first = planCycle({ depth: 1_000, nowMs: 0, record }, { ...SETTINGS, outages: [outage(60)] });
  assert.deepEqual([first.budget, first.fields.boundBy], [20, "returns"]);
  const off = planCycle({ depth: 1_000, nowMs: 0, record }, { ...SETTINGS, outages: [outage(60)], canaryAfterMs: 0 });
  assert.equal(off.budget, 1_000);
  const after = { ...record, cycle: 5, replayed: 20, brake: first.step.brake };
  assert.equal(planCycle({ depth: 980, nowMs: 0, record: after }, SETTINGS).budget, 80);
});
