/** Operators' verbs over many messages: plan, confirm, run, undo. Every list before and after, byte for byte. */
import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { messageId } from "../../src/message/message_id.ts";
import type { NewEntry } from "../../src/journal/entries.ts";
import { StoreError } from "../../src/redis/errors.ts";
import { bury } from "../../src/operations/bury.ts";
import { explain } from "../../src/operations/explain.ts";
import { jobs } from "../../src/operations/jobs.ts";
import { jobsCancel } from "../../src/operations/jobs_cancel.ts";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsPause } from "../../src/operations/jobs_pause.ts";
import { jobsResume } from "../../src/operations/jobs_resume.ts";
import { jobsShow } from "../../src/operations/jobs_show.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import type { Planned } from "../../src/operations/job_plan.ts";
import { checkInput } from "../../src/operations/input.ts";
import type { Operation, OperationRole } from "../../src/operations/operation.ts";
import type { OperatorContext } from "../../src/operations/context.ts";
import { purge } from "../../src/operations/purge.ts";
import { redrive } from "../../src/operations/redrive.ts";
import { revive } from "../../src/operations/revive.ts";
import { jobKey, jobListKey, trashKey } from "../../src/redis/keys.ts";
import {
  createEngine,
  DEAD,
  DLQ,
  dumpKeys,
  type Engine,
  idOf,
  replayedText,
  STATE,
  TARGET,
  withoutInstants,
} from "../../testkit/engine.ts";
import { readJobLists, runJob } from "../../testkit/jobs.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const idOfText = (text: string) => messageId(new TextEncoder().encode(text));

const server = shareRedis({ push: pushOf(import.meta) });
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
const source = "alerter", reason = "mended";

function event(index: number, more = ""): string {
  return `{"id": "${index}", "hostname": "web-${
    index % 3
  }", "timestamp": "2025-01-15T14:30:29Z", "message": "link ${index} down"${more}}`;
}

/** Oldest first. Those of web-1 are picked. */
const TEXTS = Array.from({ length: 20 }, (_, i) => event(i));
const query = "host:web-1", PICKED = TEXTS.filter((text) => text.includes("web-1"));
const REST = TEXTS.filter((text) => !PICKED.includes(text));

/** Runs an operation as its callers do: its input is checked before, and what it returns after. */
async function run<Input, Output>(
  engine: Engine,
  operation: Operation<OperatorContext, Input, Output>,
  input: Input,
  options: Parameters<typeof operatorContext>[1] = {},
): Promise<Output> {
  await engine.connections.waitUntilReady(PATIENT_MS);
  const checked = checkInput<Input>(operation.input, input), fits = ajv.compile(operation.output);
  const output = await operation.run(operatorContext(engine, options), checked);
  assert.ok(fits(JSON.parse(JSON.stringify(output))), JSON.stringify({ errors: fits.errors, output }, null, 1));
  return output;
}

/** Confirms a plan and runs it to its end. @returns the id of the job */
async function carryOut(engine: Engine, { job: { id } }: Planned): Promise<string> {
  await run(engine, jobsConfirm, { source, id });
  await runJob(engine);
  return id;
}

async function seed(texts: readonly string[] = TEXTS): Promise<void> {
  await server().seedList(DLQ, texts);
}

/** Buries messages. @returns them as they are in the dead list */
async function seedDead(engine: Engine, texts: readonly string[]): Promise<string[]> {
  await seed(texts);
  await carryOut(engine, await run(engine, bury, { source, reason }));
  return await server().readTexts(DEAD);
}

const verbs = [
  {
    operation: redrive,
    after: { dlq: REST, target: PICKED.map((text) => replayedText(text)) },
    result: { replayed: 7 },
  },
  { operation: bury, after: { dlq: REST, dead: PICKED }, result: { dead: 7 } },
  { operation: purge, after: { dlq: REST, trash: PICKED }, result: { trashed: 7 } },
] as const;

