/** A Redis Cluster: one client that finds each key's node, and whole connections that stay with the owner of one slot. */
import calculateSlot from "cluster-key-slot";
import { Cluster, type Redis } from "ioredis";
import type { Server } from "../config/redis_url.ts";
import type { ClientOptions } from "./address.ts";

/** How often the map of slots is asked for, over a connection of its own, in milliseconds: after a failover it leads the sources' own connections. */
const REFRESH_MS = 2_000;

/** One server, or a cluster of them: what may be asked of either, a key at a time. */
export type RedisClient = Redis | Cluster;

/** What {@link openCluster} needs. */
export interface ClusterDeps {
  /** Of the connection to each node. */
  readonly options: ClientOptions;
  /** Milliseconds before the cluster is looked for again, by the attempt from 1. */
  readonly backoff: (attempt: number) => number;
}

/** Opens a client that finds the others by any of `nodes`. Like a single connection it sends nothing again whose fate is not known. */
export function openCluster(nodes: readonly Server[], { options, backoff }: ClusterDeps): Cluster {
  const { commandTimeout = 1_000 } = options;
  return new Cluster([...nodes], {
    redisOptions: options,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    // After MOVED, ASK and TRYAGAIN a command is sent again, for then it has not run. Otherwise it is not.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: commandTimeout,
    slotsRefreshInterval: REFRESH_MS,
    clusterRetryStrategy: backoff,
    // A certificate is for a name: the address is looked up when connecting.
    dnsLookup: (host, done) => done(null, host),
  });
}

/** The servers whose keys together are all keys. */
export function masters(redis: RedisClient): readonly Redis[] {
  return redis instanceof Cluster ? redis.nodes("master") : [redis];
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

  /** Calls `listener` once the cluster's map is known. */
  onceKnown(listener: (server: Partial<Server>) => void): void {
    const tell = () => listener(this.server());
    if (this.#cluster.status === "ready") tell();
    else this.#cluster.once("ready", tell);
  }

  /** Where to connect now. Nothing, where no owner is known: where one was. */
  server(): Partial<Server> {
    const sentTo = this.#sentTo ?? parseNode(this.#cluster.slots[this.#slot]?.[0]);
    this.#sentTo = null;
    return sentTo ?? {};
  }

  /** Whether a server has answered that the slot is not its own (any more). */
  isElsewhere(error: Error): boolean {
    const [, slot, node] = /^MOVED (\d+) (\S+)$/.exec(error.message) ?? [];
    if (Number(slot) !== this.#slot) return false;
    this.#sentTo = parseNode(node);
    return true;
  }
}

/** `host:port`, the host of an IPv6 address without brackets; no host: that of the node that said it, which is not known here. */
function parseNode(node = ""): Server | null {
  const at = node.lastIndexOf(":");
  const [host, port] = [node.slice(0, at), Number(node.slice(at + 1))];
  return at > 0 && port > 0 ? { host, port } : null;
}
