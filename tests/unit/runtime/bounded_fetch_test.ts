import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type FetchRequest, fetchStatus } from "../../../src/runtime/bounded_fetch.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

function request(overrides: Partial<FetchRequest> & { fetch: typeof fetch }): FetchRequest {
  return {
    url: new URL("http://moog/"),
    method: "GET",
    timeoutMs: 5000,
    clock: new TestClock(),
    signal: new AbortController().signal,
    ...overrides,
  };
}

/** Never answers until its signal aborts. */
const hangs = ((_input: unknown, init?: RequestInit) =>
  new Promise((_resolve, reject) => {
    init!.signal!.addEventListener("abort", () => reject(init!.signal!.reason));
  })) as typeof fetch;

Deno.test("fetchStatus: says timeout when the time is over", async () => {
  const clock = new TestClock();
  const outcome = fetchStatus(request({ fetch: hangs, clock }));
  await clock.advance(5000);
  deepStrictEqual(await outcome, { kind: "timeout" });
});

Deno.test("fetchStatus: gives up when its signal aborts", async () => {
  const stop = new AbortController();
  const outcome = fetchStatus(request({ fetch: hangs, signal: stop.signal }));
  stop.abort();
  deepStrictEqual(await outcome, { kind: "unreachable" });
});

Deno.test("fetchStatus: says unreachable when fetch fails", async () => {
  const fetch = () => Promise.reject(new TypeError("refused"));
  deepStrictEqual(await fetchStatus(request({ fetch })), { kind: "unreachable" });
});

Deno.test("fetchStatus: stops reading and cancels when the body is larger than some KiB", async () => {
  let chunks = 0;
  let cancelled = false;
  const body = new ReadableStream({
    pull: (controller) => {
      chunks++;
      controller.enqueue(new Uint8Array(1024));
    },
    cancel: () => {
      cancelled = true;
    },
  }, { highWaterMark: 0 });
  deepStrictEqual(await fetchStatus(request({ fetch: () => Promise.resolve(new Response(body)) })), {
    kind: "answered",
    status: 200,
  });
  strictEqual(chunks, 4);
  strictEqual(cancelled, true);
});

Deno.test("fetchStatus: hands over as much of the body as was asked for, and none where it was not", async () => {
  const fetch = () => Promise.resolve(new Response("0123456789", { status: 201 }));
  deepStrictEqual(await fetchStatus(request({ fetch, bodyBytes: 4 })), { kind: "answered", status: 201, body: "0123" });
  deepStrictEqual(await fetchStatus(request({ fetch, bodyBytes: 99 })), {
    ...{ kind: "answered", status: 201 },
    body: "0123456789",
  });
  deepStrictEqual(await fetchStatus(request({ fetch })), { kind: "answered", status: 201 });
  const empty = () => Promise.resolve(new Response(null, { status: 204 }));
  deepStrictEqual(await fetchStatus(request({ fetch: empty, bodyBytes: 4 })), {
    kind: "answered",
    status: 204,
    body: "",
  });
});
