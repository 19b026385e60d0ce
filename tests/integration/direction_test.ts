/** A source whose direction changes while a cycle or a job is under way, and a Redis without LMOVE, which the other direction needs most. */
import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import { SourceControl } from "../../src/redis/source_control.ts";
import { PUSHES } from "../../src/message/source_policy.ts";
import {
  createEngine,
  createStore,
  DLQ,
  type Engine,
  eventTexts,
  idOf,
  OVERSIZE,
  policyOf,
  readLists,
  TARGET,
} from "../../testkit/engine.ts";
import { planJob, readJobLists, runJob, startJob } from "../../testkit/jobs.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { shareRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";
import { serverHas } from "../../testkit/redis_version.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const BOUNDS = { messages: 200, bytes: 1_000_000, messageBytes: 1_000_000 };
/** The same lists in the other direction. */
const turned = () => ({ port: server().port, client: () => server().client(), push: "RPUSH" }) as const;
const idsOf = (texts: readonly string[]) => texts.map((text) => Number(idOf(text)));
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

async function undo(engine: Engine, job: string): Promise<void> {
  const context = operatorContext(engine), source = "alerter";
  const { job: { id } } = await jobsUndo.run(context, { source, id: job, reason: "test" });
  await jobsConfirm.run(context, { source, id });
  await runJob(engine);
}

for (const push of PUSHES) {
  withRedis(`jobs: every move works without LMOVE, as on Redis 6.0, with ${push}`, {
    ...{ push, config: serverHas("6.2") ? ['rename-command LMOVE ""'] : [] },
  }, async (redis: TestRedis) => {
    const texts = eventTexts(30), picked = texts.filter((_, i) => i % 3 === 0);
    await redis.seedList(DLQ, texts);
    await using engine = createEngine(redis);
    const purged = await startJob(engine, { verb: "purge", texts: picked });
    await runJob(engine);
    const rest = texts.filter((text) => !picked.includes(text));
    deepStrictEqual(await readJobLists(redis, purged), { dlq: rest, trash: picked });
    await undo(engine, purged);
    deepStrictEqual(await readJobLists(redis, purged), { dlq: [...picked, ...rest] });
    const buried = await startJob(engine, { verb: "bury", texts: picked });
    await runJob(engine);
    deepStrictEqual(await redis.readTexts(DLQ), rest);
    await undo(engine, buried);
    deepStrictEqual(await redis.readTexts(DLQ), [...picked, ...rest]);

    const { jobs, staging, setup: { policy: { name } } } = engine.source, added = eventTexts(5, 100);
    const chunk = { job: "import", offset: 0, messages: added.map((text) => new TextEncoder().encode(text)) };
    strictEqual(await staging.stage({ ...chunk, expiresInMs: 60_000 }), true);
    await jobs.plan({
      ...{ verb: "import", selection: { source: name, list: "dlq", query: "" }, planned: 5, plan: null },
      ...{ watermark: { depth: 0, newestBytes: 0, newestDigest: "" }, plannedBy: "ann", reason: "test" },
    }, "import");
    strictEqual(await jobs.start("import", { by: "bob" }), "ok");
    await runJob(engine);
    deepStrictEqual(await redis.readTexts(DLQ), [...picked, ...rest, ...added]);

    await redis.seedList(OVERSIZE, ["large 1", "large 2", "large 3"]);
    deepStrictEqual(await new SourceControl(redis.client(), policyOf(redis)).returnOversize(2), { moved: 2, left: 1 });
    deepStrictEqual((await redis.readTexts(DLQ)).slice(-2), ["large 1", "large 2"]);
    deepStrictEqual(await redis.readTexts(OVERSIZE), ["large 3"]);
  });
}

