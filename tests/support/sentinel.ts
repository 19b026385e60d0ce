/** A master, a replica and three Sentinels that watch them: a test's own, on this machine. */
import type { Redis } from "ioredis";
import { startRedis, type TestRedis } from "./redis.ts";
import { waitUntil } from "./wait.ts";

/** Name of the master. */
export const MASTER = "queues";
/** A master that does not answer for so long is down. */
const DOWN_AFTER_MS = 400;

/** What a trio needs to log in. */
export interface TrioOptions {
  /** Password of Redis itself. */
  readonly password?: string;
  /** Password of the Sentinels. */
  readonly sentinelPassword?: string;
}

/** The servers. Use it with `await using`. */
export class SentinelTrio implements AsyncDisposable {
  readonly servers: readonly [TestRedis, TestRedis];
  readonly sentinels: readonly TestRedis[];
  readonly #options: TrioOptions;
  readonly #clients = new Map<TestRedis, Redis>();

  private constructor(servers: readonly [TestRedis, TestRedis], sentinels: readonly TestRedis[], options: TrioOptions) {
    this.servers = servers;
    this.sentinels = sentinels;
    this.#options = options;
  }

  /** Starts all five, and waits until the Sentinels know one another and the replica. */
  static async start(options: TrioOptions = {}): Promise<SentinelTrio> {
    const { password, sentinelPassword } = options;
    const login = password ? [`requirepass ${password}`, `masterauth ${password}`] : [];
    const master = await startRedis({ config: login });
    const replica = await startRedis({ config: [...login, `replicaof 127.0.0.1 ${master.port}`] });
    const config = [
      `sentinel monitor ${MASTER} 127.0.0.1 ${master.port} 2`,
      `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER} 3000`,
      ...(password ? [`sentinel auth-pass ${MASTER} ${password}`] : []),
      ...(sentinelPassword ? [`requirepass ${sentinelPassword}`] : []),
    ];
    const sentinels = await Promise.all([0, 1, 2].map(() => startRedis({ sentinel: true, config })));
    const trio = new SentinelTrio([master, replica], sentinels, options);
    await waitUntil(() => trio.#isComplete(), { what: "the Sentinels know one another", timeoutMs: 15_000 });
    return trio;
  }

  /** `host:port` of each Sentinel. */
  addresses(): readonly string[] {
    return this.sentinels.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** The server that a Sentinel calls the master. */
  async master(): Promise<TestRedis> {
    const [, port] = await this.client(this.sentinels[0]!).call(
      "SENTINEL",
      "GET-MASTER-ADDR-BY-NAME",
      MASTER,
    ) as string[];
    return this.servers.find((server) => server.port === Number(port))!;
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
