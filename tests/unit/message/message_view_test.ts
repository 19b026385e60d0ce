import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { messageId } from "../../../src/message/message_id.ts";
import { createViewer, type MessageView } from "../../../src/message/message_view.ts";

const NOW_MS = Date.parse("2026-01-01T00:00:10Z");

function view(text: string, { isInDlq = true } = {}): MessageView {
  const bytes = Buffer.from(text);
  const display = { groupBy: ["message", "code"], secret: [] };
  const viewer = createViewer({ source: "alerter", list: isInDlq ? "dlq" : "dead", display, nowMs: NOW_MS });
  return viewer({ id: messageId(bytes), place: 3, bytes, length: bytes.length });
}

const STAMP = (more: string) =>
  `"_remediation": {"failures": 2.0, "evidence": 3, "cycle": 7, "source": "alerter"${more}}`;

/** A message, whether it is in the DLQ, its reason, and its failures. */
const COUNTED: readonly (readonly [text: string, isInDlq: boolean, reason: string | null, failures: number])[] = [
  ['{"a":1}', true, null, 0],
  [`{"a":1, ${STAMP("")}}`, true, null, 3],
  [`{"a":1, ${STAMP("").replace("alerter", "moog")}}`, true, null, 2],
  [`{"shedding_reason":"x", ${STAMP("")}}`, true, "shed", 2],
  [`{"a":1, ${STAMP(', "reason": "poison"')}}`, false, "poison", 2],
  [`{"a":1, ${STAMP(', "reason": "token=S3CRET"')}}`, false, "other", 2],
  [`{"a":1, ${STAMP(', "reason": "__proto__"')}}`, false, "other", 2],
  ["{", true, "unreadable", 0],
  ["[1]", true, "malformed", 0],
];

for (const [text, isInDlq, reason, failures] of COUNTED) {
  Deno.test(`createViewer: ${text} ${isInDlq ? "in the DLQ" : "elsewhere"} has reason ${reason} and ${failures} failures`, () => {
    const found = view(text, { isInDlq });
    assert.deepEqual([found.reason, found.failures], [reason, failures]);
  });
}

Deno.test("createViewer: reads members as Python does, and hides secrets", () => {
  const found = view(
    '{"s":"a\\n","n":1.5,"t":true,"f":false,"z":null,"o":{},"l":[1],"d":1,"d":2,"token":"S3CRET","message":"token=S3CRET"}',
  );
  const names = ["s", "n", "t", "f", "z", "o", "l", "d", "none", "token", "message", "__proto__"];
  assert.deepEqual(names.map((name) => found.member(name)), [
    ...["a\n", 1.5, true, false, null, undefined, undefined, 2, undefined, "•••", "token=•••", undefined],
  ]);
  assert.ok(!found.text.includes("S3CRET"));
});

Deno.test("createViewer: reads members at paths, and hides what is inside a secret one", () => {
  const found = view('{"a":{"b":1,"c":[1],"d":{}},"token":{"x":"S3CRET"},"h":{"api_key":"S3CRET"},"a.b":2}');
  const paths = [["a", "b"], ["a", "c"], ["a", "d"], ["a", "c", "0"], ["a", "none"], ["token", "x"], ["h", "api_key"]];
  assert.deepEqual([...paths.map((path) => found.member(path)), found.member("a.b")], [
    ...[1, undefined, undefined, undefined, undefined, "•••", "•••", 2],
  ]);
});

/** Where a message of a source with `unwrap` is, and what it shows. */
const WRAPPED: readonly (readonly [list: "dlq" | "dead" | "target", text: string])[] = [
  ["dlq", `{"error":"no","payload":{"message":"disk 5","n":{"x":7}, ${STAMP("")}}}`],
  ["dlq", JSON.stringify({ error: "no", payload: `{"message":"disk 5","n":{"x":7}, ${STAMP("")}}` })],
  ["target", `{"message":"disk 5","n":{"x":7}, ${STAMP("")}}`],
  ["dead", `{"payload":{"message":"disk 5","n":{"x":7},"_remediation":5}, ${STAMP(', "reason": "poison"')}}`],
];