for (const { operation, after, result } of verbs) {
  Deno.test(`${operation.name}: plans without a change, and moves what it planned when it is confirmed`, async () => {
    await seed();
    await using engine = createEngine(server());
    const audit: NewEntry[] = [];
    const planned: Planned = await run(engine, operation, { source, query, reason }, { audit });
    const { job, plan } = planned;
    assert.deepEqual(await readJobLists(server(), job.id), { dlq: TEXTS });
    assert.deepEqual([job.status, job.planned, job.plannedBy, job.query], ["planned", 7, "ann", query]);
    assert.deepEqual([plan.count, plan.scanned, plan.watermark], [7, 20, { depth: 20, id: idOfText(TEXTS.at(-1)!) }]);
    assert.deepEqual([plan.byReason, plan.groups.map(({ text, count }) => [text, count])], [{ none: 7 }, [[
      "link • down",
      7,
    ]]]);
    assert.deepEqual(plan.samples.map(({ id }) => id), [idOfText(PICKED[0]!)]);
    assert.deepEqual(plan.heldBy, []);
    // It arrives after the plan.
    await server().seedList(DLQ, [event(1)]);
    await run(engine, jobsConfirm, { source, id: job.id }, { audit });
    const running = await run(engine, jobsShow, { source, id: job.id });
    assert.deepEqual([running.job.status, running.job.progress?.phase, running.job.progress?.toSweep], [
      "running",
      "sweep",
      20,
    ]);
    assert.deepEqual(running.plan, plan);
    await runJob(engine);
    const lists = await readJobLists(server(), job.id);
    const shown = Object.fromEntries(
      Object.entries(lists).map(([name, texts]) => [name, texts.map(name === "dead" ? idOf : withoutInstants)]),
    );
    assert.deepEqual(shown, {
      ...after,
      dlq: [...REST, event(1)],
      ..."dead" in after ? { dead: after.dead.map(idOf) } : {},
    });
    const ended = await run(engine, jobsShow, { source, id: job.id });
    const none = { replayed: 0, dead: 0, trashed: 0, returned: 0 };
    assert.deepEqual(ended.job.result, { swept: 20, picked: 7, ...none, ...result });
    assert.deepEqual([ended.job.status, ended.job.startedBy, ended.job.progress], ["done", "ann", null]);
    const { jobs: [listed] } = await run(engine, jobs, {});
    assert.deepEqual(listed, ended.job);
    const entries = audit.filter((entry) => entry.kind === "operation");
    assert.deepEqual(entries.map((entry) => [entry.operation, entry.actor, entry.source, entry.job, entry.result]), [
      [operation.name, "ann", source, job.id, "planned: 7 of 20 messages"],
      ["jobs_confirm", "ann", source, job.id, "confirmed: 7 messages"],
    ]);
    assert.deepEqual(entries[0]!.input, { list: "dlq", query, ids: null, reason });
    assert.ok(!JSON.stringify(audit).includes("link"), "no content of a message is in the journal");
  });
}

Deno.test("revive: replays what the source buried as new messages, and leaves what other sources buried", async () => {
  await using engine = createEngine(server());
  const dead = await seedDead(engine, TEXTS), other = dead[0]!.replaceAll(`"source": "alerter"`, `"source": "moog"`);
  await server().seedList(DEAD, [other]);
  const planned = await run(engine, revive, { source, reason });
  assert.deepEqual([planned.plan.count, planned.plan.ofOthers, planned.plan.byReason], [20, 1, { buried: 20 }]);
  const id = await carryOut(engine, planned);
  const { target, ...lists } = await readJobLists(server(), id);
  assert.deepEqual(lists, { dead: [other] });
  assert.deepEqual(target!.map(withoutInstants), TEXTS.map((text) => replayedText(text)));
});

Deno.test("purge: takes from the dead list too, by ids", async () => {
  await using engine = createEngine(server());
  const dead = await seedDead(engine, TEXTS.slice(0, 4)), ids = dead.slice(1, 3).map(idOfText);
  const planned = await run(engine, purge, { source, list: "dead", ids: [...ids, ids[0]!], reason });
  const id = await carryOut(engine, planned);
  assert.equal(planned.job.ids, 2);
  assert.deepEqual(await readJobLists(server(), id), { dead: [dead[0], dead[3]], trash: dead.slice(1, 3) });
});

