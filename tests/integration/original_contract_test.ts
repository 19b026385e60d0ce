/**
 * What MUTT's own tests of its remediation service demand (contract §10), asked of this service: `docs/original-tests.md`
 * maps them all; those that no other file answers are here. The numbers are that page's.
 */
import assert from "node:assert/strict";
import {
  createEngine,
  DEAD,
  DLQ,
  type EngineOptions,
  eventText,
  eventTexts,
  readLists,
  replayedText,
  TARGET,
} from "../../testkit/engine.ts";
import { startHttpStub, type StubAnswer } from "../../testkit/http_stub.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();
const ROOT = new URL("../../", import.meta.url);

/** One cycle over these messages, with the gates that look in the background given time to look. */
async function oneCycle(messages: readonly (string | Uint8Array)[], settings: EngineOptions["settings"] = {}) {
  await using engine = createEngine(server(), { settings });
  await server().seedList(DLQ, messages);
  await engine.connections.waitUntilReady(PATIENT_MS);
  await engine.source.whenKnown();
  const outcome = await engine.turn({ begin: "now" });
  const valueOf = async (metric: { get(): Promise<{ values: { value: number; labels: object }[] }> }, labels = {}) =>
    (await metric.get()).values.find((one) =>
      Object.entries(labels).every(([name, value]) => (one.labels as Record<string, unknown>)[name] === value)
    )?.value;
  const { replaySuccess, replayFail, poisonMessages, dlqDepth, moogHealth } = engine.metrics;
  const metrics = {
    success: await valueOf(replaySuccess),
    processingErrors: await valueOf(replayFail, { reason: "processing_error" }),
    poison: await valueOf(poisonMessages),
    depth: await valueOf(dlqDepth, { dlq_name: DLQ }),
    moogHealth: await valueOf(moogHealth),
  };
  return { outcome, metrics, lists: await readLists(server()) };
}

/** The dead as text, with the instant of death left out. */
function withoutInstant(text: string | undefined): string | undefined {
  return text?.replace(/"failed_at": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/, '"failed_at": "…"');
}

Deno.test("original 3: Moogsoft counts as healthy and messages are replayed when the health check is off", async () => {
  const off = { moogHealthCheckEnabled: false, moogWebhookUrl: "http://127.0.0.1:9/" };
  const { outcome, metrics } = await oneCycle([eventText(1)], off);
  assert.deepEqual([outcome.replayed, metrics.moogHealth], [1, 1]);
});

Deno.test("original 4: Moogsoft counts as healthy and messages are replayed when there is no URL", async () => {
  const nowhere = { moogHealthCheckEnabled: true, moogWebhookUrl: "" };
  const { outcome, metrics } = await oneCycle([eventText(1)], nowhere);
  assert.deepEqual([outcome.replayed, metrics.moogHealth], [1, 1]);
});

Deno.test("original 5: a message is replayed after one POST when Moogsoft answers 200", () =>
  probe({ status: 200 }, 1));

Deno.test("original 6: a message is replayed after one POST when Moogsoft answers 202", () =>
  probe({ status: 202 }, 1));

Deno.test("original 7: nothing is replayed after one POST when Moogsoft answers 500", () => probe({ status: 500 }, 0));

Deno.test("original 8: nothing is replayed after one POST when Moogsoft does not answer in time", () =>
  probe({ fault: "hang" }, 0));

/** One cycle over one message, with a Moogsoft that answers so; `replayed` is also what the gauge must say. */
async function probe(answer: StubAnswer, replayed: 0 | 1): Promise<void> {
  const moog = await startHttpStub();
  try {
    moog.answer(answer);
    const probed = {
      moogHealthCheckEnabled: true,
      moogWebhookUrl: moog.url,
      moogHealthTimeoutMs: "fault" in answer ? 300 : PATIENT_MS,
    };
    const { outcome, metrics } = await oneCycle([eventText(1)], probed);
    assert.deepEqual([outcome.replayed, metrics.moogHealth], [replayed, replayed]);
    assert.equal(outcome.stoppedBy, replayed === 1 ? "empty" : "downstream");
    assert.deepEqual(moog.requests.map(({ method }) => method), ["POST"]);
    const { source, description, check_id: id } = JSON.parse(moog.requests[0]!.body);
    assert.deepEqual([source, description], ["MUTT_HEALTH_CHECK", "Health check probe - auto-close"]);
    assert.match(id, /^health_check_\d+$/);
  } finally {
    await moog.stop();
  }
}

Deno.test("original 10: nothing is replayed when nobody listens where Moogsoft should be", async () => {
  const moog = await startHttpStub();
  const probed = { moogHealthCheckEnabled: true, moogWebhookUrl: moog.url };
  await moog.stop();
  const { outcome, metrics, lists } = await oneCycle([eventText(1)], probed);
  assert.deepEqual([outcome.replayed, outcome.stoppedBy, metrics.moogHealth], [0, "downstream", 0]);
  assert.deepEqual(lists.dlq, [eventText(1)]);
});

Deno.test("original 11: a carried count of 2 is read as 2", async () => {
  const message = eventText(1, ', "_moog_retry_count": 2');
  assert.equal((await oneCycle([message], { maxPoisonRetries: 3 })).outcome.replayed, 1);
  await server().client().flushall();
  assert.deepEqual((await oneCycle([message], { maxPoisonRetries: 2 })).outcome.dead, { poison: 1 });
});

Deno.test("original 12: a message without a count is replayed even when one failure is the limit", async () => {
  assert.equal((await oneCycle([eventText(1)], { maxPoisonRetries: 1 })).outcome.replayed, 1);
});

