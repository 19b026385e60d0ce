import assert from "node:assert/strict";
import type { ApiClient } from "../../../src/cli/client.ts";
import { VIEWS } from "../../../src/cli/views.ts";

Deno.test("receivers: works is said only of a receiver that has taken a notice", () => {
  const base = { type: "slack", sent: 0, dropped: 0, waiting: 0, lastSentAt: null, failing: null };
  const failing = { since: new Date().toISOString(), tries: 1, nextTryAt: "2026-11-30T14:02:00.000Z" };
  const shown = VIEWS.receivers!({
    receivers: [
      { ...base, name: "new" },
      { ...base, name: "used", sent: 3, lastSentAt: new Date().toISOString() },
      { ...base, name: "bad", failing: { ...failing, code: "timeout", problem: "127.0.0.1 did not answer" } },
    ],
  }, {} as ApiClient);
  const lines = String(shown).split("\n").map((line) => line.replace(/ {2,}/g, " | "));
  assert.match(lines[1]!, /^new \| slack \| not used yet \|/);
  assert.match(lines[2]!, /^used \| slack \| works \|/);
  assert.match(lines[3]!, /^bad \| slack \| fails for 0 s \|/);
});
