/** Gate `returns`: the brake of a source. */
import type { CycleState } from "../cycle/cycle_state.ts";
import type { Gate } from "./gate.ts";

/**
 * Creates the gate. It is closed while a source is suspect and the next canary group is not due. It sets no room: the cycle's
 * budget already limits how many messages are replayed while it is open.
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
          detail: "the replayed messages came back; the next canary group is not due yet",
          retryInMs: Math.max(0, known.nextCycleInMs),
        };
      }
      if (suspect) {
        return { open: true, reason: "canary", detail: "only a canary group is replayed until one does not come back" };
      }
      if (allowance !== null) {
        return { open: true, reason: "ramping", detail: `up to ${allowance} messages this cycle` };
      }
      return { open: true, reason: "healthy", detail: "replayed messages do not come back" };
    },
  };
}
