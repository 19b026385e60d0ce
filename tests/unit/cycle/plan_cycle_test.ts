import assert from "node:assert/strict";
import type { CycleTally, Returns, Waiting } from "../../../src/cycle/evidence.ts";
import { type GateName, hasTrait } from "../../../src/gates/gate.ts";
import { type CycleState, NEW_CYCLE_STATE, parseCycleState } from "../../../src/cycle/cycle_state.ts";
import { type CycleSettings, planCycle } from "../../../src/cycle/plan_cycle.ts";

const NOTHING_WAITS: Waiting = { depth: 0, firsts: new Map() };

/** So many came back of a cycle, all of them first-timers, so many arrived beside them, and that waits in the target. */
function returnsOf(
  found: Readonly<Record<number, number>> = {},
  { inflow = 0, depth = 1_000, waiting = NOTHING_WAITS } = {},
): Returns {
  const returned = Object.values(found).reduce((sum, count) => sum + count, 0);
  return {
    found: new Map(Object.entries(found).map(([cycle, count]) => [Number(cycle), { returned: count, firsts: count }])),
    ...{ arrived: returned + inflow, unstamped: inflow, depth, waiting },
  };
}

const LAST = { cycle: 4, depthAtStart: 1_000, replayed: 100, firsts: 100, movedAtMs: 1_000 };
const plan = (
  record: Partial<CycleState>,
  { depth = 1_000, nowMs = 1_000_000, ...settings }: Partial<CycleSettings> & { depth?: number; nowMs?: number } = {},
) =>
  planCycle({ depth, nowMs, record: { ...NEW_CYCLE_STATE, ...record } }, {
    ...{ batchSize: 0, intervalMs: 300_000, returns: returnsOf() },
    ...settings,
  });
/** What is known of a cycle when the next has begun. */
const tallyOf = ({ fields }: ReturnType<typeof plan>, cycle: number): CycleTally =>
  parseCycleState(["cycle", "999", "tallies", fields.tallies]).tallies.find((tally) => tally.cycle === cycle)!;

Deno.test("planCycle: takes inflow for no return, however much arrives", () => {
  const { judgement, last, budget } = plan(LAST, { returns: returnsOf({}, { inflow: 500 }) });
  assert.deepEqual([judgement, last, budget], [
    "stayed_away",
    { replayed: 100, returned: 0, others: 0, arrived: 500 },
    1_000,
  ]);
});

Deno.test("planCycle: sends a canary group when nine tenths came back, and says which cycle that was", () => {
  assert.equal(plan(LAST, { returns: returnsOf({ 4: 89 }) }).judgement, "stayed_away");
  const { judgement, troubled, budget, newlyReturned, fields, number } = plan(LAST, { returns: returnsOf({ 4: 90 }) });
  assert.deepEqual([judgement, troubled?.cycle, troubled?.returned, budget, newlyReturned], [
    "came_back",
    4,
    90,
    20,
    90,
  ]);
  assert.equal(number, 5);
  assert.deepEqual(fields, {
    suspect: "1",
    distance: "1",
    wait: "0",
    allowance: "20",
    brakeReason: "returns",
    tallies: "4:100:100:90:90:0:0:0:1000:at",
    scannedDepth: "1000",
    lagMs: "0",
    stampsDropped: "0",
    boundBy: "returns",
  });
});

Deno.test("planCycle: counts what comes back late to the cycle that it names, and judges that one again", () => {
  const first = plan(LAST, { returns: returnsOf({ 4: 20 }) });
  assert.equal(first.judgement, "stayed_away");
  const record = {
    ...parseCycleState(Object.entries({ ...first.fields, cycle: "5" }).flat()),
    replayed: 10,
    firsts: 10,
  };
  const late = plan(record, { returns: returnsOf({ 4: 75 }) });
  assert.deepEqual([late.judgement, late.troubled?.cycle, late.troubled?.returned], ["came_back", 4, 95]);
  const later = plan({ ...record, tallies: late.tallies }, { returns: returnsOf({ 4: 5 }) });
  assert.equal(later.judgement, "stayed_away", "the brake has acted on that one");
});

Deno.test("planCycle: learns how long the consumer takes, and takes what may still come back for failed until then", () => {
  const first = plan(LAST, { nowMs: 31_000, returns: returnsOf({ 4: 1 }) });
  assert.deepEqual([first.fields.lagMs, tallyOf(first, 4).pending], ["0", 0], "nothing says that it is slow");
  const record = { ...parseCycleState(Object.entries({ ...first.fields, cycle: "5" }).flat()), ...LAST, cycle: 5 };
  const second = plan({ ...record, movedAtMs: 60_000 }, { nowMs: 61_000, returns: returnsOf({ 4: 5 }) });
  assert.deepEqual([second.fields.lagMs, tallyOf(second, 5).pending, tallyOf(second, 4).pending], ["60000", 100, 0]);
});

