/** Where Redis is, and where it is no longer: slots without an owner, servers without a name, proxies, masters that were replaced. */
import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import type { Settings } from "../../src/config/fields.ts";
import { Secret } from "../../src/runtime/secret.ts";
import { TestCluster } from "../../testkit/cluster.ts";
import { createEngine, DLQ, type EngineOptions, eventTexts, idOf, TARGET } from "../../testkit/engine.ts";
import { startRedis, withRedis } from "../../testkit/redis.ts";
import { needs } from "../../testkit/redis_version.ts";
import { MASTER, SentinelTrio } from "../../testkit/sentinel.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { startTcpProxy } from "../../testkit/tcp_proxy.ts";
import { TransactionProxy } from "../../testkit/transaction_proxy.ts";
import { waitUntil } from "../../testkit/wait.ts";

const LISTS = {
  alerterDlq: "{mutt}:dlq:alerter",
  ingestQueue: "{mutt}:ingest_queue",
  alertQueue: "{mutt}:alert_queue",
  deadList: "{mutt}:dlq:dead",
} satisfies Partial<Settings>;
const { alerterDlq: CLUSTER_DLQ, ingestQueue: CLUSTER_TARGET } = LISTS;
const LONG_MS = 40_000;

function clusterEngine(nodes: readonly string[], { settings, ...options }: EngineOptions = {}) {
  return createEngine({ port: 1 }, { settings: { ...LISTS, redisClusterNodes: [...nodes], ...settings }, ...options });
}

async function waitForDrain(cluster: TestCluster, ids: readonly string[]): Promise<void> {
  const isThere = async () => await (await cluster.at(CLUSTER_TARGET)).llen(CLUSTER_TARGET) === ids.length;
  await waitUntil(() => isThere().catch(() => false), { what: "all are in the target", timeoutMs: LONG_MS });
  const target = await (await cluster.at(CLUSTER_TARGET)).lrange(CLUSTER_TARGET, 0, "-1");
  assert.deepEqual(target.reverse().map(idOf), ids);
}

const idsOf = (count: number) => eventTexts(count).map(idOf);

Deno.test("cluster: a connection whose slot has no owner goes nowhere, says so, and goes to the owner once there is one", async () => {
  await using cluster = await TestCluster.start({ config: ["cluster-require-full-coverage no"] });
  const slot = calculateSlot(CLUSTER_DLQ), owner = await cluster.owner(CLUSTER_DLQ);
  await cluster.dropSlot(slot, { owner });
  await using engine = clusterEngine(cluster.addresses());
  const { connections } = engine;
  await waitUntil(() => connections.isReady(), { what: "the cluster is there", timeoutMs: LONG_MS });
  const [mover] = connections.list().filter((client) => !client.isCluster);
  await waitUntil(() => connections.lastErrorCode() === "CLUSTERDOWN", { what: "it is told", timeoutMs: LONG_MS });
  assert.match(connections.lastFailure(), /no node of the cluster owns slot \d+ of \{mutt\}:dlq:alerter/);
  assert.equal(mover!.status, "wait");
  // Whatever is sent meanwhile does not go to the client's default either.
  assert.equal((mover!.options as { host?: string }).host, "unknown.invalid");
  for (const node of cluster.nodes) await cluster.client(node).call("CLUSTER", "BUMPEPOCH");
  await cluster.client(owner).call("CLUSTER", "ADDSLOTS", slot);
  await waitUntil(() => mover!.status === "ready", { what: "the owner is connected", timeoutMs: LONG_MS });
  assert.equal((mover!.options as { port?: number }).port, owner.port);
});

for (const type of ["unknown-endpoint", "hostname"]) {
  const name =
    `cluster: nodes that are told without a host (${type}) are found at the host that was asked, after a redirection too`;
  Deno.test(needs("7.0", name), async () => {
    await using cluster = await TestCluster.start({ config: [`cluster-preferred-endpoint-type ${type}`] });
    const count = 1_000;
    await (await cluster.at(CLUSTER_DLQ)).lpush(CLUSTER_DLQ, ...eventTexts(count));
    await using engine = clusterEngine(cluster.addresses().slice(0, 1));
    engine.beforeCommit(() => new Promise((resolve) => setTimeout(resolve, 2)));
    await engine.start();
    await waitUntil(async () => (await engine.moved()).replayed > 50, { what: "it is under way", timeoutMs: LONG_MS });
    const from = await cluster.owner(CLUSTER_DLQ), to = cluster.nodes.find((node) => node !== from)!;
    await cluster.moveSlot(calculateSlot(CLUSTER_DLQ), { from, to });
    assert.notEqual((await engine.moved()).replayed, count, "it was in the middle");
    await waitForDrain(cluster, idsOf(count));
  });
}

