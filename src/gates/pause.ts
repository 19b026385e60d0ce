/** Gate `pause`: closed while an operator has paused the source. */
import type { Snapshot } from "../cycle/cycle_state.ts";
import { describePause, pauseLeftMs } from "../cycle/pause.ts";
import type { Gate } from "./gate.ts";

/** Creates the gate. It goes by the source's latest snapshot, so all instances see the same pause end by the server's clock. */
export function createPauseGate(snapshot: () => Pick<Snapshot, "record" | "nowMs"> | null): Gate<"pause"> {
  return {
    name: "pause",
    ask() {
      const known = snapshot();
      if (!known) return { open: false, reason: "unknown", detail: "the source has not been read yet", retryInMs: 250 };
      const { nowMs, record: { pause } } = known, leftMs = pauseLeftMs(pause, nowMs);
      if (!pause || leftMs === 0) return { open: true, reason: "none", detail: "the source is not paused" };
      return { open: false, reason: "paused", detail: describePause(pause, nowMs), retryInMs: leftMs };
    },
  };
}