Deno.test("planCycle: takes first-timers that wait in the target for failed; any message if it cannot tell, else none but these", () => {
  const pending = (waiting: Waiting) => tallyOf(plan(LAST, { returns: returnsOf({ 4: 1 }, { waiting }) }), 4).pending;
  assert.equal(pending({ depth: 30, firsts: null }), 30);
  assert.equal(pending({ depth: 30, firsts: new Map([[4, 12], [3, 7]]) }), 12);
  assert.equal(pending({ depth: 30, firsts: new Map() }), 0, "all of them are live messages");
  assert.equal(pending({ depth: 500, firsts: new Map([[4, 400]]) }), 99, "no more than went");
});

Deno.test("planCycle: takes live alerts beyond our own for first-timers, and for a proof where they outnumber what failed", () => {
  const back = returnsOf({ 4: 100 }, { inflow: 3 });
  const proven = plan(LAST, { returns: back, liveSuccesses: 40 });
  assert.deepEqual([proven.judgement, proven.last.others, tallyOf(proven, 4).othersFailed], ["consumer_works", 40, 3]);
  assert.equal(plan(LAST, { returns: back, liveSuccesses: 6 }).judgement, "came_back", "half as many failed");
  const own = plan(LAST, { returns: returnsOf({ 4: 90 }), liveSuccesses: 10 });
  assert.deepEqual([own.judgement, own.last.others], ["came_back", 0], "those ten may be ours");
});

Deno.test("planCycle: falls back to arrivals where the consumer drops the stamps, and says so", () => {
  const { judgement, troubled, stampsDropped, fields } = plan(LAST, {
    ...{ returns: returnsOf({}, { inflow: 95 }), stampsDropped: true },
  });
  assert.deepEqual([judgement, troubled?.returned, stampsDropped, fields.stampsDropped], ["came_back", 95, true, "1"]);
  assert.equal(
    plan({ ...LAST, stampsDropped: true }, { returns: returnsOf({}, { inflow: 95 }) }).judgement,
    "came_back",
  );
});

Deno.test("planCycle: is held while a suspect source waits", () => {
  const brake = { suspect: true, distance: 3, wait: 2, allowance: 20, reason: "returns" as const };
  const { fields, step } = plan({ cycle: 9, brake });
  assert.deepEqual([step.budget, fields.boundBy, fields.wait, fields.tallies], [0, "held", "1", ""]);
});

Deno.test("planCycle: sends one message in a cycle of its own when a breaker wants a canary, and does not judge it", () => {
  const canary = plan({ ...LAST, replayed: 20, firsts: 20 }, { depth: 30, breakerCanary: true });
  assert.deepEqual([canary.budget, canary.fields.boundBy], [1, "breaker"]);
  const record = { cycle: 5, replayed: 1, firsts: 1, cycleLimit: "breaker" } as const;
  const after = plan(record, { depth: 30, returns: returnsOf({ 5: 1 }) });
  assert.deepEqual([after.judgement, after.budget, tallyOf(after, 5).says], [null, 30, "uncounted"]);
});

const SETTINGS = { batchSize: 0, intervalMs: 300_000, canaryAfterMs: 60_000 };
const outage = (seconds: number, gate: GateName = "downstream") => ({
  ...{ gate, reason: "unhealthy", fromMs: 0, untilMs: seconds * 1_000, isOver: true },
  excusesFailures: hasTrait(gate, "excusesFailures"),
});

Deno.test("planCycle: holds nothing against what was replayed into an outage, and keeps the outage", () => {
  const settings = { ...SETTINGS, outages: [outage(2)], depth: 910 };
  const next = plan(LAST, settings);
  assert.deepEqual([tallyOf(next, 4).says, next.fields.outages], ["nothing", "downstream unhealthy 0-2000 4"]);
  assert.equal(next.step.budget, 910, "it was short: all goes on");
  assert.equal(plan({ ...LAST, replayed: 0 }, settings).fields.tallies, "", "nothing was replayed");
});

