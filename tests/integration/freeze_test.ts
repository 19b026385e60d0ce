/** A freeze and windows on a real Redis: what they hold, that every instance obeys, and that each ends alone. */
import assert from "node:assert/strict";
import type { WindowEntry } from "../../src/config/window_fields.ts";
import type { NewEntry } from "../../src/journal/entries.ts";
import { explain } from "../../src/operations/explain.ts";
import { freeze } from "../../src/operations/freeze.ts";
import { OperationError } from "../../src/operations/operation.ts";
import { redrive } from "../../src/operations/redrive.ts";
import { unfreeze } from "../../src/operations/unfreeze.ts";
import { StoreError } from "../../src/redis/errors.ts";
import { SourceControl } from "../../src/redis/source_control.ts";
import {
  createEngine,
  createStore,
  DLQ,
  type Engine,
  eventTexts,
  idOf,
  readLists,
  replayedText,
  STATE,
  TARGET,
  waitUntilEmpty,
} from "../../testkit/engine.ts";
import { readJobLists, runJob, startJob } from "../../testkit/jobs.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const control = () => new SourceControl(server().client(), { dlq: DLQ, push: server().push });
const toFreeze = (forMs = 3_600_000) => control().freeze({ forMs, by: "ann", reason: "change 4711" });

/** The server's clock, in milliseconds. */
async function serverNowMs(): Promise<number> {
  return (await createStore(server()).readState()).nowMs;
}

/** A window that happens once, from an hour ago until an instant, which is rounded down to a second. */
function untilInstant(ms: number, more: Partial<WindowEntry> = {}): WindowEntry {
  const local = (atMs: number) => new Date(atMs).toISOString().slice(0, 19);
  return { from: local(ms - 3_600_000), to: local(ms), reason: "maintenance", ...more };
}

const turn = (engine: Engine) => engine.source.turns.runOnce({ begin: "now", signal: new AbortController().signal });
const isActing = (engine: Engine) => async () => (await engine.source.replay.look()).record.job?.phase === "act";
const closedGates = (engine: Engine) =>
  engine.source.board.last().closed.map(({ name, reason }) => `${name} ${reason}`);

Deno.test("freeze: nothing is committed after it has answered, in the middle of a drain; unfreeze goes on with the cycle", async () => {
  const texts = eventTexts(50);
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server());
  engine.beforeCommit(async (number) => {
    if (number === 3) await toFreeze();
  });
  const outcome = await engine.turn();
  assert.deepEqual([outcome.stoppedBy, outcome.replayed, outcome.conflicts], ["window", 20, 0]);
  assert.deepEqual(await engine.commits(), { ok: 2, stale: 1 });
  assert.equal((await engine.turn({ begin: "now" })).stoppedBy, "window", "no cycle begins either");
  assert.deepEqual((await readLists(server())).dlq, texts.slice(20));
  await control().unfreeze();
  const rest = await engine.turn();
  assert.deepEqual([rest.stoppedBy, rest.replayed, rest.began], ["empty", 30, false]);
  assert.deepEqual((await readLists(server())).target, texts.map((text) => replayedText(text)));
});

Deno.test("freeze: holds a running redrive at once, which goes on afterwards; a pause does not", async () => {
  const texts = eventTexts(1_000);
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server(), { settings: { chunkMessages: 1 } });
  const id = await startJob(engine, { verb: "redrive", texts: texts.slice(0, 900) });
  await control().pause({ forMs: 3_600_000, by: "bob", reason: "network work" });
  await engine.start();
  await waitUntil(async () => await server().depth(TARGET) >= 20, {
    what: "the redrive replays in spite of the pause",
  });
  await toFreeze();
  const moved = await server().depth(TARGET);
  assert.ok(moved < 900, "it was in the middle");
  await waitUntil(() => closedGates(engine).includes("window frozen"), { what: "the engine knows of the freeze" });
  // It has looked again since.
  const seenAtMs = engine.source.turns.lastProgressMs();
  await waitUntil(() => engine.source.turns.lastProgressMs() > seenAtMs, { what: "it looks again" });
  assert.equal(await server().depth(TARGET), moved, "nothing moved after the reply");
  await control().unfreeze();
  await waitUntil(async () => (await engine.source.jobs.get(id))?.status === "done", { what: "the redrive ends" });
  assert.deepEqual((await server().readTexts(TARGET)).map(idOf), texts.slice(0, 900).map(idOf));
  await waitUntil(() => closedGates(engine).join() === "pause paused", { what: "only the pause lasts" });
  assert.equal(await server().depth(DLQ), 100);
});

