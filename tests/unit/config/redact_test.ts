import assert from "node:assert/strict";
import { quote, redactCredentials } from "../../../src/config/redact.ts";

const TEXTS: readonly (readonly [text: string, shown: string])[] = [
  ["plain", "plain"],
  ["http://host/path", "http://host/path"],
  ["http://user:pw@host/path?key=1#x", "http://[redacted]@host/path?[redacted]"],
  ["redis://:a/b?c#d@host:6379", "redis://[redacted]@host:6379"],
  ["redis://:a@b@host", "redis://[redacted]@host"],
  ["redis://:two\nlines@host", "redis://[redacted]@host"],
  ["user:pw@host", "[redacted]@host"],
  ["a#b?c", "a#b?c"],
];

for (const [text, shown] of TEXTS) {
  Deno.test(`redactCredentials: shows ${JSON.stringify(text)} as ${shown}`, () => {
    assert.equal(redactCredentials(text), shown);
  });
}

Deno.test("quote: escapes and shortens", () => {
  assert.equal(quote('a"\n'), '"a\\"\\n"');
  assert.equal(quote("\u009b31m\u2028\u007f\ud800"), '"\\u009b31m\\u2028\\u007f\\ud800"');
  assert.equal(quote("x".repeat(1_000)), `"${"x".repeat(80)}…"`);
});
