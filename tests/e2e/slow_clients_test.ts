/** Clients that hold connections without using them, against a service that may have 256 file descriptors. */
import assert from "node:assert/strict";
import { MOST_CONNECTIONS } from "../../src/http/server.ts";
import { HAS_PROC, openDescriptors, residentBytes } from "../../testkit/process_facts.ts";
import { connectAndSend, trickle } from "../../testkit/raw_client.ts";
import { startRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue";
const DESCRIPTORS = 256, FEW_DESCRIPTORS = 64;
/** By kind and port, so 600 in all: more than twice what the service may open. */
const CLIENTS = 100;
/** Far more than any answer takes here; a service that waits for a slow client takes for ever. */
const PROMPT_MS = 5_000;
const MAX_GROWTH_BYTES = 100_000_000;

const SLOW = {
  "half a head": "GET /health HTTP/1.1\r\nX: ",
  "half a body": "POST /health HTTP/1.1\r\nContent-Length: 1000\r\n\r\nx",
  "an answer that is not taken": "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
};

async function ask(port: number, path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(PROMPT_MS) });
  const text = await response.text();
  assert.equal(response.status, 200, `${path}: ${text}`);
  return text;
}

/** Opens connections that are never used well. Those that the service has cut stay in the list. */
async function besiege(ports: readonly number[]): Promise<Deno.TcpConn[]> {
  const clients: Deno.TcpConn[] = [];
  for (let n = 0; n < CLIENTS; n++) {
    for (const port of ports) {
      for (const text of Object.values(SLOW)) clients.push(await connectAndSend(port, text));
    }
  }
  return clients;
}

async function seriesSum(service: Service, name: string): Promise<number> {
  const text = await ask((await service.ports()).metrics, "/metrics");
  return text.split("\n").filter((line) => line.startsWith(name)).reduce(
    (sum, line) => sum + Number(line.split(" ")[1]),
    0,
  );
}

Deno.test({
  name: `run: goes on while ${6 * CLIENTS} slow clients hold its ports, with ${DESCRIPTORS} file descriptors`,
  ignore: !HAS_PROC,
  fn: async () => {
    const redis = await startRedis();
    try {
      await using service = startService({
        env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_INTERVAL: "1" },
        fileDescriptors: DESCRIPTORS,
      });
      const { health, metrics } = await service.ports();
      const client = redis.client();
      const moves = async (message: string) => {
        const before = await client.llen(TARGET);
        await redis.seedList(DLQ, [message]);
        await waitUntil(async () => await client.llen(TARGET) > before, {
          what: "it moves",
          timeoutMs: 15_000,
        });
      };
      await moves('{"timestamp":"t","hostname":"h","message":"before"}');
      await ask(metrics, "/metrics");
      const [descriptors, bytes] = [openDescriptors(service.pid), residentBytes(service.pid)];

      const clients = await besiege([health, metrics]);
      try {
        for (let n = 0; n < 10; n++) {
          for (const slow of clients) if (Math.random() < 0.1) await trickle(slow, "x");
          await ask(health, "/livez");
          await ask(metrics, "/metrics");
        }
        // A descriptor is left for Redis, too.
        const reconnects = await seriesSum(service, "mutt_remediation_redis_reconnects_total");
        await client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await waitUntil(
          async () => await seriesSum(service, "mutt_remediation_redis_reconnects_total") > reconnects,
          { what: "the Redis connections are made again", timeoutMs: 15_000 },
        );
        await moves('{"timestamp":"t","hostname":"h","message":"meanwhile"}');
        assert.equal(await ask(health, "/health"), "OK");
        assert.ok(openDescriptors(service.pid) < DESCRIPTORS, "it holds all that it may");
        const grown = residentBytes(service.pid) - bytes;
        assert.ok(grown < MAX_GROWTH_BYTES, `it grew by ${grown} bytes`);
        assert.ok(
          await seriesSum(service, 'mutt_remediation_http_cut_total{port="health"') >= CLIENTS - MOST_CONNECTIONS,
        );
      } finally {
        for (const slow of clients) slow.close();
      }

      await waitUntil(() => openDescriptors(service.pid) <= descriptors + 2, {
        what: "everything is freed",
        timeoutMs: 15_000,
      });
      assert.deepEqual(service.events("http_accept_failed"), []);
      service.signal("SIGTERM");
      assert.deepEqual(await service.exit, { code: 0, signal: null });
    } finally {
      await redis.stop();
    }
  },
});

Deno.test({
  name: "run: leaves itself file descriptors, and answers, with 64 of them and clients that want them all",
  ignore: !HAS_PROC,
  fn: async () => {
    const redis = await startRedis();
    try {
      await using service = startService({
        env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) },
        fileDescriptors: FEW_DESCRIPTORS,
      });
      const { health, metrics } = await service.ports();
      await waitUntil(() => ask(health, "/readyz").catch(() => ""), { what: "it is ready" });
      const clients = await besiege([health, metrics]);
      try {
        for (let n = 0; n < 10; n++) {
          for (const slow of clients) if (Math.random() < 0.1) await trickle(slow, "x");
          // With so few connections at once the crowd may take one from a client that means it.
          await waitUntil(() => ask(health, "/livez").catch(() => ""), { what: "it answers", timeoutMs: 20_000 });
          assert.ok(openDescriptors(service.pid) < FEW_DESCRIPTORS, "it holds all that it may");
        }
      } finally {
        for (const slow of clients) slow.close();
      }
      await waitUntil(() => ask(health, "/health").catch(() => ""), { what: "it is healthy", timeoutMs: 15_000 });
      assert.deepEqual(service.events("http_accept_failed"), []);
      service.signal("SIGTERM");
      assert.deepEqual(await service.exit, { code: 0, signal: null });
    } finally {
      await redis.stop();
    }
  },
});

Deno.test("run: stops on SIGTERM while clients hold its ports", async () => {
  const redis = await startRedis();
  try {
    await using service = startService({ env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) } });
    const { health, metrics } = await service.ports();
    await waitUntil(() => ask(health, "/readyz").catch(() => ""), { what: "it is ready" });
    const clients: Deno.TcpConn[] = [];
    for (const port of [health, metrics]) {
      for (const text of ["", ...Object.values(SLOW)]) clients.push(await connectAndSend(port, text));
    }
    const startMs = performance.now();
    service.signal("SIGTERM");
    assert.deepEqual(await service.exit, { code: 0, signal: null });
    // Less than a connection may take: nobody's end was waited for.
    assert.ok(performance.now() - startMs < 9_000, `${performance.now() - startMs} ms`);
    assert.deepEqual(service.events("stop_late"), []);
    for (const slow of clients) slow.close();
  } finally {
    await redis.stop();
  }
});
