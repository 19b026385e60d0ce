/** What operators write to the state of a source, and that every instance obeys it. */
import type { NewEntry } from "../../src/journal/entries.ts";
import assert from "node:assert/strict";
import { CYCLE_STATE_FIELDS, parseCycleState } from "../../src/cycle/cycle_state.ts";
import { MAX_PAUSE_MS } from "../../src/cycle/pause.ts";
import type { OperatorContext } from "../../src/operations/context.ts";
import { explain } from "../../src/operations/explain.ts";
import { checkInput } from "../../src/operations/input.ts";
import { OperationError, toOperationError } from "../../src/operations/operation.ts";
import { pause } from "../../src/operations/pause.ts";
import { release } from "../../src/operations/release.ts";
import { replayNow } from "../../src/operations/replay_now.ts";
import { resume } from "../../src/operations/resume.ts";
import { returnOversize } from "../../src/operations/return_oversize.ts";
import { StoreError } from "../../src/redis/errors.ts";
import { oversizeKey } from "../../src/redis/keys.ts";
import { SourceControl } from "../../src/redis/source_control.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import {
  createEngine,
  createStore,
  DLQ,
  dumpKeys,
  type Engine,
  eventTexts,
  readLists,
  replayedText,
  STATE,
  waitUntilEmpty,
} from "../../testkit/engine.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const control = () => new SourceControl(server().client(), { dlq: DLQ, push: server().push });

/** The instants of a state are not known beforehand. */
async function state(): Promise<Record<string, string>> {
  const fields = await server().client().hgetall(STATE);
  for (const name of ["pausedUntilMs", "frozenUntilMs", "releasedAtMs"]) {
    if (Number(fields[name] ?? 0) > 0) fields[name] = "later";
  }
  return fields;
}

const OTHERS = { cycle: "7", startedAtMs: "5", remaining: "3", replayed: "2", tallies: "6:5:5:5:5:0:0:0:1:at" };
const PAUSED = { pausedUntilMs: "later", pausedBy: "ann", pauseReason: "network work" };
const RESUMED = { pausedUntilMs: "0", pausedBy: "", pauseReason: "" };
const FROZEN = { frozenUntilMs: "later", frozenBy: "ann", freezeReason: "network work" };
const UNFROZEN = { frozenUntilMs: "0", frozenBy: "", freezeReason: "" };
const SUSPECT = { suspect: "1", distance: "2", wait: "1", allowance: "5", brakeReason: "returns" };
const RELEASED = { suspect: "0", distance: "1", wait: "0", allowance: "", brakeReason: "released" };

type Fields = Readonly<Record<string, string>>;
const toPause = (one: SourceControl) => one.pause({ forMs: 3_600_000, by: "ann", reason: "network work" });

const toFreeze = (one: SourceControl) => one.freeze({ forMs: 3_600_000, by: "ann", reason: "network work" });

