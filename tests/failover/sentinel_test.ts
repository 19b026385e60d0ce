/** Redis behind Sentinels: how the master is found, and what a failover in the middle of a drain does. */
import assert from "node:assert/strict";
import { Secret } from "../../src/runtime/secret.ts";
import { createEngine, DLQ, type Engine, eventTexts, idOf, TARGET } from "../../testkit/engine.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { MASTER, SentinelTrio } from "../../testkit/sentinel.ts";
import { startService } from "../../testkit/service.ts";
import type { TestRedis } from "../../testkit/redis.ts";
import { needs } from "../../testkit/redis_version.ts";
import { waitUntil } from "../../testkit/wait.ts";

const COUNT = 3_000;
/** Detection, election and the client's own back-off. */
const FAILOVER_MS = 30_000;

/** Ids in the target and in the DLQ, oldest first. */
async function idsOn(trio: SentinelTrio, server: TestRedis): Promise<{ target: string[]; dlq: string[] }> {
  const read = async (key: string) => (await trio.client(server).lrange(key, 0, "-1")).reverse().map(idOf);
  return { target: await read(TARGET), dlq: await read(DLQ) };
}

async function seed(trio: SentinelTrio): Promise<void> {
  await trio.client(await trio.master()).lpush(DLQ, ...eventTexts(COUNT));
}

/** Every message is there once, in order, on the server that is the master now. */
async function checkDrained(trio: SentinelTrio, engine: Engine): Promise<void> {
  const master = await trio.master();
  const isEmpty = async () => await trio.client(master).llen(DLQ) === 0;
  await waitUntil(isEmpty, { what: "the new master's DLQ is empty", timeoutMs: FAILOVER_MS });
  const { target } = await idsOn(trio, master);
  assert.deepEqual(target, eventTexts(COUNT).map(idOf));
  const { replayed } = await engine.moved();
  // What the old master had taken and not passed on was moved, and is moved again: counted twice, there once.
  assert.ok(replayed >= COUNT, `${replayed} were counted`);
}

/** How long every commit waits, so that there is a middle. */
const pause = { ms: 2 };

/** An engine that goes by the Sentinels. */
function drain(trio: SentinelTrio, login = ""): Engine {
  const url = `redis+sentinel://${login}${trio.addresses().join(",")}/${MASTER}`;
  const engine = createEngine({ port: 1 }, { settings: { redisUrl: new Secret(url) } });
  engine.beforeCommit(() => new Promise((resolve) => setTimeout(resolve, pause.ms)));
  return engine;
}

const FAILOVERS: readonly [name: string, begin: (trio: SentinelTrio, master: TestRedis) => Promise<unknown>][] = [
  ["the master dies", (_, master) => master.kill("SIGKILL")],
  ["the master hangs", (_, master) => master.kill("SIGSTOP")],
  ["an operator asks for it", (trio) => trio.client(trio.sentinels[0]!).call("SENTINEL", "FAILOVER", MASTER)],
];

for (const [name, begin] of FAILOVERS) {
  Deno.test(`sentinel: a drain goes on at the new master, and each message is there once, when ${name}`, async () => {
    await using trio = await SentinelTrio.start();
    await seed(trio);
    await using engine = drain(trio);
    await engine.start();
    await waitUntil(async () => (await engine.moved()).replayed > 100, { what: "the drain is under way" });
    const before = await trio.master();
    // The old master may take commits until it is left, however long that takes.
    pause.ms = 200;
    await begin(trio, before);
    await waitUntil(async () => await trio.master() !== before, {
      what: "there is a new master",
      timeoutMs: FAILOVER_MS,
    }).finally(() => pause.ms = 2);
    assert.notEqual((await engine.moved()).replayed, COUNT, "it was in the middle");
    await checkDrained(trio, engine);
    if (name === "the master hangs") await before.kill("SIGCONT");
  });
}