Deno.test("undo of purge: brings the trash back to the oldest end, and keeps the arrivals of a cycle", async () => {
  await seed();
  await using engine = createEngine(server());
  const id = await carryOut(engine, await run(engine, purge, { source, query, reason }));
  await server().client().hset(STATE, "scannedDepth", 13);
  const undo = await run(engine, jobsUndo, { source, id, reason: "wrong ones" });
  assert.match(
    undo.plan.undo,
    /^7 messages of the trash go back to the oldest end of the DLQ, in order\. This is possible until 2.*Z$/,
  );
  assert.deepEqual([undo.plan.cannot, undo.job.undoes], [[], { id, verb: "purge" }]);
  const undoId = await carryOut(engine, undo);
  assert.deepEqual(await readJobLists(server(), id), { dlq: [...PICKED, ...REST] });
  assert.equal(await server().client().hget(STATE, "scannedDepth"), "20");
  const { job } = await run(engine, jobsShow, { source, id: undoId });
  assert.deepEqual([job.status, job.result?.returned, job.result?.trashed], ["done", 7, 0]);
  await assert.rejects(run(engine, jobsUndo, { source, id, reason }), {
    code: "conflict",
    message: `nothing that job ${id} took can be brought back: 7 messages were brought back before, or have expired`,
  });
  await assert.rejects(run(engine, jobsUndo, { source, id: undoId, reason }), { code: "conflict" });
});

Deno.test("undo of purge: what it has not brought back when it is cancelled stays in the trash, which expires", async () => {
  await seed();
  await using engine = createEngine(server());
  const id = await carryOut(engine, await run(engine, purge, { source, query, reason }));
  const undo = await run(engine, jobsUndo, { source, id, reason });
  await run(engine, jobsConfirm, { source, id: undo.job.id });
  await run(engine, jobsCancel, { source, id: undo.job.id });
  await runJob(engine);
  assert.deepEqual(await readJobLists(server(), id), { dlq: REST, trash: PICKED });
  assert.ok(await server().client().pttl(trashKey(DLQ, id)) > 0);
  assert.equal((await run(engine, jobsShow, { source, id: undo.job.id })).job.status, "cancelled");
  await carryOut(engine, await run(engine, jobsUndo, { source, id, reason }));
  assert.deepEqual(await readJobLists(server(), id), { dlq: [...PICKED, ...REST] });
});

Deno.test("undo of purge from the dead list: goes back to the dead list", async () => {
  await using engine = createEngine(server());
  const dead = await seedDead(engine, TEXTS);
  const id = await carryOut(engine, await run(engine, purge, { source, list: "dead", query, reason }));
  await server().client().hset(STATE, "scannedDepth", 0);
  await carryOut(engine, await run(engine, jobsUndo, { source, id, reason }));
  const isPicked = (text: string) => text.includes("web-1");
  assert.deepEqual(await readJobLists(server(), id), {
    dead: [...dead.filter(isPicked), ...dead.filter((text) => !isPicked(text))],
  });
  assert.equal(await server().client().hget(STATE, "scannedDepth"), "0");
});

Deno.test("undo of bury: brings back what that job buried and is still there, and says what is not", async () => {
  const unreadable = "not JSON", own = event(30, `, "failed_at": "then"`);
  await using engine = createEngine(server());
  const before = await seedDead(engine, TEXTS.slice(0, 2));
  await seed([unreadable, own, ...PICKED]);
  const id = await carryOut(engine, await run(engine, bury, { source, reason }));
  assert.equal((await server().readTexts(DEAD)).length, 11);
  // The newest one of the job is gone.
  await server().popList(DEAD, 1, { newest: true });
  await server().seedList(DLQ, [event(40)]);
  await server().client().hset(STATE, "scannedDepth", 1);
  const undo = await run(engine, jobsUndo, { source, id, reason });
  assert.deepEqual([undo.plan.count, undo.plan.cannot], [
    8,
    ["1 of 9 messages are not in the dead list any more, or are too large to be read"],
  ]);
  const undoId = await carryOut(engine, undo);
  assert.deepEqual(await readJobLists(server(), undoId), {
    dead: before,
    dlq: [unreadable, own, ...PICKED.slice(0, -1), event(40)],
  });
  assert.equal(await server().client().hget(STATE, "scannedDepth"), "9");
  assert.deepEqual((await run(engine, jobsShow, { source, id: undoId })).job.result, {
    ...{ swept: 10, picked: 8, replayed: 0, dead: 0, trashed: 0, returned: 8 },
  });
  await assert.rejects(run(engine, jobsUndo, { source, id, reason }), { code: "conflict", message: /9 of 9 messages/ });
});

