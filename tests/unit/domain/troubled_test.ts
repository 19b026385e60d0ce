import assert from "node:assert/strict";
import {
  addTroubled,
  formatTroubled,
  isTroubled,
  MAX_TROUBLED_RANGES,
  parseTroubled,
  type TroubledCycles,
} from "../../../src/domain/troubled.ts";

Deno.test("parseTroubled: reads what formatTroubled writes, and leaves out what is not a range", () => {
  const cycles: TroubledCycles = [[3, 9], [14, 14], [20, 31]];
  assert.equal(formatTroubled(cycles), "3-9,14,20-31");
  assert.deepEqual(parseTroubled("3-9,14,20-31", 31), cycles);
  assert.deepEqual(parseTroubled(",x,9-3,5,-1,1e3,", 9), [[5, 5]]);
  assert.deepEqual(parseTroubled("", 9), []);
});

Deno.test("parseTroubled: leaves out what lies beyond the newest cycle, so that no range excuses cycles to come", () => {
  assert.deepEqual(parseTroubled("0-999999999999999,13-20,14", 12), [[0, 12]]);
  assert.deepEqual(parseTroubled("3-9,12,13", 12), [[3, 9], [12, 12]]);
});

Deno.test("addTroubled: makes one range of an outage, over cycles that replayed nothing", () => {
  let cycles: TroubledCycles = [];
  for (const [cycle, previous] of [[1, 0], [2, 1], [5, 2], [8, 5]]) {
    cycles = addTroubled(cycles, { cycle: cycle!, previous: previous! });
  }
  assert.equal(formatTroubled(cycles), "1-8");
  assert.equal(formatTroubled(addTroubled(cycles, { cycle: 12, previous: 11 })), "1-8,12");
});

Deno.test("addTroubled: keeps a bounded number of ranges, the newest", () => {
  let cycles: TroubledCycles = [];
  for (let cycle = 10; cycle < 10 * (MAX_TROUBLED_RANGES + 6); cycle += 10) {
    cycles = addTroubled(cycles, { cycle, previous: cycle - 1 });
  }
  assert.equal(cycles.length, MAX_TROUBLED_RANGES);
  assert.equal(isTroubled(cycles, 10), false);
  assert.equal(isTroubled(cycles, 10 * (MAX_TROUBLED_RANGES + 5)), true);
});
