import assert from "node:assert/strict";
import { type TestRedis, withRedis } from "../../support/redis.ts";
import { startTcpProxy, type TcpProxy } from "../../support/tcp_proxy.ts";
import { waitUntil } from "../../support/wait.ts";
import { Redis } from "ioredis";

/** A test with a client, without any resending, that reaches Redis through the proxy. */
function withProxy(name: string, body: (parts: { redis: TestRedis; proxy: TcpProxy; client: Redis }) => Promise<void>) {
  withRedis(name, async (redis) => {
    const proxy = startTcpProxy(redis);
    const client = new Redis(proxy.port, "127.0.0.1", {
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    });
    client.on("error", () => {});
    try {
      await client.ping();
      await body({ redis, proxy, client });
    } finally {
      if (client.status !== "end") client.disconnect();
      await proxy.stop();
    }
  });
}

withProxy("startTcpProxy: passes what is large in both directions", async ({ client }) => {
  const value = "x".repeat(5_000_000);
  await client.set("key", value);
  assert.equal(await client.get("key"), value);
});

withProxy("cut before_request: the server never sees it", async ({ redis, proxy, client }) => {
  const cut = proxy.cut("before_request", "incr");
  await assert.rejects(client.incr("n"));
  await cut;
  assert.equal(await redis.client().get("n"), null);
  await waitUntil(() => proxy.connections === 0, { what: "the connection is closed" });
});

withProxy("cut before_reply: the server has done it, the client does not know", async ({ redis, proxy, client }) => {
  const cut = proxy.cut("before_reply", "incr");
  await assert.rejects(client.incr("n"));
  await cut;
  assert.equal(await redis.client().get("n"), "1");
});

withProxy("stall: the connection stays up, nothing passes until heal", async ({ redis, proxy, client }) => {
  const direct = redis.client();
  proxy.stall();
  let answered = false;
  const answer = client.incr("n").finally(() => answered = true);
  for (let turn = 0; turn < 50; turn++) assert.equal(await direct.get("n"), null);
  assert.deepEqual({ answered, connections: proxy.connections }, { answered: false, connections: 1 });
  proxy.heal();
  assert.equal(await answer, 1);
});

withProxy("delay and drip: slow down", async ({ proxy, client }) => {
  await client.set("key", "x".repeat(200));
  proxy.delay(30);
  proxy.drip(10);
  const startedAtMs = performance.now();
  assert.equal((await client.get("key"))?.length, 200);
  assert.ok(performance.now() - startedAtMs >= 60 + 20);
});
