import assert from "node:assert/strict";
import { formatCounted, type HoldingGate, parseSample, type Sample } from "../../../src/history/sample.ts";
import {
  emptySinceMs,
  findChanges,
  FRESH_MS,
  lastReplayMs,
  sumUp,
  thin,
  windowUntil,
} from "../../../src/history/timeline.ts";

const T = 1_800_000_000_000;

function sample(atMs: number, given: Partial<Sample> = {}): Sample {
  return {
    ...{ id: `${atMs}-0`, atMs, depth: 0, deadDepth: 0, target: 0, arrived: 0, replayed: 0, dead: 0, cameBack: 0 },
    ...{ downstream: null, limit: null, heldBy: [], ...given },
  };
}

const gate = (name: HoldingGate["name"], reason: string, detail = ""): HoldingGate => ({ name, reason, detail });
const window = (points: number, stepMs = 60_000) => ({ fromMs: T, stepMs, points });

Deno.test("windowUntil: the steps end with the one that holds now, and their borders stay where they are", () => {
  const one = windowUntil(T + 1, { lengthMs: 3_600_000, points: 60 });
  assert.deepEqual(one, { fromMs: T - 59 * 60_000, stepMs: 60_000, points: 60 });
  assert.equal(windowUntil(T + 59_999, { lengthMs: 3_600_000, points: 60 }).fromMs, one.fromMs);
  assert.equal(windowUntil(T + 60_000, { lengthMs: 3_600_000, points: 60 }).fromMs, one.fromMs + 60_000);
});

Deno.test("thin: a step has the last and the largest depth, the sums, and every gate that held in it", () => {
  const steps = thin([
    sample(T - 1_000, { depth: 9, replayed: 100, heldBy: [gate("pause", "paused")] }),
    sample(T, { depth: 5, replayed: 1, dead: 2, cameBack: 3, arrived: 4, target: 7 }),
    sample(T + 59_999, { depth: 3, replayed: 10, arrived: 2, heldBy: [gate("depth", "over_limit")], limit: 8 }),
    sample(T + 60_000, { depth: 1, arrived: null }),
  ], window(2));
  assert.deepEqual(steps, [
    {
      ...{ atMs: T, depth: 3, depthMax: 9, deadDepth: 0, target: 0, downstream: null, limit: 8 },
      ...{ replayed: 11, dead: 2, cameBack: 3, arrived: 6, heldBy: ["pause", "depth"] },
    },
    {
      ...{ atMs: T + 60_000, depth: 1, depthMax: 3, deadDepth: 0, target: 0, downstream: null, limit: null },
      ...{ replayed: 0, dead: 0, cameBack: 0, arrived: null, heldBy: ["depth"] },
    },
  ]);
});

Deno.test("thin: a step between two samples shows the one before, but not one that is too old", () => {
  const steps = thin([sample(T + 5_000, { depth: 4, replayed: 2 })], window(10, 10_000));
  assert.deepEqual(
    steps.map(({ depth }) => depth),
    steps.map(({ atMs }) => atMs - (T + 5_000) < FRESH_MS ? 4 : null),
  );
  assert.deepEqual(steps.map(({ replayed }) => replayed), [2, ...Array(9).fill(0)]);
  assert.equal(steps.filter(({ depth }) => depth === null).length, 2);
});

Deno.test("thin: without samples every step is unknown; what is counted is counted once, whatever the points", () => {
  assert.ok(
    thin([], window(3)).every(({ depth, depthMax, arrived }) => [depth, depthMax, arrived].every((x) => x === null)),
  );
  const samples = Array.from({ length: 240 }, (_, i) => sample(T + i * 30_000 + 7, { replayed: i, arrived: 1 }));
  for (const points of [1, 7, 120, 1_000]) {
    const steps = thin(samples, { fromMs: T, stepMs: Math.ceil(7_200_000 / points), points });
    assert.equal(steps.length, points);
    assert.deepEqual(sumUp(steps), { replayed: 239 * 120, dead: 0, cameBack: 0, arrived: 240 }, String(points));
  }
});

