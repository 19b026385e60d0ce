/** What the console draws from a source's history. */
import assert from "node:assert/strict";
import { closuresOf, isKnown, toSeries, toSourceHistory, unknownTimes } from "../../../src/console/history.ts";
import type { Recorded } from "../../../src/console/readings.ts";

const STEP_MS = 30_000, FROM_MS = Date.parse("2026-11-29T10:00:00.000Z");
const at = (step: number) => new Date(FROM_MS + step * STEP_MS).toISOString();
const ms = (step: number) => FROM_MS + step * STEP_MS;

type Step = Recorded["steps"][number];

function recorded(steps: readonly Partial<Step>[], changes: Recorded["changes"] = []): Recorded {
  const none = { depthMax: null, dead: 0, target: 5, downstream: 7, limit: 10, replayed: 0, buried: 0, cameBack: 0 };
  return {
    ...{ source: "alerter", from: at(0), to: at(steps.length), stepSeconds: STEP_MS / 1_000, changes },
    steps: steps.map((step, i) => ({ ...none, at: at(i), depth: 1, arrived: 0, heldBy: [], ...step })),
    totals: { replayed: 0, buried: 0, cameBack: 0, arrived: 0 },
    ...{ emptySince: null, lastReplayAt: null, staleSince: null },
  };
}

Deno.test("closuresOf: steps that a gate held are one time, with the instants of its changes where they are known", () => {
  const held = { heldBy: ["depth"] };
  const words = "they hold as many messages as their limit allows";
  const change = (step: number, open: boolean) => ({ at: at(step), gate: "depth", open, reason: "over_limit", words });
  const steps = [held, {}, held, held, {}, held];
  assert.deepEqual(closuresOf(recorded(steps, [change(2.5, false), change(3.25, true)]), "depth", "now"), [
    { fromMs: ms(0), toMs: ms(1), words: null },
    { fromMs: ms(2.5), toMs: ms(3.25), words },
    { fromMs: ms(5), toMs: ms(6), words: "now" },
  ]);
  assert.deepEqual(closuresOf(recorded(steps), "consumer", "now"), []);
  const early = { ...recorded(steps), to: at(5.5) };
  assert.equal(closuresOf(early, "depth", "now").at(-1)!.toMs, ms(5.5), "a step that has not ended ends now");
});

Deno.test("closuresOf: a gate that opened and closed again within a step is closed on both sides of it", () => {
  const held = { heldBy: ["pace"] }, base = { gate: "pace", reason: "no_room", words: "full" };
  const changes = [{ ...base, at: at(1.2), open: true }, { ...base, at: at(1.6), open: false }];
  assert.deepEqual(closuresOf(recorded([held, held, held], changes), "pace", null), [
    { fromMs: ms(0), toMs: ms(3), words: "full" },
  ]);
});

Deno.test("toSeries: shows the depth of this moment at the end, and gaps where nothing was recorded", () => {
  const past = recorded([{ depth: 3 }, { depth: null }, { depth: 4, heldBy: ["downstream"] }]);
  const { points, held } = toSeries(past, 9);
  assert.deepEqual(points.map(({ value }) => value), [3, null, 9]);
  assert.deepEqual(held, [{ fromMs: ms(2), toMs: ms(3) }]);
  assert.deepEqual(toSeries(past, null).points.at(-1)!.value, 4);
  assert.deepEqual(unknownTimes(past), [{ fromMs: ms(1), toMs: ms(2) }]);
  assert.equal(isKnown(recorded([{ depth: null }])), false);
});

Deno.test("toSourceHistory: rates are those of complete and known steps; what is not known is not said", () => {
  const busy = { replayed: 60, arrived: 30 };
  const past = recorded([{ depth: null, replayed: 900 }, busy, { ...busy, arrived: null }, { replayed: 900 }]);
  const { arrivedPerSecond, replayedPerSecond, downstream, targetDepth } = toSourceHistory(past, { target: "work" });
  assert.deepEqual([arrivedPerSecond, replayedPerSecond], [1, 2]);
  assert.deepEqual([downstream, targetDepth], [{ depth: 7, limit: 10 }, 5]);
  const unknown = toSourceHistory(recorded([{ depth: null, target: null }, { limit: null }]), { target: "work" });
  assert.deepEqual([unknown.arrivedPerSecond, unknown.replayedPerSecond, unknown.downstream], [null, null, null]);
});