const CASES: [what: string, before: Fields, call: (one: SourceControl) => Promise<unknown>, after: Fields][] = [
  ["pause: begins a new state", {}, toPause, { seq: "1", ...PAUSED }],
  ["pause: leaves the cycle alone", { seq: "41", ...OTHERS }, toPause, { seq: "42", ...OTHERS, ...PAUSED }],
  ["pause: replaces another", { seq: "1", pausedUntilMs: "9", pausedBy: "bob" }, toPause, { seq: "2", ...PAUSED }],
  ["pause: repairs an odd sequence", { seq: "1e9" }, toPause, { seq: "1", ...PAUSED }],
  ["resume: ends a pause", { seq: "4", ...OTHERS, ...PAUSED }, (one) => one.resume(), {
    ...{ seq: "5", ...OTHERS, ...RESUMED },
  }],
  ["resume: does no harm without a pause", {}, (one) => one.resume(), { seq: "1", ...RESUMED }],
  ["freeze: begins a new state", {}, toFreeze, { seq: "1", ...FROZEN }],
  ["freeze: leaves the cycle and a pause alone", { seq: "41", ...OTHERS, ...PAUSED }, toFreeze, {
    ...{ seq: "42", ...OTHERS, ...PAUSED, pausedUntilMs: "later", ...FROZEN },
  }],
  ["freeze: replaces another", { seq: "1", frozenUntilMs: "9", frozenBy: "bob" }, toFreeze, { seq: "2", ...FROZEN }],
  ["unfreeze: ends a freeze, not a pause", { seq: "4", ...PAUSED, ...FROZEN }, (one) => one.unfreeze(), {
    ...{ seq: "5", ...PAUSED, ...UNFROZEN },
  }],
  ["unfreeze: does no harm without a freeze", {}, (one) => one.unfreeze(), { seq: "1", ...UNFROZEN }],
  ["release: clears a held source", { seq: "4", ...OTHERS, ...SUSPECT, boundBy: "held" }, (one) => one.release(), {
    ...{ seq: "5", ...OTHERS, ...RELEASED, boundBy: "depth", wantedCycle: "8", releasedAtMs: "later" },
  }],
  ["release: clears a ramp", { ...OTHERS, allowance: "80", boundBy: "returns" }, (one) => one.release(), {
    ...{ seq: "1", ...OTHERS, ...RELEASED, boundBy: "returns", wantedCycle: "8", releasedAtMs: "later" },
  }],
  ["release: keeps a breaker's canary uncounted", { ...SUSPECT, boundBy: "breaker" }, (one) => one.release(), {
    ...{ seq: "1", ...RELEASED, boundBy: "breaker", wantedCycle: "1", releasedAtMs: "later" },
  }],
  [
    "release: changes nothing if healthy",
    { seq: "4", ...OTHERS, suspect: "0", allowance: "" },
    (one) => one.release(),
    {
      ...{ seq: "4", ...OTHERS, suspect: "0", allowance: "" },
    },
  ],
  ["requestCycle: names the next one", { seq: "4", ...OTHERS }, (one) => one.requestCycle(), {
    ...{ seq: "4", ...OTHERS, wantedCycle: "8" },
  }],
  ["requestCycle: begins a new state", {}, (one) => one.requestCycle(), { wantedCycle: "1" }],
];

for (const [what, before, call, after] of CASES) {
  Deno.test(`SourceControl.${what}`, async () => {
    const client = server().client();
    if (Object.keys(before).length > 0) await client.hset(STATE, before);
    const flat = CYCLE_STATE_FIELDS.flatMap((name) => name in before ? [name, before[name]] : []);
    const { record } = await call(control()) as { record: unknown };
    assert.deepEqual(record, parseCycleState(flat), "it returns the state before");
    assert.deepEqual(await state(), after);
    assert.deepEqual(await client.keys("*"), Object.keys(after).length > 0 ? [STATE] : []);
  });
}

Deno.test("SourceControl: refuses a state of another type, and changes nothing", async () => {
  const client = server().client();
  await client.set(STATE, "text");
  const before = await dumpKeys(client), one = control();
  const calls = [
    () => toPause(one),
    () => toFreeze(one),
    () => one.unfreeze(),
    () => one.resume(),
    () => one.release(),
    () => one.requestCycle(),
  ];
  for (const call of calls) {
    await assert.rejects(call, (error) => error instanceof StoreError && error.code === "WRONGTYPE");
  }
  assert.deepEqual(await dumpKeys(client), before);
});

Deno.test("SourceControl.pause: ends as long after the server's now as was asked", async () => {
  const { nowMs } = await control().pause({ forMs: MAX_PAUSE_MS, by: "ann", reason: "r" });
  const { record } = await createStore(server()).readState();
  assert.deepEqual(record.pause, { untilMs: nowMs + MAX_PAUSE_MS, by: "ann", reason: "r" });
});

Deno.test("pause: nothing is committed after it has answered, in the middle of a drain; resume goes on with the cycle", async () => {
  const texts = eventTexts(50);
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server());
  engine.beforeCommit(async (number) => {
    if (number === 3) await toPause(control());
  });
  const outcome = await engine.turn();
  assert.deepEqual([outcome.stoppedBy, outcome.replayed, outcome.conflicts], ["pause", 20, 0]);
  assert.deepEqual(await engine.commits(), { ok: 2, stale: 1 });
  assert.equal((await engine.turn({ begin: "now" })).stoppedBy, "pause", "no cycle begins either");
  const { dlq, target } = await readLists(server());
  assert.deepEqual([dlq, target], [texts.slice(20), texts.slice(0, 20).map((text) => replayedText(text))]);
  await control().resume();
  const rest = await engine.turn();
  assert.deepEqual([rest.stoppedBy, rest.replayed, rest.began], ["empty", 30, false]);
  assert.deepEqual((await readLists(server())).target, texts.map((text) => replayedText(text)));
});

