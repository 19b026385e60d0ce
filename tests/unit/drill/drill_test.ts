/** What the leader does next with a drill, as a table over its phases. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Drill, type DrillStep, nextStep, parseDrill } from "../../../src/drill/drill.ts";

const FIELDS = {
  ...{ id: "d_0123456789abcdef", phase: "holding", target: "mock", gate: "downstream", by: "ann", reason: "weekly" },
  ...{ messages: "100", seeded: "0", startedAtMs: "1000", heldUntilMs: "11000", healUntilMs: "21000" },
};
const DRILL = parseDrill(FIELDS)!;
const SEEDED: Partial<Drill> = { seeded: 100 }, HEALING: Partial<Drill> = { ...SEEDED, phase: "healing" };

interface Case {
  readonly of: string;
  readonly drill: Partial<Drill>;
  readonly nowMs: number;
  readonly arrived?: number;
  readonly step: DrillStep;
}

const CASES: readonly Case[] = [
  { of: "nothing has been pushed", drill: {}, nowMs: 1_000, step: "seed" },
  { of: "a part has been pushed", drill: { seeded: 99 }, nowMs: 1_000, step: "seed" },
  { of: "all have been pushed and the gate is held", drill: SEEDED, nowMs: 10_999, step: "wait" },
  { of: "the outage is over", drill: SEEDED, nowMs: 11_000, step: "heal" },
  { of: "no instance led during the outage", drill: {}, nowMs: 12_000, step: "seed" },
  { of: "no instance led until the time was over", drill: {}, nowMs: 21_000, step: "give_up" },
  { of: "all were pushed, and no instance led until the time was over", drill: SEEDED, nowMs: 21_000, step: "give_up" },
  {
    of: "a leader died while it healed and had not pushed all",
    drill: { phase: "healing" },
    nowMs: 12_000,
    step: "seed",
  },
  { of: "one has not arrived", drill: HEALING, nowMs: 20_999, arrived: 99, step: "wait" },
  { of: "as many as it has have arrived", drill: HEALING, nowMs: 12_000, arrived: 100, step: "compare" },
  { of: "more have arrived", drill: HEALING, nowMs: 12_000, arrived: 101, step: "compare" },
  {
    of: "all have arrived, seen after the time was over",
    drill: HEALING,
    nowMs: 99_000,
    arrived: 100,
    step: "compare",
  },
  { of: "the time is over", drill: HEALING, nowMs: 21_000, arrived: 99, step: "give_up" },
  { of: "the outcome is decided", drill: { phase: "cleaning" }, nowMs: 1_000, step: "clean" },
  { of: "it is cleaned up for long", drill: { phase: "cleaning" }, nowMs: 99_000_000, step: "clean" },
];

for (const { of, drill, nowMs, arrived = 0, step } of CASES) {
  Deno.test(`nextStep: ${step} when ${of}`, () => {
    strictEqual(nextStep({ ...DRILL, ...drill }, { nowMs, arrived }), step);
  });
}

Deno.test("parseDrill: reads what the scripts write", () => {
  deepStrictEqual(DRILL, {
    ...{ id: "d_0123456789abcdef", phase: "holding", target: "mock", gate: "downstream", by: "ann", reason: "weekly" },
    ...{ messages: 100, seeded: 0, startedAtMs: 1_000, heldUntilMs: 11_000, healUntilMs: 21_000 },
    ...{ noticedAtMs: null, outcome: null, decidedAtMs: null, moves: "", noticesBefore: "" },
  });
});

for (const field of ["id", "phase", "target"] as const) {
  Deno.test(`parseDrill: is null when ${field} is none of this program's`, () => {
    strictEqual(parseDrill({ ...FIELDS, [field]: "" }), null);
  });
}
