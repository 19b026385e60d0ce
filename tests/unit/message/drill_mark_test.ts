import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { makeDrillMessage } from "../../../src/message/drill_message.ts";
import { findDrillMark } from "../../../src/message/drill_mark.ts";
import { openLetter } from "../../../src/message/letter.ts";
import { pathsOf } from "../../../src/message/policy_paths.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { findLacking } from "../../../src/message/verdict.ts";

const ID = "d_0123456789abcdef", bytes = (text: string) => new TextEncoder().encode(text);

const MARKED: Readonly<Record<string, string>> = {
  "its only member": `{"_remediation_drill":"${ID}/7"}`,
  "beside a stamp": `{"a": 1, "_remediation_drill" : "${ID}/7", "_remediation": {"failures": 0}}`,
  "the last of equal keys": `{"_remediation_drill": "x", "_remediation_drill": "${ID}/7"}`,
};
const REAL: Readonly<Record<string, string>> = {
  "no such member": `{"a": "${ID}/7"}`,
  "the member inside another": `{"a": {"_remediation_drill": "${ID}/7"}}`,
  "the name in a text": `{"a": "\\"_remediation_drill\\": ${ID}/7"}`,
  "no id": `{"_remediation_drill": "7"}`,
  "an id of another form": `{"_remediation_drill": "D_0123456789ABCDEF/7"}`,
  "no number": `{"_remediation_drill": "${ID}/"}`,
  "the number 0": `{"_remediation_drill": "${ID}/0"}`,
  "a number that no drill has": `{"_remediation_drill": "${ID}/10001"}`,
  "a value that is no text": `{"_remediation_drill": ["${ID}/7"]}`,
  "no JSON": `{"_remediation_drill": "${ID}/7"`,
  "an array": `["_remediation_drill", "${ID}/7"]`,
};

for (const [of, text] of Object.entries(MARKED)) {
  Deno.test(`findDrillMark: finds the mark in a message with ${of}`, () => {
    deepStrictEqual(findDrillMark(bytes(text)), { id: ID, number: 7 });
  });
}
for (const [of, text] of Object.entries(REAL)) {
  Deno.test(`findDrillMark: takes a message with ${of} for a real one`, () => {
    strictEqual(findDrillMark(bytes(text)), null);
  });
}

Deno.test("makeDrillMessage: is marked, has what the consumer requires, and the shape of the source", () => {
  const required = ["hostname", "timestamp", "tenant"], shape = { _retry_count: 4 };
  const message = makeDrillMessage({ id: ID, number: 10_000 }, {
    policy: { required },
    shape,
    at: "2026-01-15T14:30:00Z",
  });
  deepStrictEqual(findDrillMark(message), { id: ID, number: 10_000 });
  const read = readMessage(message);
  ok(read.readable);
  strictEqual(findLacking(openLetter(read, null), pathsOf({ required }).required), null);
  strictEqual(JSON.parse(String(message))._retry_count, 4);
});

Deno.test("makeDrillMessage: has what is required at paths, whatever else is there, in an envelope too", () => {
  const policy = { required: ["message.text", "payload.a.b", "payload.a", "__proto__.x", "timestamp"] };
  for (const unwrap of [null, "payload", "job.payload"]) {
    const message = makeDrillMessage({ id: ID, number: 5 }, {
      policy: { ...policy, unwrap },
      shape: { a: 1 },
      at: "2026-01-15T14:30:00Z",
    });
    const paths = pathsOf({ ...policy, unwrap }), read = readMessage(message);
    ok(read.readable);
    strictEqual(findLacking(openLetter(read, paths.unwrap), paths.required), null, String(unwrap));
    deepStrictEqual(findDrillMark(message, paths.unwrap), { id: ID, number: 5 });
    strictEqual(findDrillMark(message)?.number, unwrap === null ? 5 : undefined);
  }
});

Deno.test("findDrillMark: finds the mark of an inner message, in text too, and none beside it", () => {
  const mark = `"_remediation_drill":"${ID}/7"`, inText = JSON.stringify(`{${mark}}`);
  deepStrictEqual(findDrillMark(bytes(`{"error":"x","payload":{${mark}}}`), ["payload"]), { id: ID, number: 7 });
  deepStrictEqual(findDrillMark(bytes(`{"payload":${inText}}`), ["payload"]), { id: ID, number: 7 });
  strictEqual(findDrillMark(bytes(`{"payload":{},${mark}}`), ["payload"]), null);
  strictEqual(findDrillMark(bytes(`{"payload":{},"error":${inText}}`), ["payload"]), null);
});

Deno.test("findDrillMark: finds the mark wherever it stands among other members", () => {
  const text = fc.string({ unit: fc.constantFrom(...'_remdiatonl"\\ x'), maxLength: 60 });
  fc.assert(fc.property(text, text, fc.integer({ min: 1, max: 10_000 }), (before, after, number) => {
    const message = JSON.stringify({
      [`b${before}`]: before,
      _remediation_drill: `${ID}/${number}`,
      [`a${after}`]: after,
    });
    deepStrictEqual(findDrillMark(bytes(message)), { id: ID, number });
  }));
});