Deno.test("findChanges: tells what began and ceased to hold, with what was said when it began", () => {
  const samples = [
    sample(T - 3, { heldBy: [gate("pause", "paused", "paused by ann")] }),
    sample(T - 2, { heldBy: [gate("pause", "paused")] }),
    sample(T - 1, { heldBy: [gate("pause", "paused"), gate("downstream", "timeout", "slow")] }),
    sample(T, { heldBy: [gate("downstream", "timeout")] }),
    sample(T + 1, { heldBy: [gate("downstream", "refused", "refuses")] }),
    sample(T + 2),
  ];
  const told = (most: number, fromMs = 0) =>
    findChanges(samples, { fromMs, most }).map(({ atMs, opened, gate }) => [
      ...[atMs - T, opened ? "opened" : "closed", gate.name],
      ...[gate.reason, gate.detail],
    ]);
  const all = [
    [-1, "closed", "downstream", "timeout", "slow"],
    [0, "opened", "pause", "paused", "paused by ann"],
    [2, "opened", "downstream", "refused", "refuses"],
  ];
  assert.deepEqual(told(200), all);
  assert.deepEqual(told(2), all.slice(1));
  assert.deepEqual(told(200, T), all.slice(1));
});

Deno.test("emptySinceMs: since the DLQ is empty and nothing passed through it; null while it is not", () => {
  const times = (...given: Partial<Sample>[]) => emptySinceMs(given.map((one, i) => sample(T + i, one)));
  assert.equal(times(), null);
  assert.equal(times({ depth: 1 }), null);
  assert.equal(times({}, {}, { depth: 1 }), null);
  assert.equal(times({ depth: 1 }, {}, {}), T + 1);
  assert.equal(times({ depth: 1 }, {}, { arrived: 2, replayed: 2 }, { arrived: null }), T + 2);
  assert.equal(times({}, {}), T);
  const afterGap = [sample(T), sample(T + FRESH_MS), sample(T + FRESH_MS + 1)];
  assert.equal(emptySinceMs(afterGap), T + FRESH_MS, "what was between is not known");
});

Deno.test("findChanges: reports none after a gap, because its instant is not known", () => {
  const closed = { heldBy: [gate("pause", "paused", "paused by ann")] };
  const changes = (gapMs: number) => findChanges([sample(T), sample(T + gapMs, closed)], { fromMs: 0, most: 9 });
  assert.equal(changes(FRESH_MS - 1).length, 1);
  assert.deepEqual(changes(FRESH_MS), []);
});

Deno.test("lastReplayMs: the newest sample that replayed", () => {
  assert.equal(lastReplayMs([sample(T, { replayed: 1 }), sample(T + 1, { replayed: 2 }), sample(T + 2)]), T + 1);
  assert.equal(lastReplayMs([sample(T)]), null);
});

Deno.test("parseSample: reads what formatCounted wrote", () => {
  const counted = {
    ...{ replayed: 3, dead: 1, cameBack: 2, downstream: 12, limit: null },
    heldBy: [gate("pause", "paused"), { ...gate("downstream", "unhealthy", "HTTP 503"), status: 503, failures: 4 }],
  };
  const fields = { depth: "7", dead: "8", target: "9", arrived: "", counted: formatCounted(counted) };
  assert.deepEqual(parseSample({ id: `${T}-3`, fields: new Map(Object.entries(fields)) }), {
    ...{ id: `${T}-3`, atMs: T, depth: 7, deadDepth: 8, target: 9, arrived: null, ...counted },
  });
});

Deno.test("parseSample: takes nothing for a sample that this program did not write, and no odd text out of one", () => {
  const fields = { depth: "7", dead: "8", target: "9", arrived: "1", counted: "[1,0,0,null,null,[]]" };
  const parse = (more: Partial<typeof fields>, id = `${T}-0`) =>
    parseSample({ id, fields: new Map(Object.entries({ ...fields, ...more })) });
  assert.ok(parse({}));
  for (const odd of ["", "{}", "null", "[", '"x"']) assert.equal(parse({ counted: odd }), null, odd);
  for (const odd of ["", "-1", "x", "1e3", "9".repeat(16)]) assert.equal(parse({ depth: odd }), null, odd);
  assert.equal(parse({}, "x"), null);
  const odd = parse({ counted: '[-1,"2",1.5,{},[],[["nobody","x"],["pause","<b>",0,0,"a\\u001b[31m\\nb"],7]]' })!;
  assert.deepEqual(odd.heldBy, [{ name: "pause", reason: "unknown", detail: "a [31m b" }]);
  assert.deepEqual([odd.replayed, odd.dead, odd.cameBack, odd.downstream, odd.limit], [0, 0, 0, null, null]);
});
