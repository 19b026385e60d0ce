import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { messageId } from "../../../src/message/message_id.ts";
import { formatRecord, parseRecord, recordKey, type RecordPolicy } from "../../../src/message/stamp_record.ts";
import { bytesOf } from "../../../testkit/payloads.ts";

const POLICY: RecordPolicy = {
  ...{ name: "orders", counter: null, cutOnReplay: [] },
  beside: { idMember: null, keepMs: 1_000 },
};
const keyOf = (text: string, more: Partial<RecordPolicy> = {}) => recordKey(bytesOf(text), { ...POLICY, ...more });
const NAMED: Partial<RecordPolicy> = { beside: { idMember: "id", keepMs: 1_000 } };

Deno.test("recordKey: is the id of a message that no replay changes, whatever its bytes", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    assert.equal(`m_${recordKey(bytes, POLICY)}`, messageId(bytes));
  }));
});

Deno.test("recordKey: does not depend on what replays cut, nor on the consumer's counter", () => {
  const policy = { counter: "attempts", cutOnReplay: ["error"] };
  const bare = keyOf('{"id": 1, "total": 12.50}', policy);
  assert.equal(keyOf('{"id": 1, "total": 12.50, "attempts": 3}', policy), bare);
  assert.equal(keyOf('{"id": 1, "error": "E", "total": 12.50, "attempts": 4}', policy), bare);
  assert.notEqual(keyOf('{"id": 1, "total": 12.5}', policy), bare);
  assert.notEqual(keyOf('{"id": 1, "total": 12.50, "attempts": 3}'), bare);
});

Deno.test("recordKey: does not depend on a stamp of this source, from when they were inside", () => {
  const stamp = '"_remediation": {"failures": 2.0, "evidence": 3, "since": 1, "cycle": 4, "source": "orders"}';
  assert.equal(keyOf(`{"id": 1, ${stamp}}`), keyOf('{"id": 1}'));
  assert.notEqual(keyOf(`{"id": 1, ${stamp.replace("orders", "others")}}`), keyOf('{"id": 1}'));
});

Deno.test("recordKey: is that of the member that names a message, however the rest changes", () => {
  const key = keyOf('{"id": "a-1", "attempts": 1}', NAMED);
  assert.equal(keyOf('{ "attempts" : 2, "error": "x", "id":"a\\u002d1" }', NAMED), key);
  assert.notEqual(keyOf('{"id": "a-2", "attempts": 1}', NAMED), key);
  assert.equal(keyOf('{"id": 7}', NAMED), keyOf('{"x": 1, "id": 7}', NAMED));
  assert.notEqual(keyOf('{"id": 7}', NAMED), keyOf('{"id": "7"}', NAMED));
});

for (const text of ['{"no": 1}', '{"id": ""}', '{"id": null}', '{"id": [1]}', '{"id": true}', "[1]", "text", ""]) {
  Deno.test(`recordKey: is the digest when no text or number names the message: ${text}`, () => {
    assert.equal(keyOf(text, NAMED), keyOf(text));
  });
}

Deno.test("recordKey: is that of what is unwrapped, whatever is around it", () => {
  const policy = { unwrap: "payload", counter: "payload.n", cutOnReplay: ["payload.error"] };
  const key = keyOf('{"payload": {"a": 1.0}}', policy);
  assert.equal(key, keyOf('{"a": 1.0}'));
  assert.equal(keyOf('{"failed_at": 2, "payload":{"a": 1.0, "n": 4}, "error": "E"}', policy), key);
  assert.equal(keyOf(JSON.stringify({ at: 2, payload: '{"error": "x", "a": 1.0}' }), policy), key);
  assert.notEqual(keyOf('{"payload": {"a": 1}}', policy), key);
  for (const value of ["text", "[1]", "7"]) {
    assert.equal(keyOf(JSON.stringify({ at: 3, payload: value }), policy), keyOf(value), "text");
  }
  assert.equal(keyOf('{"at": 4, "payload": [ 1 ]}', policy), keyOf("[ 1 ]"));
  // A counter in the envelope is in no bytes that are replayed.
  assert.equal(keyOf('{"n": 5, "payload": {"n": 1}}', { unwrap: "payload", counter: "n" }), keyOf('{"n": 1}'));
});

