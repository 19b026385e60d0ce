/** What one port of ours bounds, with real sockets: each test keeps the listener's limits, or shortens its time. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { MAX_HEAD_BYTES } from "../../src/http/connection.ts";
import { type Listener, MAX_CONNECTIONS, startListener } from "../../src/http/listener.ts";
import { textReply } from "../../src/http/reply.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { connectAndSend, exchange, readToEnd, statusOf } from "../../testkit/raw_client.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { waitUntil } from "../../testkit/wait.ts";

/** More than the system takes off a writer's hands for a reader that does not read. */
const HUGE = "x".repeat(40_000_000);

const pages = {
  "/page": { summary: "", answer: () => textReply("page") },
  "/huge": { summary: "", answer: () => textReply(HUGE) },
};

async function withListener(
  connectionMs: number,
  use: (listener: Listener, cut: string[]) => Promise<void>,
): Promise<void> {
  const cut: string[] = [];
  const listener = startListener({
    ...{ bindAddress: "127.0.0.1", port: 0, portVariable: "SOME_PORT", pages, clock: SYSTEM_CLOCK, connectionMs },
    log: recordLog().log,
    onCut: (reason) => cut.push(reason),
  });
  try {
    await use(listener, cut);
  } finally {
    await listener.stop();
  }
}

const NO_TIME_LIMIT = 600_000;
const GET = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n";

/** A head of exactly so many bytes, the empty line at its end included. */
function headOf(bytes: number): string {
  const start = "GET /page HTTP/1.1\r\nX: ", end = "\r\n\r\n";
  return start + "x".repeat(bytes - start.length - end.length) + end;
}

const requests: [string, string, number][] = [
  ["a plain one", GET, 200],
  ["HTTP/1.0", "GET /page HTTP/1.0\r\n\r\n", 200],
  ["the longest head", headOf(MAX_HEAD_BYTES), 200],
  ["a head of a byte more", headOf(MAX_HEAD_BYTES + 1), 431],
  ["a long path", `GET /${"x".repeat(MAX_HEAD_BYTES)} HTTP/1.1\r\n\r\n`, 431],
  ["a thousand headers", `GET /page HTTP/1.1\r\n${"a: b\r\n".repeat(1_000)}\r\n`, 200],
  ["a megabyte of headers", `GET /page HTTP/1.1\r\n${"a: b\r\n".repeat(200_000)}\r\n`, 431],
  ["a body that is never sent", "GET /page HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n", 200],
  [
    "a body beside a chunked one",
    "GET /page HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
    400,
  ],
  ["two at once", GET + GET, 200],
  ["HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400],
  ["a header without a colon", "GET /page HTTP/1.1\r\nx\r\n\r\n", 400],
];

for (const [what, text, status] of requests) {
  Deno.test(`listener: answers ${status} and closes when asked by ${what}`, async () => {
    await withListener(NO_TIME_LIMIT, async ({ port }) => {
      const answer = await exchange(port, text);
      strictEqual(statusOf(answer), status, answer.slice(0, 200));
      strictEqual(answer.split("HTTP/1.1 ").length, 2, "more than one answer");
      match(answer, /\r\nconnection: close\r\n/);
      match(answer, /\r\ndate: \w{3}, .* GMT\r\n/);
    });
  });
}

Deno.test("listener: delivers its answer whole to a client that goes on sending", async () => {
  await withListener(NO_TIME_LIMIT, async ({ port }) => {
    const answer = await exchange(port, `POST /none HTTP/1.1\r\n\r\n${"x".repeat(500_000)}`);
    match(answer, /^HTTP\/1\.1 404 .*Not found\. Here is:\n/s);
    const length = Number(/\r\ncontent-length: (\d+)\r\n/.exec(answer)?.[1]);
    strictEqual(answer.split("\r\n\r\n")[1]!.length, length);
  });
});

const slow: [string, string][] = [
  ["sends nothing", ""],
  ["stops in the first line", "GET /pa"],
  ["stops before the empty line", GET.slice(0, -2)],
  ["does not read its answer", "GET /huge HTTP/1.1\r\n\r\n"],
];

for (const [what, text] of slow) {
  Deno.test(`listener: cuts a client off after its time when it ${what}, and counts it`, async () => {
    await withListener(300, async ({ port }, cut) => {
      using client = await connectAndSend(port, text);
      await waitUntil(() => cut.length > 0, { what: "it is cut" });
      deepStrictEqual(cut, ["slow"]);
      ok((await readToEnd(client)).length < HUGE.length);
    });
  });
}

Deno.test("listener: a byte now and then buys a client no time", async () => {
  await withListener(500, async ({ port }, cut) => {
    using client = await connectAndSend(port, "GET /page HTTP/1.1\r\nX: ");
    const sending = setInterval(() => client.write(new TextEncoder().encode("x")).catch(() => {}), 50);
    await waitUntil(() => cut.length > 0, { what: "it is cut", timeoutMs: 10_000 }).finally(() =>
      clearInterval(sending)
    );
    deepStrictEqual(cut, ["slow"]);
  });
});

Deno.test("listener: lets a client go that was answered and does not close, and counts none", async () => {
  await withListener(NO_TIME_LIMIT, async ({ port }, cut) => {
    using client = await connectAndSend(port, GET);
    match(await readToEnd(client), /page$/);
    await waitUntil(async () => {
      const isTaken = await client.write(new TextEncoder().encode("x")).catch(() => 0);
      return isTaken === 0;
    }, { what: "the connection is gone" });
    deepStrictEqual(cut, []);
  });
});

Deno.test("listener: holds so many connections and cuts the oldest for one more", async () => {
  await withListener(NO_TIME_LIMIT, async ({ port }, cut) => {
    const clients: Deno.TcpConn[] = [];
    for (let n = 0; n < MAX_CONNECTIONS; n++) clients.push(await connectAndSend(port, GET.slice(0, -2)));
    try {
      strictEqual(statusOf(await exchange(port, GET)), 200);
      deepStrictEqual(cut, ["crowded"]);
      strictEqual(await readToEnd(clients[0]!), "");
      await clients[1]!.write(new TextEncoder().encode("\r\n"));
      match(await readToEnd(clients[1]!), /page$/);
    } finally {
      for (const client of clients) client.close();
    }
  });
});
