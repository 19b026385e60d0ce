/** The engine on a store in memory: what it makes of a store's failures. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { GateBoard } from "../../../src/gates/board.ts";
import { NO_TRACER } from "../../../src/observability/tracing.ts";
import { type RedisErrorCode, StoreError } from "../../../src/redis/errors.ts";
import { Account } from "../../../src/replay/account.ts";
import { SourceReplay } from "../../../src/replay/source_replay.ts";
import { createMetrics, eventTexts, replayedText, withoutInstants } from "../../../testkit/engine.ts";
import { FakeSource, FakeStore } from "../../../testkit/fake_store.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";
import { type StoreHooks, WrappedStore } from "../../../testkit/wrapped_store.ts";
import { PLAIN_POLICY as POLICY } from "../../../testkit/policy.ts";

const SETTINGS = {
  ...{ intervalMs: 300_000, consumerLagMs: 0, batchSize: 0, canaryAfterMs: 0, brakeEnabled: true, maxPoisonRetries: 3 },
  ...{ chunkMessages: 2, chunkBytes: 100_000, maxMessageBytes: 1_048_576 },
};

/** An engine with no gates on a source of its own that holds five messages. `waiting`: messages in the target; default: not known. */
function createEngine(
  hooks: StoreHooks = {},
  { waiting, settings = SETTINGS }: { waiting?: () => number; settings?: typeof SETTINGS } = {},
) {
  const source = new FakeSource(), store = new WrappedStore(new FakeStore(source), hooks);
  source.dlq.push(...eventTexts(5).map((text) => Buffer.from(text)));
  const { log, lines } = recordLog(), clock = new TestClock(), metrics = createMetrics("alerter", []);
  let ids = 0;
  const replay = new SourceReplay(POLICY, {
    ...{ store, clock, log, tracer: NO_TRACER, settings: () => settings, createId: () => String(++ids) },
    board: new GateBoard([], { clock, log, source: "alerter", onAnswer: () => {} }),
    depthReading: () => waiting ? { depths: [waiting()], limit: null } : null,
    ...{ reservePace: () => Promise.resolve(true), paceFields: () => ({}) },
    liveSuccesses: () => 0,
    leadership: { refused: () => {}, leads: () => true, isFailing: () => false, wasHandedOver: () => false },
    account: new Account(POLICY, { metrics, log, clock, countRedrive: () => {} }),
  });
  const runOnce = () => replay.runOnce({ begin: "due", signal: new AbortController().signal });
  const settled = () => lines.filter(({ event }) => event === "commit_settled").map(({ fields }) => fields?.ran);
  const errors = async () => {
    const { values } = await metrics.redisErrors.get();
    return values.flatMap(({ labels, value }) => value > 0 ? [labels.code] : []);
  };
  return { source, clock, replay, runOnce, settled, errors };
}

const failure = (code: RedisErrorCode, { isCertain }: { isCertain: boolean }) =>
  new StoreError(`${code} of a test`, { code, isCertain });

function checkAllReplayed({ dlq, target, dead }: FakeSource): void {
  assert.deepEqual([dlq.length, dead.length], [0, 0]);
  assert.deepEqual(
    target.map((text) => withoutInstants(String(text))),
    eventTexts(5).map((text) => replayedText(text)),
  );
}

Deno.test("runOnce: replays all, chunk after chunk, when nothing fails", async () => {
  const { source, runOnce, errors } = createEngine();
  const { stoppedBy, replayed, began } = await runOnce();
  assert.deepEqual({ stoppedBy, replayed, began }, { stoppedBy: "empty", replayed: 5, began: true });
  checkAllReplayed(source);
  assert.deepEqual(await errors(), []);
});

for (const ran of [true, false]) {
  Deno.test(`runOnce: finds out about a lost reply before anything else, and counts each message once, when the commit had ${ran ? "" : "not "}run`, async () => {
    let commits = 0;
    const { source, replay, runOnce, settled, errors } = createEngine({
      async commitAndRead(commit, bounds, store) {
        if (++commits !== 2) return await store.commitAndRead(commit, bounds);
        if (ran) await store.commitAndRead(commit, null);
        throw failure("TIMEOUT", { isCertain: false });
      },
    });
    const first = await runOnce();
    assert.deepEqual([first.stoppedBy, first.replayed, replay.hasUnsettled()], ["error", 2, true]);
    const second = await runOnce();
    assert.deepEqual([second.stoppedBy, second.replayed, settled()], ["empty", 3, [ran]]);
    checkAllReplayed(source);
    assert.deepEqual(await errors(), ["TIMEOUT"]);
  });
}

