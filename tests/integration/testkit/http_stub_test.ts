import assert from "node:assert/strict";
import { type HttpStub, startHttpStub } from "../../../testkit/http_stub.ts";
import { waitUntil } from "../../../testkit/wait.ts";

function withStub(name: string, body: (stub: HttpStub) => Promise<void>) {
  Deno.test(name, async () => {
    const stub = await startHttpStub();
    try {
      await body(stub);
    } finally {
      await stub.stop();
    }
  });
}

/** Asks and reads the whole answer. */
async function ask(stub: HttpStub, init: RequestInit = {}): Promise<string> {
  const response = await fetch(`${stub.url}/path?q=1`, {
    redirect: "manual",
    ...init,
  });
  return `${response.status} ${await response.text()}`;
}

withStub("startHttpStub: writes down what it was asked", async (stub) => {
  stub.answer({ status: 201, body: "done ü" });
  assert.equal(await ask(stub, { method: "POST", headers: { "X-One": "1" }, body: "payload ü" }), "201 done ü");
  const [request] = stub.requests;
  assert.equal(request?.method, "POST");
  assert.equal(request?.target, "/path?q=1");
  assert.equal(request?.headers["x-one"], "1");
  assert.equal(request?.body, "payload ü");
});

withStub("answer: gives the answers in turn and the last one for ever", async (stub) => {
  stub.answer({ status: 503 }, { status: 302, headers: { location: "/there" } }, { status: 200, delayMs: 20 });
  assert.deepEqual([await ask(stub), await ask(stub), await ask(stub), await ask(stub)], [
    "503 ",
    "302 ",
    "200 ",
    "200 ",
  ]);
});

for (const fault of ["hang", "hang_in_headers", "hang_in_body", "endless"] as const) {
  withStub(`answer ${fault}: is never over, and ends when the client gives up`, async (stub) => {
    stub.answer({ fault });
    const giveUp = new AbortController();
    const givenUp = assert.rejects(ask(stub, { signal: giveUp.signal }), { name: "AbortError" });
    await waitUntil(() => stub.requests.length === 1, { what: "the request has arrived" });
    await new Promise((resolve) => setTimeout(resolve, 300)); // for an answer that should not come
    giveUp.abort();
    await givenUp;
    assert.equal(stub.requests.length, 1);
    await waitUntil(() => stub.connections === 0, { what: "the connection is closed" });
  });
}

withStub("answer gigabyte: sends just that, with the status that is asked for", async (stub) => {
  stub.answer({ fault: "gigabyte", status: 503 });
  const response = await fetch(stub.url);
  let bytes = 0;
  for await (const part of response.body!) bytes += part.length;
  assert.deepEqual([response.status, bytes, stub.endlessBytes], [503, 2 ** 30, 2 ** 30]);
});

for (const fault of ["reset", "close", "garbage"] as const) {
  withStub(`answer ${fault}: the client gets an error`, async (stub) => {
    stub.answer({ fault });
    await assert.rejects(ask(stub, { method: "POST", body: "payload" }), TypeError);
    assert.ok(stub.requests.length >= 1);
  });
}

withStub("answer reset: is a reset of the connection, not an end", async (stub) => {
  stub.answer({ fault: "reset" });
  using connection = await Deno.connect({ port: stub.port });
  await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: stub\r\n\r\n"));
  await assert.rejects(connection.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
});

Deno.test("stop: ends a hanging exchange", async () => {
  const stub = await startHttpStub();
  stub.answer({ fault: "hang" });
  const asked = ask(stub);
  await waitUntil(() => stub.requests.length === 1, { what: "the request has arrived" });
  await Promise.all([assert.rejects(asked, TypeError), stub.stop()]);
});
