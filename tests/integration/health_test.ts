import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { createHealthHandler } from "../../src/api/health.ts";
import type { HealthState } from "../../src/operations/status.ts";
import { textReply, toResponse } from "../../src/api/pages.ts";
import { ListenError } from "../../src/http/server.ts";
import { NO_OBJECTIVES, startPort } from "../../testkit/listeners.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { inTime, waitUntil } from "../../testkit/wait.ts";

const GOOD: HealthState = {
  live: { ok: true, reason: "" },
  ready: { ok: true, reason: "" },
  details: { redis: "connected" },
};
const NO_REDIS: HealthState = {
  live: { ok: true, reason: "" },
  ready: { ok: false, reason: "redis_unreachable" },
  details: { redis: "disconnected", status: "mine" },
};
const STUCK: HealthState = { ...NO_REDIS, live: { ok: false, reason: "loop_stuck" } };

/** Runs a health server, asks it, and stops it. */
async function withServer(
  health: () => HealthState,
  use: (ask: (path: string, init?: RequestInit) => Promise<Response>, lines: { event: string }[]) => Promise<void>,
): Promise<void> {
  const { log, lines } = recordLog();
  const handler = createHealthHandler({ health, slo: () => NO_OBJECTIVES, version: "1.2.3", podName: "pod-1" });
  const server = startPort({ handler, log });
  try {
    await use((path, init) => fetch(`http://127.0.0.1:${server.port}${path}`, init), lines);
  } finally {
    await server.stop();
  }
}

const cases: [string, HealthState, string, number, string][] = [
  ["good", GOOD, "/health", 200, "OK"],
  ["good", GOOD, "/livez", 200, "OK"],
  ["good", GOOD, "/readyz", 200, "OK"],
  ["good", GOOD, "/health?verbose=1", 200, "OK"],
  ["without Redis", NO_REDIS, "/health", 503, "redis_unreachable"],
  ["without Redis", NO_REDIS, "/livez", 200, "OK"],
  ["without Redis", NO_REDIS, "/readyz", 503, "redis_unreachable"],
  ["stuck", STUCK, "/health", 503, "loop_stuck, redis_unreachable"],
  ["stuck", STUCK, "/livez", 503, "loop_stuck"],
];

for (const [name, state, path, status, body] of cases) {
  Deno.test(`health server: answers ${path} with ${status} "${body}" when the service is ${name}`, async () => {
    await withServer(() => state, async (ask) => {
      const response = await ask(path);
      deepStrictEqual([response.status, await response.text()], [status, body]);
      strictEqual(response.headers.get("content-type"), "text/plain; charset=utf-8");
    });
  });
}

Deno.test("health server: answers JSON when Accept names it", async () => {
  const headers = { accept: "application/json" };
  await withServer(() => GOOD, async (ask) => {
    const response = await ask("/health", { headers });
    deepStrictEqual([response.status, await response.json()], [200, {
      status: "healthy",
      service: "mutt-remediation",
      version: "1.2.3",
      pod: "pod-1",
      checks: { live: "ok", ready: "ok" },
      redis: "connected",
    }]);
  });
  await withServer(() => NO_REDIS, async (ask) => {
    const response = await ask("/health", { headers });
    deepStrictEqual([response.status, await response.json()], [503, {
      status: "unhealthy",
      service: "mutt-remediation",
      version: "1.2.3",
      pod: "pod-1",
      checks: { live: "ok", ready: "redis_unreachable" },
      errors: ["redis_unreachable"],
      redis: "disconnected",
    }]);
  });
});

Deno.test("health server: takes HEAD, refuses other methods and paths, when asked over HTTP", async () => {
  await withServer(() => GOOD, async (ask) => {
    const head = await ask("/health", { method: "HEAD" });
    deepStrictEqual([head.status, head.headers.get("content-length"), await head.text()], [200, "2", ""]);
    const post = await ask("/health", { method: "POST", body: "x" });
    deepStrictEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
    await post.text();
    const none = await ask("/none");
    strictEqual(none.status, 404);
    ok(/\/health .*\n\/livez .*\n\/readyz /.test(await none.text()));
    ok((await (await ask("/")).text()).startsWith("/health  "));
  });
});