Deno.test("pause: every instance obeys it, and replay goes on by itself when it ends by the server's clock", async () => {
  const leads = { leaderElection: true, leaseMs: 1_000, intervalMs: 1_000 };
  await using a = createEngine(server(), { name: "a", settings: leads, clockShiftMs: 3_600_000 });
  await using b = createEngine(server(), { name: "b", settings: leads, clockShiftMs: -3_600_000 });
  await toPause(control());
  await server().seedList(DLQ, eventTexts(20));
  await Promise.all([a.start(), b.start()]);
  const isPaused = (one: Engine) =>
    one.source.board.last().closed.some(({ name, reason }) => `${name} ${reason}` === "pause paused");
  await waitUntil(() => isPaused(a) && isPaused(b), { what: "both know of the pause" });
  const { nowMs } = await control().pause({ forMs: 1_000, by: "ann", reason: "r" });
  await waitUntilEmpty(server(), DLQ);
  const { record } = await createStore(server()).readState();
  assert.ok(record.startedAtMs >= nowMs + 1_000, "the cycle began after the end");
  assert.equal((await a.moved()).replayed + (await b.moved()).replayed, 20);
});

Deno.test("requestCycle: the leader begins a cycle although the interval has not passed, once", async () => {
  await using engine = createEngine(server());
  await engine.turn();
  await server().seedList(DLQ, eventTexts(20));
  assert.equal((await engine.turn()).began, false);
  await control().requestCycle();
  assert.equal(await engine.source.replay.askGates(), true, "a resting loop is told");
  const { began, replayed } = await engine.turn();
  assert.deepEqual([began, replayed], [true, 20]);
  assert.equal(await engine.source.replay.askGates(), false);
  assert.equal((await engine.turn()).began, false);
});

Deno.test("requestCycle: waits for a closed gate", async () => {
  await using engine = createEngine(server());
  await engine.turn();
  await toPause(control());
  await server().seedList(DLQ, eventTexts(20));
  await control().requestCycle();
  assert.equal(await engine.source.replay.askGates(), false);
  assert.equal((await engine.turn()).stoppedBy, "pause");
  await control().resume();
  assert.equal((await engine.turn()).replayed, 20);
});

/** Replays all, and brings all back, as a consumer that is down does. */
async function failOnce(engine: Engine): Promise<void> {
  await engine.turn({ begin: "now" });
  const client = server().client();
  const { target } = await server().readList("mutt:ingest_queue").then((list) => ({ target: list }));
  await client.del("mutt:ingest_queue");
  for (const text of target) await server().seedList(DLQ, [text]);
}

Deno.test("release: a suspect source takes everything at once, and only newer returns tighten its brake again", async () => {
  await server().seedList(DLQ, eventTexts(50));
  await using engine = createEngine(server());
  await failOnce(engine);
  await failOnce(engine);
  const suspect = engine.source.replay.lastSnapshot()!.record;
  assert.ok(suspect.brake.suspect);
  assert.ok((await readLists(server())).dlq.length === 50);
  const { result } = await run(engine, () => release.run(context(engine), { source: "alerter", reason: "repaired" }));
  assert.equal(result, "was canary: 50 of 50 came back; now healthy");
  // The last group came back too, and is only counted now.
  const { began, replayed } = await engine.turn();
  assert.deepEqual([began, replayed], [true, 50]);
  assert.equal(engine.source.replay.lastSnapshot()!.record.brake.reason, "released");
  const { target } = await readLists(server());
  assert.equal(target.length, 50);
  for (const text of await server().readList("mutt:ingest_queue")) await server().seedList(DLQ, [text]);
  await engine.turn({ begin: "now" });
  assert.ok(engine.source.replay.lastSnapshot()!.record.brake.suspect, "it failed again");
});

