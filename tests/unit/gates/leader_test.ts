import assert from "node:assert/strict";
import { createLeaderGate } from "../../../src/gates/leader.ts";

const NOTHING = { holder: "", leftMs: 0, errorCode: "" };

for (
  const [status, answer] of [
    [{ ...NOTHING, role: "off" }, { open: true, reason: "off" }],
    [{ ...NOTHING, role: "leader", leftMs: 900 }, { open: true, reason: "leader" }],
    [{ ...NOTHING, role: "standby", holder: "pod-a (1234)", leftMs: 1_500 }, {
      open: false,
      reason: "standby",
      detail: "pod-a (1234) leads; its lease ends in 1.5 s unless it is renewed",
      retryInMs: 1_500,
    }],
    [{ ...NOTHING, role: "unknown" }, {
      open: false,
      reason: "unknown",
      detail: "the leader is not known",
    }],
    [{ ...NOTHING, role: "unknown", errorCode: "OOM" }, {
      open: false,
      reason: "unknown",
      detail: "the leader is not known: Redis refused or did not answer (OOM)",
    }],
  ] as const
) {
  Deno.test(`createLeaderGate: answers ${answer.reason}${status.errorCode && ", and why"}`, async () => {
    let refreshed = 0;
    const gate = createLeaderGate({
      refresh: () => Promise.resolve(void refreshed++),
      status: () => ({ ...status, token: "" }),
    });
    assert.partialDeepStrictEqual(await gate.ask(), answer);
    assert.equal(refreshed, 1);
  });
}
