import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { judgePair, looksDead, type Sample } from "../../../src/operations/judge_pair.ts";

const PAIR = { dlq: "orders:dlq", isSure: true, target: "orders", isTargetSeen: true, dead: ["orders:dead"] };
const sample = (...messages: readonly (string | null)[]): Sample =>
  messages.map((one) => one === null ? null : Buffer.from(one));

function judge(dlq: Sample, target: Sample, pair = PAIR) {
  return judgePair(pair, { dlq, target });
}

Deno.test("judgePair: proposes lists with messages of one kind, and says why", () => {
  const judged = judge(sample(`{"id": 1, "total": 2}`), sample(`{"id": 3}`));
  assert.ok(judged.ok);
  assert.equal(judged.score, 6);
  assert.deepEqual(judged.cautions, []);
  assert.match(judged.reasons.join(), /messages of both have id$/);
});

Deno.test("judgePair: scores less where less is known", () => {
  const unseen = judge(sample(`{"id": 1}`), [], { ...PAIR, isTargetSeen: false });
  assert.ok(unseen.ok);
  assert.equal(unseen.score, 2);
  assert.match(unseen.cautions[0]!, /^target not seen/);
});

const REFUSED: readonly [what: string, dlq: Sample, target: Sample, why: RegExp][] = [
  [
    "messages that are not JSON objects",
    sample("1", "2", `{"id": 1}`),
    [],
    /^2 of 3 messages are not JSON objects; if .*: mutt-remediation watch --dry-run --dlq orders:dlq --target orders --record beside$/,
  ],
  ["binary messages", [new Uint8Array([0xff, 0xfe])], [], /^1 of 1 messages are not JSON/],
  ["a target with other messages", sample(`{"id": 1}`), sample("job-1"), /messages of orders are not JSON objects/],
  ["messages of two kinds", sample(`{"id": 1}`), sample(`{"user": 1}`), /have id, those of orders have user/],
  [
    "wrapped messages",
    sample(`{"payload": {"id": 1}, "error": "x"}`),
    [],
    /look wrapped.* watch --dry-run --dlq orders:dlq --target orders --unwrap payload$/,
  ],
  ["wrapped arrays", sample(`{"data": [1], "error": "x"}`), [], /look wrapped/],
  ["messages wrapped in text", sample(`{"body": "{}", "exception": "x"}`), [], /look wrapped/],
  [
    "wrapped messages of two kinds",
    sample(`{"payload": {"id": 1}}`),
    sample(`{"user": 1}`),
    /have payload, those of orders have user/,
  ],
  ["messages of Sidekiq", sample(`{"class": "A", "args": [], "jid": "1"}`), [], /look like Sidekiq or Resque's/],
  [
    "messages of Celery",
    sample(`{"body": "", "content-encoding": "utf-8", "properties": {}}`),
    [],
    /look like Celery's/,
  ],
  ["messages that are too large", [null], [], /too large/],
  ["a list that is empty by now", [], [], /^it is empty by now$/],
];

for (const [what, dlq, target, why] of REFUSED) {
  Deno.test(`judgePair: refuses ${what}`, () => {
    const judged = judge(dlq, target);
    assert.ok(!judged.ok);
    assert.match(judged.why, why);
  });
}

Deno.test("judgePair: tells of messages that would die, and of counters", () => {
  const judged = judge(sample(`{"id": 1, "attempts": 3}`, "text"), sample(`{"id": 2}`));
  assert.ok(judged.ok);
  assert.match(
    judged.cautions.join("\n"),
    /^1 of 2 messages would go to the dead list.*\n.*add cutOnReplay: \[attempts\]$/,
  );
});

Deno.test("judgePair: proposes to unwrap messages that are of one kind with those of the target inside an envelope", () => {
  const object = `{"payload": {"id": 1, "attempts": 2}, "error": "x", "tries": 1}`,
    text = `{"payload": "{\\"id\\": 1}"}`;
  const judged = judge(sample(object, text, `{"payload": [1]}`), sample(`{"id": 3}`));
  assert.ok(judged.ok);
  assert.deepEqual([judged.unwrap, judged.score], ["payload", 6]);
  assert.match(judged.reasons.join("\n"), /payload of its messages has id, as those of orders do$/);
  assert.deepEqual(judged.cautions, [
    "1 of 3 messages would go to the dead list: they have no JSON object in payload",
    "messages have the number payload.attempts: if your consumer refuses a message by it, add cutOnReplay: [payload.attempts]",
  ]);
  const direct = judge(sample(`{"payload": {"id": 1}}`), sample(`{"payload": 5}`));
  assert.ok(direct.ok && direct.unwrap === null, "they are of one kind as they are");
});

Deno.test("judgePair: the stamp of this service is no sign of one kind", () => {
  const judged = judge(sample(`{"a": 1, "_remediation": {}}`), sample(`{"b": 1, "_remediation": {}}`));
  assert.ok(!judged.ok);
});

Deno.test("looksDead: needs the stamp and the time of death in every message", () => {
  const dead = `{"id": 1, "failed_at": "2026-01-01T00:00:00.000Z", "_remediation": {"reason": "poison"}}`;
  assert.ok(looksDead(sample(dead, dead)));
  for (const other of [[], [`{"id": 1}`], [dead, `{"id": 1}`], ["text"], [`{"failed_at": 1}`]]) {
    assert.ok(!looksDead(sample(...other)), String(other));
  }
});