Deno.test("planCycle: keeps the evidence of the last sixteen outages", () => {
  let record = { ...NEW_CYCLE_STATE };
  for (let cycle = 1; cycle <= 20; cycle++) {
    record = { ...record, cycle };
    const { fields } = plan(record, { ...SETTINGS, depth: 9, outages: [outage(7)] });
    record = { ...record, outages: fields.outages! };
  }
  const kept = record.outages.split(";");
  assert.deepEqual([kept.length, kept[0], kept.at(-1)], [
    ...[16, "downstream unhealthy 0-7000 5", "downstream unhealthy 0-7000 20"],
  ]);
});

Deno.test("planCycle: begins with care after a full queue and a window as well, which say nothing of messages", () => {
  for (const gate of ["depth", "window"] as const) {
    const full = plan(LAST, { ...SETTINGS, depth: 910, outages: [outage(60, gate)] });
    assert.deepEqual([full.step.budget, full.fields.brakeReason, tallyOf(full, 4).says], [19, "outage", "all"], gate);
  }
  const moment = plan(LAST, { ...SETTINGS, depth: 910, outages: [outage(1, "depth")] });
  assert.deepEqual([moment.step.budget, moment.fields.outages], [910, undefined], "the flow of messages does that");
});

Deno.test("planCycle: judges the group that went when the full queue had room again, and not before", () => {
  const brake = { suspect: true, distance: 1, wait: 0, allowance: 20, reason: "outage" as const };
  const record = { ...LAST, replayed: 20, brake };
  const after = (isOver: boolean) =>
    plan(record, { ...SETTINGS, depth: 980, outages: [{ ...outage(90, "depth"), isOver }] });
  assert.deepEqual([after(true).step.budget, after(false).step.budget], [80, 20]);
});

Deno.test("planCycle: falls back while ramping when a gate was closed for some seconds", () => {
  const brake = { suspect: false, distance: 1, wait: 0, allowance: 320, reason: "stayed_away" as const };
  const record = { ...LAST, replayed: 320, brake };
  for (const gate of ["depth", "consumer"] as const) {
    const { step } = plan(record, { ...SETTINGS, outages: [outage(6, gate)] });
    assert.deepEqual([step.budget, step.brake.reason], [80, "strain"], gate);
  }
  assert.equal(plan(record, SETTINGS).step.budget, 1_000);
});

Deno.test("planCycle: bounds nothing with the brake switched off, and weighs all the same", () => {
  const brake = { suspect: true, distance: 3, wait: 2, allowance: 20, reason: "returns" as const };
  const settings = { ...SETTINGS, brakeEnabled: false, outages: [outage(600)], returns: returnsOf({ 4: 100 }) };
  const next = plan({ ...LAST, brake }, settings);
  assert.deepEqual([next.step.budget, next.judgement, next.fields.allowance], [1_000, "came_back", ""]);
  assert.deepEqual([tallyOf(next, 4).says, tallyOf(next, 4).firstsReturned], ["nothing", 100]);
});

Deno.test("planCycle: sends a canary group first after a long outage, and ramps up behind it", () => {
  const record = { cycle: 4, depthAtStart: 1_000 };
  const first = plan(record, { ...SETTINGS, outages: [outage(60)] });
  assert.deepEqual([first.budget, first.fields.boundBy], [20, "returns"]);
  assert.equal(plan(record, { ...SETTINGS, outages: [outage(60)], canaryAfterMs: 0 }).budget, 1_000);
  const after = { ...LAST, cycle: 5, replayed: 20, brake: first.step.brake };
  assert.equal(plan(after, { ...SETTINGS, depth: 980 }).budget, 80);
});

Deno.test("planCycle: judges only replays since a release, and weighs the others as ever", () => {
  const judge = (record: Partial<CycleState>) => plan({ ...LAST, ...record }, { returns: returnsOf({ 4: 90 }) });
  assert.equal(judge({ releasedAtMs: 999 }).judgement, "came_back");
  const released = judge({ releasedAtMs: 1_000 });
  assert.deepEqual([released.judgement, released.budget], ["stayed_away", 1_000]);
  assert.deepEqual([tallyOf(released, 4).returned, tallyOf(released, 4).isTroubled], [90, false]);
  assert.equal(judge({ releasedAtMs: 1_000_001 }).judgement, "came_back", "the clock was set back");
});

Deno.test("planCycle: sends no canary group because of an outage that ended before a release", () => {
  const outage = { gate: "downstream", reason: "timeout", fromMs: 1_000, untilMs: 500_000, isOver: true };
  const cycleLimit = (releasedAtMs: number) =>
    plan(LAST, { outages: [{ ...outage, excusesFailures: true }], canaryAfterMs: 60_000, releasedAtMs }).cycleLimit;
  assert.deepEqual([499_999, 500_000].map(cycleLimit), ["returns", "depth"]);
});
