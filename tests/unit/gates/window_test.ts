import assert from "node:assert/strict";
import type { ReplayWindow } from "../../../src/config/window.ts";
import { NEW_CYCLE_STATE } from "../../../src/cycle/cycle_state.ts";
import { MAX_PAUSE_MS } from "../../../src/cycle/pause.ts";
import { createWindowGate } from "../../../src/gates/window.ts";

const HOUR_MS = 3_600_000;
const NIGHT: ReplayWindow = {
  ...{ from: "0 22 * * *", to: "0 6 * * *", timeZone: "Europe/Berlin", replay: "never", reason: "night" },
};
const FREEZE = { by: "ann", reason: "change 4711" };

/** What the gate says at an instant: `open` or `closed`, reason, seconds until that may change, detail. */
async function ask(
  windows: readonly ReplayWindow[],
  at: string,
  { frozenForMs = 0 }: { frozenForMs?: number } = {},
): Promise<string> {
  const nowMs = Date.parse(at), freeze = frozenForMs === 0 ? null : { ...FREEZE, untilMs: nowMs + frozenForMs };
  const gate = createWindowGate({
    windows: () => windows,
    snapshot: () => ({ record: { ...NEW_CYCLE_STATE, freeze }, nowMs }),
  });
  const { open, reason, detail, retryInMs } = await gate.ask();
  return `${open ? "open" : "closed"} ${reason} ${retryInMs === undefined ? "-" : retryInMs / 1_000} ${detail}`;
}

const only = (window: ReplayWindow): ReplayWindow => ({ ...window, replay: "only" });

const TABLE: readonly [what: string, windows: readonly ReplayWindow[], at: string, said: string][] = [
  ["there is no window", [], "2026-06-01T12:00:00Z", "open none - no window or freeze holds the source"],
  [
    "a window is ahead",
    [NIGHT],
    "2026-06-01T19:59:00Z",
    "open none 60 no window or freeze holds the source until 20:00 UTC",
  ],
  [
    "it is inside, and the end is on another day in both zones",
    [NIGHT],
    "2026-06-01T20:00:00Z",
    "closed inside 28800 window: night, until 2026-06-02 04:00 UTC (2026-06-02 06:00 Europe/Berlin)",
  ],
  [
    "it is another day already in the window's zone",
    [NIGHT],
    "2026-06-01T22:30:00Z",
    "closed inside 19800 window: night, until 2026-06-02 04:00 UTC (06:00 Europe/Berlin)",
  ],
  [
    "the window has no zone of its own",
    [{ ...NIGHT, timeZone: "UTC" }],
    "2026-06-02T05:59:59.500Z",
    "closed inside 0.5 window: night, until 06:00 UTC",
  ],
  [
    "it ends",
    [{ ...NIGHT, timeZone: "UTC" }],
    "2026-06-02T06:00:00Z",
    "open none 57600 no window or freeze holds the source until 22:00 UTC",
  ],
  [
    "it is outside",
    [only(NIGHT)],
    "2026-06-02T04:00:00Z",
    "closed outside 57600 outside the window: night, until 20:00 UTC (22:00 Europe/Berlin)",
  ],
  [
    "it is over for ever",
    [only({ ...NIGHT, from: "2026-01-01T00:00", to: "2026-01-02T00:00" })],
    "2026-06-02T04:00:00Z",
    "closed outside - outside the window: night, without an end",
  ],
  [
    "no end is found, because another one always begins before",
    [{ ...NIGHT, from: "0 0 * * *", to: "0 13 * * *", timeZone: "UTC" }, {
      ...NIGHT,
      ...{ from: "0 12 * * *", to: "0 1 * * *", timeZone: "UTC" },
    }],
    "2026-06-02T04:00:00Z",
    "closed inside - window: night, at least until 2026-09-10 01:00 UTC",
  ],
  // The night in which the clocks go forward is 7 hours long, the other one 9: 22:00 CET to 06:00 CEST, 22:00 CEST to 06:00 CET.
  [
    "clocks go forward",
    [NIGHT],
    "2026-03-28T21:00:00Z",
    "closed inside 25200 window: night, until 2026-03-29 04:00 UTC (2026-03-29 06:00 Europe/Berlin)",
  ],
  [
    "clocks go back",
    [NIGHT],
    "2026-10-24T20:00:00Z",
    "closed inside 32400 window: night, until 2026-10-25 05:00 UTC (2026-10-25 06:00 Europe/Berlin)",
  ],
  [
    "clocks go forward in New York",
    [{ ...NIGHT, timeZone: "America/New_York" }],
    "2026-03-08T06:59:59Z",
    "closed inside 10801 window: night, until 10:00 UTC (06:00 America/New_York)",
  ],
  [
    "clocks go back in New York",
    [{ ...NIGHT, timeZone: "America/New_York" }],
    "2026-11-01T06:30:00Z",
    "closed inside 16200 window: night, until 11:00 UTC (06:00 America/New_York)",
  ],
  // Lord Howe's clocks change by half an hour: the nights are 7.5 and 8.5 hours long.
  [
    "clocks go forward on Lord Howe",
    [{ ...NIGHT, timeZone: "Australia/Lord_Howe" }],
    "2026-10-03T11:30:00Z",
    "closed inside 27000 window: night, until 19:00 UTC (2026-10-04 06:00 Australia/Lord_Howe)",
  ],
  [
    "clocks go back on Lord Howe",
    [{ ...NIGHT, timeZone: "Australia/Lord_Howe" }],
    "2026-04-04T11:00:00Z",
    "closed inside 30600 window: night, until 19:30 UTC (2026-04-05 06:00 Australia/Lord_Howe)",
  ],
];

