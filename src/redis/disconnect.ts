/** Ends a connection, and waits until nothing of it is left. */
import type { Clock } from "../runtime/clock.ts";
import type { RedisClient } from "./cluster.ts";

/** A server has this long to close a connection that we have ended, in milliseconds. Then the client destroys it. */
export const DISCONNECT_TIMEOUT_MS = 100;
/** Maximum time to wait, in milliseconds: the client's timer, and the end of the connection after it. */
const WAIT_MS = 2 * DISCONNECT_TIMEOUT_MS;
/** A client in another state tells of no end, but has started its timer all the same (ioredis 6). */
const TELLS_ITS_END: ReadonlySet<string> = new Set(["connecting", "connect", "ready"]);

/** Ends the connection before it returns. Resolves when its socket and timers are gone, or after 200 ms. Never rejects. */
export async function disconnect(redis: RedisClient, clock: Clock): Promise<void> {
  // Disconnecting a client that has ended leaves a timer running (ioredis 6).
  if (redis.status === "end") return;
  const gone = new AbortController();
  if (TELLS_ITS_END.has(redis.status)) redis.once("end", () => gone.abort());
  redis.disconnect();
  await clock.sleep(WAIT_MS, gone.signal);
}
