import assert from "node:assert/strict";
import { cutInner, findIn, type Letter, openLetter, openReplayed } from "../../../src/message/letter.ts";
import { memberPath, memberRef } from "../../../src/message/member_path.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { bytesOf, textOf } from "../../../testkit/payloads.ts";

function open(text: string, unwrap: string | null = "payload"): Letter {
  const message = readMessage(bytesOf(text));
  assert.ok(message.readable, text);
  return openLetter(message, unwrap === null ? null : memberPath(unwrap));
}

const innerOf = ({ inner }: Letter) => inner && textOf(inner.bytes);

const INNER: readonly (readonly [what: string, text: string, unwrap: string, inner: string])[] = [
  ["an object as it stands", '{"error": "x", "payload" : { "a" : 1.0,"b":[] } }', "payload", '{ "a" : 1.0,"b":[] }'],
  ["what a text says", '{"payload": "{\\"a\\": \\"\\\\n\\u00fc\\/\\ud83d\\ude00\\"}"}', "payload", '{"a": "\\nü/😀"}'],
  ["text with white space around", '{"payload": "\\n {} \\t"}', "payload", "\n {} \t"],
  ["an object further down", '{"job": {"data": {"id": 1}}}', "job.data", '{"id": 1}'],
  ["the last of equal names", '{"payload": 1, "payload": {}}', "payload", "{}"],
];

for (const [what, text, unwrap, inner] of INNER) {
  Deno.test(`openLetter: unwraps ${what}`, () => {
    const letter = open(text, unwrap);
    assert.deepEqual([innerOf(letter), letter.problem], [inner, ""]);
    assert.equal(textOf(letter.content!), inner);
  });
}

const NEEDS = "only an object, or text that is one, can carry the stamp";
const PROBLEMS: readonly (readonly [text: string, problem: string])[] = [
  ['{"Payload": {}}', "missing"],
  ['{"a": {"payload": {}}}', "missing"],
  ['{"payload": [{}]}', `an array: ${NEEDS}`],
  ['{"payload": 5}', `a number: ${NEEDS}`],
  ['{"payload": -Infinity}', `a number: ${NEEDS}`],
  ['{"payload": NaN}', `a number: ${NEEDS}`],
  ['{"payload": false}', `a boolean: ${NEEDS}`],
  ['{"payload": null}', `null: ${NEEDS}`],
  ['{"payload": ""}', `text that is not a JSON object: ${NEEDS}`],
  ['{"payload": "[{}]"}', `text that is not a JSON object: ${NEEDS}`],
  ['{"payload": "{} {}"}', `text that is not a JSON object: ${NEEDS}`],
  ['{"payload": "{\\"a\\": \\"\\n\\"}"}', `text that is not a JSON object: ${NEEDS}`],
  ['{"payload": "\\ufeff{}"}', `text that is not a JSON object: ${NEEDS}`],
  ['{"payload": "{\\"a\\": \\"\\ud800\\"}"}', "text with half a surrogate pair"],
];

for (const [text, problem] of PROBLEMS) {
  Deno.test(`openLetter: says why ${text} cannot be replayed`, () => {
    const letter = open(text);
    assert.deepEqual([letter.inner, letter.problem], [null, `member "payload" to unwrap is ${problem}`]);
  });
}

Deno.test("openLetter: takes the whole message where nothing is wrapped", () => {
  const letter = open('{"payload": 5}', null);
  assert.equal(letter.inner, letter.whole);
});

function find(letter: Letter, path: string): string | null {
  const member = findIn(letter, memberRef(path));
  return member && textOf(member.bytes.subarray(member.valueStart, member.valueEnd));
}

Deno.test("findIn: goes on behind the wrapper in an object and in text, and nowhere else in text", () => {
  for (const payload of ['{"a": {"b": 1}, "t": "{\\"c\\": 2}"}', '"{\\"a\\": {\\"b\\": 1}, \\"t\\": \\"{}\\"}"']) {
    const letter = open(`{"error": {"a": 0}, "payload": ${payload}}`);
    assert.deepEqual(
      ["payload.a.b", "payload.a", "payload.t.c", "error.a", "a", "a.b"].map((path) => find(letter, path)),
      [
        ...["1", '{"b": 1}', null, "0", null, null],
      ],
    );
    assert.equal(find(letter, "payload"), payload, "the wrapper itself is a member of the envelope");
  }
});

Deno.test("findIn: finds by the same path what lies alone in the target, and nothing where there is no inner message", () => {
  const message = readMessage(bytesOf('{"a": 1}'));
  assert.ok(message.readable);
  assert.equal(find(openReplayed(message, ["payload"]), "payload.a"), "1");
  assert.equal(find(open('{"payload": [{"a": 1}]}'), "payload.a"), null);
  assert.equal(find(open('{"payload": [], "error": 1}'), "error"), "1");
});

const CUT: readonly (readonly [what: string, before: string, after: string])[] = [
  ["nothing where nothing is", '{"x": 1, "payload" : { "a":1 } }', '{"x": 1, "payload" : { "a":1 } }'],
  [
    "in an object",
    '{"x": 1, "payload" : { "x":1 , "a": {"x": 2 , "y": 3} } }',
    '{"x": 1, "payload" : { "a": {"y": 3} } }',
  ],
  [
    "in text, whose other escapes stay as they are",
    '{"x": 1, "payload": "{\\u0022b\\u0022: \\"\\/\\u00e9\\ud83d\\ude00é😀\\", \\"x\\": \\"\\u00fc\\", \\"a\\": {\\"x\\":1}}", "y": 2}',
    '{"x": 1, "payload": "{\\u0022b\\u0022: \\"\\/\\u00e9\\ud83d\\ude00é😀\\", \\"a\\": {}}", "y": 2}',
  ],
  ["all of a text", '{"payload": " {\\n\\"x\\" : 1 } "}', '{"payload": " {\\n } "}'],
  ["nothing where there is no inner message", '{"payload": ["x"], "x": 1}', '{"payload": ["x"], "x": 1}'],
];

for (const [what, before, after] of CUT) {
  Deno.test(`cutInner: cuts ${what}`, () => {
    assert.equal(textOf(cutInner(open(before), ["x", ["a", "x"]])), after);
  });
}

Deno.test("cutInner: cuts members of the whole message where nothing is wrapped", () => {
  assert.equal(textOf(cutInner(open('{"x": 1, "a": {"x": 1}}', null), ["x", ["a", "x"]])), '{"a": {}}');
});
