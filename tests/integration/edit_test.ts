/** The operation `edit` and its undo on a real Redis: every list before and after, byte for byte. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { Buffer } from "node:buffer";
import type { NewEntry } from "../../src/journal/entries.ts";
import { messageId } from "../../src/message/message_id.ts";
import { edit, type EditInput } from "../../src/operations/edit.ts";
import { checkInput } from "../../src/operations/input.ts";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import { OperationError } from "../../src/operations/operation.ts";
import { jobKey, jobsKey, stateKey, trashKey } from "../../src/redis/keys.ts";
import {
  createEngine,
  DEAD,
  DLQ,
  dumpKeys,
  type Engine,
  eventText,
  eventTexts,
  STATE,
  TARGET,
} from "../../testkit/engine.ts";
import { planJob, runJob, startJob } from "../../testkit/jobs.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { aclAll } from "../../testkit/redis_version.ts";
import { startTcpProxy } from "../../testkit/tcp_proxy.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const fits = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(edit.output);

const TEXTS = eventTexts(5);
const NEW = eventText("new", ', "note": "mended"');
const idOf = (text: string) => messageId(Buffer.from(text));

async function run(engine: Engine, input: Partial<EditInput>, audit: NewEntry[] = []) {
  await engine.connections.waitUntilReady(PATIENT_MS);
  const { id = idOf(TEXTS[2]!), payload = NEW } = input;
  const edited = await edit.run(operatorContext(engine, { audit }), {
    source: "alerter",
    reason: "test",
    ...input,
    id,
    payload,
  });
  ok(fits(edited), JSON.stringify({ errors: fits.errors, edited }));
  return edited;
}

/** Plans the undo, and confirms it. */
async function undo(engine: Engine, id: string) {
  const context = operatorContext(engine),
    { job, plan } = await jobsUndo.run(context, { source: "alerter", id, reason: "undo" });
  const { job: { status, result } } = await jobsConfirm.run(context, { source: "alerter", id: job.id });
  return { plan, status, result };
}

const placed = (at: number, text: string, texts = TEXTS) => texts.map((one, i) => i === at ? text : one);

for (const list of ["dlq", "dead"] as const) {
  for (const at of [0, 2, 4]) {
    for (const hint of ["right", "too high", "none"] as const) {
      Deno.test(`edit: replaces message ${at + 1} of 5 of the ${list} in its place when the hint is ${hint}`, async () => {
        const key = list === "dlq" ? DLQ : DEAD, audit: NewEntry[] = [], client = server().client();
        await server().seedList(key, TEXTS);
        await using engine = createEngine(server());
        const near = hint === "none" ? {} : { near: hint === "right" ? at + 1 : 5 };
        const edited = await run(engine, { list, id: idOf(TEXTS[at]!), ...near, reason: "typo" }, audit);
        const trash = trashKey(DLQ, edited.job);
        deepStrictEqual(await server().readTexts(key), placed(at, NEW));
        deepStrictEqual(await server().readTexts(trash), [TEXTS[at]]);
        deepStrictEqual([edited.place, edited.before, edited.id], [at + 1, idOf(TEXTS[at]!), idOf(NEW)]);
        ok(await client.pttl(trash) > 7 * 86_400_000 && await client.pttl(jobKey(DLQ, edited.job)) > 6 * 86_400_000);
        const job = await engine.source.jobs.get(edited.job);
        deepStrictEqual([job?.verb, job?.status, job?.startedBy, job?.reason], ["edit", "done", "ann", "typo"]);
        deepStrictEqual((await engine.source.jobs.list()).map(({ id }) => id), [edited.job]);
        deepStrictEqual(
          audit.map(({ kind, ...entry }) => [kind, "messages" in entry && entry.messages, "job" in entry && entry.job]),
          [
            ["operation", [edited.before, edited.id], edited.job],
          ],
        );
        ok(!JSON.stringify([audit, engine.lines]).includes("mended"), "no contents");
        strictEqual(await client.hget(STATE, "seq"), "1");

        const { plan, status, result } = await undo(engine, edited.job);
        deepStrictEqual([plan.count, plan.cannot, status, result?.returned], [1, [], "done", 1]);
        deepStrictEqual(await server().readTexts(key), TEXTS);
        strictEqual(await client.exists(trash), 0);
        const redo = (await engine.source.jobs.list()).find(({ id, verb }) => verb === "edit" && id !== edited.job)!;
        deepStrictEqual(await server().readTexts(trashKey(DLQ, redo.id)), [NEW]);
        await undo(engine, redo.id);
        deepStrictEqual(await server().readTexts(key), placed(at, NEW));
      });
    }
  }
}