Deno.test("cluster: is found again when every node that is named was replaced, and the log says so", async () => {
  await using cluster = await TestCluster.start({ replicated: CLUSTER_DLQ });
  const named = await cluster.owner(CLUSTER_DLQ);
  await using engine = clusterEngine([`127.0.0.1:${named.port}`]);
  await engine.start();
  await named.kill("SIGKILL");
  const told = () => engine.lines.find(({ event }) => event === "redis_nodes_replaced");
  const line = await waitUntil(told, { what: "it is told", timeoutMs: LONG_MS });
  assert.match(line.message, /No node from REDIS_CLUSTER_NODES is in the cluster any more.*127\.0\.0\.1:\d+/);
  const survivors = cluster.nodes.filter((node) => node !== named);
  for (const node of survivors) await cluster.client(node).call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await (await cluster.at(CLUSTER_DLQ)).lpush(CLUSTER_DLQ, ...eventTexts(20));
  await waitForDrain(cluster, idsOf(20));
});

/** A cluster with two sources on two nodes, and the file that declares them. */
async function twoSources() {
  const cluster = await TestCluster.start({ config: ["cluster-require-full-coverage no", "appendonly yes"] });
  const tags = ["a", "b", "c", "d", "e", "f"];
  const owners = await Promise.all(tags.map((tag) => cluster.owner(`{${tag}}`)));
  // What switches replay off must be known of before anything moves.
  const needed = [owners[0], await cluster.owner("mutt:config:remediation_enabled")];
  const [alive, down] = [tags[0]!, tags[owners.findIndex((owner) => !needed.includes(owner))]!];
  const path = await Deno.makeTempFile({ suffix: ".json" });
  const lists = (tag: string) => ({ dlq: `{${tag}}:dlq`, target: `{${tag}}:queue`, dead: `{${tag}}:dead` });
  await Deno.writeTextFile(
    path,
    JSON.stringify({ sources: Object.fromEntries([alive, down].map((tag) => [tag, lists(tag)])) }),
  );
  const env = {
    ...{ REDIS_CLUSTER_NODES: cluster.addresses().join(","), REMEDIATION_SOURCES: "none" },
    ...{ REMEDIATION_SOURCES_PATH: path, REMEDIATION_INTERVAL: "1", DYNAMIC_CONFIG_ENABLED: "true" },
  };
  const push = async (tag: string) => void await (await cluster.at(`{${tag}}`)).lpush(`{${tag}}:dlq`, ...eventTexts(5));
  const drained = (tag: string, count: number) =>
    waitUntil(
      async () => await cluster.at(`{${tag}}`).then((node) => node.llen(`{${tag}}:queue`)).catch(() => -1) === count,
      { what: `${tag} is drained`, timeoutMs: LONG_MS },
    );
  const dispose = async () => {
    await cluster[Symbol.asyncDispose]();
    await Deno.remove(path);
  };
  return { cluster, alive, down, env, push, drained, [Symbol.asyncDispose]: dispose };
}

for (const [what, signal] of [["is dead", "SIGKILL"], ["hangs", "SIGSTOP"]] as const) {
  Deno.test(`cluster: a source starts, and once replays it, when the node of another one ${what} from the start`, async () => {
    await using two = await twoSources();
    const { cluster, alive, down, env, push, drained } = two;
    await push(alive);
    await push(down);
    const node = await cluster.owner(`{${down}}`);
    await node.kill(signal);
    await using service = startService({ env });
    await drained(alive, 5);
    const { health } = await service.ports();
    const readyz = async () => await (await fetch(`http://127.0.0.1:${health}/readyz`)).text();
    await waitUntil(async () => new RegExp(`source ${down}(:|$)`).test(await readyz()), { what: "it is told" });
    await waitUntil(() => push(alive).then(() => true, () => false), { what: "the rest works", timeoutMs: LONG_MS });
    await using once = startService({ args: ["once", "--source", alive, "--force"], env });
    assert.equal((await once.exit).code, 0, [...once.stdout, ...once.stderr].join("\n"));
    await drained(alive, 10);
    await using check = startService({ args: ["check"], env });
    assert.equal((await check.exit).code, 1);
    const found = check.stdout.join("\n");
    assert.match(found, new RegExp(`^ok +source ${alive}: DLQ `, "m"));
    assert.match(found, new RegExp(`^failed +source ${down}: `, "m"));
    if (signal === "SIGKILL") await node.restart();
    else await node.kill("SIGCONT");
    await drained(down, 5);
    await waitUntil(async () => await readyz() === "OK", { what: "it is ready", timeoutMs: LONG_MS });
  });
}

