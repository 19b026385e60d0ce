/** A Redis Cluster: one client that finds each key's node, and whole connections that stay with the owner of one slot. */
import { isIP } from "node:net";
import calculateSlot from "cluster-key-slot";
import { Cluster, type Redis } from "ioredis";
import type { Server } from "../config/redis_url.ts";
import { type ClientOptions, FINDER_TIMEOUT_MS } from "./address.ts";
import { redisErrorCode, StoreError } from "./errors.ts";

/** How often the map of slots is asked for, over a connection of its own, in milliseconds: after a failover it leads the sources' own connections. */
const REFRESH_MS = 2_000;

/** One server, or a cluster of them: what may be asked of either, a key at a time. */
export type RedisClient = Redis | Cluster;

/** What {@link openCluster} needs. */
export interface ClusterDeps {
  /** Of the connection to each node. */
  readonly options: ClientOptions;
  /** Milliseconds before the cluster is looked for again. */
  readonly backoff: () => number;
  /** Called when none of the named nodes is in the cluster any more, with those that are; and with `null` when one is again. */
  readonly onReplaced: (known: readonly string[] | null) => void;
}

/** Opens a client that finds the others by any of `nodes`. Like a single connection it sends nothing again whose fate is not known. */
export function openCluster(nodes: readonly Server[], { options, backoff, onReplaced }: ClusterDeps): Cluster {
  const { commandTimeout = FINDER_TIMEOUT_MS } = options;
  const cluster = new Cluster([...nodes], {
    // The client asks for the map by RESP 2 in any case.
    redisOptions: { ...options, protocol: 2 },
    enableReadyCheck: false,
    enableOfflineQueue: false,
    // After MOVED, ASK and TRYAGAIN a command is sent again, for then it has not run. Otherwise it is not.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: Math.min(commandTimeout, FINDER_TIMEOUT_MS),
    slotsRefreshInterval: REFRESH_MS,
    clusterRetryStrategy: backoff,
    // A certificate is for a name: the address is looked up when connecting.
    dnsLookup: (host, done) => done(null, host),
  });
  // Each source waits for the map.
  cluster.setMaxListeners(0);
  cluster.on("+node", (node: Redis) => nameEndpoints(node, cluster));
  rememberNodes(cluster, { named: nodes, onReplaced });
  return cluster;
}

/** The servers whose keys together are all keys. */
export function masters(redis: RedisClient): readonly Redis[] {
  return redis instanceof Cluster ? redis.nodes("master") : [redis];
}

/** The servers that own these keys; of a cluster only those. @throws a {@link StoreError} `CLUSTERDOWN` where nobody owns one of them */
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

/** What is told of a key whose slot has no owner. */
export function unowned(key: string): StoreError {
  const text = `CLUSTERDOWN no node of the cluster owns slot ${calculateSlot(key)} of ${key}`;
  return new StoreError(text, { code: "CLUSTERDOWN", isCertain: true });
}

/** Where the owner of a key's slot is, for a connection that must be to one server (WATCH, a subscription). */
export class SlotOwner {
  readonly #cluster: Cluster;
  readonly #slot: number;
  /** Where a server that we asked has sent us; its word is newer than the client's map. */
  #sentTo: Server | null = null;

  constructor(cluster: Cluster, key: string) {
    this.#cluster = cluster;
    this.#slot = calculateSlot(key);
  }

  /** Calls `listener` once an owner is known, and `onUnknown` each time that the cluster's map names none until then. */
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

  /** Where to connect now; `null`: no owner is known. */
  server(): Server | null {
    const sentTo = this.#sentTo ?? parseNode(this.#cluster.slots[this.#slot]?.[0]);
    this.#sentTo = null;
    return sentTo;
  }

  /** Whether the slot is not (any more) that of the server at `asked`, by its answer. */
  isElsewhere(error: Error, asked: Server): boolean {
    const [, slot, node] = /^MOVED (\d+) (\S+)$/.exec(withHost(error.message, asked.host)) ?? [];
    if (Number(slot) === this.#slot) {
      this.#sentTo = parseNode(node);
      return true;
    }
    // A master that the others have given up serves nobody, and knows of no successor.
    const mapped = this.#cluster.slots[this.#slot]?.[0];
    return redisErrorCode(error) === "CLUSTERDOWN" && mapped !== undefined && mapped !== addressOf(asked);
  }
}

/** `host:port`, the host of an IPv6 address without brackets. */
function parseNode(node = ""): Server | null {
  const at = node.lastIndexOf(":");
  const [host, port] = [node.slice(0, at), Number(node.slice(at + 1))];
  return at > 0 && port > 0 ? { host, port } : null;
}

function addressOf({ host, port }: { host?: string | undefined; port?: number | undefined }): string {
  return `${host}:${port}`;
}

/** A redirection without a host (`cluster-preferred-endpoint-type unknown-endpoint`) is to the host that was asked. */
function withHost(message: string, asked: string): string {
  return message.replace(/^(MOVED|ASK) (\d+) \??:(\d+)$/, (_, kind, slot, port) => `${kind} ${slot} ${asked}:${port}`);
}

/** A node as CLUSTER SLOTS names it. */
type NodeEntry = [host: string | null, port: number, id?: string, more?: readonly unknown[]];

type SlotRange = [from: number, to: number, ...nodes: NodeEntry[]];

/** Lets the client read what a node says of nodes without a host; it would connect to this machine. */
function nameEndpoints(node: Redis, cluster: Cluster): void {
  const asked = node.options.host ?? "";
  // The client reads the text of the error after it has asked this.
  node.options.reconnectOnError = (error) => {
    const port = Number(/ \?:(\d+)$/.exec(error.message)?.[1]);
    const known = cluster.nodes().filter(({ options }) => options.port === port);
    error.message = withHost(error.message, known.length === 1 ? known[0]!.options.host! : asked);
    return false;
  };
  const duplicate = node.duplicate.bind(node);
  node.duplicate = (override) => {
    const asker = duplicate(override);
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
  // A node that has no name of its own (`?`) still has an address.
  const address = host === "?" ? more[more.indexOf("ip") + 1] : undefined;
  entry[0] = typeof address === "string" && isIP(address) > 0 ? address : asked;
}

/** Once all named nodes were replaced, one moment without connections would lose the cluster: its last known nodes are tried too. */
function rememberNodes(
  cluster: Cluster,
  { named, onReplaced }: { named: readonly Server[] } & Pick<ClusterDeps, "onReplaced">,
): void {
  const addresses = new Set(named.map(addressOf));
  // What is named by name here is known by address there.
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