const SECRET = "S3CRET-value";
const refusals: [name: string, input: Partial<EditInput>, code: string, problems: RegExp[]][] = [
  ["a missing reason", { reason: undefined! }, "invalid", [/reason/]],
  ["an unknown source", { source: "none" }, "not_found", [/source.*one of alerter/]],
  ["a message that is not there", { id: idOf("none") }, "not_found", []],
  ["a message that is not near", { id: idOf("none"), near: 2 }, "not_found", []],
  ["text that is not JSON", { payload: `{${SECRET}` }, "invalid", [/JSON object/]],
  ["JSON that is no object", { payload: `["${SECRET}"]` }, "invalid", [/JSON object/]],
  ["a required member that is missing", { payload: `{"message": "${SECRET}"}` }, "invalid", [/timestamp|hostname/]],
  ["half a character", { payload: `${NEW.slice(0, -1)}, "x": "\ud800"}` }, "invalid", [/Unicode/]],
  ["a payload that is too large", { payload: `${NEW.slice(0, -1)}, "x": "${"x".repeat(5_000)}"}` }, "invalid", [
    /4096 bytes/,
  ]],
  ["the message as it is", { payload: TEXTS[2]! }, "invalid", [/another message/]],
  ["a masked secret", { payload: `${NEW.slice(0, -1)}, "api_key": "•••"}` }, "invalid", [/hidden secrets/]],
  [
    "an escaped masked secret, deep",
    { payload: `${NEW.slice(0, -1)}, "x": [{"Token": "\\u2022\\u2022\\u2022"}]}` },
    "invalid",
    [/hidden/],
  ],
  ["a masked secret in a text", { payload: `${NEW.slice(0, -1)}, "x": "password=•••"}` }, "invalid", [
    /hidden secrets/,
  ]],
  ["two faults at once", { payload: `{"message": "m", "api_key": "•••"}` }, "invalid", [/required member/, /hidden/]],
];

for (const [name, input, code, problems] of refusals) {
  Deno.test(`edit: refuses ${name}, and changes nothing`, async () => {
    await server().seedList(DLQ, TEXTS);
    await using engine = createEngine(server(), { settings: { maxMessageBytes: 4_096 } });
    await engine.connections.waitUntilReady(PATIENT_MS);
    const before = await dumpKeys(server().client()), audit: NewEntry[] = [];
    const context = operatorContext(engine, { audit, maxMessageBytes: 4_096 });
    const given = { source: "alerter", reason: "test", id: idOf(TEXTS[2]!), payload: NEW, ...input };
    const error = await Promise.try(() => edit.run(context, checkInput(edit.input, given))).catch((error) => error);
    ok(error instanceof OperationError, String(error));
    strictEqual(error.code, code);
    const told = error.problems.map((one) => JSON.stringify(one));
    if (code === "invalid") strictEqual(told.length, problems.length, told.join());
    for (const [i, pattern] of problems.entries()) ok(pattern.test(told[i] ?? ""), told.join());
    ok(!JSON.stringify([error.message, told]).includes(SECRET));
    deepStrictEqual([await dumpKeys(server().client()), audit], [before, []]);
  });
}

Deno.test("edit: takes a hidden mark where there is no secret", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const payload = `${NEW.slice(0, -1)}, "x": "•••"}`;
  await run(engine, { payload });
  deepStrictEqual(await server().readTexts(DLQ), placed(2, payload));
});