Deno.test("recordKey: is that of the member at a path, in the envelope or inside", () => {
  const at = (idMember: string, more: Partial<RecordPolicy> = {}) => ({ beside: { idMember, keepMs: 1 }, ...more });
  const nested = at("headers.id");
  assert.equal(
    keyOf('{"headers": {"id": 7}, "n": 1}', nested),
    keyOf('{"n": 2, "headers": {"x": 1, "id": 7}}', nested),
  );
  assert.equal(keyOf('{"headers": {}, "id": 7}', nested), keyOf('{"headers": {}, "id": 7}'));
  const inside = at("payload.id", { unwrap: "payload" });
  assert.equal(
    keyOf('{"payload": {"id": 7}}', inside),
    keyOf(JSON.stringify({ payload: '{"n": 1, "id": 7}' }), inside),
  );
  const outside = at("id", { unwrap: "payload" });
  assert.equal(keyOf('{"id": "a", "payload": "x"}', outside), keyOf('{"payload": [2], "id": "a"}', outside));
});

const COUNTS = { since: 1_764_385_442, cycle: 17, source: "orders" };
const rows: [text: string, given: Parameters<typeof formatRecord>][] = [
  [":::1764385442:17", [{ failures: 0, evidence: 0, sheds: 0, ...COUNTS }, { firstCycle: 17 }]],
  ["3:12.43:1:1764385442:9-17", [{ failures: 3, evidence: 12.43, sheds: 1, ...COUNTS }, { firstCycle: 9 }]],
  ["1000:1000:1000:1764385442:17x", [{ failures: 1_000, evidence: 1_000, sheds: 1_000, ...COUNTS }, {
    ...{ firstCycle: 17, isDead: true },
  }]],
];

for (const [text, [stamp, { firstCycle, isDead = false }]] of rows) {
  Deno.test(`formatRecord, parseRecord: write and read ${text}`, () => {
    assert.equal(formatRecord(stamp, { firstCycle, isDead }), text);
    for (const stored of [text, `${text}:1764471842`]) {
      assert.deepEqual(parseRecord(stored, "orders"), { ...stamp, firstCycle, isDead });
    }
  });
}

for (
  const text of [
    "",
    "1:2:3",
    "x",
    ":::1:2:3:4",
    "1001:::1:2",
    ":1001::1:2",
    "1.5:::1:2",
    ":::1:-2",
    "-1:::1:2",
    ":::1:2y",
  ]
) {
  Deno.test(`parseRecord: is null for what another client may have written: ${JSON.stringify(text)}`, () => {
    assert.equal(parseRecord(text, "orders"), null);
  });
}

Deno.test("parseRecord: reads whatever formatRecord writes", () => {
  const count = fc.integer({ min: 0, max: 1_000 }), cycle = fc.integer({ min: 0, max: 999_999 });
  const evidence = fc.integer({ min: 0, max: 100_000 }).map((hundredths) => hundredths / 100);
  fc.assert(fc.property(
    fc.record({ failures: count, evidence, sheds: count, since: cycle, cycle, source: fc.constant("orders") }),
    fc.tuple(cycle, fc.boolean()),
    (stamp, [back, isDead]) => {
      const firstCycle = Math.max(0, stamp.cycle - back);
      assert.deepEqual(parseRecord(formatRecord(stamp, { firstCycle, isDead }), "orders"), {
        ...stamp,
        firstCycle,
        isDead,
      });
    },
  ));
});

Deno.test("recordKey: changes no byte of the message", () => {
  const bytes = Buffer.from('{"id": 1, "attempts": 2}'), before = Buffer.from(bytes);
  recordKey(bytes, { ...POLICY, counter: "attempts" });
  assert.deepEqual(bytes, before);
});
