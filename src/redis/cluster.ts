/**
 * Redis Cluster: one client that finds the node of each key, and connections that follow the owner of one slot.
 *
 * The client (ioredis 6) does not end all that it has opened: it tells of its end when the first node has gone, and a refresh of
 * the slot map that is in progress goes on. So its connections are known here, and `disconnect` ends each of them.
 */
import { isIP } from "node:net";
import calculateSlot from "cluster-key-slot";
import { Cluster, type Redis } from "ioredis";
import type { Server } from "../config/redis_url.ts";
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Clock } from "../runtime/clock.ts";
import { type ClientOptions, FINDER_TIMEOUT_MS } from "./address.ts";
import { redisErrorCode, StoreError } from "./errors.ts";

/**
 * Interval of slot map refreshes, on their own connection, in milliseconds. After a failover, the sources' connections
 * follow the map.
 */
const REFRESH_MS = 2_000;

/** Open connections of each cluster's client: those to the nodes, and those that ask for the slot map. */
const CONNECTIONS = new WeakMap<Cluster, Set<Redis>>();

/** A client for one server or for a cluster. Each command may name keys of one slot only. */
export type RedisClient = Redis | Cluster;

/** Options and callbacks of {@link openCluster}. */
export interface ClusterDeps {
  /** Options of the connection to each node. */
  readonly options: ClientOptions;
  /** Returns the pause before the next attempt to reach the cluster, in milliseconds. */
  readonly backoff: () => number;
  /** Called with the cluster's nodes when none of the named nodes is left, and with `null` when one is back. */
  readonly onReplaced: (known: readonly string[] | null) => void;
}

/** Opens a client that discovers the cluster through any of `nodes`. It never resends a command that may have run. */
export function openCluster(nodes: readonly Server[], { options, backoff, onReplaced }: ClusterDeps): Cluster {
  const { commandTimeout = FINDER_TIMEOUT_MS } = options;
  const cluster = new Cluster([...nodes], {
    // The client parses the slot map as RESP 2.
    redisOptions: { ...options, protocol: 2 },
    enableReadyCheck: false,
    enableOfflineQueue: false,
    // MOVED, ASK and TRYAGAIN mean that the command has not run, so it is sent again. No other failure is retried.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: Math.min(commandTimeout, FINDER_TIMEOUT_MS),
    clusterRetryStrategy: backoff,
    // Keep the name, because certificates are for names. The socket resolves it when it connects.
    dnsLookup: (host, done) => done(null, host),
  });
  // Each source adds a listener for the slot map.
  cluster.setMaxListeners(0);
  CONNECTIONS.set(cluster, new Set());
  cluster.on("+node", (node: Redis) => {
    remember(node, cluster);
    nameEndpoints(node, cluster);
  });
  rememberNodes(cluster, { named: nodes, onReplaced });
  return cluster;
}

/** Returns every connection of the client that is not gone yet, also those that are ending. */
export function openConnections(cluster: Cluster): readonly Redis[] {
  return [...CONNECTIONS.get(cluster) ?? []];
}

