/** A Redis Cluster for a test: three masters and an optional replica on this machine. */
import calculateSlot from "cluster-key-slot";
import type { Redis } from "ioredis";
import { startRedis, type TestRedis } from "./redis.ts";
import { serverHas } from "./redis_version.ts";
import { waitUntil } from "./wait.ts";
import { freePort, isFree } from "../scripts/free_port.ts";
import { PORT_ATTEMPTS } from "../scripts/redis_server.ts";

const SLOTS = 16_384;
const MASTERS = 3;
/** Redis: `CLUSTER_PORT_INCR`. */
const BUS_ABOVE_PORT = 10_000;
/** Time without an answer after which a node counts as down, in milliseconds. */
const NODE_TIMEOUT_MS = 1_000;

/** Options of a cluster. */
export interface ClusterOptions {
  /** Password of every node. */
  readonly password?: string;
  /** Further lines of each node's redis.conf. */
  readonly config?: readonly string[];
  /** A key whose owner gets a replica. */
  readonly replicated?: string;
}

/** The nodes. Use it with `await using`. */
export class TestCluster implements AsyncDisposable {
  readonly nodes: readonly TestRedis[];
  readonly #login: { password?: string };
  readonly #clients = new Map<TestRedis, Redis>();

  private constructor(nodes: readonly TestRedis[], { password }: ClusterOptions) {
    this.nodes = nodes;
    this.#login = password === undefined ? {} : { password };
  }

