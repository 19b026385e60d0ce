import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { parseCycleState } from "../../../src/cycle/cycle_state.ts";
import { createJobGate } from "../../../src/gates/job.ts";
import { type Job, overriddenGates, OVERRIDE_MS, parseJob, plannedFields } from "../../../src/jobs/job.ts";
import { createPickers } from "../../../src/jobs/picker.ts";
import type { SourcePolicy } from "../../../src/message/source_policy.ts";

const PLAN = {
  ...{ verb: "redrive", planned: 2, plan: { groups: 1 }, plannedBy: "ann", reason: "mended" } as const,
  selection: { source: "alerter", list: "dlq", query: "reason:poison", ids: ["m_1"] } as const,
  push: "LPUSH" as const,
  watermark: { depth: 9, newestBytes: 3, newestDigest: "d" },
};

Deno.test("parseJob: reads what a plan has stored", () => {
  const job = parseJob("j", { ...plannedFields(PLAN), status: "planned", createdAtMs: "5" });
  const expected: Job = {
    ...{ ...PLAN, id: "j", status: "planned", startedBy: "", createdAtMs: 5 },
    ...{ startedAtMs: null, endedAtMs: null, result: null, overrides: [], undoes: null },
    // Ages count to the plan.
    selection: { ...PLAN.selection, atMs: 5 },
  };
  assert.deepEqual(job, expected);
});

Deno.test("parseJob: is null when the hash is missing, or no job of ours", () => {
  const fields = { ...plannedFields(PLAN), status: "planned" };
  for (
    const broken of [{}, { verb: "x" }, { list: "target" }, { status: "" }, { selection: "{" }, { selection: "{}" }]
  ) {
    const given = Object.keys(broken).length === 0 ? {} : { ...fields, ...broken };
    assert.equal(parseJob("j", given), null, JSON.stringify(broken));
  }
});

Deno.test("parseCycleState: reads the running job, and takes an unknown phase or verb for a cancelled job", () => {
  assert.equal(parseCycleState(["job", ""]).job, null);
  const fields = [
    "job",
    "j",
    "jobVerb",
    "purge",
    "jobPhase",
    "sweep",
    "jobList",
    "dead",
    "jobLeft",
    "7",
    "jobPaused",
    "1",
  ];
  const { job } = parseCycleState(fields);
  const zero = { planned: 0, swept: 0, picked: 0, replayed: 0, dead: 0, returned: 0, overrides: "" };
  const state = { phase: "sweep", list: "dead", isPhaseKnown: true, isPaused: true, isCancelled: false, left: 7 };
  assert.deepEqual(job, { id: "j", verb: "purge", by: "", ...state, ...zero });
  assert.equal(parseCycleState(["job", "j", "jobVerb", "later", "jobPhase", "act"]).job?.isCancelled, true);
  assert.equal(parseCycleState(["job", "j", "jobVerb", "purge", "jobPhase", "later"]).job?.isPhaseKnown, false);
});

Deno.test("createJobGate: says whose job holds automatic replay", () => {
  assert.equal((createJobGate(() => null).ask() as { open: boolean }).open, true);
  const job =
    parseCycleState(["job", "j", "jobVerb", "redrive", "jobPhase", "act", "jobBy", "ann", "jobPlanned", "1000"]).job;
  assert.deepEqual(createJobGate(() => job).ask(), {
    ...{ open: false, reason: "running", retryInMs: 1_000 },
    detail: "a job of ann (redrive, 1,000 messages) is running",
  });
});

const POLICY: SourcePolicy = {
  ...{ name: "s", push: "LPUSH", dlq: "d", target: "t", dead: "x", counter: null, cutOnReplay: [], required: [] },
};
const createPicker = createPickers({ policy: POLICY, display: { groupBy: ["message"], secret: [] } });
const event = (more: object) =>
  Buffer.from(JSON.stringify({ timestamp: "2026-01-01T00:00:00Z", message: "down", ...more }));
const AT_MS = Date.parse("2026-01-01T02:00:00Z");

for (
  const [what, selection, more, expected] of [
    ["everything without query and ids", {}, {}, true],
    ["by its id", { ids: ["m_86f7e437faa5a7fc"] }, null, true],
    ["nothing with an id that it has not", { ids: ["m_0000000000000000"] }, {}, false],
    ["by a query", { query: "host:web-1" }, { hostname: "web-1" }, true],
    ["by a query and an id", { query: "host:web-1", ids: [] }, { hostname: "web-1" }, false],
    ["by its age at the plan", { query: "age:>1h", atMs: AT_MS }, {}, true],
    ["by its age at the plan, not now", { query: "age:>3h", atMs: AT_MS }, {}, false],
    ["what this source has buried", { list: "dead" }, { _remediation: { source: "s", reason: "poison" } }, true],
    [
      "not what another source has buried",
      { list: "dead" },
      { _remediation: { source: "t", reason: "poison" } },
      false,
    ],
    ["what no source says it has buried", { list: "dead" }, { failed_at: "then" }, true],
    ["what the job has buried", { list: "dead", buriedBy: "j" }, { _remediation: { source: "s", job: "j" } }, true],
    [
      "not what another job has buried",
      { list: "dead", buriedBy: "j" },
      { _remediation: { source: "s", job: "k" } },
      false,
    ],
  ] as const
) {
  Deno.test(`createPickers: picks ${what}`, () => {
    const picks = createPicker({ source: "s", list: "dlq", query: "", ...selection });
    assert.equal(picks(more === null ? Buffer.from("a") : event(more)), expected);
  });
}

Deno.test("createPickers: reads what is unwrapped by its path, in text too", () => {
  const picks = createPickers({ policy: { ...POLICY, unwrap: "payload" }, display: { groupBy: [], secret: [] } })({
    ...{ source: "s", list: "dlq", query: "payload.class:Charge" },
  });
  const texts = ['{"payload":{"class":"Charge"}}', '{"payload":"{\\"class\\":\\"Charge\\"}"}', '{"class":"Charge"}'];
  assert.deepEqual(texts.map((text) => picks(Buffer.from(text))), [true, true, false]);
});

Deno.test("createPickers: throws for a query that cannot be read", () => {
  assert.throws(() => createPicker({ source: "s", list: "dlq", query: "age:x" }), /character/);
});

Deno.test("overriddenGates: ends a day after the job's start", () => {
  const overrides = [{ gate: "consumer", reason: "tested" }] as const, startedAtMs = 1;
  assert.deepEqual(overriddenGates({ overrides, startedAtMs }, OVERRIDE_MS), ["consumer"]);
  assert.deepEqual(overriddenGates({ overrides, startedAtMs }, OVERRIDE_MS + 1), []);
});

Deno.test("parseJob: reads only overrides of gates that can be overridden", () => {
  const fields = { ...plannedFields(PLAN), status: "planned", createdAtMs: "5" };
  const overrides = JSON.stringify([null, { gate: "redis", reason: "r" }, { gate: "pace", reason: "r" }, {
    gate: "pace",
  }]);
  assert.deepEqual(parseJob("j", { ...fields, overrides })?.overrides, [{ gate: "pace", reason: "r" }]);
  assert.deepEqual(parseJob("j", { ...fields, overrides: "{" })?.overrides, []);
});