Deno.test("undo: says why a job cannot be undone", async () => {
  await seed();
  await using engine = createEngine(server());
  const planned = await run(engine, redrive, { source, query, reason }), { id } = planned.job;
  const refuses = (message: RegExp) =>
    assert.rejects(run(engine, jobsUndo, { source, id, reason }), { code: "conflict", message });
  await carryOut(engine, planned);
  await refuses(/\(redrive\) cannot be undone: the messages went to the consumer/);
  const { job: { id: plan } } = await run(engine, purge, { source, reason });
  await assert.rejects(run(engine, jobsUndo, { source, id: plan, reason }), {
    code: "conflict",
    message: /is planned: nothing has moved/,
  });
});

Deno.test("verbs: name every problem of an input at once, and change nothing", async () => {
  await seed();
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const before = await dumpKeys(server().client());
  const bad = {
    ...{ source: "", query: "x".repeat(2_001), ids: ["m_1"], reason: "\n", more: 1 },
    overrides: [{ gate: "redis", reason: "r" }, { gate: "redis", reason: "r" }],
  };
  type Problems = { code: string; message: string; problems: { field: string }[] };
  const fails = async (call: Promise<unknown>, code: string, fields: string[]) => {
    await assert.rejects(call, (error: Error & Problems) => {
      assert.deepEqual([error.code, error.problems.map(({ field }) => field)], [code, fields], error.message);
      return true;
    });
  };
  await fails(run(engine, redrive, bad as never), "invalid", [
    "more",
    "source",
    "query",
    "ids[0]",
    "reason",
    "overrides[0].gate",
    "overrides[1].gate",
  ]);
  const overrides = [{ gate: "pace", reason }, { gate: "pace", reason: "again" }] as const;
  await fails(run(engine, redrive, { source, reason, overrides: [...overrides] }), "invalid", ["overrides"]);
  await fails(run(engine, redrive, { source, query: "age:x size:y", reason }), "invalid", ["query", "query"]);
  await fails(run(engine, redrive, { source: "none", reason }), "not_found", ["source"]);
  await fails(run(engine, jobsConfirm, { source, id: "a b", allowChange: -1 }), "invalid", ["id", "allowChange"]);
  await fails(run(engine, jobsConfirm, { source, id: "none" }), "not_found", ["id"]);
  await fails(run(engine, jobsShow, { source, id: "none" }), "not_found", ["id"]);
  await fails(run(engine, redrive, { source, query: "host:none", reason }), "conflict", []);
  assert.deepEqual(await dumpKeys(server().client()), before);
});

Deno.test("jobs_confirm: says that the job runs when only the journal could not be written", async () => {
  await seed();
  await using engine = createEngine(server());
  const { job: { id } } = await run(engine, purge, { source, query, reason });
  const context = operatorContext(engine);
  const record = () => Promise.reject(new StoreError("is away", { code: "CONNECTION", isCertain: false }));
  await assert.rejects(jobsConfirm.run({ ...context, journal: { ...context.journal, record } }, { source, id }), {
    ...{
      code: "unrecorded",
      message:
        /^done \(confirmed: 7 messages\), but perhaps not in the journal: Redis is not connected: mutt-remediation health says why$/,
    },
  });
  assert.equal((await engine.source.jobs.running())?.id, id);
});

