/** A Redis Cluster: lists with one hash tag, gates that read other slots, a failover and a resharding in the middle of a drain. */
import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import type { Cluster } from "ioredis";
import { openConnections } from "../../src/redis/cluster.ts";
import { EXIT } from "../../src/runtime/exit.ts";
import type { Settings } from "../../src/config/fields.ts";
import { TestCluster } from "../../testkit/cluster.ts";
import { BESIDE, createEngine, type Engine, type EngineOptions, eventTexts, idOf } from "../../testkit/engine.ts";
import { startHttpStub } from "../../testkit/http_stub.ts";
import { countsKey, recordsKey } from "../../src/redis/keys.ts";
import type { SloReport } from "../../src/slo/monitor.ts";
import { SLO_NAMES } from "../../src/slo/objectives.ts";
import { NO_COUNTS, parseSlot } from "../../src/slo/slots.ts";
import { startService } from "../../testkit/service.ts";
import { startRedis } from "../../testkit/redis.ts";
import { PATIENT_MS, waitUntil } from "../../testkit/wait.ts";

const LISTS = {
  alerterDlq: "{mutt}:dlq:alerter",
  moogDlq: "{mutt}:dlq:moog",
  ingestQueue: "{mutt}:ingest_queue",
  alertQueue: "{mutt}:alert_queue",
  deadList: "{mutt}:dlq:dead",
} satisfies Partial<Settings>;
const { alerterDlq: DLQ, ingestQueue: TARGET, moogDlq: MOOG_DLQ, alertQueue: ALERTS } = LISTS;
const NAMES = {
  ALERTER_DLQ_NAME: LISTS.alerterDlq,
  MOOG_DLQ_NAME: LISTS.moogDlq,
  INGEST_QUEUE_NAME: LISTS.ingestQueue,
  ALERT_QUEUE_NAME: LISTS.alertQueue,
  DEAD_LETTER_QUEUE: LISTS.deadList,
};
const COUNT = 3_000;
const FAILOVER_MS = 30_000;

function createClusterEngine(cluster: TestCluster, { settings, ...options }: EngineOptions = {}): Engine {
  const redisClusterNodes = cluster.addresses();
  return createEngine({ port: 1 }, { settings: { ...LISTS, redisClusterNodes, ...settings }, ...options });
}

/** Every message is there once, in order. */
async function checkDrained(cluster: TestCluster): Promise<void> {
  await waitUntil(async () => await (await cluster.at(DLQ)).llen(DLQ) === 0, {
    what: "the DLQ is empty",
    timeoutMs: FAILOVER_MS,
  });
  const target = await (await cluster.at(TARGET)).lrange(TARGET, 0, "-1");
  assert.deepEqual(target.reverse().map(idOf), eventTexts(COUNT).map(idOf));
}

/** Drains in small steps, so that there is a middle. Begins when that many replicas have the messages. */
async function startDrain(cluster: TestCluster, { replicas = 0 } = {}): Promise<Engine> {
  const owner = await cluster.at(DLQ);
  await owner.lpush(DLQ, ...eventTexts(COUNT));
  assert.ok(await owner.wait(replicas, FAILOVER_MS) >= replicas, "the replicas have the messages");
  const engine = createClusterEngine(cluster);
  engine.beforeCommit(() => new Promise((resolve) => setTimeout(resolve, 2)));
  await engine.start();
  await waitUntil(async () => (await engine.moved()).replayed > 100, { what: "the drain is under way" });
  return engine;
}

Deno.test("cluster: what has one hash tag is drained, guarded by WATCH, whichever nodes are named", async () => {
  await using cluster = await TestCluster.start();
  await (await cluster.at(DLQ)).lpush(DLQ, ...eventTexts(COUNT));
  const owner = await cluster.owner(DLQ);
  const [stranger] = cluster.nodes.filter((node) => node !== owner);
  await using engine = createClusterEngine(cluster, {
    settings: { redisClusterNodes: [`127.0.0.1:${stranger!.port}`] },
    commandTimeoutMs: PATIENT_MS,
  });
  await engine.start();
  await checkDrained(cluster);
  assert.deepEqual(await engine.moved(), { replayed: COUNT, dead: {} });
  assert.deepEqual(await engine.errors(), {});
  const stats = await cluster.client(owner).info("commandstats");
  assert.match(stats, /cmdstat_exec:/, "the commits ran in transactions");
});

