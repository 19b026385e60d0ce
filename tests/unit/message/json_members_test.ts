import assert from "node:assert/strict";
import { findMember, isNamed, type JsonMember } from "../../../src/message/json_members.ts";
import { rawValueOf } from "../../../src/message/json_values.ts";
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