const NO_JOURNAL = { query: () => assert.fail(), follow: () => assert.fail(), verify: () => assert.fail() };

/** A context over an engine. */
function context(engine: Engine, actions: NewEntry[] = []): OperatorContext & { readonly wakes: () => number } {
  let wakes = 0;
  const loop = { isStarted: () => true, isTurning: () => true, wake: () => void wakes++ };
  return {
    ...{ log: recordLog().log, clock: SYSTEM_CLOCK, signal: new AbortController().signal, version: "", podName: "p" },
    live: {
      current: () => ({ enabled: true, moogHealthCheckEnabled: false, moogWebhookUrl: "", maxMessageBytes: 1_000_000 }),
    },
    connections: engine.connections,
    sources: () => [{ parts: engine.source, loop }],
    slos: { report: () => assert.fail() },
    replicas: { list: () => assert.fail() },
    notifications: { read: () => assert.fail(), receivers: () => assert.fail(), test: () => assert.fail() },
    inForce: () => assert.fail(),
    recentLog: { read: () => assert.fail() },
    actor: { name: "ann", role: "operator" },
    correlationId: null,
    journal: { ...NO_JOURNAL, record: (action) => Promise.resolve(void actions.push(action)) },
    wakes: () => wakes,
  };
}

async function run<Result>(engine: Engine, call: () => Promise<Result>): Promise<Result> {
  await engine.connections.waitUntilReady(PATIENT_MS);
  return await call();
}

Deno.test("return_oversize: puts the oldest back at the newest end, at most as many as asked, and says what is left", async () => {
  await using engine = createEngine(server());
  const oversize = oversizeKey(DLQ), actions: NewEntry[] = [], given = context(engine, actions), source = "alerter";
  await server().seedList(oversize, ["o1", "o2", "o3"]);
  await server().seedList(DLQ, ["d1", "d2"]);
  const first = await run(engine, () => returnOversize.run(given, { source, count: 2, reason: "a higher limit" }));
  assert.match(first.result, /^2 put back, 1 left; messages over 1000000 bytes /);
  assert.deepEqual(await server().readTexts(DLQ), ["d1", "d2", "o1", "o2"]);
  assert.deepEqual(await server().readTexts(oversize), ["o3"]);
  const next = await run(engine, () => returnOversize.run(given, { source, count: 100, reason: "all" }));
  assert.match(next.result, /^1 put back, 0 left/);
  assert.deepEqual(await server().readTexts(DLQ), ["d1", "d2", "o1", "o2", "o3"]);
  assert.deepEqual(actions.map((action) => action.kind === "operation" && action.operation), [
    "return_oversize",
    "return_oversize",
  ]);
  await server().client().set(oversize, "no list");
  await assert.rejects(run(engine, () => returnOversize.run(given, { source, reason: "x" })), { code: "WRONGTYPE" });
  assert.equal(await server().depth(DLQ), 5);
});

Deno.test("operations: pause, resume and replay_now say what they did, are recorded, and wake the loop", async () => {
  await using engine = createEngine(server());
  const actions: NewEntry[] = [], given = context(engine, actions), source = "alerter";
  const first = await run(engine, () => pause.run(given, { source, reason: "network work" }));
  assert.match(first.result, /^paused by ann until (\d{4}-\d\d-\d\d )?\d\d:\d\d UTC$/);
  const again = await run(engine, () => pause.run(given, { source, forSeconds: 60, reason: "more" }));
  assert.match(again.result, /; before, it was paused by ann until .* UTC: network work$/);
  await engine.turn();
  const explained = explain.run(given, {});
  assert.match(explained.sources[0]!.sentence, /^Paused by ann until .* UTC: more$/);
  assert.equal(explained.sources[0]!.pause?.by, "ann");
  const asked = await run(engine, () => replayNow.run(given, { source }));
  assert.match(asked.result, /^a cycle begins when the gate pause opens: by ann until .*: more$/);
  const ended = await run(engine, () => resume.run(given, { source }));
  assert.match(ended.result, /^was paused by ann until .*: more; resumed$/);
  assert.equal((await run(engine, () => resume.run(given, { source }))).result, "was not paused");
  await engine.turn();
  assert.equal((await run(engine, () => replayNow.run(given, { source }))).result, "a cycle begins within 5 s");
  const released = await run(engine, () => release.run(given, { source, reason: "r" }));
  assert.equal(released.result, "was healthy; nothing to release");
  const entries = actions.filter((entry) => entry.kind === "operation");
  assert.deepEqual(entries.map(({ operation, actor, input }) => `${operation} ${actor} ${input.reason ?? ""}`), [
    ...["pause ann network work", "pause ann more", "replay_now ann ", "resume ann ", "resume ann ", "replay_now ann "],
    "release ann r",
  ]);
  assert.equal(given.wakes(), 7);
});