Deno.test("sentinel: Redis and the Sentinels have passwords of their own, by variables, and neither is told the other's", async () => {
  await using trio = await SentinelTrio.start({
    password: PLANTED.redisPassword,
    sentinelPassword: PLANTED.sentinelPassword,
  });
  await trio.client(await trio.master()).lpush(DLQ, ...eventTexts(50));
  await using service = startService({
    env: {
      ...{ REDIS_SENTINELS: trio.addresses().join(", "), REDIS_SENTINEL_MASTER: MASTER },
      ...{ REDIS_PASSWORD: PLANTED.redisPassword, REDIS_SENTINEL_PASSWORD: PLANTED.sentinelPassword },
      ...{ REMEDIATION_BATCH_SIZE: "0", REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
      ...{ REMEDIATION_TARGET_MAX_DEPTH: "0", REMEDIATION_MAX_PER_SECOND: "0" },
    },
  });
  await service.ports();
  const master = await trio.master();
  await waitUntil(async () => (await idsOn(trio, master)).target.length === 50, {
    what: "all are replayed",
    timeoutMs: 15_000,
  });
});

Deno.test("sentinel: the log says what fails when no Sentinel answers, and the service waits and can be stopped", async () => {
  await using service = startService({ env: { REDIS_URL: "redis+sentinel://127.0.0.1:1,127.0.0.1:2/queues" } });
  const { health } = await service.ports();
  await waitUntil(() => Promise.resolve(service.events("redis_unreachable").length > 0), { what: "it is told" });
  const ready = await fetch(`http://127.0.0.1:${health}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /Redis cannot be used \(CONNECTION\)/);
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
});

Deno.test(
  needs("6.2", "sentinel: a password that the Sentinels refuse is told, and the service goes on once they take it"),
  async () => {
    await using trio = await SentinelTrio.start({ password: "of-redis", sentinelPassword: "another" });
    await trio.client(await trio.master()).lpush(DLQ, ...eventTexts(10));
    await using service = startService({
      env: {
        ...{ REDIS_SENTINELS: trio.addresses().join(","), REDIS_SENTINEL_MASTER: MASTER },
        ...{ REDIS_PASS_CURRENT: "of-redis", REDIS_PASS_NEXT: "next-of-redis", REDIS_SENTINEL_PASSWORD: "of-sentinel" },
        ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
      },
    });
    await service.waitForLine(/All sentinels are unreachable.*WRONGPASS/);
    const { health } = await service.ports();
    assert.match(await (await fetch(`http://127.0.0.1:${health}/readyz`)).text(), /Redis cannot be used \(WRONGPASS\)/);
    for (const sentinel of trio.sentinels) {
      await trio.client(sentinel).call("ACL", "SETUSER", "default", "resetpass", ">of-sentinel");
    }
    const master = await trio.master();
    await waitUntil(async () => (await idsOn(trio, master)).target.length === 10, {
      what: "all are replayed",
      timeoutMs: 20_000,
    });
    // The Sentinels' refusal says nothing about the password of Redis.
    assert.deepEqual(service.events("redis_password_refused"), []);
  },
);

Deno.test(
  needs("6.2", "sentinel: a user of the Sentinels needs no more than two of their commands (docs/redis.md)"),
  async () => {
    await using trio = await SentinelTrio.start();
    await trio.client(await trio.master()).lpush(DLQ, ...eventTexts(10));
    const rights = ["+sentinel|get-master-addr-by-name", "+sentinel|sentinels"];
    for (const sentinel of trio.sentinels) {
      await trio.client(sentinel).call("ACL", "SETUSER", "finder", "reset", "on", ">of-finder", ...rights);
    }
    await using _service = startService({
      env: {
        ...{ REDIS_SENTINELS: trio.addresses().join(","), REDIS_SENTINEL_MASTER: MASTER },
        ...{ REDIS_SENTINEL_USERNAME: "finder", REDIS_SENTINEL_PASSWORD: "of-finder" },
        ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
      },
    });
    const master = await trio.master();
    await waitUntil(async () => (await idsOn(trio, master)).target.length === 10, {
      what: "all are replayed",
      timeoutMs: 20_000,
    });
  },
);
