import assert from "node:assert/strict";
import { sealEnvelope, withoutStamps } from "../../../src/message/envelope.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { findStamp, type FoundStamp, stampDeath, stampReplay, stampText } from "../../../src/message/stamp.ts";
import { bytesOf, textOf } from "../../../testkit/payloads.ts";

const NOTHING: FoundStamp = { failures: 0, evidence: 0, sheds: 0, since: null, cycle: null, source: null };

function recordIn(text: string): FoundStamp | null {
  const message = readMessage(bytesOf(text));
  assert.ok(message.readable, text);
  return findStamp(message);
}

Deno.test("findStamp: reads the record of the last top-level member when it is an object", () => {
  const table: [text: string, record: FoundStamp | null][] = [
    ["{}", null],
    ['{"_remediation": 3}', null],
    ['{"_remediation": null}', null],
    ['{"_remediation": [{"failures": 2}]}', null],
    ['{"_remediation": "{\\"failures\\": 2}"}', null],
    ['{"a": {"_remediation": {"failures": 2}}}', null],
    ['{"_remediation": {"failures": 2}, "_remediation": 1}', null],
    ['{"_remediation": {}}', NOTHING],
    ['{"_remediation": {"failures": 1}, "_remediation": {"failures": 2}}', { ...NOTHING, failures: 2 }],
    ['{"_remediatio\\u006e": {"failures": 2}}', { ...NOTHING, failures: 2 }],
    ['{"_remediation": {"failures": 1, "\\u0066ailures": 3}}', { ...NOTHING, failures: 3 }],
    ['{"_remediation": {"failures": 1, "failures": "x"}}', NOTHING],
    ['{"_remediation": {"x": {"failures": 1}}}', NOTHING],
    [
      '{"_remediation":{"failures":1.0,"evidence":4.25,"sheds":3,"since":7,"cycle":412,"source":"\\u0061lerter"}}',
      { failures: 1, evidence: 4.25, sheds: 3, since: 7, cycle: 412, source: "alerter" },
    ],
    ['{"_remediation": {"failures": 1, "excused": 2, "cycle": 412}}', { ...NOTHING, failures: 3, cycle: 412 }],
  ];
  for (const [text, record] of table) assert.deepEqual(recordIn(text), record, text);
});

Deno.test("findStamp: believes counts only when they are whole numbers from 0 to 1,000", () => {
  for (
    const json of [
      "-1",
      "-0.5",
      "-0",
      "-0.0",
      "-1e-999",
      "1001",
      '"5"',
      "null",
      "true",
      "NaN",
      "Infinity",
      "[5]",
      "9".repeat(30),
    ]
  ) {
    const text = `{"_remediation": {"failures": ${json}, "excused": ${json}, "evidence": ${json}, "sheds": ${json}}}`;
    assert.deepEqual(recordIn(text), NOTHING, json);
  }
  assert.deepEqual(recordIn('{"_remediation": {"failures": 1.5, "sheds": 2.5}}'), NOTHING);
  const full = '{"_remediation": {"failures": 1000, "excused": 1000, "evidence": 1000, "sheds": 1000}}';
  assert.deepEqual(recordIn(full), { ...NOTHING, failures: 1000, evidence: 1000, sheds: 1000 });
});

Deno.test("findStamp: believes cycle and source only when they are a whole number and a string", () => {
  for (const json of ["-1", "1.0", '"412"', "null", "9007199254740992"]) {
    assert.equal(recordIn(`{"_remediation": {"cycle": ${json}}}`)?.cycle, null, json);
  }
  assert.equal(recordIn('{"_remediation": {"cycle": 9007199254740991}}')?.cycle, Number.MAX_SAFE_INTEGER);
  for (const json of ["1", "null", '["alerter"]']) {
    assert.equal(recordIn(`{"_remediation": {"source": ${json}}}`)?.source, null, json);
  }
});

Deno.test("stampText: writes Python's format, sheds only when there were some, the reason last", () => {
  const record = { failures: 1, evidence: 0, sheds: 0, since: 1_764_000_000, cycle: 412, source: "alerter" };
  assert.equal(
    stampText(record),
    '{"failures": 1.0, "evidence": 0, "since": 1764000000, "cycle": 412, "source": "alerter"}',
  );
  assert.equal(
    stampText({ ...record, evidence: 6.58, sheds: 7, source: "ä" }, { reason: "poison" }),
    '{"failures": 1.0, "evidence": 6.58, "sheds": 7, "since": 1764000000, "cycle": 412, "source": "\\u00e4", "reason": "poison"}',
  );
});