for (const [what, signal] of [["dies", "SIGKILL"], ["hangs", "SIGSTOP"]] as const) {
  Deno.test(`cluster: a drain goes on at the replica, and each message is there once, when the owner of the lists ${what}`, async () => {
    await using cluster = await TestCluster.start({ replicated: DLQ });
    await using engine = await startDrain(cluster, { replicas: 1 });
    const before = await cluster.owner(DLQ);
    await before.kill(signal);
    assert.notEqual((await engine.moved()).replayed, COUNT, "it was in the middle");
    await waitUntil(async () => await cluster.owner(DLQ) !== before, {
      what: "the replica has taken over",
      timeoutMs: FAILOVER_MS,
    });
    await checkDrained(cluster);
    if (signal === "SIGSTOP") await before.kill("SIGCONT");
  });
}

Deno.test("cluster: a drain waits while its slot is moved to another node, and goes on there; nothing is lost or doubled", async () => {
  await using cluster = await TestCluster.start();
  await using engine = await startDrain(cluster);
  const from = await cluster.owner(DLQ);
  const to = cluster.nodes.find((node) => node !== from)!;
  await cluster.moveSlot(calculateSlot(DLQ), {
    ...{ from, to },
    between: () => new Promise((resolve) => setTimeout(resolve, 200)),
  });
  assert.notEqual((await engine.moved()).replayed, COUNT, "it was in the middle");
  await checkDrained(cluster);
  assert.deepEqual(await engine.moved(), { replayed: COUNT, dead: {} });
});

Deno.test("cluster: records beside the messages move with the slot of their list, and count on to the third failure", async () => {
  await using cluster = await TestCluster.start();
  await using engine = createClusterEngine(cluster, { entry: BESIDE, commandTimeoutMs: PATIENT_MS });
  const owner = () => cluster.at(DLQ), isPoison = (message: string) => message === "poison";
  await (await owner()).lpush(DLQ, "poison");
  for (let failures = 0; failures <= 3; failures++) {
    await (await owner()).lpush(DLQ, ...Array.from({ length: 30 }, (_, i) => `order ${failures}-${i} shipped`));
    // The first turn after the slot has moved may only find out that it has.
    await waitUntil(async () => {
      await engine.turn({ begin: "now" });
      return await (await owner()).llen(DLQ) === 0;
    }, { what: "the DLQ is empty" });
    const client = await owner(), taken = await client.lrange(TARGET, 0, "-1");
    await client.del(TARGET);
    assert.equal(taken.filter(isPoison).length, failures === 3 ? 0 : 1, `after ${failures} failures`);
    if (failures < 3) await client.lpush(DLQ, ...taken.filter(isPoison));
    if (failures === 1) {
      const from = await cluster.owner(DLQ), to = cluster.nodes.find((node) => node !== from)!;
      await cluster.moveSlot(calculateSlot(DLQ), { from, to, between: () => Promise.resolve() });
    }
  }
  assert.deepEqual(await engine.moved(), { replayed: 4 * 30 + 3, dead: { poison: 1 } });
  const records = recordsKey(DLQ);
  assert.equal(await cluster.owner(records), await cluster.owner(DLQ));
  assert.equal(await (await owner()).hlen(records), 4 * 30 + 1);
});

/** Replays that both sources' counts in Redis have. */
async function sharedReplays(cluster: TestCluster): Promise<number> {
  const slots = await Promise.all([DLQ, MOOG_DLQ].map(async (dlq) => {
    const key = countsKey(dlq);
    return parseSlot(await (await cluster.at(key)).lindex(key, 0) ?? "")?.counts ?? NO_COUNTS;
  }));
  return slots.reduce((sum, counts) => sum + counts[2 * SLO_NAMES.indexOf("redrive_success")]!, 0);
}