Deno.test("original 13: what is not JSON is not poison, but is not replayed either", async () => {
  const { outcome, lists } = await oneCycle(["not json"]);
  assert.deepEqual([outcome.replayed, outcome.dead], [0, { unreadable: 1 }]);
  assert.equal(JSON.parse(lists.dead[0]!).payload, "not json");
});

Deno.test("original 14: nothing is moved and nothing counted when the DLQ is empty", async () => {
  const { outcome, metrics, lists } = await oneCycle([]);
  assert.deepEqual([outcome.replayed, outcome.dead, outcome.stoppedBy], [0, {}, "empty"]);
  assert.deepEqual([metrics.success, metrics.poison, metrics.processingErrors], [0, 0, 0]);
  assert.deepEqual(lists, { dlq: [], target: [], dead: [] });
});

Deno.test("original 15: a message under the limit goes to the ingest queue, every byte of it, with the stamp behind", async () => {
  const message = eventText(1, ', "_moog_retry_count": 1, "n":  1.0,"big":12345678901234567890');
  const { outcome, lists } = await oneCycle([message]);
  assert.equal(outcome.replayed, 1);
  assert.deepEqual(lists, { dlq: [], target: [replayedText(message)], dead: [] });
});

Deno.test("original 16: a message over the limit goes to the dead list, every byte of it, with the stamps behind", async () => {
  const message = eventText(1, ', "_moog_retry_count": 5');
  const { outcome, lists } = await oneCycle([message]);
  assert.deepEqual([outcome.replayed, outcome.dead], [0, { poison: 1 }]);
  assert.deepEqual([lists.dlq, lists.target, lists.dead.map(withoutInstant)], [[], [], [
    `${message.slice(0, -1)}, "failed_at": "…", "_remediation": ` +
    '{"failures": 0, "evidence": 0, "since": 0, "cycle": 1, "source": "alerter", "reason": "poison"}}',
  ]]);
});

Deno.test("original 17: the two oldest of five are replayed when the batch size is 2", async () => {
  const five = eventTexts(5);
  const { outcome, lists } = await oneCycle(five, { batchSize: 2 });
  assert.deepEqual([outcome.replayed, outcome.stoppedBy], [2, "batch_size"]);
  assert.deepEqual(lists, { dlq: five.slice(2), target: five.slice(0, 2).map((text) => replayedText(text)), dead: [] });
});

Deno.test("original 18: what cannot be decoded is counted, kept byte for byte, and does not block those behind it", async () => {
  const bad = new Uint8Array([0x7b, 0xff, 0x00, 0x7d]);
  const { outcome, metrics, lists } = await oneCycle([bad, eventText(1)]);
  assert.deepEqual([outcome.replayed, outcome.dead, metrics.processingErrors], [1, { unreadable: 1 }, 1]);
  assert.deepEqual([lists.dlq, lists.target], [[], [replayedText(eventText(1))]]);
  assert.deepEqual(Uint8Array.fromBase64(JSON.parse(lists.dead[0]!).payload_b64), bad);
});

Deno.test("original 18: nothing has moved when a list cannot be written", async () => {
  await server().client().set(DEAD, "not a list");
  await using engine = createEngine(server());
  await server().seedList(DLQ, [eventText(1)]);
  assert.equal((await engine.turn({ begin: "now" })).stoppedBy, "error");
  assert.deepEqual(await server().readTexts(DLQ), [eventText(1)]);
});

Deno.test("original 23: replay_success_total goes up by one when one message is replayed", async () => {
  assert.equal((await oneCycle([eventText(1)])).metrics.success, 1);
});

Deno.test("original 24: poison_messages_total goes up by one when one message is over the limit", async () => {
  assert.equal((await oneCycle([eventText(1, ', "_moog_retry_count": 10')])).metrics.poison, 1);
});

Deno.test("original 25: dlq_depth is 42 when 42 messages are there, though nothing may move", async () => {
  assert.equal((await oneCycle(eventTexts(42), { enabled: false })).metrics.depth, 42);
});

Deno.test("original loop: drains the DLQ by itself once it is started, poison to the dead list", async () => {
  await using engine = createEngine(server(), { settings: { intervalMs: 1_000 } });
  await server().seedList(DLQ, [eventText(1), eventText(2, ', "_moog_retry_count": 3')]);
  engine.start();
  const client = server().client();
  await waitUntil(async () => await client.llen(TARGET) === 1 && await client.llen(DEAD) === 1, { what: "both moved" });
});

Deno.test("docs/original-tests.md: names, for each of the original's 25 and 2 tests, tests that are there", async () => {
  const page = await Deno.readTextFile(new URL("docs/original-tests.md", ROOT));
  const rows = page.split("\n").filter((line) => /^\| *(\d+|I\d) /.test(line));
  const numbers = rows.map((row) => row.split("|")[1]!.trim());
  assert.deepEqual(numbers, [...Array.from({ length: 25 }, (_, i) => String(i + 1)), "I1", "I2"]);
  for (const row of rows) {
    const named = [...row.matchAll(/`(tests\/[^`]+_test\.ts)`: ([^;|]+)/g)];
    assert.ok(named.length > 0, `no test is named: ${row}`);
    for (const [, file, name] of named) {
      const text = await Deno.readTextFile(new URL(file!, ROOT));
      // "…" stands for the rest of a name.
      const [begin = "", rest] = name!.trim().split(" …");
      const quoted = rest === undefined ? `"${begin}"` : `"${begin} `;
      assert.equal(text.split(quoted).length, 2, `${file} has not one test "${name!.trim()}"`);
    }
  }
});
