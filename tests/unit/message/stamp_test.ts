import assert from "node:assert/strict";
import { readMessage } from "../../../src/message/read_message.ts";
import { findRecord, type FoundRecord, recordText } from "../../../src/message/stamp.ts";
import { bytesOf } from "../../../testkit/payloads.ts";

const NOTHING: FoundRecord = { failures: 0, evidence: 0, sheds: 0, since: null, cycle: null, source: null };

function recordIn(text: string): FoundRecord | null {
  const message = readMessage(bytesOf(text));
  assert.ok(message.readable, text);
  return findRecord(message);
}

Deno.test("findRecord: reads the record of the last top-level member when it is an object", () => {
  const table: [text: string, record: FoundRecord | null][] = [
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

Deno.test("findRecord: believes counts only when they are whole numbers from 0 to 1,000", () => {
  for (const json of ["-1", "-0.5", "1001", '"5"', "null", "true", "NaN", "Infinity", "[5]", "9".repeat(30)]) {
    const text = `{"_remediation": {"failures": ${json}, "excused": ${json}, "evidence": ${json}, "sheds": ${json}}}`;
    assert.deepEqual(recordIn(text), NOTHING, json);
  }
  assert.deepEqual(recordIn('{"_remediation": {"failures": 1.5, "sheds": 2.5}}'), NOTHING);
  const full = '{"_remediation": {"failures": 1000, "excused": 1000, "evidence": 1000, "sheds": 1000}}';
  assert.deepEqual(recordIn(full), { ...NOTHING, failures: 1000, evidence: 1000, sheds: 1000 });
});

Deno.test("findRecord: believes cycle and source only when they are a whole number and a string", () => {
  for (const json of ["-1", "1.0", '"412"', "null", "9007199254740992"]) {
    assert.equal(recordIn(`{"_remediation": {"cycle": ${json}}}`)?.cycle, null, json);
  }
  assert.equal(recordIn('{"_remediation": {"cycle": 9007199254740991}}')?.cycle, Number.MAX_SAFE_INTEGER);
  for (const json of ["1", "null", '["alerter"]']) {
    assert.equal(recordIn(`{"_remediation": {"source": ${json}}}`)?.source, null, json);
  }
});

Deno.test("recordText: writes Python's format, sheds only when there were some, the reason last", () => {
  const record = { failures: 1, evidence: 0, sheds: 0, since: 1_764_000_000, cycle: 412, source: "alerter" };
  assert.equal(
    recordText(record),
    '{"failures": 1.0, "evidence": 0, "since": 1764000000, "cycle": 412, "source": "alerter"}',
  );
  assert.equal(
    recordText({ ...record, evidence: 6.58, sheds: 7, source: "ä" }, "poison"),
    '{"failures": 1.0, "evidence": 6.58, "sheds": 7, "since": 1764000000, "cycle": 412, "source": "\\u00e4", "reason": "poison"}',
  );
});

Deno.test("recordText: writes failures so that builds without evidence, for which three are death, read none", () => {
  const text = recordText({ failures: 3, evidence: 1, sheds: 0, since: 0, cycle: 1, source: "alerter" });
  // They believe digits alone.
  assert.doesNotMatch(text, /"failures": \d+[,}]/);
  assert.equal(JSON.parse(text).failures, 3);
});
