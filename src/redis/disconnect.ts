/** Ends connections, and waits until nothing of them is left. */
import { Cluster, type Redis } from "ioredis";
import type { Clock } from "../runtime/clock.ts";
import { DISCONNECT_TIMEOUT_MS } from "./address.ts";
import { openConnections, type RedisClient } from "./cluster.ts";

/** Time to wait, in milliseconds, if the end is not told: the client's timer, and the end of the connection after it. */
const WAIT_MS = 2 * DISCONNECT_TIMEOUT_MS;
/** Maximum time to wait for an end that is told soon after the client's timer, in milliseconds: on a busy machine it takes longer. */
const END_MS = 5_000;
/** A client in another state tells of no end, but has started its timer all the same (ioredis 6). */
const TELLS_ITS_END: ReadonlySet<string> = new Set(["connecting", "connect", "ready"]);

/**
 * Ends a client before it returns: its connection, or every connection of a cluster's client. Resolves when sockets and timers
 * are gone: as a rule within 200 ms. Never rejects.
 */
export async function disconnect(redis: RedisClient, clock: Clock): Promise<void> {
  if (!(redis instanceof Cluster)) return await end(redis, clock);
  const connections = openConnections(redis);
  if (redis.status !== "end") redis.disconnect();
  // The client's own "end" comes when the first of them has gone.
  await Promise.all(connections.map((one) => end(one, clock)));
}

async function end(redis: Redis, clock: Clock): Promise<void> {
  // Disconnecting a client that has ended leaves a timer running (ioredis 6).
  if (redis.status === "end") return;
  const gone = new AbortController();
  const tells = TELLS_ITS_END.has(redis.status);
  // A client that looks for a master among its Sentinels tells of its end only when its pause is over.
  const isSoon = tells && !(redis.status === "connecting" && redis.options.sentinels);
  if (tells) redis.once("end", () => gone.abort());
  redis.disconnect();
  await clock.sleep(isSoon ? END_MS : WAIT_MS, gone.signal);
}
