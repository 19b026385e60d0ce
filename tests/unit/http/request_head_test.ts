import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { findHeadEnd, parseHead } from "../../../src/http/request_head.ts";

/** Method, url and headers of a head, or its refusal. */
function read(text: string): unknown {
  const parsed = parseHead(text);
  if ("refusal" in parsed) return parsed.refusal;
  const { method, url, headers } = parsed.request;
  return [method, url, Object.fromEntries(headers)];
}

const good: [string, unknown][] = [
  ["GET /health HTTP/1.1\r\nHost: a:1\r\nAccept:  x \r\naccept: y", [
    "GET",
    "http://service/health",
    { host: "a:1", accept: "x, y" },
  ]],
  ["GET / HTTP/1.0", ["GET", "http://service/", {}]],
  ["GET //evil/health?x#y HTTP/1.1\r\nX:", ["GET", "http://service//evil/health?x#y", { x: "" }]],
  ["GET http://evil/health HTTP/1.1", ["GET", "http://evil/health", {}]],
  ["OPTIONS * HTTP/1.1", ["OPTIONS", "*", {}]],
  ["CONNECT evil:443 HTTP/1.1", ["CONNECT", "evil:443", {}]],
  ["TRACE / HTTP/1.1", ["TRACE", "http://service/", {}]],
  ["get / HTTP/1.1", ["get", "http://service/", {}]],
  ["GET / HTTP/1.1\r\nuser-agent: \u00e2\u0080\u009cx", ["GET", "http://service/", {
    "user-agent": "\u00e2\u0080\u009cx",
  }]],
  ["GET / HTTP/1.1\r\n__proto__: x", ["GET", "http://service/", Object.fromEntries([["__proto__", "x"]])]],
];

for (const [text, expected] of good) {
  Deno.test(`parseHead: reads ${JSON.stringify(text)}`, () => deepStrictEqual(read(text), expected));
}

const bad: [string, number][] = [
  ["", 400],
  ["GET /", 400],
  ["GET  / HTTP/1.1", 400],
  ["GET / HTTP/1.1 ", 400],
  ["GET / x HTTP/1.1", 400],
  ["GET /\u00e9 HTTP/1.1", 400],
  ["GET /\n HTTP/1.1", 400],
  ["G(T / HTTP/1.1", 400],
  ["\x16\x03\x01\x02", 400],
  ["GET / HTTP/1.1\r\nno colon", 400],
  ["GET / HTTP/1.1\r\nhost : x", 400],
  ["GET / HTTP/1.1\r\na: b\r\n folded", 400],
  ["GET / HTTP/1.1\r\na: b\nc: d", 400],
  ["GET / HTTP/1.1\r\na: \x00", 400],
  ["GET / HTTP/1.1\r\na(b: c", 400],
  ["GET / HTTP/1.1\r\n: c", 400],
  ["PRI * HTTP/2.0", 505],
  ["GET / HTTP/0.9", 505],
];

for (const [text, status] of bad) {
  Deno.test(`parseHead: refuses ${JSON.stringify(text)} with ${status}`, () => strictEqual(read(text), status));
}

Deno.test("findHeadEnd: finds the empty line wherever the bytes were cut", () => {
  const bytes = new TextEncoder().encode("a\r\nb\r\r\n\r\nbody\r\n\r\n");
  for (let from = 0; from <= 8; from++) strictEqual(findHeadEnd(bytes, from), 5, `from ${from}`);
  for (let length = 0; length < 9; length++) strictEqual(findHeadEnd(bytes.subarray(0, length), 0), -1);
});
