/** Gate `breaker`: the forwarder's circuit breaker, read and never written. */
import type { RedisClient } from "../redis/cluster.ts";
import { type BreakerMemory, judgeBreaker, rememberBreaker } from "./breaker.ts";
import type { Log } from "../observability/log.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { BoardReading, GateStatus } from "../gates/board.ts";
import type { Gate, GateAnswer } from "../gates/gate.ts";

/** The breaker of MUTT's forwarder (contract §7). */
export const BREAKER_STATE_KEY = "mutt:circuit_breaker:moogsoft:state";
const OPEN_TIME_KEY = "mutt:circuit_breaker:moogsoft:open_time";
/** Words and numbers are what the breaker's keys hold; no more than this is read of them, in bytes. */
const MAX_TEXT_BYTES = 64;

/** The beginning of one of the breaker's keys; empty where there is none. Rejects with the client's errors. */
export function readBreakerKey(redis: RedisClient, key: string): Promise<string> {
  return redis.getrange(key, 0, MAX_TEXT_BYTES - 1);
}

/** Failures in a row that the breaker has counted; a success sets 0 (contract §7). */
export const BREAKER_FAILURES_KEY = "mutt:circuit_breaker:moogsoft:failures";

/** What the gate needs. */
export interface BreakerGateDeps {
  readonly redis: RedisClient;
  /** `CIRCUIT_BREAKER_ENABLED`: with false the keys may be stale, and are ignored. */
  readonly enabled: boolean;
  readonly timeoutMs: number;
  /** The source as last read: the server's clock, and when the last canary went. */
  readonly snapshot: () => Snapshot | null;
  readonly log: Log;
  /** Told each failed Redis call, for counting. */
  readonly onRedisError?: (error: unknown) => void;
}

/** Creates the gate. Two reads an ask. While the breaker wants a canary it answers room 1, once a timeout for all replicas. */
export function createBreakerGate(deps: BreakerGateDeps): Gate {
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
          warnOnce(`Remediation: the forwarder's circuit breaker has been ${state} for very long and is ignored`);
        }
        if (verdict.kind === "canary") {
          const waitMs = known.record.breakerCanaryAtMs + timeoutMs - nowMs;
          // A canary of the future is a clock that was set back.
          return answerCanary(verdict.reason, waitMs > timeoutMs ? 0 : waitMs);
        }
        const detail = `the forwarder's circuit breaker is ${state || "absent"} (${BREAKER_STATE_KEY})`;
        return verdict.kind === "shut"
          ? { open: false, reason: verdict.reason, detail, retryInMs: verdict.retryInMs }
          : { open: true, reason: verdict.reason, detail };
      } catch (error) {
        deps.onRedisError?.(error);
        const detail = `${BREAKER_STATE_KEY} could not be read (${redisErrorCode(error)})`;
        return { open: false, reason: "unknown", detail, retryInMs: 1_000 };
      }
    },
  };
}

/** The reason under which the gate lets one message through that is not counted. */
const CANARY_REASON = "canary";

/** The gate's status where it wants a canary; else `undefined`. */
export function canaryStatus({ statuses }: BoardReading): GateStatus | undefined {
  return statuses.find(({ name, reason }) => name === "breaker" && reason === CANARY_REASON);
}

function answerCanary(reason: string, waitMs: number): GateAnswer {
  const detail = `the forwarder's circuit breaker is ${reason}: one message a timeout goes and is not counted`;
  return waitMs > 0
    ? { open: false, reason: "canary_sent", detail, retryInMs: waitMs }
    : { open: true, reason: CANARY_REASON, detail, room: 1 };
}
