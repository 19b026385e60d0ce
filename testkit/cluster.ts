/** A Redis Cluster for a test: three masters and an optional replica on this machine. */
import calculateSlot from "cluster-key-slot";
import type { Redis } from "ioredis";
import { startRedis, type TestRedis } from "./redis.ts";
import { waitUntil } from "./wait.ts";

const SLOTS = 16_384;
const MASTERS = 3;
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
    const busPorts = Array.from({ length: count }, freePort);
    const nodes = await Promise.all(busPorts.map((port) => startRedis({ config: [...lines, `cluster-port ${port}`] })));
    const cluster = new TestCluster(nodes, options);
    await cluster.#join(busPorts);
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
        const [from, to] = [at * share, Math.min(SLOTS, (at + 1) * share) - 1];
        return this.client(node).call("CLUSTER", "ADDSLOTSRANGE", from, to);
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

/** The cluster bus gets its own port: the default, 10,000 higher, may exceed the maximum. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
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
