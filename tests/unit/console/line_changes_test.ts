import assert from "node:assert/strict";
import fc from "fast-check";
import { compareLines } from "../../../src/console/line_changes.ts";

Deno.test("compareLines: keeps both texts, and marks what only one of them has", () => {
  assert.deepEqual(compareLines("a\nb\nc", "a\nx\nc"), [
    { kind: "same", text: "a" },
    { kind: "gone", text: "b" },
    { kind: "new", text: "x" },
    { kind: "same", text: "c" },
  ]);
  const line = fc.constantFrom("a", "b", "c", ""), text = fc.array(line, { minLength: 1 }).map((all) => all.join("\n"));
  fc.assert(fc.property(text, text, (before, after) => {
    const lines = compareLines(before, after);
    const without = (kind: string) => lines.filter((one) => one.kind !== kind).map((one) => one.text).join("\n");
    assert.deepEqual([without("new"), without("gone")], [before, after]);
  }));
});
