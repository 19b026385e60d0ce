/** Gate `leader`: of several instances one moves a source's messages, the others stand by. */
import type { Gate, GateAnswer } from "./gate.ts";

/** What the gate asks. */
export interface LeaderGateDeps {
  /** Finds out anew where it is time to. Never rejects. */
  refresh(): Promise<void>;
  status(): {
    readonly role: "leader" | "standby" | "unknown" | "off";
    readonly holder: string;
    readonly leftMs: number;
    readonly errorCode: string;
  };
}

/** How soon a lease whose state is not known is asked for again, in milliseconds. */
const RETRY_MS = 500;

/** Creates the gate. At most one Redis call an ask, and only where the lease is due to be asked for. */
export function createLeaderGate(leadership: LeaderGateDeps): Gate {
  return {
    name: "leader",
    async ask(): Promise<GateAnswer> {
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
      const why = errorCode === "" ? "has not been asked for yet" : `could not be taken (${errorCode})`;
      return { open: false, reason: "unknown", detail: `the lease ${why}`, retryInMs: RETRY_MS };
    },
  };
}
