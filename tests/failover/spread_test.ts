/** Many sources on several instances and a Redis Cluster: leaders are spread, and everything arrives, while instances and a node are killed. */
import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import { stateKey } from "../../src/redis/keys.ts";
import { TestCluster } from "../../testkit/cluster.ts";
import { eventText, idOf } from "../../testkit/engine.ts";
import type { TestRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { inTime, waitUntil } from "../../testkit/wait.ts";

const SOURCES = Array.from({ length: 100 }, (_, i) => `s${i}`);
const dlqOf = (source: string) => `{${source}}:dlq`, targetOf = (source: string) => `{${source}}:queue`;
const deadOf = (source: string) => `{${source}}:dead`;
/** Messages of one push. Sources that are served at once. Pause between two pushes, in milliseconds. */
const BATCH = 5, WORKERS = 4, PAUSE_MS = 50;
/** How long a replica may take to have a push, and a node to answer, in milliseconds. What takes longer is sent again. */
const IN_STEP_MS = 1_000, ANSWER_MS = 500;
/** Limit for what takes a failover, or for the quiet time and all hand-overs, on a machine at rest. */
const FAILOVER_MS = 30_000, SPREAD_MS = 60_000;

/** Pushes a batch once, however often it is sent. KEYS 1 list 2 number of the last batch  ARGV 1 number 2.. messages */
const PUSH = `
if tonumber(redis.call('GET', KEYS[2]) or '-1') < tonumber(ARGV[1]) then
  redis.call('LPUSH', KEYS[1], unpack(ARGV, 2))
  redis.call('SET', KEYS[2], ARGV[1])
end`;

/** Pushes to every source in turn until it is told to end. */
class Producers {
  /** Messages of each source that the cluster keeps, whichever node dies. */
  readonly counts = new Map(SOURCES.map((source) => [source, 0]));
  readonly #cluster: TestCluster;
  /** The node that has a replica, and may be killed. */
  readonly #mortal: TestRedis;
  readonly #working: Promise<unknown>;
  #isOver = false;

  constructor(cluster: TestCluster, mortal: TestRedis) {
    this.#cluster = cluster;
    this.#mortal = mortal;
    this.#working = Promise.all(Array.from({ length: WORKERS }, (_, worker) => this.#work(worker)));
  }

  /** Ends after the batches in hand. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#working;
  }

  async #work(worker: number): Promise<void> {
    const own = SOURCES.filter((_, i) => i % WORKERS === worker);
    for (let batch = 0; !this.#isOver; batch++) {
      for (const source of own) {
        const ids = Array.from({ length: BATCH }, (_, i) => BATCH * batch + i);
        await waitUntil(() => this.#push(source, batch, ids).catch(() => false), {
          what: `a batch of ${source} is kept`,
          timeoutMs: FAILOVER_MS,
        });
        this.counts.set(source, BATCH * (batch + 1));
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  /** @returns false if a node that dies now would take the batch with it */
  async #push(source: string, batch: number, ids: readonly number[]): Promise<boolean> {
    const owner = await this.#cluster.owner(dlqOf(source)), client = this.#cluster.client(owner);
    const keys = [dlqOf(source), `{${source}}:batch`], inHand = { what: "the node answers", timeoutMs: ANSWER_MS };
    await inTime(client.eval(PUSH, keys.length, ...keys, batch, ...ids.map((id) => eventText(id))), inHand);
    return owner !== this.#mortal || await inTime(client.wait(1, IN_STEP_MS), inHand) > 0;
  }
}

/** How many sources each instance leads, by the name of its pod; those without a leader under an empty one. */
async function readShares(cluster: TestCluster): Promise<Record<string, number>> {
  const shares: Record<string, number> = {};
  for (const source of SOURCES) {
    const state = stateKey(dlqOf(source)), client = await cluster.at(state);
    const [name, untilMs] = await client.hmget(state, "leaderName", "leaderUntilMs");
    const pod = Number(untilMs) > Date.now() ? name!.split(" ")[0]! : "";
    shares[pod] = (shares[pod] ?? 0) + 1;
  }
  return shares;
}

/** Instances of the service, by the name of their pod. */
class Instances implements AsyncDisposable {
  readonly #env: Readonly<Record<string, string>>;
  readonly #cluster: TestCluster;
  readonly #running = new Map<string, Service>();
  #started = 0;

  constructor(cluster: TestCluster, env: Readonly<Record<string, string>>) {
    this.#cluster = cluster;
    this.#env = env;
  }