Deno.test("freeze: a frozen redrive is swept, can be cancelled, and gives everything back", async () => {
  const texts = eventTexts(30);
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server());
  await toFreeze();
  const id = await startJob(engine, { verb: "redrive", texts: texts.slice(5, 15) });
  await runJob(engine, isActing(engine));
  for (let i = 0; i < 3; i++) assert.equal((await turn(engine)).stoppedBy, "window");
  assert.deepEqual(Object.keys(await readJobLists(server(), id)), ["dlq", "own"]);
  assert.ok(await engine.source.jobs.request(id, "cancel"));
  await runJob(engine);
  const { dlq, ...others } = await readJobLists(server(), id);
  assert.deepEqual([dlq!.toSorted(), others], [texts.toSorted(), {}]);
});

for (const verb of ["bury", "purge"] as const) {
  Deno.test(`freeze: does not hold a ${verb}, which sends nothing to the target`, async () => {
    const texts = eventTexts(30);
    await server().seedList(DLQ, texts);
    await using engine = createEngine(server());
    await toFreeze();
    const id = await startJob(engine, { verb, texts: texts.slice(0, 10) });
    await runJob(engine);
    assert.equal((await engine.source.jobs.get(id))?.status, "done");
    assert.deepEqual(Object.keys(await readJobLists(server(), id)), ["dlq", verb === "bury" ? "dead" : "trash"]);
  });
}

Deno.test("freeze: every instance obeys it by the server's clock, also one that takes over, and replay goes on at its end", async () => {
  const leads = { leaderElection: true, leaseMs: 1_000, intervalMs: 1_000 };
  await toFreeze();
  await server().seedList(DLQ, eventTexts(20));
  await using a = createEngine(server(), { name: "a", settings: leads, clockShiftMs: 3_600_000 });
  await using b = createEngine(server(), { name: "b", settings: leads, clockShiftMs: -3_600_000 });
  await Promise.all([a.start(), b.start()]);
  await waitUntil(() => [a, b].every((one) => closedGates(one).includes("window frozen")), { what: "both know of it" });
  const leader = [a, b].find((one) => one.source.leadership.leads());
  await leader?.kill();
  const other = leader === a ? b : a;
  await waitUntil(() => other.source.leadership.leads(), { what: "the other one leads" });
  await waitUntil(() => closedGates(other).join() === "window frozen", { what: "nothing but the freeze holds it" });
  assert.equal(await server().depth(DLQ), 20);
  const { nowMs } = await toFreeze(1_000);
  await waitUntilEmpty(server(), DLQ);
  assert.ok((await createStore(server()).readState()).record.startedAtMs >= nowMs + 1_000, "the cycle began after it");
  assert.equal(await server().depth(TARGET), 20);
});

Deno.test("window: holds automatic replay and a redrive, not a burial, until it ends by the server's clock", async () => {
  const texts = eventTexts(30), endsAtMs = Math.floor(await serverNowMs() / 1_000) * 1_000 + 2_000;
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server(), { windows: [untilInstant(endsAtMs)], clockShiftMs: 7_200_000 });
  const held = await engine.turn();
  assert.equal(held.stoppedBy, "window");
  assert.ok(held.nextInMs > 0 && held.nextInMs <= 2_000, String(held.nextInMs));
  assert.match(engine.source.board.last().closed[0]!.detail, /^window: maintenance, until \d\d:\d\d UTC$/);
  await startJob(engine, { verb: "redrive", texts: texts.slice(0, 10) });
  await runJob(engine);
  assert.ok(await serverNowMs() >= endsAtMs);
  assert.deepEqual((await server().readTexts(TARGET)).map(idOf), texts.slice(0, 10).map(idOf));
  assert.equal((await turn(engine)).replayed, 20);
});

Deno.test("window: one that an admin overrides does not hold the job; a freeze does nevertheless", async () => {
  const texts = eventTexts(20), endsAtMs = await serverNowMs() + 3_600_000;
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server(), { windows: [untilInstant(endsAtMs)] });
  await engine.turn();
  const reason = "incident 4711", overrides = [{ gate: "window" as const, reason }], source = "alerter";
  const { job, plan } = await redrive.run(operatorContext(engine), { source, reason, overrides });
  assert.deepEqual(plan.heldBy.map(({ gate, isOverridden }) => [gate, isOverridden]), [["window", true]]);
  await toFreeze();
  await engine.turn();
  const frozen = await redrive.run(operatorContext(engine), { source, reason, overrides });
  assert.deepEqual(frozen.plan.heldBy.map(({ gate, isOverridden }) => [gate, isOverridden]), [["window", false]]);
  assert.equal(await engine.source.jobs.start(job.id, { by: "root" }), "ok");
  await runJob(engine, isActing(engine));
  for (let i = 0; i < 3; i++) assert.equal((await turn(engine)).stoppedBy, "window");
  assert.equal(await server().depth(TARGET), 0);
  await control().unfreeze();
  await runJob(engine);
  assert.equal(await server().depth(TARGET), 20);
  await server().seedList(DLQ, eventTexts(5));
  assert.equal((await turn(engine)).stoppedBy, "window", "automatic replay waits");
});

