/** Gate `redis`: whether the connections can take commands, and whether Redis would let messages move, found by trying. */
import type { RedisErrorCode } from "../redis/errors.ts";
import type { MoveTrial } from "../redis/move_trial.ts";
import type { Gate } from "./gate.ts";

/** The connections of a source. */
export interface GatedConnections {
  isReady(): boolean;
  /** Empty: they have not failed yet. */
  lastErrorCode(): RedisErrorCode | "";
  lastFailure(): string;
}

/** Creates the gate. A refusal holds until a trial says otherwise, also while the connections are made anew because of it. */
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
      if (refusal) {
        const detail = `Redis lets nothing be moved: ${refusal.text}`;
        return { open: false, reason: toReason(refusal.code), detail, retryInMs: 500 };
      }
      if (isReady) return { open: true, reason: "connected", detail: "Redis answers" };
      const code = connections.lastErrorCode(), failure = connections.lastFailure();
      return {
        open: false,
        reason: code === "" ? "connecting" : toReason(code),
        detail:
          "Redis cannot be used where REDIS_URL, REDIS_HOST, REDIS_SENTINELS or REDIS_CLUSTER_NODES say that it is" +
          (failure === "" ? "" : ` (${failure})`),
        retryInMs: 500,
      };
    },
  };
}

function toReason(code: RedisErrorCode): Lowercase<RedisErrorCode> {
  return code.toLowerCase() as Lowercase<RedisErrorCode>;
}