for (const role of ["viewer", "operator"] as const) {
  Deno.test(`verbs: a ${role} may do only what the role allows`, async () => {
    await seed();
    await using engine = createEngine(server());
    const actor = { name: "vic", role: role as OperationRole };
    const purged = await run(engine, purge, { source, query, reason });
    const overriding = await run(engine, redrive, { source, query, reason, overrides: [{ gate: "pace", reason }] });
    const refused = { code: "forbidden" };
    await assert.rejects(run(engine, purge, { source, reason }, { actor }), refused);
    await assert.rejects(run(engine, jobsConfirm, { source, id: purged.job.id }, { actor }), refused);
    await assert.rejects(run(engine, jobsConfirm, { source, id: overriding.job.id }, { actor }), refused);
    const overrides = [{ gate: "pace" as const, reason }];
    await assert.rejects(run(engine, redrive, { source, reason, overrides }, { actor }), refused);
    await carryOut(engine, purged);
    await assert.rejects(run(engine, jobsUndo, { source, id: purged.job.id, reason }, { actor }), refused);
    const asked = run(engine, bury, { source, reason }, { actor });
    if (role === "viewer") return await assert.rejects(asked, refused);
    await run(engine, jobsConfirm, { source, id: (await asked).job.id }, { actor });
    await runJob(engine);
  });
}

Deno.test("jobs_confirm: of two operators at once, one starts the job, and the other learns who", async () => {
  await seed();
  await using engine = createEngine(server());
  const { job: { id } } = await run(engine, purge, { source, query, reason });
  const confirm = (name: string) => run(engine, jobsConfirm, { source, id }, { actor: { name, role: "admin" } });
  const outcomes = await Promise.allSettled([confirm("ann"), confirm("bob")]);
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  const lost = outcomes.find((one) => one.status === "rejected")!.reason;
  assert.equal(lost.code, "conflict");
  assert.match(lost.message, /(ann|bob)/);
  await runJob(engine);
  assert.deepEqual(await readJobLists(server(), id), { dlq: REST, trash: PICKED });
  await assert.rejects(confirm("cid"), { code: "conflict", message: /is done already; (ann|bob) confirmed it/ });
});

Deno.test("jobs_confirm: is refused while another job works on the source, and names it", async () => {
  await seed();
  await using engine = createEngine(server());
  const [first, second] = [
    await run(engine, purge, { source, query, reason }),
    await run(engine, bury, { source, reason }),
  ];
  await run(engine, jobsConfirm, { source, id: first.job.id });
  await assert.rejects(run(engine, jobsConfirm, { source, id: second.job.id }), {
    code: "conflict",
    message: `job ${first.job.id} of ann (purge, 7 messages) works on the source: wait until it ends, or cancel it`,
  });
});

Deno.test("jobs_confirm: is refused if the count has changed by more than is allowed", async () => {
  await seed();
  await using engine = createEngine(server());
  const { job: { id } } = await run(engine, purge, { source, query, reason });
  // Message 1 is one of those.
  await server().popList(DLQ, 2);
  const confirm = (allowChange?: number) =>
    run(engine, jobsConfirm, { source, id, ...allowChange === undefined ? {} : { allowChange } });
  await assert.rejects(confirm(), {
    code: "stale",
    message: "the plan took 7 messages, and now it would take 6: plan again, or allow a change of 1",
  });
  assert.deepEqual(await readJobLists(server(), id), { dlq: TEXTS.slice(2) });
  await confirm(1);
  await runJob(engine);
  assert.deepEqual(await readJobLists(server(), id), { dlq: REST.slice(1), trash: PICKED.slice(1) });
});

Deno.test("jobs_confirm: is refused when the list has moved on, or the plan has expired", async () => {
  await seed();
  await using engine = createEngine(server());
  const { job: { id } } = await run(engine, purge, { source, query, reason });
  await server().client().del(DLQ);
  await seed(TEXTS.slice(0, -1));
  await assert.rejects(run(engine, jobsConfirm, { source, id }), { code: "stale", message: /^the list has moved on/ });
  await server().client().pexpire(jobKey(DLQ, id), 0);
  await assert.rejects(run(engine, jobsConfirm, { source, id }), {
    code: "not_found",
    message: /it has expired, or never was/,
  });
});

