/** Connections on which nothing happens are kept alive, whatever they were last used for. */
import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { RedisConnections } from "../../src/redis/connection.ts";
import { TailGuard } from "../../src/redis/tail_guard.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { DLQ } from "../../testkit/engine.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { withRedis } from "../../testkit/redis.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

withRedis(
  "RedisConnections: asks something on each idle connection, in a transaction and subscribed too, and loses none",
  async (redis) => {
    const { log, lines } = recordLog();
    const { port } = redis;
    const connections = new RedisConnections(
      {
        ...{ url: null, host: "127.0.0.1", port, db: 0, username: "", password: null, passwordNext: null },
        tls: false,
        caCert: "",
      },
      { clock: SYSTEM_CLOCK, random: () => 0, log, onReconnect: () => {}, idleMs: 50 },
    );
    try {
      const mover = connections.openNeeded("mover", DLQ), subscriber = connections.open("subscriber", DLQ);
      const guard = new TailGuard(mover, { key: DLQ, other: connections.committer });
      await connections.waitUntilReady(PATIENT_MS);
      await waitUntil(() => subscriber.status === "ready", { what: "the subscriber is ready" });
      await subscriber.subscribe("channel");
      await guard.prove();
      const watched = guard.watch();
      await mover.llen(DLQ);
      guard.begin(watched);
      assert.equal(await watched!.isValid, true);
      const idsOf = async () => (await redis.clientConnections()).map(({ id, cmd }) => ({ id, cmd }));
      const before = await idsOf();
      assert.equal(before.length, 4);
      await waitUntil(async () => (await idsOf()).every(({ cmd }) => cmd === "time"), {
        what: "each was asked the time",
      });
      assert.deepEqual((await idsOf()).map(({ id }) => id), before.map(({ id }) => id), "all are the same");
      assert.equal(await guard.isValid(watched), false, "the transaction was left");
      assert.equal(await mover.llen(DLQ), 0, "what is sent is run at once");
      assert.deepEqual(lines.filter(({ event }) => event === "redis_lost"), []);
      assert.ok(mover instanceof Redis);
    } finally {
      await connections.close();
    }
  },
);
