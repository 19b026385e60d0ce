import assert from "node:assert/strict";
import {
  findMember,
  isFalsy,
  isNamed,
  type JsonMember,
  membersText,
  numberOf,
  objectOf,
  quoteAscii,
  rawValueOf,
  stringOf,
  wholeNumberOf,
} from "../../../src/message/json_object.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { bytesOf, textOf } from "../../../testkit/payloads.ts";

function valueIn(text: string, name: string): string | null {
  const message = readMessage(bytesOf(text));
  assert.ok(message.readable, text);
  const member = findMember(message, name);
  return member === null ? null : rawValueOf(member);
}

Deno.test("findMember: finds the last top-level member of that name when there are several, decoys and escapes", () => {
  const table: [text: string, value: string | null][] = [
    ["{}", null],
    ['{"n":1}', "1"],
    ['{"n":1,"n":2}', "2"],
    ['{"n":1,"\\u006e":2}', "2"],
    ['{"\\u006E":2,"n":1}', "1"],
    ['{"x":{"n":1}}', null],
    ['{"x":{"n":1},"n":2,"y":[{"n":3}]}', "2"],
    ['{"x":"\\"n\\":1"}', null],
    ['{"x":"n"}', null],
    ['{"nn":1," n":2,"n ":3,"N":4,"":5}', null],
    ['{"n\\u0000":1,"\\u0000n":2}', null],
    ['{"\\n":1,"\\\\n":2,"\\/n":3}', null],
  ];
  for (const [text, value] of table) assert.equal(valueIn(text, "n"), value, text);
});