  async start(): Promise<string> {
    const pod = `pod${++this.#started}`, service = startService({ env: { ...this.#env, POD_NAME: pod } });
    this.#running.set(pod, service);
    await service.ports({ timeoutMs: FAILOVER_MS });
    return pod;
  }

  /** Kills one, starts another, and waits until those that run lead everything. */
  async replace(pod: string): Promise<void> {
    this.#running.get(pod)!.signal("SIGKILL");
    await this.#running.get(pod)!.exit;
    this.#running.delete(pod);
    await this.start();
    await this.#wait("every source is led by one that runs", (shares) => this.#isLed(shares));
  }

  /** Waits until at least two lead something, but not yet equally much. */
  async waitUntilSharing(): Promise<string> {
    const shares = await this.#wait("hand-overs are under way", (shares) => Object.keys(shares).length > 1 && shares);
    return Object.entries(shares).toSorted(([, one], [, other]) => other - one)[0]![0];
  }

  async waitUntilEven(): Promise<void> {
    const even = [33, 33, 34].join();
    await this.#wait("each leads a third", (shares) => {
      return this.#isLed(shares) && Object.values(shares).sort((one, other) => one - other).join() === even;
    });
  }

  /** Log lines of those that run. */
  events(event: string): readonly Record<string, unknown>[] {
    return [...this.#running.values()].flatMap((service) => service.events(event));
  }

  pods(): readonly string[] {
    return [...this.#running.keys()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((service) => service[Symbol.asyncDispose]()));
  }

  #isLed(shares: Readonly<Record<string, number>>): boolean {
    return Object.keys(shares).every((pod) => this.#running.has(pod));
  }

  #wait<T>(what: string, isSo: (shares: Readonly<Record<string, number>>) => T): Promise<NonNullable<T>> {
    return waitUntil(async () => isSo(await readShares(this.#cluster)), { what, timeoutMs: SPREAD_MS });
  }
}

Deno.test("spread: 100 sources on three instances and three nodes: killed one by one, with a node, all messages arrive once and in order, and each leads a third", async () => {
  const config = ["cluster-require-full-coverage no", "appendonly yes"];
  // The third node: the testkit asks the first that answers.
  const replicated = dlqOf(SOURCES.find((source) => calculateSlot(dlqOf(source)) >= 10_924)!);
  await using cluster = await TestCluster.start({ config, replicated });
  const mortal = await cluster.owner(replicated);
  const owners = new Set(await Promise.all(SOURCES.map((source) => cluster.owner(dlqOf(source)))));
  assert.equal(owners.size, 3, "the sources are on all nodes");
  const path = await Deno.makeTempFile({ suffix: ".json" });
  const entryOf = (source: string) => ({ dlq: dlqOf(source), target: targetOf(source), dead: deadOf(source) });
  const free = { targetMaxDepth: 0, maxPerSecond: 0 };
  const entries = SOURCES.map((source) => [source, { ...entryOf(source), ...free }]);
  await Deno.writeTextFile(path, JSON.stringify({ sources: Object.fromEntries(entries) }));
  await using instances = new Instances(cluster, {
    ...{ REDIS_CLUSTER_NODES: cluster.addresses().join(","), REMEDIATION_SOURCES: "none" },
    ...{ REMEDIATION_SOURCES_PATH: path, REMEDIATION_INTERVAL: "5", REMEDIATION_BATCH_SIZE: "0" },
    REMEDIATION_LEASE_DURATION: "5",
  });
  for (let i = 0; i < 3; i++) await instances.start();
  const producers = new Producers(cluster, mortal);
  await instances.replace(await instances.waitUntilSharing());
  await mortal.kill("SIGKILL");
  await waitUntil(async () => await cluster.owner(replicated) !== mortal, {
    what: "the replica has taken over",
    timeoutMs: FAILOVER_MS,
  });
  for (const pod of instances.pods().slice(0, 2)) await instances.replace(pod);
  await instances.waitUntilEven();
  await producers.end();
  for (const source of SOURCES) {
    const client = await cluster.at(dlqOf(source)), count = producers.counts.get(source)!;
    await waitUntil(async () => await client.llen(dlqOf(source)) === 0, {
      what: `${source} is drained`,
      timeoutMs: FAILOVER_MS,
    });
    const ids = (await client.lrange(targetOf(source), 0, "-1")).reverse().map(idOf);
    assert.deepEqual(ids, Array.from({ length: count }, (_, i) => String(i)), source);
    assert.deepEqual([await client.llen(deadOf(source)), count > 0], [0, true], source);
  }
  assert.deepEqual(instances.events("bug"), []);
  await Deno.remove(path);
});
