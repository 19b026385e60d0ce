import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { formatRanges, parseRanges } from "../../../src/cycle/number_ranges.ts";
import { drillMoveFields, parseRunningDrill, type RunningDrill } from "../../../src/cycle/running_drill.ts";

const ID = "d_0123456789abcdef";
const parse = (drill: string, drillMoves = "") =>
  parseRunningDrill((name) => name === "drill" ? drill : name === "drillMoves" ? drillMoves : "");

Deno.test("parseRunningDrill: reads what the scripts and the commits write", () => {
  deepStrictEqual(parse(`${ID} real depth 1700000000000`, "3 1700000000001 1 1-2,9"), {
    ...{ id: ID, target: "real", gate: "depth", heldUntilMs: 1_700_000_000_000 },
    ...{ taken: 3, takenAtMs: 1_700_000_000_001, doubled: 1, sent: "1-2,9" },
  });
  const { taken, sent } = parse(`${ID} mock consumer 5`)!;
  deepStrictEqual({ taken, sent }, { taken: 0, sent: "" });
});

for (const drill of ["", ID, `${ID} real depth`, `${ID} other depth 5`, `d_1 mock depth 5`, `${ID} mock depth 5 6`]) {
  Deno.test(`parseRunningDrill: is null for ${JSON.stringify(drill)}`, () => strictEqual(parse(drill), null));
}

Deno.test("drillMoveFields: counts a mock target's messages, and names those of the real one", () => {
  const mock = parse(`${ID} mock depth 5`, "2 7 0 ")!, real = parse(`${ID} real depth 5`, "2 7 0 1-2")!;
  deepStrictEqual(drillMoveFields(mock, { numbers: [3, 3], nowMs: 9.4 }), { drillMoves: "4 9 0 " });
  deepStrictEqual(drillMoveFields(real, { numbers: [2, 3, 5], nowMs: 9 }), { drillMoves: "5 9 1 1-3,5" });
});

Deno.test("drillMoveFields: what it writes is read again", () => {
  const numbers = fc.array(fc.integer({ min: 1, max: 10_000 }), { maxLength: 400 });
  fc.assert(fc.property(fc.array(numbers, { maxLength: 5 }), (commits) => {
    let drill: RunningDrill = parse(`${ID} real depth 5`)!;
    for (const numbers of commits) {
      const { drillMoves } = drillMoveFields(drill, { numbers, nowMs: 9 });
      drill = parse(`${ID} real depth 5`, drillMoves!)!;
    }
    const all = commits.flat(), once = new Set(all);
    deepStrictEqual(parseRanges(drill.sent, 10_000), new Set([...once].sort((a, b) => a - b)));
    deepStrictEqual([drill.taken, drill.doubled], [all.length, all.length - once.size]);
  }));
});

Deno.test("parseRanges: leaves out what is no range", () => {
  deepStrictEqual(parseRanges("x,0-2,5-4,7,99-,8-12", 9), new Set([1, 2, 7, 8, 9]));
  strictEqual(formatRanges(new Set([9, 1, 2, 3, 5])), "1-3,5,9");
});
