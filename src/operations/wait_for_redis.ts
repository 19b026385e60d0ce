/** Waits for Redis at the start of an operation that connects by itself. */
import type { RedisConnections } from "../redis/connection.ts";

/** Time limit for Redis to answer, in milliseconds. */
const REDIS_WAIT_MS = 5_000;

/**
 * Waits until Redis answers, for at most 5 s or until the signal aborts. Returns `null` if it answers, otherwise an error message with the
 * reason. Never rejects.
 */
export async function waitForRedis(
  connections: Pick<RedisConnections, "waitUntilReady" | "explainFailure">,
  signal: AbortSignal,
): Promise<string | null> {
  if (await connections.waitUntilReady(REDIS_WAIT_MS, signal)) return null;
  if (signal.aborted) return "Interrupted before Redis answered";
  const failure = await connections.explainFailure() || "CONNECTION";
  return `Redis did not answer within ${REDIS_WAIT_MS / 1_000} s (${failure})`;
}
