import assert from "node:assert/strict";
import { recordingOf } from "../../../src/gates/recording.ts";

Deno.test("recordingOf: the leader records; the first to try, while replay is switched off; nobody else", () => {
  const on = [{ name: "enabled", reason: "enabled" }] as const;
  const off = [{ name: "enabled", reason: "switched_off" }] as const;
  assert.deepEqual(
    (["leader", "off", "standby", "unknown"] as const).map((role) => [recordingOf(role, on), recordingOf(role, off)]),
    [["always", "always"], ["always", "always"], ["never", "if_first"], ["never", "if_first"]],
  );
  assert.equal(recordingOf("unknown", []), "never");
});