Deno.test("stampText: writes failures so that builds without evidence, for which three are death, read none", () => {
  const text = stampText({ failures: 3, evidence: 1, sheds: 0, since: 0, cycle: 1, source: "alerter" });
  // They believe digits alone.
  assert.doesNotMatch(text, /"failures": \d+[,}]/);
  assert.equal(JSON.parse(text).failures, 3);
});

const record = { failures: 1, evidence: 0, sheds: 0, since: 1_764_000_000, cycle: 412, source: "alerter" };
const death = { reason: "poison", failedAt: "2026-01-02T03:04:05.678Z" } as const;
const RECORD =
  '"_remediation": {"failures": 1.0, "evidence": 0, "since": 1764000000, "cycle": 412, "source": "alerter"}';
const DEATH =
  '"failed_at": "2026-01-02T03:04:05.678Z", "_remediation": {"failures": 1.0, "evidence": 0, "since": 1764000000, "cycle": 412, ' +
  '"source": "alerter", "reason": "poison"}';

/** The stamps of a dead message that had a `failed_at` of its own. */
const keeping = (failedAt: string) => DEATH.replace('"poison"}', `"poison", "failed_at": ${failedAt}}`);

function read(text: string) {
  const message = readMessage(bytesOf(text));
  assert.ok(message.readable, text);
  return message;
}

Deno.test("stampReplay: cuts what it is told and every own record, and puts the new one last", () => {
  const table: [before: string, after: string][] = [
    ["{}", `{${RECORD}}`],
    ['{"a": 1}', `{"a": 1, ${RECORD}}`],
    ['{"_remediation": {}, "a": 1, "n": 4, "_remediation": 5}', `{"a": 1, ${RECORD}}`],
    ['{"a": 1, "failed_at": "x"}', `{"a": 1, "failed_at": "x", ${RECORD}}`],
    ['{"a": {"_remediation": {}, "n": 1}}', `{"a": {"_remediation": {}, "n": 1}, ${RECORD}}`],
  ];
  for (const [before, after] of table) {
    assert.equal(textOf(stampReplay(read(before), { record, cut: ["n"] })), after, before);
  }
});

Deno.test("stampDeath: cuts earlier stamps only, and puts failed_at and the record last", () => {
  const table: [before: string, after: string][] = [
    ["{}", `{${DEATH}}`],
    ['{"_retry_count": 4, "a": 1}', `{"_retry_count": 4, "a": 1, ${DEATH}}`],
    [
      '{"failed_at": 1, "_remediation": {}, "a": 1, "faile\\u0064_at": {"x": 2.0}}',
      `{"a": 1, ${keeping('{"x": 2.0}')}}`,
    ],
    ['{"a": 1, "failed_at": "ours", "_remediation": {"reason": "poison"}}', `{"a": 1, ${DEATH}}`],
    [
      '{"failed_at": "ours", "_remediation": {"reason": "poison", "failed_at": "its \\u00e4"}}',
      `{${keeping('"its \\u00e4"')}}`,
    ],
  ];
  for (const [before, after] of table) {
    assert.equal(textOf(stampDeath(read(before), { record, death })), after, before);
  }
});

Deno.test("withoutStamps: undoes what was stamped when the message had no stamps of its own", () => {
  const texts = ["{}", " { \n} ", '{"a":1}', '{ "a" : 1.0 , "a":2 }\n', '{"_retry_count": 4, "b": NaN}'];
  for (const text of texts) {
    const message = read(text);
    assert.equal(textOf(withoutStamps(stampReplay(message, { record, cut: [] }))), text);
    assert.equal(textOf(withoutStamps(stampDeath(message, { record, death }))), text);
  }
});

Deno.test("withoutStamps: cuts further names, opens envelopes, and gives back what it cannot read", () => {
  assert.equal(
    textOf(withoutStamps(bytesOf('{"a": 1, "n": 2, "_remediation": 3, "failed_at": 4}'), ["n"])),
    '{"a": 1}',
  );
  for (const text of ["not JSON", "[1]", ""]) {
    assert.equal(textOf(withoutStamps(bytesOf(text))), text);
    assert.equal(textOf(withoutStamps(sealEnvelope(bytesOf(text), { record, death }))), text);
  }
});