Deno.test("sentinel: once and check do with the third Sentinel when two hang", async () => {
  await using trio = await SentinelTrio.start();
  await trio.client(await trio.master()).lpush(DLQ, ...eventTexts(10));
  for (const sentinel of trio.sentinels.slice(0, 2)) await sentinel.kill("SIGSTOP");
  const env = {
    ...{ REDIS_SENTINELS: trio.addresses().join(","), REDIS_SENTINEL_MASTER: MASTER },
    ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
  };
  for (const args of [["check"], ["once"]]) {
    await using command = startService({ args, env });
    assert.equal((await command.exit).code, 0, [...command.stdout, ...command.stderr].join("\n"));
  }
  for (const sentinel of trio.sentinels.slice(0, 2)) await sentinel.kill("SIGCONT");
});

for (
  const [name, config] of [
    ["takes no writes (NOREPLICAS)", ["min-replicas-to-write 1", "min-replicas-max-lag 2"]],
    ["goes on taking writes", []],
  ] as const
) {
  Deno.test(`sentinel: an old master that can still be reached is left when it ${name}`, async () => {
    // The Sentinels cannot tell it to be a replica: as if they were cut off from it, and this program were not.
    const masterConfig = ['rename-command SLAVEOF ""', 'rename-command REPLICAOF ""', ...config];
    await using trio = await SentinelTrio.start({ masterConfig });
    const before = await trio.master();
    const url = `redis+sentinel://${trio.addresses().join(",")}/${MASTER}`;
    await using engine = createEngine({ port: 1 }, { settings: { redisUrl: new Secret(url), intervalMs: 1_000 } });
    await engine.start();
    await trio.client(trio.sentinels[0]!).call("SENTINEL", "FAILOVER", MASTER);
    await waitUntil(async () => await trio.master() !== before, { what: "there is a new master", timeoutMs: LONG_MS });
    const now = await trio.master(), client = trio.client(now);
    await waitUntil(() => client.lpush(DLQ, ...eventTexts(10)).then(() => true, () => false), {
      what: "the new master takes writes",
      timeoutMs: LONG_MS,
    });
    await waitUntil(async () => await client.llen(TARGET) === 10, { what: "it is drained", timeoutMs: LONG_MS });
    const told = engine.lines.find(({ event }) => event === "redis_master_elsewhere");
    assert.match(told?.message ?? "", new RegExp(`name 127\\.0\\.0\\.1:${now.port} .*127\\.0\\.0\\.1:${before.port}`));
  });
}

Deno.test("connection: a server that lost its master (MASTERDOWN) is left for where its endpoint leads now", async () => {
  const [before, now] = [await startRedis(), await startRedis()];
  const endpoint = startTcpProxy(before);
  const engine = createEngine(endpoint, { settings: { intervalMs: 1_000 } });
  await engine.start();
  await waitUntil(() => engine.connections.isReady(), { what: "it is connected" });
  endpoint.moveTo(now.port);
  await before.client().config("SET", "replica-serve-stale-data", "no");
  await before.client().call("REPLICAOF", "127.0.0.1", "1");
  await now.seedList(DLQ, eventTexts(10));
  await waitUntil(async () => await now.depth(TARGET) === 10, { what: "it is drained", timeoutMs: LONG_MS });
  assert.ok((await engine.errors()).MASTERDOWN);
  await engine[Symbol.asyncDispose]();
  await endpoint.stop();
  await Promise.all([before.stop(), now.stop()]);
});

// The client's pauses between rounds through its Sentinels outlast a close (ioredis 6), so these run the service itself.
Deno.test("sentinel: the log names the master that cannot be reached, not the Sentinels that name it", async () => {
  const dead = await startRedis();
  const sentinel = await startRedis({
    sentinel: true,
    config: [`sentinel monitor ${MASTER} 127.0.0.1 ${dead.port} 1`],
  });
  await dead.stop();
  const url = `redis+sentinel://127.0.0.1:${sentinel.port}/${MASTER}`;
  {
    await using service = startService({ env: { REDIS_URL: url } });
    await service.waitForLine(/redis_unreachable/);
    const { health } = await service.ports();
    const failure = async () => {
      const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
      const { sources } = await response.json() as { sources: { gates: { name: string; detail: string }[] }[] };
      return sources[0]!.gates.find(({ name }) => name === "redis")?.detail ?? "";
    };
    const master = new RegExp(`127\\.0\\.0\\.1:${dead.port}`);
    await waitUntil(async () => master.test(await failure()), {
      what: "gate redis names the master",
      timeoutMs: LONG_MS,
    });
    // The client goes through its Sentinels again and again.
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.match(await failure(), master);
    }
    const lines = service.events("redis_unreachable").map(({ reason }) => String(reason));
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0]!, master);
  }
  await sentinel.stop();
});

