import assert from "node:assert/strict";
import { parseCycleState } from "../../../src/cycle/cycle_state.ts";
import { createJobGate } from "../../../src/gates/job.ts";
import { type Job, parseJob, plannedFields } from "../../../src/jobs/job.ts";
import { pickByIds } from "../../../src/jobs/picker.ts";

const PLAN = {
  ...{ verb: "redrive", planned: 2, plan: { groups: 1 }, plannedBy: "ann", reason: "mended" } as const,
  selection: { source: "alerter", list: "dlq", query: "reason:poison", ids: ["m_1"] } as const,
  watermark: { depth: 9, newestBytes: 3, newestDigest: "d" },
};

Deno.test("parseJob: reads what a plan has stored", () => {
  const job = parseJob("j", { ...plannedFields(PLAN), status: "planned", createdAtMs: "5" });
  const expected: Job = {
    ...{ ...PLAN, id: "j", status: "planned", startedBy: "", createdAtMs: 5 },
    ...{ startedAtMs: null, endedAtMs: null, result: null },
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
  const zero = { planned: 0, swept: 0, picked: 0, replayed: 0, dead: 0 };
  const state = { phase: "sweep", list: "dead", isPaused: true, isCancelled: false, left: 7 };
  assert.deepEqual(job, { id: "j", verb: "purge", by: "", ...state, ...zero });
  assert.equal(parseCycleState(["job", "j", "jobVerb", "later", "jobPhase", "act"]).job?.isCancelled, true);
  assert.equal(parseCycleState(["job", "j", "jobVerb", "purge", "jobPhase", "later"]).job?.phase, "restore");
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

Deno.test("pickByIds: picks by the id of the bytes, everything without ids, and knows no query", () => {
  const message = new TextEncoder().encode("a") as never, selection = { source: "s", list: "dlq", query: "" } as const;
  assert.equal(pickByIds({ ...selection, ids: ["m_86f7e437faa5a7fc"] })(message), true);
  assert.equal(pickByIds({ ...selection, ids: [] })(message), false);
  assert.equal(pickByIds(selection)(message), true);
  assert.throws(() => pickByIds({ ...selection, query: "a:b" }));
});
