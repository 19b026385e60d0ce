/** Connections: how they come back, how the service tells of it, and that none is left behind. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { RedisConnections } from "../../src/redis/connection.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createEngine, DLQ, eventTexts, readLists, replayedText, waitUntilEmpty } from "../../testkit/engine.ts";
import { shareRedis, withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { startTcpProxy } from "../../testkit/tcp_proxy.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();

Deno.test("RedisConnections: leaves no connection behind when closed, be it idle or in mid-turn", async () => {
  await server().seedList(DLQ, eventTexts(200));
  const idle = createEngine(server());
  const busy = createEngine(server());
  await idle.connections.waitUntilReady(PATIENT_MS);
  const killed = Promise.withResolvers<void>();
  busy.beforeCommit((number) => {
    if (number === 3) busy.kill().then(killed.resolve, killed.reject);
  });
  await busy.start();
  await killed.promise;
  strictEqual((await server().clientConnections()).length, 3);
  await idle[Symbol.asyncDispose]();
  await waitUntil(async () => (await server().clientConnections()).length === 0, { what: "no connection is left" });
});

Deno.test("RedisConnections: names its connections when connected", async () => {
  await using engine = createEngine(server());
  await engine.connections.waitUntilReady(PATIENT_MS);
  const named = () => server().clientConnections().then((all) => all.map(({ name }) => name).sort());
  await waitUntil(async () => (await named()).every((name) => name !== ""), { what: "they have names" });
  const roles = ["committer", "mover:alerter", "reader"];
  deepStrictEqual(await named(), roles.map((role) => `mutt-remediation:${role}`));
});

Deno.test("RedisConnections: a source's own holds others up only once it was there, and takes its outage along when released", async () => {
  const lines: string[] = [];
  const told = (event: string) => void lines.push(event);
  const log = { debug: told, info: told, warning: told, error: told, child: () => log };
  const connections = new RedisConnections({
    ...{ url: null, host: "127.0.0.1", port: server().port, db: 0, username: "", password: null, passwordNext: null },
    ...{ tls: false, caCert: "" },
  }, { clock: SYSTEM_CLOCK, random: () => 1, onReconnect: () => lines.push("counted"), log });
  try {
    ok(await connections.waitUntilReady(PATIENT_MS));
    const own = connections.openNeeded("mover:new", "dlq");
    deepStrictEqual([connections.isReady(), connections.isReady(own)], [true, false]);
    ok(await connections.waitUntilReady(PATIENT_MS));
    strictEqual(connections.isReady(own), true);
    own.disconnect(true);
    await waitUntil(() => Promise.resolve(lines.includes("redis_lost")), { what: "its loss is told" });
    strictEqual(connections.isReady(), false);
    connections.release(own);
    strictEqual(connections.isReady(), true);
    deepStrictEqual(lines, ["redis_ready", "redis_lost", "counted", "redis_ready"]);
  } finally {
    await connections.close();
  }
});

Deno.test("replay: goes on over new connections when every one is killed", async () => {
  const texts = eventTexts(100);
  await server().seedList(DLQ, texts);
  await using engine = createEngine(server());
  engine.beforeCommit(async (number) => {
    if (number === 3) await server().client().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").catch(() => {});
  });
  await engine.start();
  await waitUntilEmpty(server(), DLQ);
  deepStrictEqual(await readLists(server()), { dlq: [], target: texts.map((text) => replayedText(text)), dead: [] });
  deepStrictEqual(await engine.moved(), { replayed: 100, dead: {} });
  await waitUntil(async () => (await engine.metrics.redisReconnects.get()).values[0]!.value >= 1, {
    what: "the reconnection is counted",
  });
  const events = engine.lines.map(({ event }) => event);
  const lost = events.filter((event) => event === "redis_lost").length;
  deepStrictEqual([lost >= 1, events.filter((event) => event === "redis_ready").length], [true, lost + 1]);
});

Deno.test("RedisConnections: connects anew what the client has ended for good", async () => {
  const address = {
    ...{ url: null, host: "127.0.0.1", port: server().port, db: 0, username: "", password: null, passwordNext: null },
    ...{ tls: false, caCert: "" },
  };
  const connections = new RedisConnections(address, {
    ...{ clock: SYSTEM_CLOCK, random: () => .5, log: SILENT, onReconnect: () => {} },
  });
  try {
    ok(await connections.waitUntilReady(PATIENT_MS));
    const { reader, committer } = connections;
    for (const redis of [reader, committer]) redis.disconnect();
    await waitUntil(() => Promise.resolve(reader.status === "end"), { what: "it has ended" });
    ok(await connections.waitUntilReady(PATIENT_MS));
    strictEqual(await reader.ping(), "PONG");
  } finally {
    await connections.close();
  }
});

Deno.test("RedisConnections: waits longer and longer, jittered and never over five seconds, when Redis stays away", async () => {
  for (const fraction of [0, .5, .999]) {
    const connections = new RedisConnections({
      ...{ url: null, host: "127.0.0.1", port: 1, db: 0, username: "", password: null, passwordNext: null },
      ...{ tls: false, caCert: "" },
    }, { clock: SYSTEM_CLOCK, random: () => fraction, log: SILENT, onReconnect: () => {} });
    const { retryStrategy } = connections.open("another", "key").options;
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8, 20, 1_000_000].map((n) => retryStrategy!(n));
    await connections.close();
    const longest = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000];
    deepStrictEqual(pauses, longest.map((most) => Math.round(most * (.5 + fraction / 2))));
  }
});

const SILENT = { debug() {}, info() {}, warning() {}, error() {}, child: () => SILENT };

Deno.test("replay: comes back by itself when nothing passes any more on connections that stay up", async () => {
  const proxy = startTcpProxy(server());
  try {
    const texts = eventTexts(60);
    await server().seedList(DLQ, texts);
    await using engine = createEngine(proxy, { commandTimeoutMs: 150 });
    engine.beforeCommit((number) => number === 3 ? proxy.stall() : undefined);
    await engine.start();
    await waitUntil(async () => ((await engine.errors()).TIMEOUT ?? 0) >= 2, { what: "time-outs are counted" });
    proxy.heal();
    await waitUntilEmpty(server(), DLQ);
    deepStrictEqual(await readLists(server()), { dlq: [], target: texts.map((text) => replayedText(text)), dead: [] });
    deepStrictEqual(await engine.moved(), { replayed: 60, dead: {} });
  } finally {
    await proxy.stop();
  }
});

withRedis("service: tells by /health that Redis is away and back when it is killed and comes back", async (redis) => {
  await using service = startService({ env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) } });
  const { health, metrics } = await service.ports();
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${health}/health`);
    return `${response.status} ${await response.text()}`;
  };
  await waitUntil(async () => await ask() === "200 OK", { what: "it is healthy" });
  await redis.kill("SIGKILL");
  const away = await waitUntil(async () => {
    const answer = await ask();
    return answer.startsWith("503") ? answer : null;
  }, { what: "it is not healthy" });
  ok(away.includes("Redis"), away);
  await redis.restart();
  await waitUntil(async () => await ask() === "200 OK", { what: "it is healthy again", timeoutMs: 10_000 });
  const page = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  ok(/^mutt_remediation_redis_reconnects_total [1-9]/m.test(page), "the reconnection is counted");
  strictEqual(service.events("redis_lost").length, 1);
  strictEqual(service.events("redis_ready").length, 2);
});