Deno.test("direction: a cycle that began with the other one is over, and the next one takes the other end", async () => {
  await server().seedList(DLQ, eventTexts(40));
  await using before = createEngine(server(), { settings: { chunkMessages: 5, batchSize: 20 } });
  const { signal } = new AbortController(), stop = new AbortController();
  before.beforeCommit((number) => {
    if (number === 2) stop.abort();
  });
  strictEqual((await before.turn({ signal: stop.signal })).replayed, 10);
  await using after = createEngine(turned(), { settings: { chunkMessages: 5, batchSize: 20 } });
  await after.connections.waitUntilReady(PATIENT_MS);
  const { record } = await after.source.replay.look();
  deepStrictEqual([record.remaining, record.push], [10, "LPUSH"]);
  // The interval has not passed, so there is nothing to do before the next cycle.
  deepStrictEqual((await after.turn({ signal })).replayed, 0);
  deepStrictEqual(idsOf(await server().readTexts(DLQ)), numbers(10, 40));
  deepStrictEqual((await after.turn({ begin: "now" })).replayed, 20);
  deepStrictEqual(idsOf(await server().readTexts(DLQ)), numbers(10, 20));
  // In Redis from left to right: what the first has pushed to the left, then what the other has pushed to the right.
  deepStrictEqual(idsOf((await server().readTexts(TARGET)).toReversed()), [
    ...numbers(0, 10).toReversed(),
    ...numbers(20, 40).toReversed(),
  ]);
});

for (const proof of ["WATCH", "digest"] as const) {
  Deno.test(`direction: what was decided on before it changed is refused as stale (${proof})`, async () => {
    await server().seedList(DLQ, eventTexts(10));
    const before = createStore(server()), after = createStore(turned());
    await before.begin({ sequence: "0", intervalMs: 0, budget: 100, fields: {} });
    const { guard, record: { sequence }, messages, nowMs, oversize } = await before.readForCommit(BOUNDS);
    strictEqual(await after.begin({ sequence: "1", intervalMs: 0, budget: 100, fields: {} }), "ok");
    const moves = messages.map(() => ({ to: "target", payload: null }) as const);
    const details = { endsCycle: false, fields: {}, targetLimit: null, notAfterMs: nowMs + PATIENT_MS, oversize };
    const given = { ...details, id: "before", sequence, messages, moves, guard: proof === "WATCH" ? guard : null };
    const lists = await readLists(server());
    strictEqual(await before.commit(given), "stale");
    // With the sequence number of now, the proof of the messages is what refuses it.
    strictEqual(await after.commit({ ...given, sequence: "2", guard: null }), "conflict");
    deepStrictEqual(await readLists(server()), lists);
  });
}

Deno.test("direction: a plan that was made with the other one does not start", async () => {
  await server().seedList(DLQ, eventTexts(10));
  await using before = createEngine(server());
  await using after = createEngine(turned());
  await after.connections.waitUntilReady(PATIENT_MS);
  const id = await planJob(before, { verb: "purge", texts: eventTexts(3) });
  strictEqual(await after.source.jobs.start(id, { by: "bob" }), "turned");
  await rejects(jobsConfirm.run(operatorContext(after), { source: "alerter", id }), /plan again/);
  deepStrictEqual(await readJobLists(server(), id), { dlq: eventTexts(10) });
  // Turned back, it does.
  strictEqual(await before.source.jobs.start(id, { by: "bob" }), "ok");
});

Deno.test("direction: a job that runs goes on in its own, and leaves the list in its order", async () => {
  const texts = eventTexts(1_000), picked = texts.filter((_, i) => i % 100 === 7);
  await server().seedList(DLQ, texts);
  await using before = createEngine(server());
  const id = await startJob(before, { verb: "purge", texts: picked });
  const job = async () => (await before.source.replay.look()).record.job;
  // The first turn opens the job's connection.
  await before.source.turns.runOnce({ begin: "never", signal: new AbortController().signal });
  await waitUntil(async () => {
    // A turn that is to end takes one chunk.
    await before.source.turns.runOnce({ begin: "never", signal: AbortSignal.abort() });
    return (await job())!.swept > 0;
  }, { what: "a chunk is swept" });
  strictEqual((await job())?.phase, "sweep");
  await server().seedList(DLQ, ["later"]);
  await using after = createEngine(turned());
  await runJob(after);
  const lists = { dlq: [...texts.filter((text) => !picked.includes(text)), "later"], trash: picked };
  deepStrictEqual(await readJobLists(server(), id), lists);
});
