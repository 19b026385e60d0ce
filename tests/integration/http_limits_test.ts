/** What the ports bound, with real sockets: each test keeps the server's limits, or shortens its time. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { textReply, toResponse } from "../../src/api/pages.ts";
import type { Handler } from "../../src/http/door.ts";
import type { HttpServerOptions } from "../../src/http/server.ts";
import { startPort, type TestPort } from "../../testkit/listeners.ts";
import { connectAndSend, exchange, readToEnd, statusOf, trickle } from "../../testkit/raw_client.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { waitUntil } from "../../testkit/wait.ts";

/** More than the system takes off a writer's hands for a reader that does not read. */
const HUGE = "x".repeat(40_000_000);
const MOST_CONNECTIONS = 8, MOST_STAYING = 2;

const handler: Handler = async (request, visit) => {
  const path = new URL(request.url).pathname;
  if (path === "/page") return toResponse(textReply("page"));
  if (path === "/huge") return toResponse(textReply(HUGE));
  if (path === "/who") return toResponse(textReply(String(visit.remoteAddr.port)));
  if (path === "/length") return toResponse(textReply(String((await request.text()).length)));
  if (path === "/stream") return visit.stay() ? streamUntil(visit.signal) : toResponse(textReply("too many", 503));
  return toResponse(textReply("none", 404));
};

/** A body that has one line at once, and ends when the signal does. */
function streamUntil(signal: AbortSignal): Response {
  return new Response(
    new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode("first\n"));
        signal.addEventListener("abort", () => controller.error(new Error("gone")));
      },
    }),
  );
}

/** Runs a port, and collects why its clients were cut. */
async function withPort(
  options: Partial<HttpServerOptions>,
  use: (port: TestPort, cut: string[]) => Promise<void>,
): Promise<void> {
  const cut: string[] = [];
  const { log, lines } = recordLog();
  const port = startPort({
    ...{ handler, log, mostConnections: MOST_CONNECTIONS, mostStaying: MOST_STAYING, ...options },
    onCut: (reason) => cut.push(reason),
  });
  try {
    await use(port, cut);
  } finally {
    await port.stop();
  }
  deepStrictEqual(lines, []);
}

const NO_TIME_LIMIT = { connectionMs: 600_000 };
const GET = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n";

/** A head of exactly so many bytes, the empty line at its end included. */
function headOf(bytes: number): string {
  const start = "GET /page HTTP/1.1\r\nX: ", end = "\r\n\r\n";
  return start + "x".repeat(bytes - start.length - end.length) + end;
}

/** With the statuses that are right: the runtimes differ in how they refuse. */
const requests: [string, string, number[]][] = [
  ["a plain one", GET, [200]],
  ["HTTP/1.0", "GET /page HTTP/1.0\r\n\r\n", [200]],
  ["a client that closes its half", "half", [200]],
  ["a head of 16 KiB", headOf(16_384), [200]],
  ["a head of a megabyte", headOf(1_000_000), [400, 431]],
  ["a long path", `GET /${"x".repeat(100_000)} HTTP/1.1\r\n\r\n`, [400, 414]],
  ["a hundred headers", `GET /page HTTP/1.1\r\n${"a: b\r\n".repeat(99)}\r\n`, [200]],
  ["a megabyte of headers", `GET /page HTTP/1.1\r\n${"a: b\r\n".repeat(200_000)}\r\n`, [400, 431]],
  ["a body that is never sent", "GET /page HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n", [200]],
  ["two lengths", "GET /page HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", [400]],
  ["two at once", GET + GET, [200]],
  ["HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", [400]],
  ["a header without a colon", "GET /page HTTP/1.1\r\nx\r\n\r\n", [400]],
  ["a proxy's method", "CONNECT /page HTTP/1.1\r\n\r\n", [400]],
];

for (const [what, text, statuses] of requests) {
  Deno.test(`HttpServer: answers ${statuses.join(" or ")} and closes when asked by ${what}`, async () => {
    await withPort(NO_TIME_LIMIT, async ({ port }, cut) => {
      const answer = text === "half" ? await exchangeHalf(port) : await exchange(port, text);
      ok(statuses.includes(statusOf(answer)), answer.slice(0, 200));
      // A further request is told that it came the wrong way.
      deepStrictEqual([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].slice(1).filter(([, status]) => status !== "421"), []);
      if (statuses[0] === 200) match(answer, /\r\nconnection: close\r\n/);
      deepStrictEqual(cut, []);
    });
  });
}

