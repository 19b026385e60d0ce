/** Both ports against requests that are nearly right, and the probe against answers that are nearly right. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { fetchStatus } from "../../src/runtime/bounded_fetch.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { HOSTILE_TEXT, mostly } from "../../testkit/hostile_json.ts";
import { withListeners } from "../../testkit/listeners.ts";
import { isLongForm, propertyRuns } from "../../testkit/payloads.ts";
import { sendRaw } from "../../testkit/raw_http.ts";

/** Each character a byte. */
const BYTES = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  HOSTILE_TEXT.map((text) => Buffer.from(text).toString("latin1")),
);
const END = mostly(fc.constant("\r\n"), fc.constantFrom("\n", "\r", "", "\r\n\r\n", "\0"), 60);
const PAGE = fc.constantFrom("/", "/health", "/health?x=1", "/metrics", "/livez", "/__proto__", "/x/../health", "//x");
const TARGET = mostly(
  PAGE,
  fc.oneof(fc.constantFrom("*", "http://x/health", "http://%zz/", "x:80", ""), BYTES.map((text) => `/${text}`)),
  12,
);
const METHOD = mostly(
  fc.constantFrom("GET", "GET", "GET", "HEAD", "POST", "OPTIONS"),
  fc.oneof(fc.constantFrom("CONNECT", "TRACE", "PRI", "get", ""), BYTES),
  12,
);
const VERSION = mostly(
  fc.constantFrom(" HTTP/1.1", " HTTP/1.1", " HTTP/1.0"),
  fc.constantFrom(" HTTP/2.0", " HTTP/1.1 ", "", " http/1.1", " HTTP/11"),
  20,
);
const LINE = fc.tuple(METHOD, mostly(fc.constant(" "), fc.constantFrom("  ", "\t", ""), 40), TARGET, VERSION)
  .map((parts) => parts.join(""));
const HEADER = mostly(
  fc.constantFrom(
    ...[
      "Host: x",
      "Connection: keep-alive",
      "Connection: close",
      "Upgrade: h2c",
      "Expect: 100-continue",
      "Content-Length: 0",
    ],
    ...["Accept: application/json", "Accept: application/json;q=0", "Range: bytes=0-0", "X: \xff\x80", "Cookie: a=b"],
  ),
  fc.oneof(
    fc.constantFrom(
      ...[
        "Host:",
        "Content-Length: 3",
        "Content-Length: -1",
        "Content-Length: 3, 3",
        "Content-Length: 9999999999",
        " x",
      ],
      ...["Transfer-Encoding: chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding : chunked"],
    ),
    fc.tuple(BYTES, fc.constantFrom(": ", ":", " : ", ""), BYTES).map((parts) => parts.join("")),
  ),
  8,
);
const BODY = mostly(
  fc.constant(""),
  fc.oneof(fc.constantFrom("abc", "3\r\nabc\r\n0\r\n\r\n", "0\r\n\r\n", "fffffffffffffffff\r\n"), BYTES),
  8,
);
const REQUEST = fc.tuple(LINE, END, fc.array(fc.tuple(HEADER, END), { maxLength: 6 }), END, BODY)
  .map(([line, end, headers, empty, body]) => line + end + headers.flat().join("") + empty + body);
/** Several over one connection, the last one mostly asking for its end. */
const PIPELINE = fc.tuple(
  fc.array(REQUEST, { minLength: 1, maxLength: 3 }),
  fc.constantFrom("", "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
)
  .map(([requests, last]) => Buffer.from(requests.join("") + last, "latin1"));

const AT_ONCE = 24;

Deno.test("listeners: answer 2xx or 4xx to any requests, or close, repeat nothing, and go on answering", () =>
  withListeners(async (listeners) => {
    const marker = "x-0f3a9";
    const seen = new Set<number>();
    const pipelines = PIPELINE.map((bytes) =>
      Buffer.concat([bytes, Buffer.from(`GET /${marker} HTTP/1.1\r\nX: ${marker}\r\n\r\n`)])
    );
    await fc.assert(
      fc.asyncProperty(fc.array(pipelines, { minLength: AT_ONCE, maxLength: AT_ONCE }), async (requests) => {
        for (const { port, isAlive } of listeners) {
          const answers = await Promise.all(requests.map((request) => sendRaw(port, request)));
          for (const [at, { statuses, text, isClosed }] of answers.entries()) {
            const about = JSON.stringify([requests[at]!.toString("latin1"), text]);
            assert.ok(isClosed, `held open: ${about}`);
            assert.ok(!text.includes(marker), `repeated: ${about}`);
            for (const status of statuses) {
              seen.add(status);
              assert.ok([100, 200, 501, 505].includes(status) || (status >= 400 && status < 500), about);
            }
          }
          assert.ok(await isAlive());
        }
      }),
      // A failure is small already: each of its requests is.
      { ...propertyRuns(1), numRuns: isLongForm() ? 200 : 8, endOnFailure: true },
    );
    for (const status of [200, 400, 404, 405]) assert.ok(seen.has(status), `too tame, or too wild: no ${status}`);
  }));

const ANSWER = fc.tuple(
  mostly(
    fc.constantFrom(
      "HTTP/1.1 200 OK",
      "HTTP/1.0 503",
      "HTTP/1.1 204 No Content",
      "HTTP/1.1 302 Found",
      "HTTP/1.1 999 x",
    ),
    fc.oneof(fc.constantFrom("HTTP/1.1 99 x", "HTTP/1.1 1000 x", "HTTP/9.9 200", "HTTP/1.1 101 x", ""), BYTES),
    6,
  ),
  END,
  fc.array(
    fc.tuple(
      mostly(HEADER, fc.constantFrom("Location: http://\0", "Content-Encoding: gzip", "Content-Encoding: br"), 8),
      END,
    ),
    { maxLength: 5 },
  ),
  END,
  BODY,
).map(([line, end, headers, empty, body]) =>
  Buffer.from(line + end + headers.flat().join("") + empty + body, "latin1")
);

Deno.test("exchange: takes any answer for an answer or for none, and never rejects", async () => {
  const seen = new Set<string>();
  let answer = Buffer.alloc(0);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      try {
        await connection.read(new Uint8Array(4_096));
        await connection.write(answer);
      } catch {
        // It has gone.
      }
      connection.close();
    }
  })();
  const url = new URL(`http://127.0.0.1:${listener.addr.port}/`);
  const { signal } = new AbortController();
  await fc.assert(
    fc.asyncProperty(ANSWER, async (bytes) => {
      answer = bytes;
      const outcome = await fetchStatus({ url, method: "GET", timeoutMs: 5_000, clock: SYSTEM_CLOCK, signal });
      seen.add(outcome.kind);
      if (outcome.kind === "answered") {
        assert.ok(outcome.status >= 100 && outcome.status <= 999, String(outcome.status));
      } else assert.equal(outcome.kind, "unreachable");
    }),
    propertyRuns(150),
  );
  listener.close();
  await serving;
  assert.deepEqual([...seen].toSorted(), ["answered", "unreachable"], "too tame, or too wild to tell anything");
});
