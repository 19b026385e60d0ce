import assert from "node:assert/strict";
import { sealEnvelope } from "../../../src/message/envelope.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { stampDeath, stampReplay, withoutStamps } from "../../../src/message/stamped.ts";
import { bytesOf, textOf } from "../../../testkit/payloads.ts";

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