Deno.test("findMember: matches a name however its key is escaped when it holds anything at all", () => {
  const names = ["_moog_retry_count", "", 'q"\\/', "\b\f\n\r\t", "ä€", "\u{1f600}x", "\ud800", "\u007f\u2028", "aä"];
  for (const name of names) {
    const escaped = name.split("").map((u) => `\\u${u.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
    for (const key of [JSON.stringify(name), `"${escaped}"`, `"${escaped.toUpperCase().replaceAll("\\U", "\\u")}"`]) {
      assert.equal(valueIn(`{${key}:1}`, name), "1", key);
      assert.equal(valueIn(`{${key}:1}`, `${name}x`), null, key);
      assert.equal(valueIn(`{${key.slice(0, -1)}x":1}`, name), null, key);
    }
  }
  assert.equal(valueIn('{"_moog_retry_coun\\u0074":9}', "_moog_retry_count"), "9");
  assert.equal(valueIn('{"\\/":1}', "/"), "1");
});

Deno.test("readMessage: keeps every member of an object that is nothing but members", () => {
  for (const count of [4_095, 4_096, 4_097, 8_192, 8_193, 20_000]) {
    const message = readMessage(bytesOf(`{${Array.from({ length: count }, (_, i) => `"k${i}": ${i}`).join(", ")}}`));
    assert.ok(message.readable);
    const { members } = message;
    assert.equal(members.length, count);
    assert.deepEqual([members.at(count), members.at(-count - 1)], [undefined, undefined]);
    const valueOf = (member: JsonMember) => textOf(member.bytes.subarray(member.valueStart, member.valueEnd));
    assert.deepEqual([...members].map(valueOf), Array.from({ length: count }, (_, i) => String(i)));
    for (const place of [0, 4_094, count - 1]) {
      assert.equal(valueOf(members.at(place)!), String(place));
      assert.equal(valueOf(members.at(place - count)!), String(place));
      assert.equal(valueOf(findMember(message, `k${place}`)!), String(place));
    }
  }
});

Deno.test("isNamed: says no when the name only begins like the key", () => {
  const message = readMessage(bytesOf('{"failed_at":1,"ä":2}'));
  assert.ok(message.readable);
  const [first, second] = message.members;
  for (const name of ["failed", "failed_at_", "Failed_at", "", "ä"]) assert.equal(isNamed(first!, name), false, name);
  for (const name of ["a", "Ã¤", "ö", "äx"]) assert.equal(isNamed(second!, name), false, name);
  assert.equal(isNamed(second!, "ä"), true);
});

function memberWith(json: string): JsonMember {
  const message = readMessage(bytesOf(`{"v": ${json} }`));
  assert.ok(message.readable, json);
  return message.members.at(0)!;
}

Deno.test("isFalsy: agrees with Python's bool when given any kind of value", () => {
  const falsy = ["null", "false", "0", "-0", "0.0", "-0.0", "0e5", "0E-5", "1e-400", '""', "[]", "[ \n]", "{}", "{\t}"];
  const truthy = ["true", "NaN", "Infinity", "-Infinity", "1", "-1", "0.1", "1e-300", '" "', '"\\u0000"', '"0"', "[0]"];
  for (const json of falsy) assert.equal(isFalsy(memberWith(json)), true, json);
  for (const json of [...truthy, "[[]]", '{"":0}', "9".repeat(4300)]) {
    assert.equal(isFalsy(memberWith(json)), false, json);
  }
});

Deno.test("numberOf: gives the number when it is one, and null for everything that only looks like it", () => {
  const table: [json: string, value: number | null][] = [
    ["0", 0],
    ["-0", -0],
    ["2.9", 2.9],
    ["3.0", 3],
    ["1e3", 1000],
    ["1e400", Infinity],
    ["9".repeat(4300), Infinity],
    ["NaN", NaN],
    ["Infinity", Infinity],
    ["-Infinity", -Infinity],
    ["9007199254740993", 9007199254740992],
    ...['"3"', "null", "true", "false", "[3]", '{"a":3}'].map((json): [string, null] => [json, null]),
  ];
  for (const [json, value] of table) assert.ok(Object.is(numberOf(memberWith(json)), value), json);
});

Deno.test("wholeNumberOf: believes digits only, up to the bound", () => {
  const yes: [json: string, value: number][] = [["0", 0], ["7", 7], ["999", 999], ["1000", 1000]];
  for (const [json, value] of yes) assert.equal(wholeNumberOf(memberWith(json), 1000), value, json);
  for (
    const json of ["1001", "-1", "-0", "1.0", "1e2", "NaN", "Infinity", '"7"', "null", "true", "[]", "9".repeat(4300)]
  ) {
    assert.equal(wholeNumberOf(memberWith(json), 1000), null, json);
  }
  const max = Number.MAX_SAFE_INTEGER;
  assert.equal(wholeNumberOf(memberWith("9007199254740991"), max), max);
  for (const json of ["9007199254740992", "9007199254740993", "90071992547409910"]) {
    assert.equal(wholeNumberOf(memberWith(json), max), null, json);
  }
});

Deno.test("stringOf: decodes a string as it is, and nothing else", () => {
  const table: [json: string, value: string | null][] = [
    ['""', ""],
    ['"\\ufeffä\\n\\u00e4\\ud83d\\ude00"', "\ufeffä\nä\u{1f600}"],
    ['"\ufeff"', "\ufeff"],
    ['"\\ud800"', "\ud800"],
    ["1", null],
    ['["a"]', null],
  ];
  for (const [json, value] of table) assert.equal(stringOf(memberWith(json)), value, json);
});

Deno.test("objectOf: gives the members when the value is an object, and null for anything else", () => {
  assert.equal(objectOf(memberWith('{"a":1,"b":{"c":2}}'))?.members.length, 2);
  for (const json of ["[]", '"{}"', "null", "1"]) assert.equal(objectOf(memberWith(json)), null, json);
});

Deno.test("quoteAscii: writes what Python's json.dumps writes when text holds anything", () => {
  const table: [text: string, literal: string][] = [
    ["", '""'],
    ["alerter ~!", '"alerter ~!"'],
    ['"\\/', '"\\"\\\\/"'],
    ["\b\f\n\r\t\u0000\u001f", '"\\b\\f\\n\\r\\t\\u0000\\u001f"'],
    ["\u007fä\u2028\u{1f600}\ud800", '"\\u007f\\u00e4\\u2028\\ud83d\\ude00\\ud800"'],
  ];
  for (const [text, literal] of table) assert.equal(quoteAscii(text), literal);
});

Deno.test("membersText: separates like Python when there are none, one, two", () => {
  assert.equal(membersText([]), "");
  assert.equal(membersText([["a", "1"]]), '"a": 1');
  assert.equal(membersText([["a", "1"], ['"', "{}"]]), '"a": 1, "\\"": {}');
});
