import assert from "node:assert/strict";
import { type TestRedis, withRedis } from "../../../testkit/redis.ts";
import { startTcpProxy, type TcpProxy } from "../../../testkit/tcp_proxy.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { Redis } from "ioredis";

/** A test with a client, without any resending, that reaches Redis through the proxy. */
function withProxy(name: string, body: (parts: { redis: TestRedis; proxy: TcpProxy; client: Redis }) => Promise<void>) {
  withRedis(name, async (redis) => {
    const proxy = startTcpProxy(redis);
    const client = new Redis(proxy.port, "127.0.0.1", {
      maxRetriesPerRequest: 0,
      disconnectTimeout: 20,
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

withProxy(
  "cut: counts the requests, and knows one whose text comes in two pieces",
  async ({ redis, proxy, client }) => {
    const cut = proxy.cut("before_request", { texts: ["rare-word"], occurrence: 2 });
    using raw = await Deno.connect({ port: proxy.port });
    for (const piece of ["SET n 1 \r\nGET rare-w", "ord\r\n"]) {
      await raw.write(new TextEncoder().encode(piece));
      await raw.read(new Uint8Array(64));
    }
    await assert.rejects(client.set("rare-word", "2"));
    await cut;
    assert.deepEqual(await redis.client().keys("*"), ["n"]);
  },
);

withProxy(
  "swallow: the server gets the request at heal, though its client has gone",
  async ({ redis, proxy, client }) => {
    const swallowed = proxy.swallow({ texts: ["incr"] });
    const answer = client.incr("n");
    answer.catch(() => {});
    await swallowed;
    client.disconnect();
    await assert.rejects(answer);
    const direct = redis.client();
    assert.equal(await direct.get("n"), null);
    proxy.heal();
    await waitUntil(async () => await direct.get("n") === "1", { what: "the server has it" });
  },
);

withProxy("at and stall replies: the server does it, the answer waits", async ({ redis, proxy, client }) => {
  const hit = proxy.at({ texts: ["incr"] }, () => proxy.stall("replies"));
  let answered = false;
  const answer = client.incr("n").finally(() => answered = true);
  await hit;
  await waitUntil(async () => await redis.client().get("n") === "1", { what: "the server has it" });
  assert.equal(answered, false);
  proxy.heal();
  assert.equal(await answer, 1);
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