Deno.test("jobs_pause, jobs_resume, jobs_cancel: act on the running job only", async () => {
  await seed();
  await using engine = createEngine(server());
  const audit: NewEntry[] = [], { job: { id } } = await run(engine, purge, { source, query, reason });
  await assert.rejects(run(engine, jobsPause, { source, id }), {
    code: "conflict",
    message: /is planned, not confirmed/,
  });
  await run(engine, jobsConfirm, { source, id });
  const paused = await run(engine, jobsPause, { source, id }, { audit });
  assert.deepEqual([paused.job.status, paused.job.progress?.isPaused], ["paused", true]);
  await engine.turn({ begin: "now" });
  await engine.source.board.ask();
  const explained = explain.run(operatorContext(engine), {});
  assert.ok(explained.sources[0]!.sentence.includes("a job of ann (purge, 7 messages) is paused"));
  assert.equal((await run(engine, jobsResume, { source, id }, { audit })).job.status, "running");
  assert.equal((await run(engine, jobsCancel, { source, id }, { audit })).job.progress?.isCancelled, true);
  await assert.rejects(run(engine, jobsCancel, { source, id }), { code: "conflict", message: /is being cancelled/ });
  await runJob(engine);
  assert.deepEqual(await readJobLists(server(), id), { dlq: TEXTS });
  await assert.rejects(run(engine, jobsPause, { source, id }), { code: "conflict", message: /has ended: cancelled/ });
  assert.deepEqual(audit.map((entry) => entry.kind === "operation" && [entry.operation, entry.job]), [
    ...[["jobs_pause", id], ["jobs_resume", id], ["jobs_cancel", id]],
  ]);
});

Deno.test("overrides: a gate does not hold the job that overrides it, and everybody sees it", async () => {
  await seed();
  await server().seedList(TARGET, ["waits", "waits"]);
  await using engine = createEngine(server(), { settings: { targetMaxDepth: 1 } });
  await engine.turn();
  const held = await run(engine, redrive, { source, query, reason });
  assert.deepEqual(held.plan.heldBy.map(({ gate, isOverridden }) => [gate, isOverridden]), [["depth", false]]);
  await run(engine, jobsConfirm, { source, id: held.job.id });
  await runJob(engine, async () => (await engine.source.jobs.running())?.phase === "act");
  for (let turn = 0; turn < 3; turn++) {
    await engine.source.turns.runOnce({ begin: "never", signal: new AbortController().signal });
  }
  assert.deepEqual((await readJobLists(server(), held.job.id)).own, PICKED);
  await run(engine, jobsCancel, { source, id: held.job.id });
  await runJob(engine);

  const audit: NewEntry[] = [], overrides = [{ gate: "depth" as const, reason: "it drains at once" }];
  const planned = await run(engine, redrive, { source, query, reason, overrides }, { audit });
  assert.deepEqual(planned.plan.heldBy.map(({ gate, isOverridden }) => [gate, isOverridden]), [["depth", true]]);
  assert.deepEqual(planned.job.overrides, overrides);
  assert.deepEqual(audit.map((entry) => entry.kind === "operation" && entry.input.overrides), [overrides]);
  await run(engine, jobsConfirm, { source, id: planned.job.id });
  await engine.source.turns.runOnce({ begin: "never", signal: new AbortController().signal });
  const explained = explain.run(operatorContext(engine), {});
  const gate = explained.sources[0]!.gates.find(({ name }) => name === "job");
  assert.match(gate!.detail, /^a job of ann \(redrive, 7 messages\) is running, and overrides depth$/);
  await runJob(engine);
  const lists = await readJobLists(server(), planned.job.id);
  assert.deepEqual([lists.target!.length, lists.own], [9, undefined]);
  // The next one waits again.
  await engine.turn();
  assert.deepEqual((await run(engine, redrive, { source, reason })).plan.heldBy.map(({ gate }) => gate), ["depth"]);
});

Deno.test("verbs: no secret and no whole message is in a plan", async () => {
  await seed([event(1, `, "api_key": "Pl4nt3d", "padding": "Pl4nt3d"`)]);
  await using engine = createEngine(server());
  const { job: { id } } = await run(engine, purge, { source, reason });
  const kept = await server().client().hgetall(jobKey(DLQ, id));
  assert.ok(!JSON.stringify(kept).includes("Pl4nt3d"));
  assert.equal(await server().client().exists(jobListKey(DLQ, id)), 0);
});