/** Refreshes the slot map periodically. The client's own timer restarts itself after the client has ended, forever. */
export class SlotRefresh extends PeriodicTask {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster, clock: Clock) {
    super({ clock, firstRun: "after_interval" });
    this.#cluster = cluster;
  }

  protected async run(): Promise<RunResult> {
    if (this.#cluster.status !== "ready") return "skipped";
    await new Promise<void>((resolve) => this.#cluster.refreshSlotsCache(() => resolve()));
    return "done";
  }

  protected intervalMs(): number {
    return REFRESH_MS;
  }
}

/** Returns all masters; together they hold all keys. */
export function masters(redis: RedisClient): readonly Redis[] {
  return redis instanceof Cluster ? redis.nodes("master") : [redis];
}

/** Returns the servers that own these keys. @throws a {@link StoreError} `CLUSTERDOWN` if a key's slot has no owner */
export function ownersOf(redis: RedisClient, keys: readonly string[]): readonly Redis[] {
  if (!(redis instanceof Cluster)) return [redis];
  const owners = keys.map((key) => {
    const address = redis.slots[calculateSlot(key)]?.[0];
    const owner = redis.nodes("master").find((node) => addressOf(node.options) === address);
    if (!owner) throw unowned(key);
    return owner;
  });
  return [...new Set(owners)];
}

/** Returns the error for a key whose slot has no owner. */
export function unowned(key: string): StoreError {
  const text = `CLUSTERDOWN no node of the cluster owns slot ${calculateSlot(key)} of ${key}`;
  return new StoreError(text, { code: "CLUSTERDOWN", isCertain: true });
}

/** Finds the owner of a key's slot, for a connection that must be to one server (WATCH, a subscription). */
export class SlotOwner {
  readonly #cluster: Cluster;
  readonly #slot: number;
  /** The target of the last MOVED reply; it is newer than the client's slot map. */
  #sentTo: Server | null = null;

  constructor(cluster: Cluster, key: string) {
    this.#cluster = cluster;
    this.#slot = calculateSlot(key);
  }

  /** Calls `listener` once the owner is known. Until then, calls `onUnknown` after each slot map without an owner. */
  whenKnown(listener: (server: Server) => void, onUnknown: () => void): void {
    const tell = () => {
      const server = this.server();
      if (!server) return onUnknown();
      this.#cluster.off("refresh", tell);
      listener(server);
    };
    this.#cluster.on("refresh", tell);
    if (this.#cluster.status === "ready") tell();
  }

  /** Returns the server to connect to now; `null` if no owner is known. */
  server(): Server | null {
    const sentTo = this.#sentTo ?? parseNode(this.#cluster.slots[this.#slot]?.[0]);
    this.#sentTo = null;
    return sentTo;
  }

  /** Returns whether the error shows that another server than `asked` owns the slot. */
  isElsewhere(error: Error, asked: Server): boolean {
    const [, slot, node] = /^MOVED (\d+) (\S+)$/.exec(withHost(error.message, asked.host)) ?? [];
    if (Number(slot) === this.#slot) {
      this.#sentTo = parseNode(node);
      return true;
    }
    // A master that the cluster has replaced answers CLUSTERDOWN and does not know its successor.
    const mapped = this.#cluster.slots[this.#slot]?.[0];
    return redisErrorCode(error) === "CLUSTERDOWN" && mapped !== undefined && mapped !== addressOf(asked);
  }
}

/** Parses `host:port`; an IPv6 address has no brackets. */
function parseNode(node = ""): Server | null {
  const at = node.lastIndexOf(":");
  const [host, port] = [node.slice(0, at), Number(node.slice(at + 1))];
  return at > 0 && port > 0 ? { host, port } : null;
}

function addressOf({ host, port }: { host?: string | undefined; port?: number | undefined }): string {
  return `${host}:${port}`;
}

/** Adds the asked host to a redirection without a host (`cluster-preferred-endpoint-type unknown-endpoint`). */
function withHost(message: string, asked: string): string {
  return message.replace(/^(MOVED|ASK) (\d+) \??:(\d+)$/, (_, kind, slot, port) => `${kind} ${slot} ${asked}:${port}`);
}

/** A node in the reply to CLUSTER SLOTS. */
type NodeEntry = [host: string | null, port: number, id?: string, more?: readonly unknown[]];

type SlotRange = [from: number, to: number, ...nodes: NodeEntry[]];

function remember(redis: Redis, cluster: Cluster): void {
  const connections = CONNECTIONS.get(cluster)!;
  connections.add(redis);
  redis.once("end", () => connections.delete(redis));
  // The cluster's client disconnects some that have ended, which leaves a timer running (ioredis 6).
  const disconnect = redis.disconnect.bind(redis);
  redis.disconnect = (reconnect) => redis.status === "end" ? undefined : disconnect(reconnect);
}

/** Fills in missing hosts in a node's redirections and slot map. The client would take them for this machine. */
function nameEndpoints(node: Redis, cluster: Cluster): void {
  const asked = node.options.host ?? "";
  // The client reads the error's text after this call.
  node.options.reconnectOnError = (error) => {
    const port = Number(/ \?:(\d+)$/.exec(error.message)?.[1]);
    const known = cluster.nodes().filter(({ options }) => options.port === port);
    error.message = withHost(error.message, known.length === 1 ? known[0]!.options.host! : asked);
    return false;
  };
  const duplicate = node.duplicate.bind(node);
  node.duplicate = (override) => {
    const asker = duplicate(override);
    remember(asker, cluster);
    // A late redirection makes the client ask, even if it has been ended.
    if (cluster.status === "disconnecting" || cluster.status === "end") asker.disconnect();
    const ask = asker.cluster.bind(asker) as (...given: unknown[]) => Promise<unknown>;
    asker.cluster =
      ((subcommand: string, done: (error: unknown, ranges?: unknown) => void) =>
        ask(subcommand, (error: unknown, ranges: unknown) => {
          if (Array.isArray(ranges)) {
            for (const [, , ...nodes] of ranges as SlotRange[]) nodes.forEach((one) => nameHost(one, asked));
          }
          done(error, ranges);
        })) as typeof asker.cluster;
    return asker;
  };
}

function nameHost(entry: NodeEntry, asked: string): void {
  const [host, , , more = []] = entry;
  if (host !== null && host !== "" && host !== "?") return;
  // A node without a configured hostname (`?`) still has an address.
  const address = host === "?" ? more[more.indexOf("ip") + 1] : undefined;
  entry[0] = typeof address === "string" && isIP(address) > 0 ? address : asked;
}

/** Adds the last known nodes to the startup nodes: after all named nodes were replaced, only they lead back to the cluster. */
function rememberNodes(
  cluster: Cluster,
  { named, onReplaced }: { named: readonly Server[] } & Pick<ClusterDeps, "onReplaced">,
): void {
  const addresses = new Set(named.map(addressOf));
  // The slot map holds addresses, so names cannot be compared with it.
  const areComparable = named.every(({ host }) => isIP(host) > 0);
  let isReplaced = false;
  cluster.on("refresh", () => {
    const known = cluster.nodes().map(({ options: { host, port } }) => ({ host: host!, port: port! }));
    const others = known.filter((node) => !addresses.has(addressOf(node)));
    (cluster as unknown as { startupNodes: readonly Server[] }).startupNodes = [...named, ...others];
    const wasReplaced = isReplaced;
    isReplaced = areComparable && known.length > 0 && others.length === known.length;
    if (isReplaced !== wasReplaced) onReplaced(isReplaced ? known.map(addressOf).sort() : null);
  });
}
