/** A master, a replica and three Sentinels for a test, on this machine. */
import type { Redis } from "ioredis";
import { startRedis, type TestRedis } from "./redis.ts";
import { tlsConfig } from "./tls.ts";
import { waitUntil } from "./wait.ts";
import { freePort } from "../scripts/free_port.ts";

/** Name of the master. */
export const MASTER = "queues";
/** Time without an answer after which the master counts as down, in milliseconds. */
const DOWN_AFTER_MS = 400;

/** Options of the servers. */
export interface TrioOptions {
  /** Password of the Redis servers. */
  readonly password?: string;
  /** Password of the Sentinels. */
  readonly sentinelPassword?: string;
  /** Whether all five use TLS, also among themselves; the second server is then at 127.0.0.2. Default: false. */
  readonly tls?: { readonly demandsCertificate: boolean };
  /** Further lines of the first master's redis.conf. */
  readonly masterConfig?: readonly string[];
}

/** One of the five, and its address for the others and for clients. */
interface Node {
  readonly server: TestRedis;
  readonly host: string;
  readonly port: number;
}

/** The servers. Use it with `await using`. */
export class SentinelTrio implements AsyncDisposable {
  readonly servers: readonly [TestRedis, TestRedis];
  readonly sentinels: readonly TestRedis[];
  readonly #nodes: readonly Node[];
  readonly #options: TrioOptions;
  readonly #clients = new Map<TestRedis, Redis>();

  private constructor(servers: readonly [Node, Node], sentinels: readonly Node[], options: TrioOptions) {
    this.servers = [servers[0].server, servers[1].server];
    this.sentinels = sentinels.map(({ server }) => server);
    this.#nodes = [...servers, ...sentinels];
    this.#options = options;
  }

  /** Starts all five and waits until the Sentinels know each other and the replica. */
  static async start(options: TrioOptions = {}): Promise<SentinelTrio> {
    const { password, sentinelPassword, tls, masterConfig = [] } = options;
    const login = password ? [`requirepass ${password}`, `masterauth ${password}`] : [];
    const master = await startNode({ config: [...login, ...masterConfig], tls });
    const replicaOf = `replicaof ${master.host} ${master.port}`;
    const replica = await startNode({ config: [...login, replicaOf], tls, isSecond: true });
    const config = [
      `sentinel monitor ${MASTER} ${master.host} ${master.port} 2`,
      `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER} 3000`,
      ...(password ? [`sentinel auth-pass ${MASTER} ${password}`] : []),
      ...(sentinelPassword ? [`requirepass ${sentinelPassword}`] : []),
    ];
    const sentinels = await Promise.all([0, 1, 2].map(() => startNode({ config, tls, isSentinel: true })));
    const trio = new SentinelTrio([master, replica], sentinels, options);
    await waitUntil(() => trio.#isComplete(), { what: "the Sentinels know one another", timeoutMs: 15_000 });
    return trio;
  }

  /** `host:port` of each Sentinel. */
  addresses(): readonly string[] {
    return this.#nodes.slice(2).map(({ host, port }) => `${host}:${port}`);
  }

  /** The master as a Sentinel reports it. */
  async master(): Promise<TestRedis> {
    const [, port] = await this.client(this.sentinels[0]!).call(
      "SENTINEL",
      "GET-MASTER-ADDR-BY-NAME",
      MASTER,
    ) as string[];
    return this.#nodes.find((node) => node.port === Number(port))!.server;
  }

  /** The connection to one of the five. */
  client(server: TestRedis): Redis {
    const { password, sentinelPassword } = this.#options;
    const secret = this.sentinels.includes(server) ? sentinelPassword : password;
    const client = this.#clients.get(server) ??
      server.client({ enableReadyCheck: false, ...(secret === undefined ? {} : { password: secret }) });
    this.#clients.set(server, client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()));
  }

  async #isComplete(): Promise<boolean> {
    const seen = await Promise.all(this.sentinels.map(async (sentinel) => {
      const info = await this.client(sentinel).info("sentinel").catch(() => "");
      return /status=ok/.test(info) && /slaves=1/.test(info) && /sentinels=3/.test(info);
    }));
    const link = await this.client(this.servers[1]).info("replication").catch(() => "");
    return seen.every(Boolean) && link.includes("master_link_status:up");
  }
}

/** With TLS, others use its TLS port; a test uses the plain one. */
async function startNode(
  { config, tls, isSecond = false, isSentinel = false }: {
    config: readonly string[];
    tls: TrioOptions["tls"];
    isSecond?: boolean;
    isSentinel?: boolean;
  },
): Promise<Node> {
  if (!tls) {
    const server = await startRedis({ config, sentinel: isSentinel });
    return { server, host: "127.0.0.1", port: server.port };
  }
  const host = isSecond ? "127.0.0.2" : "127.0.0.1", port = freePort();
  const certificate = isSecond ? "node_2" : "node_1";
  const server = await startRedis({
    sentinel: isSentinel,
    config: [
      ...tlsConfig({ ...tls, port, certificate, amongServers: true }),
      ...(isSecond ? ["bind 127.0.0.1 127.0.0.2", `replica-announce-ip ${host}`] : []),
      ...config,
    ],
  });
  return { server, host, port };
}
