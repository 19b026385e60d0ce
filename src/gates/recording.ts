/** Decides which instance records what is shared about a source: its history, and the counts of its objectives. Pure. */
import type { GateStatus } from "./board.ts";
import type { Role } from "./leader.ts";

/**
 * Whether this instance records. `always`: it leads, or there is no leader election. `if_first`: replay is switched off, so there
 * is no leader, and the first instance to try records. `never`: another instance does, or Redis has not confirmed the lease.
 */
export type Recording = "always" | "if_first" | "never";

/** Decides it from the role of this instance and the last answers of the gates. */
export function recordingOf(role: Role, gates: readonly Pick<GateStatus, "name" | "reason">[]): Recording {
  if (role === "leader" || role === "off") return "always";
  return gates.some(({ name, reason }) => name === "enabled" && reason === "switched_off") ? "if_first" : "never";
}
