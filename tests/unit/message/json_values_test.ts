import assert from "node:assert/strict";
import type { JsonMember } from "../../../src/message/json_members.ts";
import { isFalsy, numberOf, objectOf, stringOf, wholeNumberOf } from "../../../src/message/json_values.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { bytesOf } from "../../../testkit/payloads.ts";

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