for (const [what, windows, at, said] of TABLE) {
  Deno.test(`createWindowGate: says what holds and until when, if ${what}`, async () => {
    assert.equal(await ask(windows, at), said);
  });
}

Deno.test("createWindowGate: a freeze holds first and names the window that also holds; it ends by the server's clock", async () => {
  const at = "2026-06-02T03:00:00Z",
    frozen = (ms: number, windows: ReplayWindow[] = []) => ask(windows, at, { frozenForMs: ms });
  assert.equal(await frozen(2 * HOUR_MS), "closed frozen 7200 frozen by ann until 05:00 UTC: change 4711");
  assert.equal(
    await frozen(2 * HOUR_MS, [NIGHT]),
    "closed frozen 7200 frozen by ann until 05:00 UTC: change 4711; also window: night, until 04:00 UTC (06:00 Europe/Berlin)",
  );
  assert.match(await frozen(1), /^closed frozen 0\.001 /);
  assert.match(await frozen(-1), /^open none - /);
  assert.match(await frozen(-1, [NIGHT]), /^closed inside 3600 /);
  assert.match(await frozen(2 * MAX_PAUSE_MS), /^open none - /, "no freeze is so long: a person wrote the field");
});

Deno.test("createWindowGate: is closed before the source was read", async () => {
  for (const windows of [[], [NIGHT]]) {
    const { open, reason } = await createWindowGate({ windows: () => windows, snapshot: () => null }).ask();
    assert.deepEqual([open, reason], [false, "unknown"]);
  }
});

Deno.test("createWindowGate: without windows it answers at once, without loading anything", () => {
  const gate = createWindowGate({ windows: () => [], snapshot: () => ({ record: NEW_CYCLE_STATE, nowMs: 0 }) });
  assert.ok(!(gate.ask() instanceof Promise));
});

Deno.test("createWindowGate: goes by other windows as soon as there are some", async () => {
  let windows: readonly ReplayWindow[] = [];
  const snapshot = () => ({ record: NEW_CYCLE_STATE, nowMs: Date.parse("2026-06-02T03:00:00Z") });
  const gate = createWindowGate({ windows: () => windows, snapshot });
  const opens = async () => (await gate.ask()).open;
  assert.equal(await opens(), true);
  windows = [NIGHT];
  assert.equal(await opens(), false);
  windows = [only(NIGHT)];
  assert.equal(await opens(), true);
});
