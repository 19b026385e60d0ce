import assert from "node:assert/strict";
import type { GateStatus } from "../../../src/gates/board.ts";
import type { Role } from "../../../src/gates/leader.ts";
import { HistoryRecorder, SAMPLE_MS } from "../../../src/history/recorder.ts";
import type { LastSeen, SeenSource } from "../../../src/redis/history_store.ts";
import { StoreError } from "../../../src/redis/errors.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const OPEN: GateStatus = { name: "enabled", open: true, reason: "enabled", detail: "", sinceMs: 0 };
const closed = (name: "pause" | "depth", sinceMs = 0): GateStatus => ({
  ...{ name, open: false, reason: name === "pause" ? "paused" : "over_limit", detail: `${name} is closed`, sinceMs },
});
const refusal = (isCertain: boolean, code: "WRONGTYPE" | "TIMEOUT" | "CONNECTION" = "WRONGTYPE") =>
  new StoreError(code, { code, isCertain });

function setup() {
  const clock = new TestClock(), { log, lines } = recordLog();
  const state = {
    role: "leader" as Role,
    isReady: true,
    gates: [OPEN] as readonly GateStatus[],
    totals: { moved: 0, replayed: 0, dead: 0, cameBack: 0 },
    seen: { depth: 0, picked: "0", hasJob: false } as SeenSource,
    error: null as StoreError | null,
    isEarly: false,
  };
  const least: number[] = [];
  const written: { counted: unknown[]; last: LastSeen | null }[] = [];
  const recorder = new HistoryRecorder({
    ...{ source: "alerter", clock, log },
    store: {
      append: (counted, { last, leastMs }) => {
        least.push(leastMs);
        if (leastMs > 0 && state.isEarly) return Promise.resolve(null);
        if (state.error) return Promise.reject(state.error);
        written.push({ counted: JSON.parse(counted), last });
        return Promise.resolve(state.seen);
      },
    },
    isReady: () => state.isReady,
    role: () => state.role,
    gates: () => state.gates,
    downstream: () => ({ depths: [3, 4], limit: 100 }),
    totals: () => state.totals,
  });
  const move = (count: number) =>
    state.totals = { ...state.totals, moved: state.totals.moved + count, replayed: state.totals.replayed + count };
  /** Lets the time pass as the running task would. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      await clock.advance(1_000);
      await recorder.runOnce();
    }
  };
  return { state, written, least, recorder, move, pass, lines, clock };
}

Deno.test("HistoryRecorder: writes what was counted since the last sample, every 30 s", async () => {
  const { state, written, recorder, move, pass } = setup();
  await recorder.runOnce();
  move(5);
  state.seen = { depth: 9, picked: "2", hasJob: false };
  await pass(SAMPLE_MS);
  move(2);
  await pass(SAMPLE_MS - 1_000);
  assert.equal(written.length, 2);
  await pass(1_000);
  assert.deepEqual(written, [
    { counted: [0, 0, 0, 7, 100, []], last: null },
    { counted: [5, 0, 0, 7, 100, []], last: { depth: 0, picked: "0", hasJob: false, moved: 5 } },
    { counted: [2, 0, 0, 7, 100, []], last: { depth: 9, picked: "2", hasJob: false, moved: 2 } },
  ]);
});

Deno.test("HistoryRecorder: only the leader writes, and compares nothing with what was before another one led", async () => {
  const { state, written, recorder, move, pass } = setup();
  for (const role of ["standby", "unknown"] as const) {
    state.role = role;
    await pass(2 * SAMPLE_MS);
  }
  assert.equal(written.length, 0);
  state.role = "leader";
  await recorder.runOnce();
  state.role = "standby";
  await pass(SAMPLE_MS);
  state.role = "leader";
  move(1);
  await recorder.runOnce();
  assert.deepEqual(written.map(({ counted: [replayed], last }) => [replayed, last]), [[0, null], [1, null]]);
});

Deno.test("HistoryRecorder: while replay is switched off nobody leads, and one of all instances writes", async () => {
  const { state, written, least, pass } = setup();
  state.role = "unknown";
  const off: GateStatus = { ...OPEN, open: false, reason: "switched_off" };
  await pass(SAMPLE_MS);
  assert.deepEqual(least, []);
  state.gates = [off];
  await pass(1_000);
  assert.deepEqual([least, written.length], [[25_000], 1]);
  state.gates = [off, closed("pause")];
  await pass(1_000);
  assert.deepEqual([least, written.length], [[25_000, 1_000], 2]);
  state.isEarly = true;
  await pass(SAMPLE_MS);
  assert.deepEqual([least, written.length], [[25_000, 1_000, 25_000], 2]);
});

Deno.test("HistoryRecorder: without leader election, and beside a job, nothing is said of what arrived", async () => {
  const { state, written, recorder, pass } = setup();
  state.seen = { ...state.seen, hasJob: true };
  await recorder.runOnce();
  await pass(SAMPLE_MS);
  state.role = "off";
  state.seen = { ...state.seen, hasJob: false };
  await pass(2 * SAMPLE_MS);
  assert.deepEqual(written.map(({ last }) => last), [null, null, null, null]);
});

Deno.test("HistoryRecorder: a gate that begins or ceases to hold is written at once, its details once", async () => {
  const { state, written, recorder, pass, clock } = setup();
  await recorder.runOnce();
  state.gates = [OPEN, closed("pause")];
  await pass(2_000);
  await pass(SAMPLE_MS);
  state.gates = [OPEN];
  await pass(1_000);
  assert.deepEqual(written.map(({ counted }) => counted[5]), [
    [],
    [["pause", "paused", 0, 0, "pause is closed"]],
    [["pause", "paused"]],
    [],
  ]);
  state.gates = [OPEN, closed("depth", clock.nowMs() + 1_000)];
  await pass(5_000);
  assert.equal(written.length, 4, "a gate of flow that has just closed holds nothing");
  await pass(1_000);
  assert.equal(written.length, 5);
});

Deno.test("HistoryRecorder: a gate that opens and closes all the time does not fill the history", async () => {
  const { state, written, pass } = setup();
  const hours = 3;
  for (let i = 0; i < hours * 3_600; i++) {
    state.gates = i % 2 === 0 ? [OPEN] : [OPEN, closed("pause")];
    await pass(1_000);
  }
  assert.ok(written.length < hours * (120 + 60) + 110, String(written.length));
  assert.ok(written.length > hours * 120);
});

Deno.test("HistoryRecorder: a refusal is logged once, keeps the counts, and is not repeated at once", async () => {
  const { state, written, recorder, move, pass, lines } = setup();
  await recorder.runOnce();
  state.error = refusal(true);
  move(3);
  await pass(3 * SAMPLE_MS);
  state.gates = [OPEN, closed("pause")];
  await pass(2_000);
  assert.deepEqual(lines.map(({ event }) => event), ["history_unwritable"]);
  state.error = null;
  await pass(SAMPLE_MS);
  assert.deepEqual(written.map(({ counted: [replayed], last }) => [replayed, last]), [[0, null], [3, null]]);
  assert.deepEqual(lines.map(({ event }) => event), ["history_unwritable", "history_written"]);
});

Deno.test("HistoryRecorder: a sample whose reply is lost counts as written; a lost connection is not logged here", async () => {
  const { state, written, recorder, move, pass, lines } = setup();
  await recorder.runOnce();
  move(3);
  state.error = refusal(false, "CONNECTION");
  await pass(SAMPLE_MS);
  state.error = null;
  move(1);
  await pass(SAMPLE_MS);
  assert.deepEqual(written.map(({ counted: [replayed] }) => replayed), [0, 1]);
  assert.deepEqual(lines, []);
});

Deno.test("HistoryRecorder: the stop writes what was counted, unless there is nothing, or no Redis", async () => {
  for (const [moved, isReady, expected] of [[2, true, [0, 2]], [0, true, [0]], [2, false, [0]]] as const) {
    const { state, written, recorder, move } = setup();
    await recorder.runOnce();
    move(moved);
    state.isReady = isReady;
    await recorder.stop();
    assert.deepEqual(written.map(({ counted: [replayed] }) => replayed), expected);
  }
});
