import assert from "node:assert/strict";
import { NEW_CYCLE_STATE } from "../../../src/cycle/cycle_state.ts";
import { MAX_PAUSE_MS } from "../../../src/cycle/pause.ts";
import { createPauseGate } from "../../../src/gates/pause.ts";

const NOW_MS = Date.UTC(2026, 10, 29, 13, 30);
const PAUSE = { by: "ann", reason: "network work" };

const cases: [
  when: string,
  untilMs: number | null,
  answer: [open: boolean, reason: string, retryInMs: number | undefined],
][] = [
  ["there is no pause", null, [true, "none", undefined]],
  ["the pause lasts", NOW_MS + 3_600_000, [false, "paused", 3_600_000]],
  ["the pause lasts a moment more", NOW_MS + 1, [false, "paused", 1]],
  ["the pause is over by the server's clock", NOW_MS, [true, "none", undefined]],
  ["it is the longest pause, and the clock of a new master is behind", NOW_MS + MAX_PAUSE_MS + 60_000, [
    false,
    "paused",
    MAX_PAUSE_MS + 60_000,
  ]],
  ["it would last longer than any pause", NOW_MS + 2 * MAX_PAUSE_MS, [true, "none", undefined]],
];

for (const [when, untilMs, answer] of cases) {
  Deno.test(`createPauseGate: is ${answer[0] ? "open" : "closed"} when ${when}`, async () => {
    const pause = untilMs === null ? null : { ...PAUSE, untilMs };
    const gate = createPauseGate(() => ({ record: { ...NEW_CYCLE_STATE, pause }, nowMs: NOW_MS }));
    const { open, reason, retryInMs } = await gate.ask();
    assert.deepEqual([open, reason, retryInMs], answer);
  });
}

Deno.test("createPauseGate: names the operator, the end and the reason, with the date if it is another day", async () => {
  const ask = async (untilMs: number) => {
    const record = { ...NEW_CYCLE_STATE, pause: { ...PAUSE, untilMs } };
    return (await createPauseGate(() => ({ record, nowMs: NOW_MS })).ask()).detail;
  };
  assert.equal(await ask(NOW_MS + 3_600_000), "paused by ann until 14:30 UTC: network work");
  assert.equal(await ask(NOW_MS + 86_400_000), "paused by ann until 2026-11-30 13:30 UTC: network work");
});

Deno.test("createPauseGate: is closed before the source was read", async () => {
  const { open, reason } = await createPauseGate(() => null).ask();
  assert.deepEqual([open, reason], [false, "unknown"]);
});
