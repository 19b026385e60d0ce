/** What operators do with messages whose stamps are recorded beside them: each looks at the record, or begins it anew. */
import { Buffer } from "node:buffer";
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { formatEnd, formatHeader, formatRaw } from "../../src/message/export_format.ts";
import { messageId } from "../../src/message/message_id.ts";
import { browse } from "../../src/operations/browse.ts";
import { bury } from "../../src/operations/bury.ts";
import { edit } from "../../src/operations/edit.ts";
import { exportMessages } from "../../src/operations/export.ts";
import { importMessages } from "../../src/operations/import.ts";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import { purge } from "../../src/operations/purge.ts";
import { redrive } from "../../src/operations/redrive.ts";
import { revive } from "../../src/operations/revive.ts";
import { search } from "../../src/operations/search.ts";
import { show } from "../../src/operations/show.ts";
import { dryRun } from "../../src/replay/dry_run.ts";
import { replaySettings } from "../../src/replay/replay_settings.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { consumeAll, createBeside, readCounts, readRecords } from "../../testkit/beside.ts";
import { DEAD, DLQ, type Engine, TARGET } from "../../testkit/engine.ts";
import { runJob } from "../../testkit/jobs.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const SETTINGS = { brakeEnabled: false };
const POISON = "poison text";
const idOf = (text: string) => messageId(Buffer.from(text));
const texts = (cycle: number) => Array.from({ length: 30 }, (_, i) => `text ${cycle}-${i}`);

/** Lets a message come back so often, among others that get through. The last time it lies in the DLQ. */
async function letFail(
  engine: Engine,
  { times, message = POISON }: { times: number; message?: string },
): Promise<void> {
  await server().seedList(DLQ, [message]);
  for (let cycle = 1; cycle <= times; cycle++) {
    await server().seedList(DLQ, texts(cycle));
    await engine.turn({ begin: "now" });
    await consumeAll(server(), (taken) => String(taken) === message ? taken : null);
  }
}

async function confirm(engine: Engine, job: string): Promise<void> {
  await jobsConfirm.run(operatorContext(engine), { source: "alerter", id: job });
  await runJob(engine);
}

async function undo(engine: Engine, id: string): Promise<void> {
  const { job } = await jobsUndo.run(operatorContext(engine), { source: "alerter", id, reason: "test" });
  await confirm(engine, job.id);
}

const ASKED = { source: "alerter", reason: "test" };

Deno.test("record beside: pages, searches and one message show the failures of the record", async () => {
  await using engine = createBeside(server(), { settings: SETTINGS });
  await letFail(engine, { times: 2 });
  await server().seedList(DLQ, ["a new one"]);
  await engine.source.replay.look();
  const context = operatorContext(engine);
  const { rows } = await browse.run(context, { source: "alerter", from: "oldest" });
  deepStrictEqual(rows.map(({ failures, reason, place }) => ({ failures, reason, place })), [
    { failures: 2, reason: null, place: 1 },
    { failures: 0, reason: null, place: 2 },
  ]);
  const found = [];
  for await (const item of search.run(context, { source: "alerter", query: "failures:>=2" })) found.push(item);
  deepStrictEqual(found.flatMap((item) => item.kind === "row" ? [item.id] : []), [idOf(POISON)]);
  const shown = await show.run(context, { source: "alerter", id: idOf(POISON) });
  match(
    shown.stamp,
    /^Failed 2 times; replayed in cycle 2; first replayed at .*would be poison at 3 failures/,
  );
  deepStrictEqual([shown.failures, shown.verdict?.action, shown.text], [2, "replay", POISON]);
  const other = await show.run(context, { source: "alerter", id: idOf("a new one") });
  strictEqual(other.stamp, "Has no record: this service has not replayed it lately.");
});

Deno.test("record beside: one message and a dry run say that it would be poison, and change nothing", async () => {
  await using engine = createBeside(server(), { settings: SETTINGS });
  await letFail(engine, { times: 3 });
  const before = [await readRecords(server()), await server().readTexts(DLQ)];
  await engine.source.replay.look();
  const shown = await show.run(operatorContext(engine), { source: "alerter", id: idOf(POISON) });
  deepStrictEqual([shown.verdict?.action, shown.verdict?.reason], ["dead", "poison"]);
  const { setup, replay, store, board } = engine.source;
  const outcome = await dryRun({
    ...{ policy: setup.policy, replay, store, board, clock: SYSTEM_CLOCK, signal: new AbortController().signal },
    settings: { ...replaySettings(setup, DEFAULT_SETTINGS), batchSize: 0, brakeEnabled: false },
  });
  deepStrictEqual([outcome.replayed, outcome.dead], [0, { poison: 1 }]);
  deepStrictEqual([await readRecords(server()), await server().readTexts(DLQ)], before);
});