Deno.test("freeze, pause and window at once: explain tells them apart, and each ends alone", async () => {
  await server().seedList(DLQ, eventTexts(10));
  const endsAtMs = Math.floor(await serverNowMs() / 1_000) * 1_000 + 3_000;
  await using engine = createEngine(server(), { windows: [untilInstant(endsAtMs)] });
  await control().pause({ forMs: 3_600_000, by: "bob", reason: "network work" });
  await toFreeze();
  const told = async () => {
    await engine.turn();
    const { sources: [{ sentence, activity, pause, freeze: frozen } = assert.fail()] } = explain.run(
      operatorContext(engine),
      {},
    );
    const words = sentence.replaceAll(/(\d{4}-\d\d-\d\d )?\d\d:\d\d UTC/g, "T");
    return [activity, words, pause?.by ?? "", frozen?.by ?? ""];
  };
  const [activity, words, ...names] = await told();
  assert.deepEqual([activity, names], ["frozen", ["bob", "ann"]]);
  assert.equal(
    words,
    "Frozen by ann until T: change 4711; also window: maintenance, until T; also paused by bob until T: network work",
  );
  await control().unfreeze();
  const after = await told();
  assert.deepEqual(after, [
    "paused",
    "Paused by bob until T: network work; also window: maintenance, until T",
    "bob",
    "",
  ]);
  await waitUntil(async () => (await told())[1] === "Paused by bob until T: network work", { what: "the window ends" });
  await control().resume();
  assert.equal((await engine.turn()).replayed, 10);
});

/** An engine of the source `moog`, on the same Redis. */
const createMoog = () => createEngine(server(), { name: "moog", settings: { sources: ["moog"] } });

Deno.test("operations: freeze and unfreeze hold one source or all, say what they did, and record each", async () => {
  await using alerter = createEngine(server());
  await using moog = createMoog();
  await Promise.all([alerter, moog].map((engine) => engine.connections.waitUntilReady(PATIENT_MS)));
  const audit: NewEntry[] = [], given = operatorContext(alerter, { others: [moog], audit });
  const all = await freeze.run(given, { reason: "change 4711" });
  assert.deepEqual(all.sources.map(({ source }) => source), ["alerter", "moog"]);
  for (const { result } of all.sources) assert.match(result, /^frozen by ann until (\d{4}-\d\d-\d\d )?\d\d:\d\d UTC$/);
  const again = await freeze.run(given, { source: "moog", forSeconds: 60, reason: "more" });
  assert.match(
    again.sources[0]!.result,
    /^frozen by ann until .* UTC; before, it was frozen by ann until .*: change 4711$/,
  );
  const one = await unfreeze.run(given, { source: "alerter" });
  assert.match(one.sources[0]!.result, /^was frozen by ann until .*: change 4711; unfrozen$/);
  const rest = await unfreeze.run(given, {});
  assert.deepEqual(rest.sources.map(({ result }) => result.replace(/ by .*;/, ";")), [
    "was not frozen",
    "was frozen; unfrozen",
  ]);
  const told = audit.flatMap((entry) => entry.kind === "operation" ? [`${entry.operation} ${entry.source}`] : []);
  // The sources are done at once.
  assert.deepEqual(told.toSorted(), [
    ...["freeze alerter", "freeze moog", "freeze moog", "unfreeze alerter", "unfreeze alerter", "unfreeze moog"],
  ]);
  await assert.rejects(() => freeze.run(given, { source: "other", reason: "x" }), {
    ...{ code: "not_found", message: 'source "other" is not one of alerter, moog' },
  });
});

Deno.test("operations: if a source cannot be frozen the others are, and the refusal names both", async () => {
  await using alerter = createEngine(server());
  await using moog = createMoog();
  await Promise.all([alerter, moog].map((engine) => engine.connections.waitUntilReady(PATIENT_MS)));
  await server().client().set(STATE, "text");
  const given = operatorContext(alerter, { others: [moog] });
  await assert.rejects(() => freeze.run(given, { reason: "r" }), (error) => {
    assert.ok(error instanceof OperationError);
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /^alerter is not frozen: Redis: .* is not a hash.*; frozen: moog$/);
    return true;
  });
  assert.ok((await moog.source.replay.look()).record.freeze);
  await server().client().del(STATE);
  const record = (entry: NewEntry) =>
    entry.kind === "operation" && entry.source === "moog"
      ? Promise.reject(new StoreError("is away", { code: "CONNECTION", isCertain: false }))
      : Promise.resolve();
  await assert.rejects(
    () => freeze.run({ ...given, journal: { ...given.journal, record } }, { reason: "r" }),
    (error) => {
      assert.ok(error instanceof OperationError);
      assert.equal(error.code, "unrecorded");
      assert.match(
        error.message,
        /^moog: done \(frozen by ann until .*\), but perhaps not in the journal: .*; frozen: alerter$/,
      );
      return true;
    },
  );
});
