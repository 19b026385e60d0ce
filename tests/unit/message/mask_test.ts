import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { Mask } from "../../../src/message/mask.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { ANY_BYTES } from "../../../testkit/hostile_json.ts";

const MASK = new Mask(["Snmp_Community"]);
const SECRET = "hunter2-S3CRET";

/** A message, and what is shown of it. */
const SHOWN: readonly (readonly [name: string, message: string, shown: string])[] = [
  ["no secret: every byte stays", '{"a" : 1.0, "b":[NaN,1e400 ]}', '{"a" : 1.0, "b":[NaN,1e400 ]}'],
  ["a member", `{"api_key": "${SECRET}", "n": 12345678901234567890}`, '{"api_key": "•••", "n": 12345678901234567890}'],
  ["any case", `{"Api_KEY":"${SECRET}","TOKEN":1}`, '{"Api_KEY":"•••","TOKEN":"•••"}'],
  ["a name of the source", `{"snmp_community":"${SECRET}"}`, '{"snmp_community":"•••"}'],
  ["nested, in an array", `{"a":[{"b":{"password":"${SECRET}"}}],"c":1}`, '{"a":[{"b":{"password":"•••"}}],"c":1}'],
  ["a container as value", `{"token":{"x":["${SECRET}"]},"c":1}`, '{"token":"•••","c":1}'],
  ["twice", `{"token":"${SECRET}","token":"${SECRET}2"}`, '{"token":"•••","token":"•••"}'],
  ["an escaped key", `{"\\u0061pi_key":"${SECRET}"}`, '{"\\u0061pi_key":"•••"}'],
  ["JSON in a string", `{"raw":"{\\"api_key\\": \\"${SECRET}\\"}","c":1}`, '{"raw":"{\\"api_key\\":•••","c":1}'],
  ["text in a string", `{"message":"login token=${SECRET} ok"}`, '{"message":"login token=•••"}'],
  ["a header", `{"h":"Authorization: Bearer ${SECRET}"}`, '{"h":"Authorization:•••"}'],
  ["XML", `{"x":"<password>${SECRET}</password>"}`, '{"x":"<password>•••"}'],
  ["a word is no secret", '{"message":"Failed password for root"}', '{"message":"Failed password for root"}'],
  ["an envelope's bytes", '{"payload_b64":"aHVudGVyMg=="}', '{"payload_b64":"•••"}'],
  ["a key with a secret", `{"token=${SECRET}":1}`, '{"token=•••":1}'],
  ["cut off JSON", `{"api_key": "${SECRET}`, '{"api_key":•••'],
  ["not JSON", `password = ${SECRET}\u0007`, "password =•••"],
  ["control characters outside of JSON", "a\u001b[2J\nb", "a\\x1b[2J\nb"],
];

for (const [name, message, shown] of SHOWN) {
  Deno.test(`Mask.message: ${name}`, () => {
    const text = MASK.message(Buffer.from(message));
    assert.equal(text, shown);
    assert.ok(!text.includes(SECRET));
    if (readMessage(Buffer.from(message)).readable) assert.ok(readMessage(Buffer.from(text)).readable, text);
  });
}

Deno.test("Mask.message: escapes bytes that are not UTF-8, and hides a secret among them", () => {
  assert.equal(MASK.message(Buffer.from([0x61, 0xff, 0x0a, 0xc3])), "a\\xff\n\\xc3");
  assert.equal(MASK.message(Buffer.from(`\xff api_key=${SECRET}`, "latin1")), "\\xff api_key=•••");
});

Deno.test("Mask.message: hides a secret whose name is hidden by escapes or zero bytes in broken text", () => {
  for (
    const text of [`{"\\u0061pi_key":"${SECRET}"`, `{"x":1,"p\\u0061ssword":"${SECRET}`, `\\\\u0074oken:${SECRET}`]
  ) {
    assert.ok(!MASK.message(Buffer.from(text)).includes(SECRET), MASK.message(Buffer.from(text)));
  }
  const wide = MASK.message(Buffer.from(`{"token": "${SECRET}"}`, "utf16le"));
  assert.ok(!wide.replaceAll("\\x00", "").includes(SECRET), wide);
});

/** JSON with one planted secret, at any depth, beside anything. */
const PLANTED = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("token", "PASSWORD", "api_key", "Authorization").map((name) => `{"x":1,"${name}" : "${SECRET}"}`),
    fc.tuple(fc.json({ maxDepth: 2 }), tie("node")).map(([other, node]) => `[${other}, ${node}]`),
    fc.tuple(fc.string(), tie("node")).map(([key, node]) => `{${JSON.stringify(key)}:${node}}`),
    tie("node").map((node) => `{"raw":${JSON.stringify(node)}}`),
  ),
})).node as fc.Arbitrary<string>;

Deno.test("Mask.message: never shows a planted secret, and leaves JSON readable", () => {
  fc.assert(fc.property(PLANTED, (node) => {
    const text = MASK.message(Buffer.from(`{"top":${node}}`));
    assert.ok(!text.includes(SECRET), text);
    JSON.parse(text);
  }));
});

Deno.test("Mask.message: never throws, and shows JSON without secrets unchanged", () => {
  fc.assert(fc.property(ANY_BYTES, (bytes) => {
    const text = MASK.message(bytes);
    if (readMessage(bytes).readable) assert.ok(readMessage(Buffer.from(text)).readable, text);
  }));
});
