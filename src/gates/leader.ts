/** Gate `leader`: of several instances one moves a source's messages, the others stand by. */
import type { Gate, GateAnswer } from "./gate.ts";

/** What this instance is to a source. `off`: there is no election. `unknown`: not found out yet, or not any more. */
export type Role = "leader" | "standby" | "unknown" | "off";

/** The role, and who leads. */
export interface LeadershipStatus {
  readonly role: Role;
  /** Name of the instance that leads; empty where that is not known. */
  readonly holder: string;
  /** For how long the lease is held still, in milliseconds. */
  readonly leftMs: number;
  /** Code of the failed Redis call because of which the role is not known; empty: none. */
  readonly errorCode: string;
}

/** What the gate asks. */
export interface LeaderGateDeps {
  /** Finds out anew where it is time to. Never rejects. */
  refresh(): Promise<void>;
  status(): LeadershipStatus;
}

/** Creates the gate. At most one Redis call an ask, and only where the lease is due to be asked for. */
export function createLeaderGate(leadership: LeaderGateDeps): Gate<"leader"> {
  return {
    name: "leader",
    async ask(): Promise<GateAnswer<"leader">> {
      await leadership.refresh();
      const { role, holder, leftMs, errorCode } = leadership.status();
      if (role === "off") {
        return { open: true, reason: "off", detail: "there is no election (REMEDIATION_LEADER_ELECTION)" };
      }
      if (role === "leader") return { open: true, reason: "leader", detail: "this instance leads" };
      if (role === "standby") {
        const detail = `${holder} leads; its lease ends in ${(leftMs / 1_000).toFixed(1)} s unless it is renewed`;
        return { open: false, reason: "standby", detail, retryInMs: leftMs };
      }
      const why = errorCode === "" ? "" : `: Redis refused or did not answer (${errorCode})`;
      return { open: false, reason: "unknown", detail: `it is not known who leads${why}` };
    },
  };
}
