/** Gate `returns`: the source's brake, as the cycle in hand left it. */
import type { CycleState } from "../cycle/cycle_state.ts";
import type { Gate } from "./gate.ts";

/**
 * Creates the gate. It is closed while a source is suspect and the next canary group is not due. How many messages go while it is
 * open is in the cycle's budget, so it sets no room.
 */
export function createBrakeGate(
  record: () => { record: CycleState; nextCycleInMs: number } | null,
): Gate<"returns"> {
  return {
    name: "returns",
    ask: () => {
      const known = record();
      if (!known) return { open: true, reason: "unknown", detail: "nothing has been replayed yet" };
      const { suspect, allowance } = known.record.brake;
      if (known.record.cycleLimit === "held") {
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
