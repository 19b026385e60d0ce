import assert from "node:assert/strict";
import { mergeSteps, sparkline, viewHistory } from "../../../src/cli/history_view.ts";
import type { SourceHistory } from "../../../src/operations/history.ts";

type Step = SourceHistory["steps"][number];

const step = (given: Partial<Step> = {}): Step => ({
  ...{ at: "2026-01-01T00:00:00.000Z", depth: 1, depthMax: 1, dead: 0, target: 0, downstream: null, limit: null },
  ...{ replayed: 0, buried: 0, cameBack: 0, arrived: null, heldBy: [], ...given },
});

Deno.test("sparkline: the largest depth is the highest bar, an empty queue the lowest, an unknown one a blank", () => {
  assert.equal(sparkline([0, 1, 50, 100, null]), "▁▂▅█ ");
  assert.equal(sparkline([0, 0]), "▁▁");
  assert.equal(sparkline([]), "");
});

Deno.test("mergeSteps: joins neighbours; nothing that was counted is lost", () => {
  const steps = Array.from(
    { length: 25 },
    (_, i) =>
      step({
        depth: i,
        depthMax: i + 5,
        replayed: 1,
        arrived: i === 0 ? 3 : null,
        heldBy: i % 2 ? ["pause"] : ["depth"],
      }),
  );
  const merged = mergeSteps(steps, 12);
  assert.equal(merged.length, 9);
  assert.equal(merged.reduce((sum, { replayed }) => sum + replayed, 0), 25);
  assert.deepEqual(merged[0], step({ depth: 2, depthMax: 7, replayed: 3, arrived: 3, heldBy: ["depth", "pause"] }));
  assert.equal(mergeSteps([step({ depth: 4 }), step({ depth: null, depthMax: null })], 1)[0]!.depth, 4);
  assert.deepEqual(mergeSteps(steps, 100), steps);
});

Deno.test("viewHistory: says in words what the chart shows, and shows no control character", () => {
  const text = viewHistory({
    sources: [{
      ...{ source: "alerter", from: "2026-01-01T00:00:00.000Z", to: "2026-01-01T01:00:00.000Z", stepSeconds: 1_800 },
      steps: [step({ depth: 8, depthMax: 12_000 }), step({ depth: 3, depthMax: 8, heldBy: ["downstream"] })],
      changes: [{
        ...{ at: "2026-01-01T00:40:00.000Z", gate: "downstream", open: false, reason: "timeout" },
        words: "the last probe\u001b[2J got no answer in time",
      }],
      totals: { replayed: 5, buried: 1, cameBack: 2, arrived: 4 },
      ...{ emptySince: null, lastReplayAt: null, staleSince: "2026-01-01T00:59:00.000Z" },
    }],
  });
  assert.match(text, /^alerter {2}3 messages, at most 12,000 {2}█▂\n/);
  assert.match(text, /00:40:00\.000Z closed downstream: the last probe\S+ got no answer in time/);
  assert.match(text, /about 4 arrived, 5 replayed, 2 came back, 1 buried/);
  assert.match(text, /Redis could not be read since 2026-01-01T00:59:00\.000Z/);
  assert.ok(!text.includes("\u001b[2J"));
});

Deno.test("viewHistory: many sources have a line each", () => {
  const sources = Array.from({ length: 50 }, (_, i) => ({
    ...{ source: `s${i}`, from: "2026-01-01T00:00:00.000Z", to: "2026-01-01T01:00:00.000Z", stepSeconds: 1_800 },
    steps: [step({ depth: 8, depthMax: 12 }), step({ depth: i, depthMax: i, heldBy: i === 7 ? ["downstream"] : [] })],
    ...{ changes: [], totals: { replayed: 5, buried: 1, cameBack: 2, arrived: 4 } },
    ...{ emptySince: null, lastReplayAt: null, staleSince: i === 9 ? "2026-01-01T00:59:00.000Z" : null },
  }));
  const lines = viewHistory({ sources }).split("\n");
  assert.equal(lines.length, 1 + 50 + 2 + 1);
  assert.match(lines[8]!, /^s7 +7 +12 +5 +1 +2 +downstream +█▆$/);
  assert.match(lines.at(-2)!, /Redis could not be read since 2026-01-01T00:59:00\.000Z/);
});
