/** Gates that need nothing but what the process already knows: switched on, connected, and the brake. */
import type { MoveTrial } from "../redis/move_trial.ts";
import type { SourceRecord } from "../cycle/cycle_state.ts";
import type { Gate } from "./gate.ts";

/**
 * Gate `enabled`: `REMEDIATION_ENABLED`, or the dynamic key `remediation_enabled`. `isKnown` is false while a dynamic key
 * that switches replay off may be there and could not be read yet.
 */
export function createEnabledGate({ isEnabled, isKnown }: { isEnabled: () => boolean; isKnown: () => boolean }): Gate {
  return {
    name: "enabled",
    ask() {
      if (!isKnown()) {
        const detail = "the dynamic configuration could not be read yet (DYNAMIC_CONFIG_ENABLED)";
        return { open: false, reason: "unknown", detail, retryInMs: 250 };
      }
      if (isEnabled()) return { open: true, reason: "enabled", detail: "replay is switched on" };
      const detail = "replay is switched off (REMEDIATION_ENABLED or the key remediation_enabled)";
      return { open: false, reason: "switched_off", detail };
    },
  };
}

/**
 * Gate `redis`: whether the connections can take commands, and whether Redis would let messages move, found by trying. A
 * refusal holds until a trial says otherwise, also while the connections are made anew because of it.
 */
export function createRedisGate(
  connections: { isReady(): boolean; lastErrorCode(): string; lastFailure(): string },
  trial: Pick<MoveTrial, "ask" | "last">,
): Gate {
  return {
    name: "redis",
    async ask() {
      const isReady = connections.isReady();
      const isBetween = !isReady && connections.lastErrorCode() === "";
      const refusal = isReady ? await trial.ask() : isBetween ? trial.last() : null;
      if (refusal) {
        const detail = `Redis lets nothing be moved: ${refusal.text}`;
        return { open: false, reason: refusal.code.toLowerCase(), detail, retryInMs: 500 };
      }
      if (isReady) return { open: true, reason: "connected", detail: "Redis answers" };
      const failure = connections.lastFailure();
      return {
        open: false,
        reason: connections.lastErrorCode().toLowerCase() || "connecting",
        detail:
          "Redis cannot be used where REDIS_URL, REDIS_HOST, REDIS_SENTINELS or REDIS_CLUSTER_NODES say that it is" +
          (failure === "" ? "" : ` (${failure})`),
        retryInMs: 500,
      };
    },
  };
}

/**
 * Gate `returns`: closed while a source is suspect and the next canary group is not due. How many go while it is open is in
 * the cycle's bound, so it sets no room.
 */
export function createReturnsGate(record: () => { record: SourceRecord; nextCycleInMs: number } | null): Gate {
  return {
    name: "returns",
    ask: () => {
      const known = record();
      if (!known) return { open: true, reason: "unknown", detail: "nothing has been replayed yet" };
      const { suspect, allowance } = known.record.brake;
      if (known.record.boundBy === "held") {
        return {
          open: false,
          reason: "common_failure",
          detail: "what was replayed came back; the next canary group waits",
          retryInMs: Math.max(0, known.nextCycleInMs),
        };
      }
      if (suspect) return { open: true, reason: "canary", detail: "only a canary group goes until one stays away" };
      if (allowance !== null) {
        return { open: true, reason: "ramping", detail: `up to ${allowance} messages this cycle` };
      }
      return { open: true, reason: "healthy", detail: "replays stay away" };
    },
  };
}
