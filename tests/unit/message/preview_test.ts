import assert from "node:assert/strict";
import { correlationIdOf, eventTimeOf, MAX_PREVIEW_CHARACTERS, previewMessage } from "../../../src/message/preview.ts";
import { alerterMessage, bytesOf, HOSTILE_PAYLOADS } from "../../../testkit/payloads.ts";

Deno.test("previewMessage: shows the allowed members and nothing else", () => {
  const text = '{"api_key": "s3cret", "hostname": "core-1", "severity": 4, "source": null, "message": "private", ' +
    '"timestamp": "2025-01-15T14:30:29Z", "_correlation_id": "c-1", "raw_json": {"hostname": "s3cret"}}';
  assert.equal(
    previewMessage(bytesOf(text)),
    `${text.length} bytes _correlation_id="c-1" hostname="core-1" severity=4 source=null timestamp="2025-01-15T14:30:29Z"`,
  );
});

Deno.test("previewMessage: shows no container, whatever is in it, and no member twice", () => {
  const text = '{"hostname": {"api_key": "s3cret"}, "source": ["s3cret"], "severity": 1, "severity": 2}';
  assert.equal(
    previewMessage(bytesOf(text)),
    `${text.length} bytes hostname=(not shown) severity=2 source=(not shown)`,
  );
});

Deno.test("previewMessage: stays short and on one line when values are long or odd", () => {
  const long = `"${"x".repeat(500)}"`;
  const text = `{"_correlation_id":${long},"hostname":${long},"severity":${long},"source":${long},"timestamp":${long}}`;
  const preview = previewMessage(bytesOf(text));
  assert.equal(preview.length, MAX_PREVIEW_CHARACTERS);
  assert.ok(preview.includes(`hostname="${"x".repeat(78)}… `));
  const odd = previewMessage(bytesOf('{"hostname":"a\\n\\u001b[31m\u202e\u2028\u007fä"}'));
  assert.equal(odd.slice(odd.indexOf("hostname")), 'hostname="a\\n\\u001b[31m???ä"');
  const cut = previewMessage(bytesOf(`{"hostname":"${"x".repeat(77)}\u{1f600}${"x".repeat(20)}"}`));
  assert.equal(cut.slice(cut.indexOf("hostname")), `hostname="${"x".repeat(77)}…`);
  for (const bytes of HOSTILE_PAYLOADS) {
    const line = previewMessage(bytes);
    assert.ok(line.length <= MAX_PREVIEW_CHARACTERS && !/[\p{C}\p{Zl}\p{Zp}]/u.test(line), line);
  }
});

Deno.test("previewMessage: tells only length and reason when the message is not readable", () => {
  assert.equal(previewMessage(bytesOf('{"api_key": "s3cret"')), "20 bytes unreadable");
  assert.equal(previewMessage(bytesOf('["s3cret"]')), "10 bytes malformed");
});

Deno.test("correlationIdOf: gives the id when it is a string of at most 128 characters", () => {
  const long = "x".repeat(128);
  const table: [text: string, id: string | undefined][] = [
    [alerterMessage(), "7e0b5f0c-1111-4222-8333-444455556666"],
    ['{"_correlation_id": "\\u0061\\n"}', "a\n"],
    ['{"_correlation_id": "a", "_correlation_id": "b"}', "b"],
    [`{"_correlation_id": "${long}"}`, long],
    [`{"_correlation_id": "${"\\u0078".repeat(128)}"}`, long],
    [`{"_correlation_id": "${long}x"}`, undefined],
    ['{"_correlation_id": 5}', undefined],
    ['{"_correlation_id": null}', undefined],
    ['{"a": {"_correlation_id": "a"}}', undefined],
    ["not JSON", undefined],
  ];
  for (const [text, id] of table) assert.equal(correlationIdOf(bytesOf(text)), id, text);
});

Deno.test("eventTimeOf: reads timestamp, else failed_at, as text or number", () => {
  const atMs = Date.UTC(2025, 0, 15, 14, 30, 29);
  const at = '"2025-01-15T14:30:29Z"';
  const table: [text: string, atMs: number | undefined][] = [
    [`{"timestamp": ${at}}`, atMs],
    [`{"failed_at": ${at}}`, atMs],
    [`{"timestamp": ${at}, "failed_at": "2025-01-15T14:30:30.500Z"}`, atMs],
    [`{"timestamp": "soon", "failed_at": ${at}}`, atMs],
    ['{"timestamp": 1736951429}', atMs],
    ['{"timestamp": 1736951429.0}', atMs],
    ['{"timestamp": 1736951429000}', atMs],
    ['{"timestamp": 1.736951429e9}', atMs],
    ['{"timestamp": 7}', undefined],
    ['{"timestamp": NaN}', undefined],
    ['{"timestamp": true}', undefined],
    ['{"timestamp": [1736951429]}', undefined],
    ['{"timestamp": "yesterday"}', undefined],
    [`{"timestamp": "${"2".repeat(65)}"}`, undefined],
    ['{"timestamp": ""}', undefined],
    ["{}", undefined],
    ["not JSON", undefined],
  ];
  for (const [text, expected] of table) {
    assert.equal(eventTimeOf(bytesOf(text), Date.UTC(2026, 0, 1)), expected, text);
  }
});

Deno.test("previewMessage, correlationIdOf: show what is unwrapped, and else what is beside it", () => {
  const bytes = bytesOf(
    '{"hostname":"envelope","severity":"high","payload":{"hostname":"h","_correlation_id":"c","api_key":"k"}}',
  );
  assert.equal(previewMessage(bytes, ["payload"]), '104 bytes _correlation_id="c" hostname="h" severity="high"');
  assert.equal(correlationIdOf(bytes, ["payload"]), "c");
  assert.equal(correlationIdOf(bytes), undefined);
});
