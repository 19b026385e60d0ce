import assert from "node:assert/strict";
import fc from "fast-check";
import { prettyJson } from "../../../src/message/pretty.ts";

Deno.test("prettyJson: lays out members and items, and keeps every literal as it is written", () => {
  assert.equal(
    prettyJson('{"a":1.0,"b":[NaN, "x,}\\"" ],"c":{},"d":[ ],"e":{"f":12345678901234567890}}'),
    '{\n  "a": 1.0,\n  "b": [\n    NaN,\n    "x,}\\""\n  ],\n  "c": {},\n  "d": [],\n  "e": {\n    "f": 12345678901234567890\n  }\n}',
  );
});

Deno.test("prettyJson: changes nothing but white space, and never throws", () => {
  fc.assert(fc.property(fc.json(), (json) => assert.deepEqual(JSON.parse(prettyJson(json)), JSON.parse(json))));
  fc.assert(fc.property(fc.string(), (text) => void prettyJson(text)));
  const deep = "[".repeat(500) + "]".repeat(500);
  assert.ok(prettyJson(deep).length < 100 * deep.length);
});
