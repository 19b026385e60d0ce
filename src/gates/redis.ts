/** Gate `redis`: open while the connections take commands and a trial shows that Redis accepts moves. */
import type { RedisErrorCode } from "../redis/errors.ts";
import type { MoveTrial } from "../redis/move_trial.ts";
import type { Gate } from "./gate.ts";

/** The connections of a source. */
export interface GatedConnections {
  isReady(): boolean;
  /** Code of the last failure; empty if they have not failed yet. */
  lastErrorCode(): RedisErrorCode | "";
  lastFailure(): string;
}

/** Creates the gate. A refusal holds until a trial succeeds, also while it makes the connections reconnect. */
export function createRedisGate(
  connections: GatedConnections,
  trial: Pick<MoveTrial, "ask" | "last">,
): Gate<"redis"> {
  return {
    name: "redis",
    async ask() {
      const isReady = connections.isReady();
      const isBetween = !isReady && connections.lastErrorCode() === "";
      const refusal = isReady ? await trial.ask() : isBetween ? trial.last() : null;
      // If the connection broke meanwhile, Redis has refused nothing.
      const isLost = refusal?.code === "CONNECTION";
      if (refusal && !isLost) {
        const detail = `Redis refuses to move messages: ${refusal.text}`;
        return { open: false, reason: toReason(refusal.code), detail, retryInMs: 500 };
      }
      if (isReady && !isLost) return { open: true, reason: "connected", detail: "Redis answers" };
      const code = connections.lastErrorCode(), failure = connections.lastFailure();
      return {
        open: false,
        reason: isLost ? "connection" : code === "" ? "connecting" : toReason(code),
        detail: "Redis cannot be used at the address in REDIS_URL, REDIS_HOST, REDIS_SENTINELS or REDIS_CLUSTER_NODES" +
          (failure === "" ? "" : ` (${failure})`),
        retryInMs: 500,
      };
    },
  };
}

function toReason(code: RedisErrorCode): Lowercase<RedisErrorCode> {
  return code.toLowerCase() as Lowercase<RedisErrorCode>;
}