Deno.test("record beside: equal messages that only wait show no failure", async () => {
  await using engine = createBeside(server(), { settings: { ...SETTINGS, batchSize: 2 } });
  await server().seedList(DLQ, ["same", "same", "same", "same"]);
  await engine.turn({ begin: "now" });
  await engine.source.replay.look();
  const { rows } = await browse.run(operatorContext(engine), { source: "alerter", from: "oldest" });
  deepStrictEqual(rows.map(({ failures }) => failures), [0, 0]);
  const shown = await show.run(operatorContext(engine), { source: "alerter", id: idOf("same"), near: 1 });
  strictEqual(shown.failures, 0);
});

Deno.test("record beside: a redrive of messages by their failures picks by the record, and counts on", async () => {
  await using engine = createBeside(server(), { settings: SETTINGS });
  await letFail(engine, { times: 2 });
  await server().seedList(DLQ, ["another"]);
  const { job, plan } = await redrive.run(operatorContext(engine), { ...ASKED, query: "failures:2" });
  strictEqual(plan.count, 1);
  await confirm(engine, job.id);
  deepStrictEqual([await server().readTexts(TARGET), await server().readTexts(DLQ)], [[POISON], ["another"]]);
  const key = idOf(POISON).slice(2), record = (await readRecords(server()))[key]!;
  match(record, /^2:\d+\.\d+::\d+:3$/);
});

Deno.test("record beside: a plan by failures counts what the job takes, also of equal messages that only wait", async () => {
  await using engine = createBeside(server(), { settings: { ...SETTINGS, batchSize: 2 } });
  await server().seedList(DLQ, ["same", "same", "same", "same"]);
  await engine.turn({ begin: "now" });
  await engine.source.replay.look();
  const context = operatorContext(engine);
  await rejects(async () => await purge.run(context, { ...ASKED, query: "failures:0" }), /no message .* matches/);
  const { job, plan } = await purge.run(context, { ...ASKED, query: "failures:1" });
  strictEqual(plan.count, 2);
  await confirm(engine, job.id);
  deepStrictEqual(await server().readTexts(DLQ), []);
});

Deno.test("record beside: equal messages of a redrive count one failure together", async () => {
  await using engine = createBeside(server(), { settings: { ...SETTINGS, chunkMessages: 2 } });
  await server().seedList(DLQ, Array.from({ length: 7 }, () => "same"));
  await engine.connections.waitUntilReady(PATIENT_MS);
  const { job } = await redrive.run(operatorContext(engine), ASKED);
  await confirm(engine, job.id);
  deepStrictEqual([(await server().readTexts(TARGET)).length, await readCounts(server())], [7, ["::"]]);
});

