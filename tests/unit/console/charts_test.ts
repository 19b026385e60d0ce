import assert from "node:assert/strict";
import { DepthChart, Legend } from "../../../src/console/charts.tsx";

const series = (values: readonly (number | null)[]) => [
  { name: "alerter", points: values.map((value, atMs) => ({ atMs, value })), held: [] },
];

Deno.test("DepthChart: draws no line across a gap, because nothing was measured there", () => {
  const moves = (values: readonly (number | null)[]) => {
    const chart = String(DepthChart({ series: series(values), fromMs: 0, toMs: 9, label: "x" }));
    return /<path class="line" d="([^"]*)"/.exec(chart)?.[1]?.match(/M/g)?.length ?? 0;
  };
  assert.equal(moves([1, 2, 3]), 1);
  assert.equal(moves([1, null, 3, 4, null, null, 5]), 3);
  assert.equal(moves([null, null]), 0);
});

Deno.test("Legend: says that a depth is not known", () => {
  assert.match(String(Legend({ series: series([4, null]) })), /<b>4<\/b>/);
  assert.match(String(Legend({ series: series([null]) })), /<b>\?<\/b>/);
});
