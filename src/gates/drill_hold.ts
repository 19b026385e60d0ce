/** The simulated outage of a drill: one gate of a source answers closed until an instant by the server's clock. */
import type { Snapshot } from "../cycle/cycle_state.ts";
import { MAX_OUTAGE_MS } from "../cycle/running_drill.ts";
import { type Gate, hasTrait } from "./gate.ts";

/**
 * Returns the gate, which a drill may hold. It goes by the source's latest snapshot, so all instances see the same outage, and it ends by
 * itself. A gate that is closed for a reason of its own says that reason.
 */
export function holdForDrill(gate: Gate, snapshot: () => Pick<Snapshot, "record" | "nowMs"> | null): Gate {
  const { name } = gate;
  if (!hasTrait(name, "canBeDrilled")) return gate;
  return {
    name,
    async ask() {
      const answer = await gate.ask(), known = snapshot(), drill = known?.record.drill;
      if (!answer.open || !known || drill?.gate !== name) return answer;
      const leftMs = drill.heldUntilMs - known.nowMs;
      // Longer than any drill: the clock was set back, or a person wrote the field.
      if (leftMs <= 0 || leftMs > MAX_OUTAGE_MS) return answer;
      const until = new Date(drill.heldUntilMs).toISOString().slice(11, 19);
      const detail = `the drill ${drill.id} holds it until ${until} UTC, to simulate an outage`;
      return { open: false, reason: "drill", detail, retryInMs: leftMs };
    },
  };
}
