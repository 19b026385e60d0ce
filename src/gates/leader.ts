/** Gate `leader`: one of several instances moves a source's messages; the others stand by. */
import type { Gate, GateAnswer } from "./gate.ts";

/** This instance's role for a source. `off`: leader election is off. `unknown`: not known yet, or no longer known. */
export type Role = "leader" | "standby" | "unknown" | "off";

/** This instance's role, and the current leader. */
export interface LeadershipStatus {
  readonly role: Role;
  /** Name of the leader; empty if not known. */
  readonly holder: string;
  /** Token of the leader; empty if not known. */
  readonly token: string;
  /** Time left on the lease, in milliseconds. */
  readonly leftMs: number;
  /** Code of the failed Redis call that left the role unknown; empty if none failed. */
  readonly errorCode: string;
}

/** The leadership as the gate uses it. */
export interface LeaderGateDeps {
  /** Updates the status if it is due. Never rejects. */
  refresh(): Promise<void>;
  status(): LeadershipStatus;
}

/** Creates the gate. It makes at most one Redis call per ask, and only if the lease is due for renewal. */
export function createLeaderGate(leadership: LeaderGateDeps): Gate<"leader"> {
  return {
    name: "leader",
    async ask(): Promise<GateAnswer<"leader">> {
      await leadership.refresh();
      const { role, holder, leftMs, errorCode } = leadership.status();
      if (role === "off") {
        return { open: true, reason: "off", detail: "leader election is off (REMEDIATION_LEADER_ELECTION)" };
      }
      if (role === "leader") return { open: true, reason: "leader", detail: "this instance leads" };
      if (role === "standby") {
        const detail = `${holder} leads; its lease ends in ${(leftMs / 1_000).toFixed(1)} s unless it is renewed`;
        return { open: false, reason: "standby", detail, retryInMs: leftMs };
      }
      const why = errorCode === "" ? "" : `: Redis refused or did not answer (${errorCode})`;
      return { open: false, reason: "unknown", detail: `the leader is not known${why}` };
    },
  };
}
