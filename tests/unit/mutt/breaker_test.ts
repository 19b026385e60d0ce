import assert from "node:assert/strict";
import { type BreakerReading, judgeBreaker, rememberBreaker } from "../../../src/mutt/breaker.ts";

const NOW_MS = 1_800_000_000_000, TIMEOUT_MS = 300_000;
const seconds = (ms: number) => (ms / 1_000).toFixed(2);

function judge(reading: BreakerReading, { seenMs = 0 }: { seenMs?: number } = {}) {
  const verdict = judgeBreaker({ reading, sinceMs: NOW_MS - seenMs }, { nowMs: NOW_MS, timeoutMs: TIMEOUT_MS });
  return [verdict.kind, verdict.reason];
}

Deno.test("judgeBreaker: answers by the state and its age", () => {
  const at = (agoMs: number) => seconds(NOW_MS - agoMs);
  for (
    const [state, openTime, seenMs, expected] of [
      [null, null, 0, ["open_to_all", "absent"]],
      ["", null, 0, ["open_to_all", "absent"]],
      ["CLOSED", null, 0, ["open_to_all", "closed"]],
      ["OPEN", at(10_000), 0, ["shut", "open"]],
      ["OPEN", at(TIMEOUT_MS), 0, ["canary", "open_past_timeout"]],
      ["OPEN", at(100 * TIMEOUT_MS), 0, ["canary", "open_past_timeout"]],
      ["OPEN", at(100 * TIMEOUT_MS), 10 * TIMEOUT_MS, ["open_to_all", "abandoned"]],
      ["OPEN", null, 0, ["shut", "open"]],
      ["OPEN", null, TIMEOUT_MS, ["canary", "open_past_timeout"]],
      ["OPEN", "soon", TIMEOUT_MS, ["canary", "open_past_timeout"]],
      ["OPEN", at(-3_600_000), 0, ["shut", "open"]],
      ["OPEN", at(-3_600_000), TIMEOUT_MS, ["canary", "open_past_timeout"]],
      ["HALF_OPEN", at(10_000), 0, ["canary", "half_open"]],
      ["HALF_OPEN", null, 10 * TIMEOUT_MS, ["open_to_all", "abandoned"]],
      ["WHAT", null, 0, ["shut", "open"]],
    ] as const
  ) {
    assert.deepEqual(judge({ state, openTime }, { seenMs }), expected, `${state} ${openTime} ${seenMs}`);
  }
});

Deno.test("judgeBreaker: says when an open breaker lets the first message through", () => {
  const reading = { state: "OPEN", openTime: seconds(NOW_MS - 10_000) };
  const verdict = judgeBreaker({ reading, sinceMs: NOW_MS }, { nowMs: NOW_MS, timeoutMs: TIMEOUT_MS });
  assert.ok(verdict.kind === "shut" && verdict.retryInMs === TIMEOUT_MS - 10_000);
});

Deno.test("rememberBreaker: keeps the time of a reading that stays the same", () => {
  const reading = { state: "OPEN", openTime: "1.5" };
  const first = rememberBreaker(null, { reading, nowMs: 5 });
  assert.deepEqual(rememberBreaker(first, { reading: { ...reading }, nowMs: 9 }), { reading, sinceMs: 5 });
  const other = { state: "HALF_OPEN", openTime: "1.5" };
  assert.deepEqual(rememberBreaker(first, { reading: other, nowMs: 9 }), { reading: other, sinceMs: 9 });
});
