/** Which closed gates hold a source, and which only open and close as its messages move. Pure. */
import type { GateStatus } from "./board.ts";
import { hasTrait } from "./gate.ts";

/** A gate that limits flow opens and closes as messages move. If it stays closed for this long, the source waits for it. */
export const HELD_MS = 5_000;

/**
 * Returns the closed gates that hold a source, in the order of the board. Leadership tells who moves messages, so a standby is not held by
 * it. `nowMs`: this machine's clock, which the gates' instants are by.
 */
export function gatesThatHold(statuses: readonly GateStatus[], nowMs: number): readonly GateStatus[] {
  return statuses.filter(({ name, open, reason, sinceMs }) =>
    !open && !(name === "leader" && reason === "standby") &&
    (hasTrait(name, "blocksStart") || nowMs - sinceMs >= HELD_MS)
  );
}