Deno.test("cluster: gates read what lies in other slots, and both of MUTT's sources are drained by the service", async () => {
  await using cluster = await TestCluster.start({ password: "of-cluster" });
  const moogsoft = await startHttpStub();
  await using _stub = { [Symbol.asyncDispose]: () => moogsoft.stop() };
  const set = async (key: string, value: string) => void await (await cluster.at(key)).set(key, value);
  const elsewhere = ["mutt:heartbeat:alerter:a", "mutt:heartbeat:moog:b", "mutt:circuit_breaker:moogsoft:state"];
  for (const key of elsewhere) await set(key, "CLOSED");
  const owners = await Promise.all(
    [DLQ, ...elsewhere, "mutt:config:remediation_batch_size"].map((key) => cluster.owner(key)),
  );
  assert.ok(new Set(owners).size > 1, "the keys are not all on one node");
  await (await cluster.at(DLQ)).lpush(DLQ, ...eventTexts(20));
  await (await cluster.at(MOOG_DLQ)).lpush(MOOG_DLQ, ...eventTexts(5));
  const env = {
    ...NAMES,
    REDIS_CLUSTER_NODES: cluster.addresses().join(","),
    REDIS_PASS_CURRENT: "of-the-past",
    REDIS_PASS_NEXT: "of-cluster",
    REMEDIATION_SOURCES: "alerter,moog",
    REMEDIATION_INTERVAL: "1",
    MOOG_WEBHOOK_URL: `${moogsoft.url}/events`,
    DYNAMIC_CONFIG_ENABLED: "true",
  };
  await using service = startService({ env });
  const { health } = await service.ports();
  const readGates = async () => {
    const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
    const { sources } = await response.json() as { sources: { gates: { name: string; reason: string }[] }[] };
    return sources.map(({ gates }) => Object.fromEntries(gates.map(({ name, reason }) => [name, reason])));
  };
  await waitUntil(async () => (await (await cluster.at(TARGET)).llen(TARGET)) === 20, {
    what: "the alerter's are replayed",
    timeoutMs: 8_000,
  });
  await waitUntil(async () => (await (await cluster.at(ALERTS)).llen(ALERTS)) === 5, {
    what: "the forwarder's are replayed",
    timeoutMs: 20_000,
  });
  const [alerter, moog] = await readGates();
  assert.deepEqual([alerter?.consumer, moog?.consumer, moog?.breaker], ["alive", "alive", "closed"]);
  await waitUntil(async () => {
    const { components } = await (await fetch(`http://127.0.0.1:${health}/api/v1/slo`)).json() as SloReport;
    const replays = ["alerter", "moog"].map((source) => components[`${source}.redrive_success`]!);
    return replays.every(({ stale_since }) => stale_since === null) && await sharedReplays(cluster) === 25 &&
      replays.reduce((sum, { events }) => sum + events, 0) === 25;
  }, { what: "the counts of both sources are in Redis, and are reported", timeoutMs: 20_000 });
  await set("mutt:config:remediation_enabled", "false");
  await cluster.client(cluster.nodes[0]!).publish("mutt:config:updates", "remediation_enabled");
  await waitUntil(async () => (await readGates()).every(({ enabled }) => enabled === "switched_off"), {
    what: "the dynamic configuration is heard",
  });
  assert.deepEqual(service.events("redis_error"), []);
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
  await using check = startService({ args: ["check"], env });
  assert.equal((await check.exit).code, 0, check.stdout.join("\n"));
});