for (const [list, text] of WRAPPED) {
  Deno.test(`createViewer: shows an unwrapped message of the ${list} by the same paths: ${text.slice(0, 30)}`, () => {
    const bytes = Buffer.from(text), display = { groupBy: ["payload.message", "payload.n.x"], secret: [] };
    const found = createViewer({
      ...{ source: "alerter", list, policy: { unwrap: "payload" }, display },
      nowMs: NOW_MS,
    })({ id: messageId(bytes), place: 1, bytes, length: bytes.length });
    assert.deepEqual([found.groupText, found.member(["payload", "n", "x"]), found.stamp?.cycle], ["disk • •", 7, 7]);
    assert.deepEqual(
      [found.failures, found.reason],
      list === "dlq" ? [3, null] : [2, list === "dead" ? "poison" : null],
    );
  });
}

for (
  const [list, text, unwrap, reason] of [
    ["dlq", "text", null, null],
    ["dlq", "text", "payload", "unreadable"],
    ["dlq", '{"payload": "text"}', "payload", null],
    ["target", "text", "payload", null],
    ["dead", "text", null, "unreadable"],
  ] as const
) {
  const how = unwrap === null ? "" : " with unwrap";
  Deno.test(`createViewer: of a source that records stamps beside its messages${how}, ${text} in the ${list} has reason ${reason}`, () => {
    const bytes = Buffer.from(text), policy = { beside: { idMember: null, keepMs: 1 }, unwrap };
    const context = { source: "s", list, policy, display: { groupBy: [], secret: [] }, nowMs: NOW_MS };
    assert.equal(createViewer(context)({ id: "m", place: 1, bytes, length: bytes.length }).reason, reason);
  });
}

Deno.test("createViewer: takes the age of an unwrapped message from its own time, else from that of its envelope", () => {
  const ageOf = (text: string) => {
    const bytes = Buffer.from(text), display = { groupBy: [], secret: [] };
    const viewer = createViewer({ source: "s", list: "dlq", policy: { unwrap: "payload" }, display, nowMs: NOW_MS });
    return viewer({ id: "m", place: 1, bytes, length: bytes.length }).ageMs;
  };
  const at = (seconds: number) => `"timestamp":"2026-01-01T00:00:0${seconds}Z"`;
  assert.equal(ageOf(`{${at(9)},"payload":{${at(4)}}}`), 6_000);
  assert.equal(ageOf(`{${at(9)},"payload":{}}`), 1_000);
  assert.equal(ageOf(`{"failed_at":"2026-01-01T00:00:08Z","payload":[]}`), 2_000);
});

Deno.test("createViewer: knows age, size, place, id and the text to group by", () => {
  const found = view('{"timestamp":"2026-01-01T00:00:00Z","code":5,"message":"link down"}');
  assert.deepEqual([found.ageMs, found.sizeBytes, found.place, found.groupText], [10_000, 67, 3, "link down •"]);
  assert.match(found.id, /^m_[0-9a-f]{16}$/);
  assert.equal(view('{"timestamp":"2027-01-01T00:00:00Z"}').ageMs, 0);
  assert.equal(view("{}").ageMs, null);
});

Deno.test("createViewer: describes a message that was not read", () => {
  const display = { groupBy: ["message"], secret: [] };
  const viewer = createViewer({ source: "alerter", list: "dlq", display, nowMs: NOW_MS });
  const found = viewer({ id: "m_0123456789abcdef", place: 1, bytes: null, length: 5e6 });
  assert.deepEqual(
    [found.reason, found.sizeBytes, found.failures, found.ageMs, found.text, found.groupText, found.member("a")],
    ["oversize", 5e6, 0, null, "", "", undefined],
  );
});