Deno.test("sentinel: the log says that no Sentinel knows the master's name", async () => {
  await using trio = await SentinelTrio.start();
  await using service = startService({
    env: { REDIS_URL: `redis+sentinel://${trio.addresses().join(",")}/another` },
  });
  await service.waitForLine(/No such master.*no Sentinel knows the master name/);
});

withRedis(
  "readyz: is 503 while nothing can be committed for long, with the cause, and 200 afterwards",
  async (redis) => {
    await using service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_LEASE_DURATION: "5" },
        ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
      },
    });
    const other = await startRedis();
    await using _other = { [Symbol.asyncDispose]: () => other.stop() };
    await using off = startService({
      env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(other.port), REMEDIATION_ENABLED: "false" },
    });
    const ask = async (asked: Service = service) => {
      const response = await fetch(`http://127.0.0.1:${(await asked.ports()).health}/readyz`);
      return `${response.status} ${await response.text()}`;
    };
    await waitUntil(async () => await ask(off) === "200 OK", { what: "the other is ready", timeoutMs: LONG_MS });
    await waitUntil(async () => await ask() === "200 OK", { what: "it is ready", timeoutMs: LONG_MS });
    await redis.client().config("SET", "min-replicas-to-write", "1");
    await waitUntil(async () => /^503 .*(NOREPLICAS|min-replicas)/.test(await ask()), {
      what: "it is not ready",
      timeoutMs: LONG_MS,
    });
    assert.equal(await ask(off), "200 OK", "one that is switched off has nothing to commit");
    await redis.client().config("SET", "min-replicas-to-write", "0");
    await waitUntil(async () => await ask() === "200 OK", { what: "it is ready again", timeoutMs: LONG_MS });
  },
);

for (
  const [name, hello] of [
    ["refuses HELLO in words of its own", "-ERR unsupported command [HELLO]"],
    ["closes the connection at HELLO", null],
  ] as const
) {
  withRedis(`proxy: a source is drained through one that ${name}`, async (redis) => {
    await redis.seedList(DLQ, eventTexts(30));
    await using proxy = new TransactionProxy({ port: redis.port, hello });
    await using engine = createEngine(proxy);
    await engine.start();
    await waitUntil(async () => await redis.depth(TARGET) === 30, { what: "it is drained", timeoutMs: LONG_MS });
    assert.deepEqual((await redis.readTexts(TARGET)).map(idOf), idsOf(30));
  });
}

withRedis(
  "connection: that it is cut again and again soon after it was made is told, and where to look",
  async (redis) => {
    await using engine = createEngine(redis);
    const told = () => engine.lines.find(({ event }) => event === "redis_cut");
    await waitUntil(async () => {
      await redis.client().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").catch(() => {});
      return told();
    }, { what: "it is told", timeoutMs: LONG_MS });
    assert.match(told()!.message, /soon after it was made.*maxclients, client-output-buffer-limit/);
  },
);

Deno.test("connection: one source starts when Redis has no connection left for the other, and that one when there is room", async () => {
  // This test's, a reader, a committer, and the connection of one source.
  const redis = await startRedis({ config: ["maxclients 4"] });
  const client = redis.client({ enableReadyCheck: false });
  const lists = [["mutt:dlq:alerter", "mutt:ingest_queue"], ["mutt:dlq:moog", "mutt:alert_queue"]] as const;
  for (const [dlq] of lists) await client.lpush(dlq, ...eventTexts(3));
  const drained = async () =>
    (await Promise.all(lists.map(([, target]) => client.llen(target)))).filter((n) => n === 3);
  await using service = startService({
    env: {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_SOURCES: "alerter,moog" },
      ...{ REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false" },
    },
  });
  await waitUntil(async () => (await drained()).length === 1, { what: "one source is drained", timeoutMs: LONG_MS });
  const { health } = await service.ports();
  assert.match(
    await (await fetch(`http://127.0.0.1:${health}/readyz`)).text(),
    /source (alerter|moog): .*raise maxclients/,
  );
  await client.config("SET", "maxclients", "100");
  await waitUntil(async () => (await drained()).length === 2, { what: "the other one is too", timeoutMs: LONG_MS });
  await client.quit();
  await redis.stop();
});

Deno.test("connection: the log says that Redis has too many clients, in its own words", async () => {
  const redis = await startRedis({ config: ["maxclients 1"] });
  // The one client that there may be.
  await redis.client({ enableReadyCheck: false }).ping();
  await using service = startService({
    env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), MOOG_HEALTH_CHECK_ENABLED: "false" },
  });
  await service.waitForLine(/max number of clients reached/, { timeoutMs: LONG_MS });
  await redis.stop();
});