Deno.test("record beside: a burial keeps the counts in the dead list, and its undo begins anew", async () => {
  await using engine = createBeside(server(), { settings: SETTINGS });
  await letFail(engine, { times: 2 });
  const { job } = await bury.run(operatorContext(engine), { ...ASKED, ids: [idOf(POISON)] });
  await confirm(engine, job.id);
  const [dead] = await server().readTexts(DEAD), key = idOf(POISON).slice(2);
  match(dead!, /"failures": 2\.0, .*"reason": "buried", "job": ".*"payload": "poison text"\}$/);
  ok(!(key in await readRecords(server())), "its record is gone");
  await undo(engine, job.id);
  deepStrictEqual([await server().readTexts(DLQ), await server().readTexts(DEAD)], [[POISON], []]);
  await engine.turn({ begin: "now" });
  match((await readRecords(server()))[key]!, /^:::\d+:\d+$/);
});

Deno.test("record beside: a revival replays a message as new, byte for byte, whatever its record says", async () => {
  await using engine = createBeside(server(), { settings: SETTINGS });
  await letFail(engine, { times: 3 });
  await engine.turn({ begin: "now" });
  const key = idOf(POISON).slice(2);
  match((await readRecords(server()))[key]!, /x$/);
  const { job } = await revive.run(operatorContext(engine), ASKED);
  await confirm(engine, job.id);
  deepStrictEqual([await server().readTexts(TARGET), await server().readTexts(DEAD)], [[POISON], []]);
  match((await readRecords(server()))[key]!, /^:::\d+:5$/);
});

Deno.test("record beside: a purge leaves the record, so that its undo goes on with it", async () => {
  await using engine = createBeside(server(), { settings: SETTINGS });
  await letFail(engine, { times: 2 });
  const before = await readRecords(server());
  const { job } = await purge.run(operatorContext(engine), { ...ASKED, ids: [idOf(POISON)] });
  await confirm(engine, job.id);
  deepStrictEqual([await server().readTexts(DLQ), await readRecords(server())], [[], before]);
  await undo(engine, job.id);
  const { rows } = await browse.run(operatorContext(engine), { source: "alerter" });
  deepStrictEqual(rows.map(({ failures }) => failures), [2]);
});

Deno.test("record beside: an edited message begins anew, unless a member names it; its undo goes on with the old record", async () => {
  for (
    const [entry, message, changed, failures] of [
      [{}, POISON, "mended text", 0],
      [{ recordId: "id" }, '{"id": 1, "total": "x"}', '{"id": 1, "total": 2}', 2],
    ] as const
  ) {
    await server().client().flushall();
    await using engine = createBeside(server(), { entry, settings: SETTINGS });
    await letFail(engine, { times: 2, message });
    const context = operatorContext(engine);
    const { job } = await edit.run(context, { ...ASKED, id: idOf(message), payload: changed });
    const look = async () =>
      (await browse.run(context, { source: "alerter" })).rows.map((row) => [row.id, row.failures]);
    deepStrictEqual(await look(), [[idOf(changed), failures]]);
    await undo(engine, job);
    deepStrictEqual(await look(), [[idOf(message), 2]]);
  }
});

Deno.test("record beside: an edit takes any text, but none with a hidden secret, nor one without required members", async () => {
  await using engine = createBeside(server());
  await server().seedList(DLQ, ["a text"]);
  await engine.connections.waitUntilReady(PATIENT_MS);
  const run = (payload: string, by = engine) =>
    edit.run(operatorContext(by), { ...ASKED, id: idOf("a text"), payload });
  await rejects(run("password=•••"), /cannot be used/);
  await using strict = createBeside(server(), { entry: { required: ["id"] } });
  await strict.connections.waitUntilReady(PATIENT_MS);
  await rejects(run("other text", strict), /cannot be used/);
  await using wrapped = createBeside(server(), { entry: { unwrap: "payload" } });
  await wrapped.connections.waitUntilReady(PATIENT_MS);
  for (const payload of ["other text", '{"at": 1}']) await rejects(run(payload, wrapped), /cannot be used/);
  await run("other text");
  deepStrictEqual(await server().readTexts(DLQ), ["other text"]);
  const inEnvelope = '{"at": 1, "payload": "mended"}';
  await edit.run(operatorContext(wrapped), { ...ASKED, id: idOf("other text"), payload: inEnvelope });
  deepStrictEqual(await server().readTexts(DLQ), [inEnvelope]);
});

Deno.test("record beside: an export has every byte, and a message that is imported again goes on with its record", async () => {
  await using engine = createBeside(server(), { settings: SETTINGS });
  await letFail(engine, { times: 2 });
  const context = operatorContext(engine), lines: string[] = [];
  for await (const line of exportMessages.run(context, { source: "alerter", raw: true })) lines.push(line);
  ok(lines.some((line) => line.includes(idOf(POISON))));
  const { job: purged } = await purge.run(context, ASKED);
  await confirm(engine, purged.id);
  const file = Buffer.from(
    [
      formatHeader({
        source: "alerter",
        list: "dlq",
        query: "",
        masked: false,
        depth: 1,
        at: "2026-01-02T03:04:05.678Z",
      }),
      formatRaw({ id: idOf(POISON), place: 1, bytes: Buffer.from(POISON) }),
      formatEnd({ messages: 1, skipped: 0 }),
    ].map((line) => `${line}\n`).join(""),
  );
  const upload = async function* () {
    yield file;
  };
  const { job } = await importMessages.run(context, { ...ASKED, file: upload() });
  await confirm(engine, job.id);
  const { rows } = await browse.run(context, { source: "alerter" });
  deepStrictEqual(rows.map(({ id, failures }) => [id, failures]), [[idOf(POISON), 2]]);
});
