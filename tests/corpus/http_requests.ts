/** Hostile HTTP requests that are kept, one character a byte. Each asks in vain but those that are `answered`. */
import type { Corpus } from "../../testkit/corpus.ts";

/** The request's bytes. */
interface Request {
  readonly raw: () => string;
}

const CLOSE = "Host: x\r\nConnection: close\r\n";
const HUNDRED_MB = 100_000_000;

/** A request of this first line, with these headers and what is behind them. */
function ask(line: string, headers = "", body = ""): Request {
  return { raw: () => `${line}\r\n${CLOSE}${headers}\r\n${body}` };
}

/**
 * `answered`: one 200. `refused`: an answer of 4xx, 501 or 505, or none, and the connection closed. `either`: both are right, and
 * neither may hurt.
 */
export type HttpOutcome = "answered" | "refused" | "either";

/** The requests. */
export const HTTP_REQUESTS: Corpus<HttpOutcome, Request> = [
  { name: "as it should be", why: "or the others prove nothing", wanted: "answered", ...ask("GET /health HTTP/1.1") },
  { name: "nothing", why: "a port scan", wanted: "refused", raw: () => "" },
  { name: "empty lines", why: "some clients send one", wanted: "refused", raw: () => "\r\n".repeat(1_000) },
  { name: "binary", why: "another protocol", wanted: "refused", raw: () => "\x00\x01\xff\xfe".repeat(1_000) },
  {
    name: "TLS",
    why: "https:// on this port",
    wanted: "refused",
    raw: () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  },
  { name: "Redis", why: "the wrong port", wanted: "refused", raw: () => "*1\r\n$4\r\nPING\r\n" },
  { name: "HTTP/0.9", why: "no version", wanted: "refused", raw: () => "GET /health\r\n" },
  { name: "HTTP/1.0", why: "old probes; no Host", wanted: "answered", raw: () => "GET /health HTTP/1.0\r\n\r\n" },
  {
    name: "HTTP/2 unasked",
    why: "its preface, then nonsense",
    wanted: "refused",
    raw: () => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\xff".repeat(1_000)}`,
  },
  { name: "HTTP/3.0", why: "no such version here", wanted: "refused", ...ask("GET /health HTTP/3.0") },
  {
    name: "HTTP/1.1 without Host",
    why: "not allowed, and harmless",
    wanted: "either",
    raw: () => "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
  },
  {
    name: "two hosts",
    why: "not allowed, and harmless",
    wanted: "either",
    ...ask("GET /health HTTP/1.1", "Host: y\r\n"),
  },
  {
    name: "a host that is none",
    why: "it is no part of any answer",
    wanted: "either",
    raw: () => 'GET /health HTTP/1.1\r\nHost: a b"<>[\r\nConnection: close\r\n\r\n',
  },
  {
    name: "line feeds alone",
    why: "tolerated by many",
    wanted: "either",
    raw: () => "GET /health HTTP/1.1\nHost: x\nConnection: close\n\n",
  },
  {
    name: "carriage returns alone",
    why: "a line for some",
    wanted: "refused",
    raw: () => "GET /health HTTP/1.1\rHost: x\r\r",
  },
  { name: "OPTIONS *", why: "no path at all", wanted: "refused", ...ask("OPTIONS * HTTP/1.1") },
  { name: "GET *", why: "no path at all", wanted: "refused", ...ask("GET * HTTP/1.1") },
  { name: "CONNECT", why: "a proxy is looked for", wanted: "refused", ...ask("CONNECT example.org:443 HTTP/1.1") },
  { name: "TRACE", why: "would echo", wanted: "refused", ...ask("TRACE /health HTTP/1.1", "Cookie: hidden\r\n") },
  {
    name: "another server's URL",
    why: "a proxy is looked for",
    wanted: "either",
    ...ask("GET http://example.org/health HTTP/1.1"),
  },
  { name: "a URL that is none", why: "must not throw", wanted: "refused", ...ask("GET http://%zz%00:99999/ HTTP/1.1") },
  { name: "a host in the path", why: "no other host", wanted: "refused", ...ask("GET //example.org/health HTTP/1.1") },
  { name: "a bracket in the path", why: "an IPv6 address that is none", wanted: "refused", ...ask("GET //[ HTTP/1.1") },
  {
    name: "dots in the path",
    why: "no file is served",
    wanted: "refused",
    ...ask("GET /../../../../etc/passwd HTTP/1.1"),
  },
  {
    name: "escaped dots in the path",
    why: "no file is served",
    wanted: "refused",
    ...ask("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"),
  },
  { name: "__proto__", why: "no page of that name", wanted: "refused", ...ask("GET /__proto__ HTTP/1.1") },
  { name: "constructor", why: "no page of that name", wanted: "refused", ...ask("GET /constructor HTTP/1.1") },
  {
    name: "CR LF escaped in the path",
    why: "would be a header of ours",
    wanted: "refused",
    ...ask("GET /x%0d%0aSet-Cookie:%20a=b HTTP/1.1"),
  },
  {
    name: "CR LF in the path",
    why: "a header of its own",
    wanted: "refused",
    ...ask("GET /x\r\nSet-Cookie: a=b HTTP/1.1"),
  },
  { name: "NUL in the path", why: "C would cut there", wanted: "refused", ...ask("GET /health\x00/x HTTP/1.1") },
  { name: "NUL escaped in the path", why: "C would cut there", wanted: "refused", ...ask("GET /health%00 HTTP/1.1") },
  { name: "no UTF-8 in the path", why: "must not throw", wanted: "refused", ...ask("GET /\xff\xfe HTTP/1.1") },
  {
    name: "a lone surrogate escaped in the path",
    why: "must not throw",
    wanted: "refused",
    ...ask("GET /%ed%a0%80 HTTP/1.1"),
  },
  { name: "two blanks", why: "whose path?", wanted: "refused", ...ask("GET  /health HTTP/1.1") },
  { name: "a method that is none", why: "no token", wanted: "refused", ...ask("G\x80T /health HTTP/1.1") },
  { name: "a method in small letters", why: "another method", wanted: "refused", ...ask("get /health HTTP/1.1") },
  {
    name: "a method of 100 KB",
    why: "where does the line end?",
    wanted: "refused",
    ...ask(`${"A".repeat(100_000)} /health HTTP/1.1`),
  },
  { name: "a path of 1 MB", why: "bounded", wanted: "refused", ...ask(`GET /${"a".repeat(1_000_000)} HTTP/1.1`) },
  {
    name: "a header of 1 MB",
    why: "bounded",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", `A: ${"a".repeat(1_000_000)}\r\n`),
  },
  {
    name: "10,000 headers",
    why: "bounded",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "A: b\r\n".repeat(10_000)),
  },
  {
    name: "a header without end",
    why: "100 MB that never are a request",
    wanted: "refused",
    raw: () => `GET /health HTTP/1.1\r\nA: ${"a".repeat(HUNDRED_MB)}`,
  },
  {
    name: "a header without a colon",
    why: "no header",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "nonsense\r\n"),
  },
  {
    name: "a header with a blank before its colon",
    why: "read two ways",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "Content-Length : 5\r\n", "12345"),
  },
  {
    name: "a header that goes on",
    why: "obsolete, read two ways",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "A: b\r\n c\r\n"),
  },
  { name: "NUL in a header", why: "no header", wanted: "refused", ...ask("GET /health HTTP/1.1", "A: \x00\r\n") },
  {
    name: "Accept in Latin-1",
    why: "must not throw",
    wanted: "answered",
    ...ask("GET /health HTTP/1.1", "Accept: \xff\xfe application/json\r\n"),
  },
  {
    name: "Accept of many types",
    why: "the pattern that reads it stays quick",
    wanted: "either",
    ...ask("GET /health HTTP/1.1", `Accept: ${"application/json ; ".repeat(1_500)}\r\n`),
  },
  {
    name: "length and chunks",
    why: "smuggling: two readers, two ends",
    wanted: "refused",
    ...ask(
      "POST /health HTTP/1.1",
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
      `0\r\n\r\nGET /health HTTP/1.1\r\n${CLOSE}\r\n`,
    ),
  },
  {
    name: "length and chunks, GET",
    why: "smuggling: two readers, two ends",
    wanted: "refused",
    raw: () =>
      `GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n${CLOSE}\r\n`,
  },
  {
    name: "two lengths",
    why: "smuggling: two readers, two ends",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "Content-Length: 5\r\nContent-Length: 6\r\n", "123456"),
  },
  {
    name: "two equal lengths",
    why: "allowed",
    wanted: "either",
    ...ask("GET /health HTTP/1.1", "Content-Length: 5\r\nContent-Length: 5\r\n", "12345"),
  },
  {
    name: "a length below 0",
    why: "no number",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "Content-Length: -1\r\n"),
  },
  {
    name: "a length with a sign",
    why: "read two ways",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "Content-Length: +5\r\n", "12345"),
  },
  {
    name: "a length beyond 2^64",
    why: "wraps to 0 for some",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "Content-Length: 18446744073709551616\r\n"),
  },
  {
    name: "chunks that are not last",
    why: "smuggling: where does it end?",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
  },
  {
    name: "chunks by another name",
    why: "smuggling: where does it end?",
    wanted: "refused",
    ...ask("GET /health HTTP/1.1", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
  },
  {
    name: "chunks in HTTP/1.0",
    why: "smuggling: no such thing there",
    wanted: "either",
    raw: () => "GET /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  },
  {
    name: "a chunk of no size",
    why: "no number",
    wanted: "either",
    ...ask("GET /health HTTP/1.1", "Transfer-Encoding: chunked\r\n", "ZZ\r\n"),
  },
  {
    name: "a chunk beyond 2^64",
    why: "wraps to 0 for some",
    wanted: "either",
    ...ask("GET /health HTTP/1.1", "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nx"),
  },
  {
    name: "a chunk with 1 MB of extensions",
    why: "bounded",
    wanted: "either",
    ...ask("GET /health HTTP/1.1", "Transfer-Encoding: chunked\r\n", `1;${"x".repeat(1_000_000)}\r\nx\r\n0\r\n\r\n`),
  },
  {
    name: "GET with 100 MB",
    why: "nobody reads them",
    wanted: "either",
    raw: () => `GET /health HTTP/1.1\r\n${CLOSE}Content-Length: ${HUNDRED_MB}\r\n\r\n${"x".repeat(HUNDRED_MB)}`,
  },
  {
    name: "POST with 100 MB",
    why: "nobody reads them",
    wanted: "refused",
    raw: () => `POST /health HTTP/1.1\r\n${CLOSE}Content-Length: ${HUNDRED_MB}\r\n\r\n${"x".repeat(HUNDRED_MB)}`,
  },
  {
    name: "POST with 100 MB in chunks",
    why: "nobody reads them",
    wanted: "refused",
    raw: () =>
      `POST /health HTTP/1.1\r\n${CLOSE}Transfer-Encoding: chunked\r\n\r\n${
        `100000\r\n${"x".repeat(0x100000)}\r\n`.repeat(95)
      }0\r\n\r\n`,
  },
  {
    name: "a body that does not come",
    why: "ends when the client ends",
    wanted: "either",
    ...ask("GET /health HTTP/1.1", "Content-Length: 5\r\n", "1"),
  },
  {
    name: "leave to go on",
    why: "curl asks it of large bodies",
    wanted: "refused",
    ...ask("POST /health HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 3\r\n", "abc"),
  },
  {
    name: "another protocol",
    why: "there is none",
    wanted: "either",
    raw: () =>
      "GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Key: x\r\n\r\n",
  },
];