Deno.test("health server: answers 500 without internals and logs them when the state cannot be told", async () => {
  const broken = () => {
    throw new Error("internals inside");
  };
  await withServer(broken, async (ask, lines) => {
    const response = await ask("/health");
    deepStrictEqual([response.status, await response.text()], [500, "Internal error; see the log\n"]);
    deepStrictEqual(lines.map(({ event }) => event), ["http_error"]);
  });
});

const ANY_PORT = { bindAddress: "127.0.0.1", port: 0, portVariable: "SOME_PORT", handler: () => new Response() };

Deno.test("HttpServer.open: names variable, address and port when the port is in use", async () => {
  const { server, port, stop } = startPort(ANY_PORT);
  try {
    throws(() => server.open({ ...ANY_PORT, port, portVariable: "HEALTH_PORT_REMEDIATION" }), (error) => {
      ok(error instanceof ListenError);
      const expected = new RegExp(`"127.0.0.1" port ${port} .*HEALTH_PORT_REMEDIATION.*in use`);
      ok(expected.test(error.message), error.message);
      return true;
    });
  } finally {
    await stop();
  }
});

Deno.test("HttpServer.open: names the address when this machine does not have it", async () => {
  const { server, stop } = startPort(ANY_PORT);
  throws(() => server.open({ ...ANY_PORT, bindAddress: "192.0.2.1" }), {
    name: "ListenError",
    message: /"192.0.2.1".*does not have that address/,
  });
  await stop();
});

/** A port whose only page answers when told. */
function startSlow(graceMs: number) {
  let release = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  let asked = 0;
  const listener = startPort({
    graceMs,
    async handler({ url }) {
      if (URL.parse(url)?.pathname !== "/slow") return toResponse(textReply("none", 404));
      asked++;
      await released;
      return toResponse(textReply("done"));
    },
  });
  return { listener, release, asked: () => asked };
}

Deno.test("HttpServer.stop: lets a request in progress end when it ends in time", async () => {
  const { listener, release, asked } = startSlow(5000);
  const response = fetch(`http://127.0.0.1:${listener.port}/slow`);
  await waitUntil(() => asked() === 1, { what: "the request is in progress" });
  const stopped = listener.stop();
  setTimeout(release, 200);
  strictEqual(await (await response).text(), "done");
  await stopped;
  await listener.stop();
});

Deno.test("HttpServer.stop: cuts a request in progress when the grace is over", async () => {
  const { listener, release, asked } = startSlow(50);
  const cut = rejects(fetch(`http://127.0.0.1:${listener.port}/slow`));
  await waitUntil(() => asked() === 1, { what: "the request is in progress" });
  await inTime(listener.stop(), { what: "it stops", timeoutMs: 2_000 });
  await cut;
  await rejects(Deno.connect({ hostname: "127.0.0.1", port: listener.port }));
  release();
});

Deno.test("HttpServer.stop: is not held up when clients keep connections open or send half a request", async () => {
  const { listener } = startSlow(50);
  const texts = [
    "",
    "GET /slow HT",
    "GET /none HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab",
  ];
  const connections = await Promise.all(texts.map(() => Deno.connect({ hostname: "127.0.0.1", port: listener.port })));
  await Promise.all(connections.map((connection, at) => connection.write(new TextEncoder().encode(texts[at]!))));
  await connections[2]!.read(new Uint8Array(4096));
  await inTime(listener.stop(), { what: "it stops", timeoutMs: 2_000 });
  for (const connection of connections) connection.close();
});

Deno.test("HttpServer: survives when requests are malformed", async () => {
  const { listener, release } = startSlow(50);
  const hostile = [
    "GET http://[bad/slow HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET //slow HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /none HTTP/1.1\r\nHost: \r\n\r\n",
    "GET /none HTTP/1.0\r\n\r\n",
    "\x00\x01\x02\r\n\r\n",
    `GET /${"x".repeat(60_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  ];
  for (const text of hostile) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: listener.port });
    await connection.write(new TextEncoder().encode(text));
    await connection.read(new Uint8Array(4096)).catch(() => null);
    connection.close();
  }
  release();
  strictEqual(await (await fetch(`http://127.0.0.1:${listener.port}/slow`)).text(), "done");
  await listener.stop();
});
