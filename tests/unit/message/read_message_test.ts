import assert from "node:assert/strict";
import { readMessage } from "../../../src/message/read_message.ts";
import {
  bytesOf,
  nestedObject,
  NOT_AN_OBJECT_TEXTS,
  NOT_UTF8,
  READABLE_TEXTS,
  textOf,
  UNREADABLE_TEXTS,
} from "../../../testkit/payloads.ts";

function shorten(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 30)}… ${text.length} characters` : text);
}

function outcomeOf(bytes: Uint8Array): string {
  const message = readMessage(bytes);
  return message.readable ? "readable" : message.reason;
}

Deno.test("readMessage: reads an object when CPython does", () => {
  for (const text of READABLE_TEXTS) assert.equal(outcomeOf(bytesOf(text)), "readable", shorten(text));
});

Deno.test("readMessage: says malformed when the JSON is no object", () => {
  for (const text of NOT_AN_OBJECT_TEXTS) assert.equal(outcomeOf(bytesOf(text)), "malformed", shorten(text));
});

Deno.test("readMessage: says unreadable when CPython refuses or would fail", () => {
  for (const text of UNREADABLE_TEXTS) assert.equal(outcomeOf(bytesOf(text)), "unreadable", shorten(text));
});

Deno.test("readMessage: says unreadable when the bytes are not UTF-8", () => {
  for (const bytes of NOT_UTF8) assert.equal(outcomeOf(bytes), "unreadable", String(bytes));
});

Deno.test("readMessage: tells what is wrong when it cannot read", () => {
  const table: [text: string, detail: string][] = [
    ["", "not JSON at byte 0"],
    ['{"a":1}x', "not JSON at byte 7"],
    ['{"a":"\n"}', "not JSON at byte 6"],
    ["\ufeff{}", "not JSON at byte 0"],
    [nestedObject(501), "nested deeper than 500"],
    [`{"a":${"1".repeat(4301)}}`, "an integer of more than 4300 digits"],
    ["[]", "JSON, but not an object"],
  ];
  for (const [text, detail] of table) {
    const message = readMessage(bytesOf(text));
    assert.equal(message.readable ? "" : message.detail, detail, shorten(text));
  }
  const damaged = readMessage(Uint8Array.from([...bytesOf('{"a":"'), 0xff]));
  assert.equal(damaged.readable ? "" : damaged.detail, "not UTF-8 at byte 6");
});

Deno.test("readMessage: gives the places of braces, keys and values when members are spread out", () => {
  const text = ' {\n"a" : {"b": [1, "}"]} ,\t"\\u0063":"é"\r} ';
  const bytes = bytesOf(text);
  const message = readMessage(bytes);
  assert.ok(message.readable);
  const slice = (start: number, end: number) => textOf(bytes.subarray(start, end));
  assert.equal(slice(message.open, message.open + 1), "{");
  assert.equal(slice(message.close, message.close + 1), "}");
  assert.equal(message.close, bytes.length - 2);
  const members = [...message.members].map((m) => [slice(m.keyStart, m.keyEnd), slice(m.valueStart, m.valueEnd)]);
  assert.deepEqual(members, [['"a"', '{"b": [1, "}"]}'], ['"\\u0063"', '"é"']]);
});

Deno.test("readMessage: takes time in proportion when a message is huge, deep or full of members", () => {
  const count = 100_000;
  const texts = [
    `{"a":[${"[],".repeat(count)}1]}`,
    `{${'"a":{},'.repeat(count)}"b":1}`,
    `{"a":"${"\\u0041é".repeat(count)}"}`,
  ];
  for (const text of texts) {
    const bytes = bytesOf(text);
    const startedMs = performance.now();
    assert.equal(outcomeOf(bytes), "readable");
    assert.ok(performance.now() - startedMs < 2_000, shorten(text));
  }
});
