/** Gate `breaker`: reads the forwarder's circuit breaker, never writes it. */
import type { RedisClient } from "../redis/cluster.ts";
import { type BreakerMemory, judgeBreaker, rememberBreaker } from "./breaker.ts";
import type { Log } from "../observability/log.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Gate, GateAnswer } from "../gates/gate.ts";

/** Redis key of the breaker's state (contract §7). */
export const BREAKER_STATE_KEY = "mutt:circuit_breaker:moogsoft:state";
const OPEN_TIME_KEY = "mutt:circuit_breaker:moogsoft:open_time";
/** Most bytes read from a breaker key. Valid values are single words and numbers. */
const MAX_TEXT_BYTES = 64;

/** Reads the start of a breaker key; empty if the key is missing. Rejects with the client's errors. */
export function readBreakerKey(redis: RedisClient, key: string): Promise<string> {
  return redis.getrange(key, 0, MAX_TEXT_BYTES - 1);
}

/** Redis key of the breaker's count of consecutive failures. A success resets it to 0 (contract §7). */
export const BREAKER_FAILURES_KEY = "mutt:circuit_breaker:moogsoft:failures";

/** Dependencies of {@link createBreakerGate}. */
export interface BreakerGateDeps {
  readonly redis: RedisClient;
  /** `CIRCUIT_BREAKER_ENABLED`. If false, the keys may be stale and the gate ignores them. */
  readonly enabled: boolean;
  readonly timeoutMs: number;
  /** The source's latest snapshot: the server's clock and the time of the last canary. */
  readonly snapshot: () => Snapshot | null;
  readonly log: Log;
  /** Called with the error of each failed Redis call, for counting. */
  readonly onRedisError?: (error: unknown) => void;
}

/**
 * Creates the gate. Each `ask` reads two keys. If the breaker allows a canary, the answer has room 1, once per timeout
 * for all replicas.
 */
export function createBreakerGate(deps: BreakerGateDeps): Gate<"breaker"> {
  const { redis, enabled, timeoutMs, snapshot, log } = deps;
  let memory: BreakerMemory | null = null;
  let warned = false;
  const warnOnce = (message: string) => {
    if (!warned) log.warning("breaker_ignored", message);
    warned = true;
  };
  return {
    name: "breaker",
    async ask() {
      if (!enabled) {
        warnOnce("Remediation: the forwarder's circuit breaker is ignored (CIRCUIT_BREAKER_ENABLED is false)");
        return { open: true, reason: "disabled", detail: "CIRCUIT_BREAKER_ENABLED is false" };
      }
      const known = snapshot();
      if (!known) return { open: false, reason: "unknown", detail: "the source has not been read yet", retryInMs: 250 };
      try {
        const [state, openTime] = await Promise.all([
          readBreakerKey(redis, BREAKER_STATE_KEY),
          readBreakerKey(redis, OPEN_TIME_KEY),
        ]);
        const { nowMs } = known;
        memory = rememberBreaker(memory, { reading: { state, openTime }, nowMs });
        const verdict = judgeBreaker(memory, { nowMs, timeoutMs });
        if (verdict.reason === "abandoned") {
          warnOnce(`Remediation: the forwarder's circuit breaker has been ${state} for too long and is ignored`);
        }
        if (verdict.kind === "canary") {
          const waitMs = known.record.breakerCanaryAtMs + timeoutMs - nowMs;
          // If the last canary lies in the future, the clock was set back.
          return answerCanary(verdict.reason, waitMs > timeoutMs ? 0 : waitMs);
        }
        const detail = `the forwarder's circuit breaker is ${state || "absent"} (${BREAKER_STATE_KEY})`;
        return verdict.kind === "shut"
          ? { open: false, reason: verdict.reason, detail, retryInMs: verdict.retryInMs }
          : { open: true, reason: verdict.reason, detail };
      } catch (error) {
        deps.onRedisError?.(error);
        const detail = `${BREAKER_STATE_KEY} cannot be read (${redisErrorCode(error)})`;
        return { open: false, reason: "unknown", detail, retryInMs: 1_000 };
      }
    },
  };
}

function answerCanary(reason: string, waitMs: number): GateAnswer<"breaker"> {
  const detail = `the forwarder's circuit breaker is ${reason}: one message per timeout is replayed, uncounted`;
  return waitMs > 0
    ? { open: false, reason: "canary_sent", detail, retryInMs: waitMs }
    : { open: true, reason: "canary", detail, room: 1, canary: true };
}