Deno.test("edit: replaces one of several equal messages", async () => {
  const texts = [TEXTS[0]!, TEXTS[0]!, TEXTS[0]!];
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server());
  await run(engine, { id: idOf(TEXTS[0]!), near: 2 });
  deepStrictEqual(await server().readTexts(DLQ), [TEXTS[0]!, NEW, TEXTS[0]!]);
});

Deno.test("edit: is refused while a job runs on the source, or on the dead list that another source shares", async () => {
  await server().seedList(DLQ, TEXTS);
  await server().seedList(DEAD, TEXTS);
  await using engine = createEngine(server());
  await startJob(engine, { verb: "purge", texts: [TEXTS[0]!] });
  await rejects(run(engine, {}), /a job \(purge.*of bob runs/);
  await runJob(engine);
  await server().client().set(`${stateKey(DEAD)}:claim`, "of another source");
  const before = await dumpKeys(server().client());
  await rejects(run(engine, { list: "dead" }), /a job runs on the list/);
  deepStrictEqual(await dumpKeys(server().client()), before);
});

Deno.test("edit: what was replaced is not replayed, and a chunk that was read before is not committed", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  engine.beforeCommit(async (number) => {
    if (number === 1) await run(engine, { id: idOf(TEXTS[1]!) });
  });
  await engine.turn();
  await engine.turn();
  const target = await server().readTexts(TARGET);
  deepStrictEqual(target.map((text) => /"id": "([^"]*)"/.exec(text)![1]), ["0", "new", "2", "3", "4"]);
});

Deno.test("edit: with replay it plans a redrive of the new message, and a revival from the dead list", async () => {
  await server().seedList(DLQ, TEXTS);
  await server().seedList(DEAD, TEXTS);
  await using engine = createEngine(server());
  for (const [list, verb] of [["dlq", "redrive"], ["dead", "revive"]] as const) {
    const { replayJob } = await run(engine, { list, replay: true });
    const job = await engine.source.jobs.get(replayJob!);
    deepStrictEqual([job?.verb, job?.status, job?.selection.ids, job?.planned], [verb, "planned", [idOf(NEW)], 1]);
    strictEqual(await engine.source.jobs.start(replayJob!, { by: "bob" }), "ok");
    await runJob(engine);
  }
  strictEqual((await server().readTexts(TARGET)).length, 2);
});

Deno.test("edit: with replay it plans nothing if the new message has been replayed meanwhile", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(10_000);
  const context = operatorContext(engine), [running] = context.sources(), { edits } = engine.source;
  const replace: typeof edits.replace = async (given) => {
    const result = await edits.replace(given);
    await server().client().lrem(DLQ, 1, NEW);
    return result;
  };
  const parts = { ...running!.parts, edits: { replace } as typeof edits };
  const { id, replayJob } = await edit.run({ ...context, sources: () => [{ ...running!, parts }] }, {
    ...{ source: "alerter", id: idOf(TEXTS[2]!), payload: NEW, reason: "typo", replay: true },
  });
  deepStrictEqual([id, replayJob], [idOf(NEW), null]);
});

Deno.test("undo of an edit: refused when the new message has left the list, or the original has left the trash", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const { job } = await run(engine, {});
  const client = server().client(), original = await client.lindex(trashKey(DLQ, job), 0);
  await client.del(trashKey(DLQ, job));
  await rejects(undo(engine, job), /not in the trash/);
  await client.lpush(trashKey(DLQ, job), original!);
  await client.lrem(DLQ, 1, NEW);
  const before = await dumpKeys(client);
  await rejects(undo(engine, job), /has left the dlq/);
  deepStrictEqual(await dumpKeys(client), before);
});

Deno.test("edit: nothing is written when Redis is out of memory", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const client = server().client(), before = await dumpKeys(client);
  await client.config("SET", "maxmemory", "1");
  try {
    await rejects(run(engine, {}), /OOM/);
    deepStrictEqual(await dumpKeys(client), before);
  } finally {
    await client.config("SET", "maxmemory", "0");
  }
});