async function exchangeHalf(port: number): Promise<string> {
  using client = await connectAndSend(port, GET);
  await client.closeWrite();
  return await readToEnd(client);
}

Deno.test("HttpServer: refuses HTTP/2 however its first bytes were cut", async () => {
  await withPort(NO_TIME_LIMIT, async ({ port }) => {
    using client = await connectAndSend(port, "P");
    for (const part of ["R", "I", " * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await trickle(client, part);
    }
    strictEqual(statusOf(await readToEnd(client)), 505);
  });
});

Deno.test("HttpServer: delivers its answer whole to a client that goes on sending", async () => {
  await withPort(NO_TIME_LIMIT, async ({ port }) => {
    const answer = await exchange(
      port,
      `POST /none HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n${"x".repeat(500_000)}`,
    );
    match(answer, /^HTTP\/1\.1 404 .*\r\n\r\nnone/s);
  });
});

Deno.test("HttpServer: hands a handler the whole body, also one that waits for leave to be sent", async () => {
  await withPort(NO_TIME_LIMIT, async ({ port }) => {
    const response = await fetch(`http://127.0.0.1:${port}/length`, { method: "POST", body: "x".repeat(300_000) });
    strictEqual(await response.text(), "300000");
    const head = "POST /length HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    using client = await connectAndSend(port, head);
    const leave = new Uint8Array(100);
    match(new TextDecoder().decode(leave.subarray(0, await client.read(leave) ?? 0)), /^HTTP\/1\.1 100 /);
    await trickle(client, "abc");
    match(await readToEnd(client), /HTTP\/1\.1 200 [^]*\r\n\r\n3$/);
  });
});

Deno.test("HttpServer: tells a handler who has connected, not who the door is", async () => {
  await withPort(NO_TIME_LIMIT, async ({ port }) => {
    using client = await connectAndSend(port, "GET /who HTTP/1.1\r\nHost: x\r\n\r\n");
    match(await readToEnd(client), new RegExp(`\r\n${client.localAddr.port}$`));
  });
});

Deno.test("HttpServer: answers 500 and keeps what a handler throws to the log", async () => {
  const { log, lines } = recordLog();
  const { port, stop } = startPort({
    handler: () => {
      throw new Error("inside");
    },
    log,
  });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  deepStrictEqual([response.status, await response.text()], [500, "Internal error; see the log\n"]);
  strictEqual(response.headers.get("x-content-type-options"), "nosniff");
  await stop();
  deepStrictEqual(lines.map(({ event }) => event), ["http_error"]);
});

Deno.test("HttpServer: lets a handler answer with headers that cannot be changed", async () => {
  const { port, stop } = startPort({ handler: () => Response.redirect("http://x/", 303) });
  const response = await fetch(`http://127.0.0.1:${port}/`, { redirect: "manual" });
  deepStrictEqual([response.status, response.headers.get("location")], [303, "http://x/"]);
  await response.body?.cancel();
  await stop();
});

const slow: [string, string][] = [
  ["sends nothing", ""],
  ["stops in the first line", "GET /pa"],
  ["stops before the empty line", GET.slice(0, -2)],
  ["stops in the body", "POST /length HTTP/1.1\r\nContent-Length: 10\r\n\r\nx"],
  ["does not read its answer", "GET /huge HTTP/1.1\r\n\r\n"],
];

for (const [what, text] of slow) {
  Deno.test(`HttpServer: cuts a client off after its time when it ${what}, and counts it`, async () => {
    await withPort({ connectionMs: 300 }, async ({ port }, cut) => {
      using client = await connectAndSend(port, text);
      await waitUntil(() => cut.length > 0, { what: "it is cut" });
      deepStrictEqual(cut, ["slow"]);
      ok((await readToEnd(client)).length < HUGE.length);
    });
  });
}

Deno.test("HttpServer: a byte now and then buys a client no time", async () => {
  await withPort({ connectionMs: 500 }, async ({ port }, cut) => {
    using client = await connectAndSend(port, "GET /page HTTP/1.1\r\nX: ");
    const sending = setInterval(() => client.write(new TextEncoder().encode("x")).catch(() => {}), 50);
    await waitUntil(() => cut.length > 0, { what: "it is cut", timeoutMs: 10_000 }).finally(() =>
      clearInterval(sending)
    );
    deepStrictEqual(cut, ["slow"]);
  });
});

Deno.test("HttpServer: lets a client go that was answered and does not close, and counts none", async () => {
  await withPort(NO_TIME_LIMIT, async ({ port }, cut) => {
    using client = await connectAndSend(port, GET);
    match(await readToEnd(client), /page$/);
    await waitUntil(async () => {
      const isTaken = await client.write(new TextEncoder().encode("x")).catch(() => 0);
      return isTaken === 0;
    }, { what: "the connection is gone" });
    deepStrictEqual(cut, []);
  });
});

Deno.test("HttpServer: holds so many connections at all ports together and cuts the oldest for one more", async () => {
  await withPort(NO_TIME_LIMIT, async ({ port, server }, cut) => {
    const cutElsewhere: string[] = [];
    const other = server.open({
      ...{ bindAddress: "127.0.0.1", port: 0, portVariable: "OTHER", handler },
      onCut: (reason) => cutElsewhere.push(reason),
    });
    const clients: Deno.TcpConn[] = [];
    for (let n = 0; n < MOST_CONNECTIONS; n++) {
      clients.push(await connectAndSend(n === 0 ? other : port, GET.slice(0, -2)));
    }
    try {
      strictEqual(statusOf(await exchange(port, GET)), 200);
      deepStrictEqual([cut, cutElsewhere], [[], ["crowded"]]);
      strictEqual(await readToEnd(clients[0]!), "");
      await trickle(clients[1]!, "\r\n");
      match(await readToEnd(clients[1]!), /page$/);
    } finally {
      for (const client of clients) client.close();
    }
  });
});

const STREAM = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

/** Asks for the stream, and waits for its first line. */
async function openStream(port: number): Promise<Deno.TcpConn> {
  const client = await connectAndSend(port, STREAM);
  let text = "";
  for (const buffer = new Uint8Array(4_096); !text.includes("first");) {
    const count = await client.read(buffer);
    ok(count !== null, text);
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return client;
}

Deno.test("HttpServer: a stream that a handler vouches for outlasts the time limit and the crowd, up to its own bound", async () => {
  await withPort({ connectionMs: 2_000 }, async ({ port }, cut) => {
    const streams = [await openStream(port), await openStream(port)];
    strictEqual(statusOf(await exchange(port, STREAM)), 503, "a third one may stay");
    const crowd: Deno.TcpConn[] = [];
    for (let n = 0; n < 3 * MOST_CONNECTIONS; n++) crowd.push(await connectAndSend(port, "GET"));
    await waitUntil(() => cut.length === crowd.length, { what: "the crowd is cut" });
    for (const client of crowd) client.close();
    const ends = streams.map((stream) => readToEnd(stream).then(() => "ended"));
    const pause = new Promise((resolve) => setTimeout(() => resolve("still there"), 2_500));
    strictEqual(await Promise.race([...ends, pause]), "still there");
    // Its place is free as soon as the client has gone.
    streams[0]!.close();
    const next = await waitUntil(() => openStream(port).catch(() => undefined), { what: "another one may stay" });
    next.close();
    streams[1]!.close();
    await Promise.all(ends);
  });
});

Deno.test("HttpServer: cuts a stream that carries nothing for too long", async () => {
  await withPort({ stallMs: 200 }, async ({ port }, cut) => {
    using stream = await openStream(port);
    await readToEnd(stream);
    deepStrictEqual(cut, ["slow"]);
  });
});

Deno.test("HttpServer.stop: does not wait for streams, nor for who went round the door", async () => {
  const { started: port, innerPort } = watchServe(() => startPort({ handler, graceMs: 60_000 }));
  using stream = await openStream(port.port);
  const around = await connectAndSend(innerPort, "GET /pa");
  await port.stop();
  await readToEnd(stream);
  around.close();
});

/** Runs `start`, and tells the port of the `Deno.serve` behind its door, which is known to nobody else. */
function watchServe<T>(start: () => T): { started: T; innerPort: number } {
  const { serve } = Deno;
  let inner: Deno.HttpServer<Deno.NetAddr> | undefined;
  Deno.serve =
    ((...args: Parameters<typeof serve>) => inner = serve(...args) as Deno.HttpServer<Deno.NetAddr>) as typeof serve;
  try {
    const started = start();
    return { started, innerPort: inner!.addr.port };
  } finally {
    Deno.serve = serve;
  }
}
