/** What the service's ports are: two, where it was told, and nothing behind them changes data. */
import assert from "node:assert/strict";
import {
  coarseCountsKey,
  countsKey,
  historyKey,
  journalKey,
  noticesKey,
  replicasKey,
  waitingKey,
} from "../../src/redis/keys.ts";
import { HAS_PROC, listeningAt, otherOpenDoors } from "../../testkit/process_facts.ts";
import { exchange, statusOf } from "../../testkit/raw_client.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter";
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE", "get"];
const PAGES = { health: ["/health", "/livez", "/readyz", "/"], metrics: ["/metrics", "/health", "/"] };
/** What an interface for changing things might be called, here or in the original, and ways to walk out of a page. */
const NO_PAGES = [
  "/dlq",
  "/api/replay",
  "/config?set=1",
  "/health/",
  "/health/..;/x",
  "//health",
  "/%68ealth",
  "*",
];

const envFor = ({ port }: TestRedis) => ({
  REDIS_HOST: "127.0.0.1",
  REDIS_PORT: String(port),
  REMEDIATION_INTERVAL: "1",
});

/** Two ports that were free a moment ago. */
function twoFreePorts(): [number, number] {
  const listeners = [0, 0].map((port) => Deno.listen({ hostname: "127.0.0.1", port }));
  const ports = listeners.map(({ addr }) => addr.port);
  for (const listener of listeners) listener.close();
  return ports as [number, number];
}

Deno.test({
  name: "run: answers at the two configured ports of the configured address, and nowhere else",
  ignore: !HAS_PROC,
  fn: async (t) => {
    for (const address of ["127.0.0.1", "127.0.0.2"]) {
      await t.step(address, async () => {
        const [metrics, health] = twoFreePorts();
        await using service = startService({
          env: {
            REDIS_HOST: "127.0.0.1",
            REDIS_PORT: "1",
            REMEDIATION_BIND_ADDRESS: address,
            METRICS_PORT_REMEDIATION: String(metrics),
            HEALTH_PORT_REMEDIATION: String(health),
            // What could open a further one; the last moves the address of Deno.serve.
            ...{
              DYNAMIC_CONFIG_ENABLED: "true",
              MOOG_WEBHOOK_URL: "http://127.0.0.1:1/",
              DENO_SERVE_ADDRESS: "tcp:127.0.0.3:0",
            },
          },
        });
        assert.deepEqual(await service.ports(), { metrics, health });
        const [inner, ...others] = listeningAt(service.pid).filter((place) =>
          ![metrics, health].some((port) => place === `${address}:${port}`)
        );
        assert.deepEqual(others, []);
        // Deno.serve itself: on loopback wherever the ports are, and only for what came through them.
        assert.match(inner ?? "", /^127\.0\.0\.1:/);
        for (const path of [...PAGES.health, ...PAGES.metrics]) {
          const answer = await fetch(`http://${inner}${path}`);
          assert.deepEqual([answer.status, await answer.text()], [421, ""], path);
        }
        assert.deepEqual(otherOpenDoors(service.pid), []);
      });
    }
  },
});

Deno.test("run: refuses one port for both, and names it", async () => {
  const [port] = twoFreePorts();
  const env = { METRICS_PORT_REMEDIATION: String(port), HEALTH_PORT_REMEDIATION: String(port) };
  await using service = startService({ env });
  assert.notEqual((await service.exit).code, 0);
  assert.match(
    service.stderr.join("\n"),
    new RegExp(`HEALTH_PORT_REMEDIATION.*${port}|${port}.*HEALTH_PORT_REMEDIATION`),
  );
});

/** Keys that the service refreshes by itself. */
const REFRESHED = [historyKey(DLQ), countsKey(DLQ), coarseCountsKey(DLQ), noticesKey(), replicasKey()];

/** Every other key with its bytes. */
async function dump(redis: TestRedis): Promise<Record<string, string>> {
  const client = redis.client();
  const keys = (await client.keys("*")).filter((key) => !REFRESHED.includes(key)).sort();
  const values = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
  return Object.fromEntries(keys.map((key, at) => [key, values[at]!.toString("base64")]));
}

withRedis("ports: whatever is asked of them, by whatever method, Redis stays as it is", async (redis) => {
  await redis.seedList(DLQ, ["one", "two"]);
  await using service = startService({ env: { ...envFor(redis), REMEDIATION_ENABLED: "false" } });
  const ports = await service.ports();
  await waitUntil(async () => (await exchange(ports.health, "GET /readyz HTTP/1.1\r\n\r\n")).endsWith("OK"), {
    what: "it is ready",
  });
  const before = await waitUntil(async () => {
    const [one, two] = [await dump(redis), await dump(redis)];
    return waitingKey(DLQ) in one && journalKey("audit") in one && JSON.stringify(one) === JSON.stringify(two)
      ? one
      : undefined;
  }, { what: "nothing of its own changes" });
  assert.ok(DLQ in before);

  const body = "enabled=true&delete=1";
  for (const [name, port] of Object.entries(ports) as ["health" | "metrics", number][]) {
    for (const path of [...PAGES[name], ...NO_PAGES]) {
      for (const method of METHODS) {
        const head =
          `${method} ${path} HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: DELETE\r\nContent-Length: ${body.length}`;
        const answer = await exchange(port, `${head}\r\n\r\n${body}`);
        const isPage = PAGES[name].includes(path), isRead = method === "GET" || method === "HEAD";
        const what = `${name}: ${method} ${path}`;
        // Deno.serve refuses what only a proxy is asked by itself, and a path that is none but with OPTIONS.
        const isNoRequest = method === "CONNECT" || (path === "*" && method !== "OPTIONS");
        assert.equal(statusOf(answer), isNoRequest ? 400 : !isPage ? 404 : isRead ? 200 : 405, what);
        if (isPage && !isRead && !isNoRequest) assert.match(answer, /\r\nallow: GET, HEAD\r\n/, what);
        assert.ok(!answer.includes(body), `${what} echoes what was sent`);
      }
    }
  }
  assert.deepEqual(await dump(redis), before);
});

const HAS_IPV6 = (() => {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
})();

Deno.test({
  name: `run: at :: it answers over IPv6 and IPv4, and health asks it there${HAS_IPV6 ? "" : " (ignored: no IPv6)"}`,
  ignore: !HAS_IPV6,
  fn: async () => {
    const [metrics, health] = twoFreePorts();
    const env = {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: "1", REMEDIATION_BIND_ADDRESS: "::" },
      ...{ METRICS_PORT_REMEDIATION: String(metrics), HEALTH_PORT_REMEDIATION: String(health) },
    };
    await using service = startService({ env });
    await service.ports();
    for (const host of ["[::1]", "127.0.0.1"]) {
      assert.equal(await (await fetch(`http://${host}:${health}/livez`)).text(), "OK", host);
      assert.match(
        await (await fetch(`http://${host}:${metrics}/metrics`)).text(),
        /mutt_remediation_build_info/,
        host,
      );
    }
    await using asking = startService({ env, args: ["health"] });
    await asking.exit;
    // Redis is not there: what counts is that the service was found and answered.
    assert.doesNotMatch(asking.stderr.join("\n"), /Cannot ask/);
  },
});