  /** Starts the nodes, assigns the slots, and waits until all nodes agree. */
  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const { password, replicated, config = [] } = options;
    const lines = [
      "cluster-enabled yes",
      `cluster-node-timeout ${NODE_TIMEOUT_MS}`,
      ...(password ? [`requirepass ${password}`, `masterauth ${password}`] : []),
      ...config,
    ];
    const count = replicated === undefined ? MASTERS : MASTERS + 1;
    const started = await Promise.all(Array.from({ length: count }, () => startNode(lines)));
    const cluster = new TestCluster(started.map(({ node }) => node), options);
    await cluster.#join(started.map(({ bus }) => bus));
    if (replicated !== undefined) await cluster.#replicate(replicated);
    return cluster;
  }

  /** `host:port` of each node. */
  addresses(): readonly string[] {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** A connection to one node. */
  client(node: TestRedis): Redis {
    const client = this.#clients.get(node) ?? node.client({ enableReadyCheck: false, ...this.#login });
    this.#clients.set(node, client);
    return client;
  }

  /** Finds the node that owns a key's slot, as the answering nodes report it, once one says that the cluster works. */
  async owner(key: string): Promise<TestRedis> {
    const slots = await waitUntil(() => this.#askAny(), {
      what: "a node of the cluster answers that it works",
      timeoutMs: 20_000,
    });
    const port = ownerOf(slots, calculateSlot(key));
    return this.nodes.find((node) => node.port === port)!;
  }

  /** A connection to the owner of a key. */
  async at(key: string): Promise<Redis> {
    return this.client(await this.owner(key));
  }

  /** Moves a slot with its keys to another master, as resharding does; `between` runs halfway. */
  async moveSlot(slot: number, { from, to, between }: {
    from: TestRedis;
    to: TestRedis;
    between?: () => Promise<void>;
  }): Promise<void> {
    const [source, target] = [this.client(from), this.client(to)];
    const [sourceId, targetId] = [await source.cluster("MYID"), await target.cluster("MYID")];
    await target.cluster("SETSLOT", slot, "IMPORTING", sourceId);
    await source.cluster("SETSLOT", slot, "MIGRATING", targetId);
    await between?.();
    for (;;) {
      const keys = await source.call("CLUSTER", "GETKEYSINSLOT", slot, 100) as string[];
      if (keys.length === 0) break;
      await source.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "KEYS", ...keys);
    }
    for (const client of [target, source]) await client.cluster("SETSLOT", slot, "NODE", targetId);
  }

  /**
   * Takes a slot from its owner, until no node names one. The owner gives it up first: it would tell the others of it again.
   */
  async dropSlot(slot: number, { owner }: { owner: TestRedis }): Promise<void> {
    const nodes = [owner, ...this.nodes.filter((node) => node !== owner)];
    await waitUntil(async () => {
      let isNamed = false;
      for (const node of nodes) {
        const slots = await this.client(node).call("CLUSTER", "SLOTS") as SlotRange[];
        if (ownerOf(slots, slot) === undefined) continue;
        isNamed = true;
        await this.client(node).call("CLUSTER", "DELSLOTS", slot);
      }
      return !isNamed;
    }, { what: "no node names an owner of the slot", timeoutMs: 20_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  async #join(busPorts: readonly number[]): Promise<void> {
    const [first, ...others] = this.nodes;
    for (const node of others) {
      await this.client(node).call("CLUSTER", "MEET", "127.0.0.1", first!.port, busPorts[0]!);
    }
    const share = Math.ceil(SLOTS / MASTERS);
    await Promise.all(
      this.nodes.slice(0, MASTERS).map((node, at) => {
        const slots = Array.from({ length: Math.min(SLOTS, (at + 1) * share) - at * share }, (_, i) => at * share + i);
        return this.client(node).call("CLUSTER", "ADDSLOTS", ...slots);
      }),
    );
    await waitUntil(() => this.#agree(), { what: "the nodes agree", timeoutMs: 20_000 });
  }

  async #agree(): Promise<boolean> {
    const all = await Promise.all(this.nodes.map((node) => this.client(node).cluster("INFO")));
    return all.every((info) =>
      info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${this.nodes.length}`)
    );
  }

  async #replicate(key: string): Promise<void> {
    const [master, replica] = [await this.at(key), this.client(this.nodes.at(-1)!)];
    await replica.cluster("REPLICATE", String(await master.cluster("MYID")));
    await waitUntil(async () => (await master.info("replication")).includes("state=online"), {
      what: "the replica is in step",
      timeoutMs: 20_000,
    });
  }

  /** Asks the first node that answers and reports a working cluster; `null`: none does. */
  async #askAny(): Promise<SlotRange[] | null> {
    for (const node of this.nodes) {
      const client = this.client(node);
      const info = await withinASecond(client.cluster("INFO")).catch(() => "");
      if (String(info).includes("cluster_state:ok")) return await client.call("CLUSTER", "SLOTS") as SlotRange[];
    }
    return null;
  }
}

/** Starts a node. Another program may take its ports first; then it gets others. */
async function startNode(lines: readonly string[]): Promise<{ node: TestRedis; bus: number }> {
  for (let attempt = 1;; attempt++) {
    const { port, bus } = portsOfNode(),
      own = port === undefined ? { config: [...lines, `cluster-port ${bus}`] } : { port };
    const node = await startRedis({ config: lines, ...own }).catch((error: Error) => error);
    if (!(node instanceof Error)) return { node, bus };
    if (attempt === PORT_ATTEMPTS || !/Address already in use/i.test(node.message)) throw node;
  }
}

/**
 * The port of a node's cluster bus, and the node's own where that one follows from it. By default it is 10,000 higher, and so may be
 * taken; before Redis 7.0 it cannot be another.
 */
function portsOfNode(): { port?: number; bus: number } {
  if (serverHas("7.0")) return { bus: freePort() };
  for (;;) {
    const port = freePort(), bus = port + BUS_ABOVE_PORT;
    if (isFree(bus)) return { port, bus };
  }
}

type SlotRange = [from: number, to: number, master: [host: string, port: number, ...unknown[]], ...unknown[]];

function ownerOf(ranges: SlotRange[], slot: number): number | undefined {
  return ranges.find(([from, to]) => from <= slot && slot <= to)?.[2][1];
}

async function withinASecond<T>(answer: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => timer = setTimeout(() => reject(new Error("too late")), 1_000));
  return await Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
