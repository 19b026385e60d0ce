/**
 * Asks the Sentinels periodically for the master. A connected client never asks. If the network cuts an old master off from the
 * Sentinels and its replicas but not from us, it still accepts writes, and loses them when it becomes a replica.
 */
import { isIP } from "node:net";
import { Redis } from "ioredis";
import type { Server } from "../config/redis_url.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { Clock } from "../runtime/clock.ts";
import { type ClientOptions, DISCONNECT_TIMEOUT_MS } from "./address.ts";
import { disconnect } from "./disconnect.ts";

/** Pause between two rounds in milliseconds, and the shortest pause before a round that {@link MasterWatch.wake} requests. */
const INTERVAL_MS = 10_000, MIN_PAUSE_MS = 1_000;

/** Dependencies and callbacks of a {@link MasterWatch}. */
export interface MasterWatchDeps {
  readonly clock: Clock;
  /** Options of a client that finds the master through the Sentinels. */
  readonly options: ClientOptions;
  /** Returns the server that the service is connected to; `null` if it is not connected. */
  readonly connectedTo: () => Server | null;
  /** Called when more Sentinels name another master than name the connected one. */
  readonly onElsewhere: (master: string, connectedTo: string) => void;
}

/**
 * Compares the connected master with the Sentinels' answers. Wake it when the master refuses writes: it may be the
 * wrong one.
 */
export class MasterWatch extends PeriodicTask {
  readonly #deps: MasterWatchDeps;

  constructor(deps: MasterWatchDeps) {
    super({ clock: deps.clock, firstRun: "after_interval", minPauseMs: MIN_PAUSE_MS });
    this.#deps = deps;
  }

  protected intervalMs(): number {
    return INTERVAL_MS;
  }

  protected async run(): Promise<void> {
    const { options: { sentinels = [] }, connectedTo, onElsewhere } = this.#deps;
    if (connectedTo() === null) return;
    const named = await Promise.all(sentinels.map((sentinel) => this.#ask(sentinel).catch(() => null)));
    const current = connectedTo();
    if (current === null || this.stopping.aborted) return;
    const here = named.filter((server) => server !== null && isSame(server, current)).length;
    const votes = new Map<string, number>();
    for (const server of named) {
      if (server === null || isSame(server, current)) continue;
      const address = `${server.host}:${server.port}`;
      votes.set(address, (votes.get(address) ?? 0) + 1);
    }
    const [master, most] = [...votes].sort(([, a], [, b]) => b - a)[0] ?? ["", 0];
    if (most > here) onElsewhere(master, `${current.host}:${current.port}`);
  }

  async #ask(sentinel: Partial<Server>): Promise<Server | null> {
    const { options } = this.#deps;
    const client = new Redis({
      ...{ host: sentinel.host!, port: sentinel.port ?? 26_379, protocol: 2, retryStrategy: () => null },
      ...{
        enableReadyCheck: false,
        disableClientInfo: true,
        lazyConnect: true,
        disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      },
      ...(options.sentinelUsername ? { username: options.sentinelUsername } : {}),
      ...(options.sentinelPassword ? { password: options.sentinelPassword } : {}),
      ...(options.sentinelTLS ? { tls: options.sentinelTLS } : {}),
      ...{ connectTimeout: options.sentinelCommandTimeout!, commandTimeout: options.sentinelCommandTimeout! },
    });
    client.on("error", () => {}); // the command rejects
    const close = () => disconnect(client, this.#deps.clock);
    this.stopping.addEventListener("abort", close);
    try {
      const reply = await client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", options.name!);
      return Array.isArray(reply) ? { host: String(reply[0]), port: Number(reply[1]) } : null;
    } finally {
      this.stopping.removeEventListener("abort", close);
      await close();
    }
  }
}

/** Hostnames that the Sentinels announce are not compared, because the connection only has an address. */
function isSame(named: Server, connected: Server): boolean {
  return named.port === connected.port && (isIP(named.host) === 0 || named.host === connected.host);
}