Deno.test("cluster: a source goes on while the node of another one is dead, and that one when its node is there again", async () => {
  await using cluster = await TestCluster.start({ config: ["cluster-require-full-coverage no", "appendonly yes"] });
  const tags = ["a", "b", "c", "d", "e", "f"];
  const owners = await Promise.all(tags.map((tag) => cluster.owner(`{${tag}}`)));
  const other = owners.findIndex((owner) => owner !== owners[0]);
  const sources = [tags[0]!, tags[other]!];
  const folder = await Deno.makeTempDir();
  const path = `${folder}/sources.json`;
  const describe = (tag: string) => ({
    dlq: `{${tag}}:dlq`,
    target: `{${tag}}:queue`,
    dead: `{${tag}}:dead`,
  });
  const file = { sources: Object.fromEntries(sources.map((tag) => [tag, describe(tag)])) };
  await Deno.writeTextFile(path, JSON.stringify(file));
  const nodes = cluster.addresses().join(",");
  const countOf = async (tag: string) => await (await cluster.at(`{${tag}}`)).llen(`{${tag}}:queue`);
  const drained = (tag: string, count: number) =>
    waitUntil(async () => await countOf(tag).catch(() => 0) === count, {
      what: `${tag} is drained`,
      timeoutMs: FAILOVER_MS,
    });
  const push = async (tag: string) => void await (await cluster.at(`{${tag}}`)).lpush(`{${tag}}:dlq`, ...eventTexts(5));
  await using service = startService({
    env: {
      REDIS_CLUSTER_NODES: nodes,
      REMEDIATION_SOURCES: "none",
      REMEDIATION_SOURCES_PATH: path,
      REMEDIATION_INTERVAL: "1",
    },
  });
  await service.ports();
  for (const tag of sources) await push(tag);
  for (const tag of sources) await drained(tag, 5);
  const [alive, hit] = sources as [string, string];
  const dead = await cluster.owner(`{${hit}}`);
  await push(hit);
  await dead.kill("SIGKILL");
  await waitUntil(() => Promise.resolve(service.events("redis_lost").length > 0), { what: "the loss is told" });
  // For a moment the others may say that the cluster is down.
  await waitUntil(() => push(alive).then(() => true, () => false), { what: "the others work", timeoutMs: FAILOVER_MS });
  await drained(alive, 10);
  await dead.restart();
  await drained(hit, 10);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("cluster: logs in with the next password when every node has got it and has cut every connection", async () => {
  await using cluster = await TestCluster.start({ password: "the-old" });
  const push = async () => void await (await cluster.at(DLQ)).lpush(DLQ, ...eventTexts(5));
  const isDrained = (count: number) => async () => await (await cluster.at(TARGET)).llen(TARGET) === count;
  await push();
  await using service = startService({
    env: {
      ...NAMES,
      ...{
        REDIS_CLUSTER_NODES: cluster.addresses().join(","),
        REDIS_PASS_CURRENT: "the-old",
        REDIS_PASS_NEXT: "the-new",
      },
      ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false", REMEDIATION_INTERVAL: "1" },
    },
  });
  await waitUntil(isDrained(5), { what: "the old password does", timeoutMs: 15_000 });
  for (const node of cluster.nodes) {
    await cluster.client(node).config("SET", "requirepass", "the-new");
    await cluster.client(node).call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  }
  await push();
  await waitUntil(isDrained(10), { what: "the new password does", timeoutMs: 15_000 });
  assert.deepEqual(service.events("redis_password_refused").at(0)?.variable, "REDIS_PASS_NEXT");
});

const REFUSALS: readonly [name: string, env: (nodes: readonly string[]) => Record<string, string>, RegExp][] = [
  [
    "MUTT's own names, which lie in different slots, with what to do",
    (nodes) => ({ REDIS_CLUSTER_NODES: nodes.join(",") }),
    /source alerter lie in different slots .*mutt:dlq:alerter \(slot 12970\).*e\.g\. \{mutt\}:dlq:alerter, \{mutt\}:ingest_queue, \{mutt\}:dlq:dead/,
  ],
  [
    "a cluster of which only a server is named",
    (nodes) => ({ ...NAMES, REDIS_URL: `redis://${nodes[0]}` }),
    /Redis is a cluster.*REDIS_CLUSTER_NODES/,
  ],
];

for (const [name, toEnv, expected] of REFUSALS) {
  Deno.test(`cluster: refuses ${name}`, async () => {
    await using cluster = await TestCluster.start();
    const env = { ...toEnv(cluster.addresses()), REMEDIATION_CONSUMER_GATE: "off" };
    await using service = startService({ env });
    assert.equal((await service.exit).code, EXIT.configuration, service.stdout.join("\n"));
    assert.match(service.events("redis_unsafe").map(({ message }) => message).join("\n"), expected);
    await using check = startService({ args: ["check"], env });
    assert.equal((await check.exit).code, EXIT.configuration);
    assert.match(check.stdout.join("\n"), expected);
  });
}

// The sanitizers see what is left.
for (const [when, isConnected] of [["has connected", true], ["connects", false]] as const) {
  Deno.test(`RedisConnections.close: leaves no timer and no socket when it ${when} and the node asked for the slot map hangs`, async () => {
    await using cluster = await TestCluster.start();
    const signal = (name: Deno.Signal) => Promise.all(cluster.nodes.map((node) => node.kill(name)));
    if (!isConnected) await signal("SIGSTOP");
    await using engine = createClusterEngine(cluster);
    const { connections } = engine;
    const isAsked = () => openConnections(connections.reader as Cluster).length > cluster.nodes.length;
    if (isConnected) {
      await connections.waitUntilReady(FAILOVER_MS);
      await waitUntil(() => !isAsked(), { what: "the first slot map is there" });
      await signal("SIGSTOP");
    }
    await waitUntil(isAsked, { what: "a node is asked for the slot map" });
    await connections.close();
    assert.equal(openConnections(connections.reader as Cluster).length, 0);
    await signal("SIGCONT");
  });
}

Deno.test("cluster: says that the server named as a node is none, and waits", async () => {
  const redis = await startRedis();
  await using service = startService({ env: { ...NAMES, REDIS_CLUSTER_NODES: `127.0.0.1:${redis.port}` } });
  await service.waitForLine(/redis_unreachable.*cluster support disabled/);
  await redis.stop();
});
