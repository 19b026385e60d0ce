import assert from "node:assert/strict";
import { looksSecret, quote, redactCredentials } from "../../../src/config/redact.ts";

const TEXTS: readonly (readonly [text: string, shown: string])[] = [
  ["plain", "plain"],
  ["http://host/path", "http://host/path"],
  ["http://user:pw@host/path?key=1#x", "http://[redacted]@host/path?[redacted]"],
  ["redis://:a/b?c#d@host:6379", "redis://[redacted]@host:6379"],
  ["redis://:a@b@host", "redis://[redacted]@host"],
  ["redis://:two\nlines@host", "redis://[redacted]@host"],
  ["user:pw@host", "[redacted]@host"],
  ["a#b?c", "a#b?c"],
  ["https://user:pw", "https://[redacted]"],
  ["https://user:12pw/path", "https://[redacted]"],
  ["https://user:pw\\x", "https://[redacted]"],
  ["https://host:8080", "https://host:8080"],
  ["https://host:8080/a:b", "https://host:8080/a:b"],
  ["http://[::1]:80/x", "http://[::1]:80/x"],
  ["redis+sentinel://a:1,b:2,c/m", "redis+sentinel://a:1,b:2,c/m"],
  ["x -----BEGIN PRIVATE KEY-----\nMIGH\n", "x [redacted]"],
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

Deno.test("quote: shows nothing of what looks like a secret", () => {
  for (const text of ["Pl4nt3dS3cr3t", "x of Xk9$mQ2!vLp0", "prefix-0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.e30.x"]) {
    assert.equal(looksSecret(text), true);
    assert.equal(quote(text), '"[redacted]"');
  }
});

const HARMLESS = [
  "300seconds",
  "1000000000000000",
  "mutt:dlq:alerter-eu-west-1-2026",
  "redis-7f9c8d6b5-x2x4q",
  "tcp://10.0.0.1:6379",
];

for (const text of [...HARMLESS, "/var/run/a0fab719c9844d94/sources.json", "../a0fab719c9844d94", "[redacted]@host"]) {
  Deno.test(`quote: shows ${text}, by which a slip is seen`, () => {
    assert.equal(looksSecret(text), false);
    assert.equal(quote(text), JSON.stringify(text.replace(/.*@/, "[redacted]@")));
  });
}

Deno.test("quote: shows what turns the order of a line around as an escape", () => {
  assert.equal(quote("a\u202eb\u2066c\u{e0041}"), '"a\\u202eb\\u2066c\\udb40\\udc41"');
});
