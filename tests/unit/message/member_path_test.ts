import assert from "node:assert/strict";
import type { JsonMember } from "../../../src/message/json_object.ts";
import {
  findAt,
  formatMemberPath,
  isBelow,
  leadsThrough,
  memberPath,
  memberRef,
  parseMemberPath,
} from "../../../src/message/member_path.ts";
import { findCuts } from "../../../src/message/edit.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { countingBytes } from "../../../testkit/message_checks.ts";
import { bytesOf, textOf } from "../../../testkit/payloads.ts";

const PATHS: readonly (readonly [text: string, names: readonly string[]])[] = [
  ["id", ["id"]],
  ["headers.retries", ["headers", "retries"]],
  ["a.b.c.d.e.f.g.h", ["a", "b", "c", "d", "e", "f", "g", "h"]],
  ["log\\.level", ["log.level"]],
  ["a\\.b.c\\\\.d", ["a.b", "c\\", "d"]],
  [" a b . c", [" a b ", " c"]],
  ["__proto__.constructor", ["__proto__", "constructor"]],
  ["ü.😀", ["ü", "😀"]],
  [`${"😀".repeat(128)}.${"\\.".repeat(128)}`, ["😀".repeat(128), ".".repeat(128)]],
];

for (const [text, names] of PATHS) {
  Deno.test(`parseMemberPath: reads ${JSON.stringify(text.slice(0, 40))}, and formatMemberPath writes it`, () => {
    assert.deepEqual(parseMemberPath(text), names);
    assert.equal(formatMemberPath(names), text);
  });
}

const NO_PATHS = [
  "",
  ".",
  "a.",
  ".a",
  "a..b",
  "a\\",
  "a\\b",
  "a.b\\",
  "a\\..",
  "a\nb",
  "a.\u0000",
  "\ud800",
  "a.\udfff",
];
for (const text of [...NO_PATHS, "a.b.c.d.e.f.g.h.i", "x".repeat(129), `a.${"x".repeat(129)}`]) {
  Deno.test(`parseMemberPath: refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.equal(parseMemberPath(text), null);
    assert.throws(() => memberPath(text), RangeError);
  });
}

function find(text: string, path: string): string | null {
  const message = readMessage(bytesOf(text));
  assert.ok(message.readable, text);
  const found: JsonMember | null = findAt(message, memberRef(path));
  return found && textOf(found.bytes.subarray(found.valueStart, found.valueEnd));
}

const FOUND: readonly (readonly [what: string, text: string, path: string, value: string | null])[] = [
  ["a top-level member", '{"a": 1}', "a", "1"],
  ["a member inside another", '{"headers" : { "x": 1, "retries" : 3.0 }}', "headers.retries", "3.0"],
  ["one eight levels down", `${'{"a":'.repeat(8)}[1]${"}".repeat(8)}`, "a.a.a.a.a.a.a.a", "[1]"],
  ["escaped names", '{"\\u0068": {"\\u0069": 1}}', "h.i", "1"],
  ["a name with a dot", '{"a.b": 1, "a": {"b": 2}}', "a\\.b", "1"],
  ["no name with a dot for a path", '{"a.b": 1}', "a.b", null],
  ["the last of equal names", '{"a": {"b": 1, "b": 2}}', "a.b", "2"],
  ["nothing in an earlier one of equal objects", '{"a": {"b": 1}, "a": {"c": 2}}', "a.b", null],
  ["nothing behind a later value that is no object", '{"a": {"b": 1}, "a": 5}', "a.b", null],
  ["nothing in an array", '{"a": [{"b": 1}]}', "a.b", null],
  ["nothing by a place in an array", '{"a": [1, 2]}', "a.0", null],
  ["nothing in text, even that of an object", '{"a": "{\\"b\\": 1}"}', "a.b", null],
  ["nothing in null", '{"a": null}', "a.b", null],
  ["nothing where there is nothing", "{}", "a.b", null],
  ["nothing inherited", "{}", "__proto__.constructor", null],
];

for (const [what, text, path, value] of FOUND) {
  Deno.test(`findAt: finds ${what}`, () => assert.equal(find(text, path), value));
}

Deno.test("isBelow, leadsThrough: tell what is inside a member", () => {
  const outer = ["a", "b"];
  assert.deepEqual([["a", "b", "c"], ["a", "b"], ["a", "x", "c"], ["a"]].map((path) => isBelow(path, outer)), [
    ...[true, false, false, false],
  ]);
  assert.ok(!isBelow("a.b.c", outer), "a text is a name");
  assert.deepEqual([["a", "b", "c"], ["a", "b"], ["a", "c"], ["a"]].map((path) => leadsThrough(path, outer)), [
    ...[true, true, false, false],
  ]);
});

Deno.test("findAt, findCuts: look into each object once, however many paths lead into it", () => {
  const inside = Array.from({ length: 300 }, (_, i) => `"m${i}": {"x": ${i}}`).join(", ");
  const { bytes, reads } = countingBytes(bytesOf(`{"a": {"b": {${inside}}}}`)), message = readMessage(bytes);
  assert.ok(message.readable);
  const before = reads(), paths = Array.from({ length: 64 }, (_, i) => ["a", "b", `m${i}`, "x"]);
  for (const path of paths) assert.ok(findAt(message, path));
  assert.equal(findCuts(message, paths).ranges.length, 64);
  // The objects a and b, the 64 inside them, and their names: no more than a few times the message.
  assert.ok(reads() - before < 6 * bytes.length, `${reads() - before} bytes read of ${bytes.length}`);
});
