import assert from "node:assert/strict";
import { membersText, quoteAscii } from "../../../src/message/json_text.ts";

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