for (const command of ["lset", "zadd", "pexpire"]) {
  Deno.test(`edit: nothing is lost when the user may not call ${command.toUpperCase()}`, async () => {
    await server().seedList(DLQ, TEXTS);
    const client = server().client();
    await client.call("ACL", "SETUSER", "limited", "reset", "on", ">secret", ...aclAll(), `-${command}`);
    await using engine = createEngine(server(), { settings: { redisUsername: "limited" }, password: "secret" });
    await rejects(run(engine, {}), /NOPERM|can't run|ACL failure/);
    deepStrictEqual(await server().readTexts(DLQ), TEXTS);
    strictEqual((await client.keys(`${jobsKey(DLQ)}:*:trash`)).length, 0);
  });
}

for (const point of ["before_request", "before_reply"] as const) {
  Deno.test(`edit: is done once or not at all when it is cut off ${point}`, async () => {
    await server().seedList(DLQ, TEXTS);
    const proxy = startTcpProxy({ port: server().port });
    try {
      await using engine = createEngine({ port: proxy.port, push: server().push });
      await engine.connections.waitUntilReady(PATIENT_MS);
      void proxy.cut(point, { texts: ["mended"], occurrence: 1 });
      const edited = await run(engine, {}).catch((error) => error);
      const dlq = await server().readTexts(DLQ), isDone = dlq[2] === NEW;
      deepStrictEqual(dlq, isDone ? placed(2, NEW) : TEXTS);
      const trashes = await server().client().keys(`${jobsKey(DLQ)}:*:trash`);
      strictEqual(trashes.length, isDone ? 1 : 0);
      if (!(edited instanceof Error)) ok(isDone, "it says that it is done");
      else if (point === "before_request") ok(!isDone, String(edited));
    } finally {
      await proxy.stop();
    }
  });
}

Deno.test("edit: two at once on one message: one wins", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const others = [NEW, eventText("other")];
  const results = await Promise.allSettled(others.map((payload) => run(engine, { payload })));
  deepStrictEqual(results.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  const winner = others[results.findIndex(({ status }) => status === "fulfilled")]!;
  deepStrictEqual(await server().readTexts(DLQ), placed(2, winner));
});

Deno.test("edit: a plan that counted before is still started afterwards", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const id = await planJob(engine, { verb: "purge", texts: TEXTS });
  await run(engine, { id: idOf(TEXTS[4]!) });
  strictEqual(await engine.source.jobs.start(id, { by: "bob" }), "ok");
  await runJob(engine);
  deepStrictEqual(await server().readTexts(DLQ), [NEW]);
  deepStrictEqual(await server().readTexts(trashKey(DLQ, id)), TEXTS.slice(0, 4));
});

Deno.test("undo of an edit: its plan ends in the same step, so one that is confirmed twice acts once", async () => {
  await server().seedList(DLQ, TEXTS);
  await using engine = createEngine(server());
  const { job } = await run(engine, {}), context = operatorContext(engine);
  const { job: { id } } = await jobsUndo.run(context, { source: "alerter", id: job, reason: "undo" });
  const [running] = context.sources(), { edits } = engine.source, dies = () => Promise.reject(new Error("killed"));
  const replace = (given: Parameters<typeof edits.replace>[0]) => edits.replace(given).then(dies);
  const parts = { ...running!.parts, edits: { replace } as unknown as typeof edits };
  const dying = { ...context, sources: () => [{ ...running!, parts }] };
  await rejects(jobsConfirm.run(dying, { source: "alerter", id }), /killed/);
  deepStrictEqual(await server().readTexts(DLQ), TEXTS);
  const undo = await engine.source.jobs.get(id);
  deepStrictEqual([undo?.status, undo?.startedBy, undo?.result?.returned], ["done", "ann", 1]);
  const before = await dumpKeys(server().client());
  await rejects(jobsConfirm.run(context, { source: "alerter", id }), /is done already; ann confirmed it/);
  deepStrictEqual(await dumpKeys(server().client()), before);
});