Deno.test("runOnce: asks nothing about a commit that Redis certainly refused", async () => {
  let commits = 0;
  const { source, replay, runOnce, settled, errors } = createEngine({
    commitAndRead: (commit, bounds, store) =>
      ++commits === 1 ? Promise.reject(failure("OOM", { isCertain: true })) : store.commitAndRead(commit, bounds),
  });
  const { stoppedBy, nextInMs } = await runOnce();
  assert.deepEqual([stoppedBy, nextInMs >= 1_000, replay.hasUnsettled()], ["error", true, false]);
  assert.equal((await runOnce()).replayed, 5);
  assert.deepEqual([settled(), await errors()], [[], ["OOM"]]);
  checkAllReplayed(source);
});

Deno.test("runOnce: counts WRONGTYPE when a script finds another kind of value", async () => {
  for (
    const hooks of [
      { begin: () => Promise.resolve("wrong_type" as const) },
      { commitAndRead: () => Promise.resolve({ result: "wrong_type" as const, next: Promise.resolve(null) }) },
    ]
  ) {
    const { runOnce, replay, errors } = createEngine(hooks);
    assert.equal((await runOnce()).stoppedBy, "error");
    assert.deepEqual([await errors(), replay.hasUnsettled()], [["WRONGTYPE"], false]);
  }
});

Deno.test("runOnce: rejects when a store fails for another reason than Redis", async () => {
  for (const bug of [new Error("a bug"), new TypeError("x is not a function")]) {
    const { runOnce, errors } = createEngine({ commitAndRead: () => Promise.reject(bug) });
    await assert.rejects(runOnce(), (error) => error === bug);
    assert.deepEqual(await errors(), []);
  }
});

Deno.test("runOnce: still says that the consumer drops the stamps while nothing arrives", async () => {
  const { source, runOnce } = createEngine();
  const nextCycle = async () => {
    source.nowMs += SETTINGS.intervalMs;
    await runOnce();
    return [source.fields.get("boundBy"), source.fields.get("stampsDropped")];
  };
  await nextCycle();
  source.target = [];
  source.dlq.push(...eventTexts(5).map((text) => Buffer.from(text)));
  assert.deepEqual(await nextCycle(), ["returns", "1"]);
  source.dlq.push(
    ...source.target.splice(0).map((message) =>
      Buffer.from(String(message).replace(/, "_remediation": \{.*\}\}$/, "}"))
    ),
  );
  assert.deepEqual(await nextCycle(), ["held", "1"]);
  assert.equal((await nextCycle())[1], "1", "nothing arrived");
  assert.equal((await nextCycle())[1], "1", "the canary group stayed away");
  source.dlq.push(...eventTexts(5, 100).map((text) => Buffer.from(text)));
  assert.deepEqual((await nextCycle())[1], "0", "what arrives is new");
});

/** Sends a canary group, and looks every half second. @returns after how many seconds the next step began */
async function judgeCanaryGroup(waitingAt: (seconds: number) => number): Promise<number> {
  let waiting = 0;
  const settings = { ...SETTINGS, consumerLagMs: 70_000 };
  const { source, clock, runOnce } = createEngine({}, { waiting: () => waiting, settings });
  await runOnce();
  source.dlq.push(...source.target.splice(0));
  source.nowMs += SETTINGS.intervalMs;
  await runOnce();
  const cycle = source.fields.get("cycle");
  assert.deepEqual([source.fields.get("boundBy"), source.target.length], ["returns", 1]);
  for (let seconds = 0.5;; seconds += 0.5) {
    await clock.advance(500);
    source.nowMs += 500;
    waiting = waitingAt(seconds);
    await runOnce();
    if (source.fields.get("cycle") !== cycle) return seconds;
  }
}

Deno.test("runOnce: judges a canary group when the consumer has had its time, whatever live messages pass meanwhile", async () => {
  const calm = await judgeCanaryGroup(() => 0);
  assert.ok(calm >= 70 && calm <= 71, `${calm} s`);
  const beside = await judgeCanaryGroup((seconds) => seconds % 2 === 0 ? 3 : 0);
  assert.ok(beside >= calm && beside <= calm + 1, `${beside} s beside live messages`);
});

Deno.test("runOnce: gives a canary group its time anew when the consumer retries what failed", async () => {
  const seconds = await judgeCanaryGroup((seconds) => seconds > 5 && seconds < 30 ? 1 : 0);
  assert.ok(seconds >= 100, `${seconds} s`);
});