Deno.test("operations: their inputs name every problem at once", () => {
  const reason = "text (One line of 1 to 200 characters, not all blank, without control characters)";
  const problemsOf = (input: unknown) => {
    try {
      checkInput(pause.input, input);
    } catch (error) {
      assert.ok(error instanceof OperationError && error.code === "invalid");
      return error.problems;
    }
    assert.fail("accepted");
  };
  assert.deepEqual(problemsOf({ source: 7, forSeconds: 0, reason: "a\nb", until: "x" }), [
    { field: "until", value: null, wanted: "known (known are: source, forSeconds, reason)" },
    { field: "source", value: 7, wanted: "text of 1 to 32 characters (Name of the source)" },
    {
      field: "forSeconds",
      value: 0,
      wanted: "a whole number from 1 to 604800 (How long it lasts, in seconds; default: 3600)",
    },
    { field: "reason", value: "a\nb", wanted: reason },
  ]);
  assert.deepEqual(problemsOf({}).map(({ field, value }) => [field, value]), [["source", undefined], [
    "reason",
    undefined,
  ]]);
  for (const text of ["", " ", "x".repeat(201), "a\u202eb", "a\ud800"]) {
    assert.equal(problemsOf({ source: "alerter", reason: text }).length, 1, JSON.stringify(text));
  }
  assert.deepEqual(checkInput(pause.input, { source: "alerter", reason: "r" }), {
    ...{ source: "alerter", reason: "r", forSeconds: 3_600 },
  });
});

Deno.test("operations: an unknown source is refused, and nothing changes", async () => {
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const given = context(engine);
  const refusal = { code: "not_found", message: 'source "other" is not one of alerter' };
  await assert.rejects(() => resume.run(given, { source: "other" }), refusal);
  assert.throws(() => explain.run(given, { source: "other" }), refusal);
  assert.deepEqual(await server().client().keys("*"), []);
});

Deno.test("operations: tell when Redis refuses, and when only the journal could not be written", async () => {
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const given = context(engine), input = { source: "alerter", reason: "r" };
  const record = () => Promise.reject(new StoreError("is away", { code: "CONNECTION", isCertain: false }));
  await assert.rejects(() => pause.run({ ...given, journal: { ...NO_JOURNAL, record } }, input), {
    ...{ name: "OperationError", code: "unrecorded" },
    message:
      /^done \(paused by ann until .*\), but perhaps not in the journal: Redis is not connected: mutt-remediation health says why$/,
  });
  await server().client().set(STATE, "text");
  await assert.rejects(() => pause.run(given, input), (error) => {
    assert.deepEqual(toOperationError(error)?.code, "unavailable");
    assert.match(toOperationError(error)!.message, /^Redis: .*is not a hash/);
    return true;
  });
});

Deno.test("requestCycle: a canary group is judged first", async () => {
  await server().seedList(DLQ, eventTexts(50));
  await using engine = createEngine(server());
  await failOnce(engine);
  const group = await engine.turn({ begin: "now" });
  assert.equal(group.replayed, 1, "a canary group of 2 %");
  await control().requestCycle();
  assert.equal(await engine.source.replay.askGates(), false);
  assert.equal((await engine.turn()).began, false, "nobody knows yet whether it comes back");
  assert.ok(engine.source.replay.lastSnapshot()!.record.brake.suspect);
});
