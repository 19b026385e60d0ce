import assert from "node:assert/strict";
import { readMessage } from "../../../src/message/read_message.ts";
import { editMessage, type MessageEdit } from "../../../src/message/edit.ts";
import { bytesOf, textOf } from "../../../testkit/payloads.ts";

function edited(text: string, edit: Partial<MessageEdit>): string {
  const message = readMessage(bytesOf(text));
  assert.ok(message.readable, text);
  return textOf(editMessage(message, { cut: [], append: [], ...edit }));
}

Deno.test("editMessage: cuts every occurrence of a name and keeps every other byte", () => {
  const table: [place: string, before: string, after: string][] = [
    ["absent", ' {"a" : 1.0 } ', ' {"a" : 1.0 } '],
    ["first", '{ "x": 1 , "a": 2 }', '{ "a": 2 }'],
    ["middle", '{"a":1 , "x":2 , "b":3}', '{"a":1 , "b":3}'],
    ["last", '{"a": 1,\n "x": 2 }', '{"a": 1 }'],
    ["only", '{ "x" : 1 }', "{  }"],
    ["only twice", '{\t"x":1, "x":2\n}', "{\t\n}"],
    ["twice in a row", '{"a":1,"x":1,"x":2,"b":2}', '{"a":1,"b":2}'],
    ["first and last", '{"x":1, "a":2, "x":3}', '{"a":2}'],
    ["everywhere", '{"x":0, "a":1 ,"x":2,\t"b":3, "x":4, "x":5 ,"c":6,"x":7}', '{"a":1,\t"b":3 ,"c":6}'],
    ["escaped", '{"a":1,"\\u0078":2}', '{"a":1}'],
    ["nested only", '{"a":{"x":1},"b":[{"x":2}],"c":"\\"x\\":3"}', '{"a":{"x":1},"b":[{"x":2}],"c":"\\"x\\":3"}'],
    ["container", '{"x":{"x":[1,{"y":"}"}]},"a":1}', '{"a":1}'],
    ["no white space", '{"x":1,"a":2}', '{"a":2}'],
    [
      "odd values",
      '{"a":1E400,"x":null,"b":NaN,"a":12345678901234567890}',
      '{"a":1E400,"b":NaN,"a":12345678901234567890}',
    ],
    ["equal keys of others", '{"a":1,"a":2,"x":3,"a":4}', '{"a":1,"a":2,"a":4}'],
    ["empty object", "{ }", "{ }"],
  ];
  for (const [place, before, after] of table) assert.equal(edited(before, { cut: ["x"] }), after, place);
});

Deno.test("editMessage: cuts at paths, inside every object on the way and nothing else, and keeps every other byte", () => {
  const cut = ["x", ["a", "x"], ["a", "b", "x"]];
  const table: [place: string, before: string, after: string][] = [
    ["absent", ' {"a" : { "b" : 1.0 } } ', ' {"a" : { "b" : 1.0 } } '],
    ["at each level", '{"a": {"x" : 1 , "b": {"c":0, "x":1 }, "x":2 }, "x": 3}', '{"a": {"b": {"c":0 } }}'],
    ["only", '{"a": { "x": 1 }}', '{"a": {  }}'],
    ["in every one of equal objects", '{"a":{"x":1},"a":{"b":{"x":1}},"a":5}', '{"a":{},"a":{"b":{}},"a":5}'],
    ["not in arrays", '{"a":[{"x":1}],"b":{"x":1}}', '{"a":[{"x":1}],"b":{"x":1}}'],
    ["not in text", '{"a":"{\\"x\\":1}"}', '{"a":"{\\"x\\":1}"}'],
    ["escaped", '{"\\u0061":{"\\u0078":2,"y":1}}', '{"\\u0061":{"y":1}}'],
    [
      "inside what is cut as a whole",
      '{"b": 0, "x": {"x": 1}, "a": {"y": 1, "x": {"x": 2}}}',
      '{"b": 0, "a": {"y": 1}}',
    ],
    ["before and behind", '{"x":1,"a":{"x":1,"c":2},"x":3}', '{"a":{"c":2}}'],
  ];
  for (const [place, before, after] of table) assert.equal(edited(before, { cut }), after, place);
  assert.equal(edited('{"x": {"y": 1}, "b": 1}', { cut: ["x", ["x", "y"]] }), '{"b": 1}', "a member and one inside it");
  assert.equal(edited('{"a": {"x": 1}}', { cut: [["a", "x"]], append: [["s", "1"]] }), '{"a": {}, "s": 1}');
});

Deno.test("editMessage: takes a text for the name of a top-level member, whatever is in it", () => {
  assert.equal(edited('{"a.x": 1, "a": {"x": 2}, "a\\\\.x": 3}', { cut: ["a.x"] }), '{"a": {"x": 2}, "a\\\\.x": 3}');
});

Deno.test("editMessage: appends behind the last member that is left", () => {
  const append = [["s", "1"]] as const;
  const table: [before: string, after: string][] = [
    ["{}", '{"s": 1}'],
    [" { \n} ", ' {"s": 1 \n} '],
    ['{"a":1}', '{"a":1, "s": 1}'],
    ['{ "a":1 }', '{ "a":1, "s": 1 }'],
    ['{"a":1\n, "x":2\n}', '{"a":1, "s": 1\n}'],
    ['{ "x":1 }', '{ "s": 1 }'],
    ['{"x":1,"a":2}', '{"a":2, "s": 1}'],
  ];
  for (const [before, after] of table) assert.equal(edited(before, { cut: ["x"], append }), after, before);
});

Deno.test("editMessage: appends several in order when cutting their older selves", () => {
  const append = [["x", '"new"'], ["y", "{}"]] as const;
  assert.equal(edited('{"y":1,"a":2,"x":3}', { cut: ["x", "y"], append }), '{"a":2, "x": "new", "y": {}}');
  assert.equal(edited("{}", { append }), '{"x": "new", "y": {}}');
});

Deno.test("editMessage: leaves its input alone and works when that is a view into other bytes", () => {
  const outer = bytesOf('garbage{"x":1,"a":2}garbage');
  const copy = outer.slice();
  const message = readMessage(outer.subarray(7, outer.length - 7));
  assert.ok(message.readable);
  const result = editMessage(message, { cut: ["x"], append: [] });
  assert.equal(textOf(result), '{"a":2}');
  result.fill(0);
  assert.deepEqual(outer, copy);
});
