import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { openEnvelope, sealEnvelope } from "../../../src/message/envelope.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { bytesOf, HOSTILE_PAYLOADS, nestedObject, textOf } from "../../../testkit/payloads.ts";

const STAMPS = {
  record: { failures: 0, evidence: 0, sheds: 0, since: 1_764_000_000, cycle: 412, source: "alerter" },
  death: { reason: "unreadable", failedAt: "2026-01-02T03:04:05.678Z" },
} as const;
const HEAD =
  '{"failed_at": "2026-01-02T03:04:05.678Z", "_remediation": {"failures": 0, "evidence": 0, "since": 1764000000, "cycle": 412, ' +
  '"source": "alerter", "reason": "unreadable"}, ';

Deno.test("sealEnvelope: writes text as an escaped string, other bytes as Base64", () => {
  const table: [bytes: Uint8Array, payload: string][] = [
    [bytesOf(""), '"payload": ""}'],
    [bytesOf('not "JSON"\\\n'), '"payload": "not \\"JSON\\"\\\\\\n"}'],
    [bytesOf("\ufeff{}"), '"payload": "\ufeff{}"}'],
    [Uint8Array.of(0xff, 0xfe, 0xfd), '"payload_b64": "//79"}'],
    [Uint8Array.of(0xff), '"payload_b64": "/w=="}'],
  ];
  for (const [bytes, payload] of table) assert.equal(textOf(sealEnvelope(bytes, STAMPS)), HEAD + payload);
});

Deno.test("sealEnvelope: takes Base64 where a text of control characters would grow more, and only there", () => {
  const member = (bytes: Uint8Array) => /"(payload(?:_b64)?)": /.exec(textOf(sealEnvelope(bytes, STAMPS)))![1];
  for (const text of ["\u0001".repeat(100_000), `${"\u0001".repeat(300)}${"x".repeat(10)}`, '"'.repeat(4_000)]) {
    const bytes = bytesOf(text), sealed = sealEnvelope(bytes, STAMPS);
    assert.equal(member(bytes), "payload_b64");
    assert.ok(sealed.length < 4 / 3 * bytes.length + 300);
    assert.ok(Buffer.from(openEnvelope(sealed)!).equals(bytes));
  }
  for (const text of ["\u0001".repeat(200), "a line\n".repeat(100_000), '"'.repeat(1_000)]) {
    assert.equal(member(bytesOf(text)), "payload");
  }
});

Deno.test("openEnvelope: gives the exact bytes back when they were anything at all", () => {
  const more = [
    ...["\u0000", "\u2028\u2029\u007f", "\ufeff", "\ufeff\ufeffä", "\u{1f600}"].map(bytesOf),
    bytesOf(nestedObject(100_000)),
    Uint8Array.from({ length: 256 }, (_, byte) => byte),
  ];
  for (const bytes of [...HOSTILE_PAYLOADS, ...more]) {
    const sealed = sealEnvelope(bytes, STAMPS);
    assert.equal(readMessage(sealed).readable, true);
    assert.ok(Buffer.from(openEnvelope(sealed)!).equals(bytes));
  }
});

Deno.test("openEnvelope: opens nothing when a message only resembles an envelope", () => {
  const at = '"failed_at": "t"';
  const record = '"_remediation": {}';
  const texts = [
    "",
    "[]",
    "{}",
    `{${at}, ${record}}`,
    `{${at}, ${record}, "payload": 1}`,
    `{${at}, ${record}, "payload": null}`,
    `{${at}, ${record}, "other": "x"}`,
    `{${at}, ${record}, "payload": "x", "more": 1}`,
    `{"payload": "x", ${at}, ${record}}`,
    `{${record}, ${at}, "payload": "x"}`,
    `{"failed_at": 1, ${record}, "payload": "x"}`,
    `{${at}, "_remediation": 1, "payload": "x"}`,
    `{${at}, ${record}, "payload": "\\ud800"}`,
    `{${at}, ${record}, "payload_b64": "?"}`,
    `{${at}, ${record}, "payload_b64": "/w"}`,
    `{"a": {${at}, ${record}, "payload": "x"}}`,
  ];
  for (const text of texts) assert.equal(openEnvelope(bytesOf(text)), null, text);
});

Deno.test("openEnvelope: opens its own envelope when Python has read and written it", () => {
  const rewritten = HEAD + '"payload": "\\u00e4 \\ud83d\\ude00 \\u007f"}';
  assert.equal(textOf(openEnvelope(bytesOf(rewritten))!), "ä \u{1f600} \u007f");
});
