import assert from "node:assert/strict";
import fc from "fast-check";
import {
  carriedMarks,
  formatStanding,
  MAX_MARKS,
  parseStanding,
  standingAfter,
  type StandingMark,
  stoodThere,
} from "../../../src/cycle/standing.ts";

const marks = (...pairs: [cycle: number, messages: number][]): StandingMark[] =>
  pairs.map(([cycle, messages]) => ({ cycle, messages }));

Deno.test("parseStanding: reads what formatStanding writes, and leaves out what is no mark", () => {
  const given = marks([3, 10], [4, 250], [900_000, 1_000_000]);
  const at = { cycle: 900_000, moved: 12 };
  assert.deepEqual(parseStanding(formatStanding(given, at), at), given);
  assert.deepEqual(parseStanding("900000/12 3:10,x,4:0,-1:5,:,5:1e3,6:7", at), marks([3, 10], [6, 7]));
  assert.deepEqual([formatStanding([], at), parseStanding("", at), parseStanding("900000/12", at)], ["", [], []]);
});

Deno.test("parseStanding: knows nothing where somebody has moved messages, or begun a cycle, and not written the marks", () => {
  const text = formatStanding(marks([3, 10]), { cycle: 3, moved: 12 });
  assert.deepEqual(parseStanding(text, { cycle: 3, moved: 12 }), marks([3, 10]));
  for (const at of [{ cycle: 3, moved: 13 }, { cycle: 4, moved: 12 }, { cycle: 4, moved: 0 }]) {
    assert.deepEqual(parseStanding(text, at), []);
  }
  assert.deepEqual(parseStanding("3:10", { cycle: 3, moved: 12 }), []);
});

Deno.test("standingAfter: counts what has left below each mark, and drops marks that say nothing more", () => {
  const given = marks([1, 5], [2, 10], [3, 30]);
  const after = (moved: number | number[], depth = 100) => standingAfter(given, { moved, depth });
  assert.deepEqual(after(0), given);
  assert.deepEqual(after(4), marks([1, 1], [2, 6], [3, 26]));
  assert.deepEqual(after(5), marks([2, 5], [3, 25]));
  assert.deepEqual(after(40), []);
  assert.deepEqual(after([1, 6, 31]), marks([1, 4], [2, 8], [3, 28]));
  // Others have taken messages: no more can stand there than there are.
  assert.deepEqual(after(0, 8), marks([1, 5], [2, 8]));
});

Deno.test("carriedMarks: keeps every second mark when there is no room for one more", () => {
  const many = marks(...Array.from({ length: MAX_MARKS }, (_, i): [number, number] => [i + 1, i + 1]));
  const carried = carriedMarks(many, 1_000);
  assert.equal(carried.length, MAX_MARKS / 2);
  assert.deepEqual(carried[0], { cycle: 1, messages: 1 });
  assert.deepEqual(carriedMarks(many.slice(1), 1_000), many.slice(1));
});

Deno.test("stoodThere: is true of a place at or below the mark of the cycle or an earlier one", () => {
  const given = marks([3, 10], [5, 30]);
  const stood = (cycle: number, place: number) => stoodThere(given, { cycle, place });
  assert.deepEqual([stood(3, 10), stood(3, 11), stood(4, 10), stood(4, 11)], [true, false, true, false]);
  assert.deepEqual([stood(5, 30), stood(5, 31), stood(2, 1)], [true, false, false]);
});

/** A list of messages, each by the cycle in which it arrived (0: before the first), and the marks that are kept of it. */
type Step = { readonly kind: "arrive"; readonly count: number } | { readonly kind: "take"; readonly count: number } | {
  readonly kind: "pick";
  readonly places: readonly number[];
} | { readonly kind: "begin" };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("arrive" as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant("take" as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant("pick" as const),
    places: fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 4 }),
  }),
  fc.constant({ kind: "begin" as const }),
);

Deno.test("standing: says of a message that it stood there when a cycle began if and only if it did", () => {
  fc.assert(fc.property(fc.array(STEP, { maxLength: 60 }), (steps) => {
    let list: number[] = [0, 0, 0], kept: readonly StandingMark[] = [], cycle = 0;
    for (const step of steps) {
      if (step.kind === "arrive") list.push(...Array.from({ length: step.count }, () => cycle));
      if (step.kind === "begin") {
        const at = { cycle: ++cycle, moved: 0 };
        kept = parseStanding(
          formatStanding([...carriedMarks(kept, list.length), { cycle, messages: list.length }], at),
          at,
        );
      }
      if (step.kind === "take" || step.kind === "pick") {
        const places = step.kind === "take"
          ? Array.from({ length: Math.min(step.count, list.length) }, (_, i) => i + 1)
          : step.places.filter((place) => place <= list.length);
        list = list.filter((_, i) => !places.includes(i + 1));
        kept = standingAfter(kept, { moved: step.kind === "take" ? places.length : places, depth: list.length });
      }
      list.forEach((arrivedIn, i) => {
        for (let one = 1; one <= cycle; one++) {
          assert.equal(stoodThere(kept, { cycle: one, place: i + 1 }), arrivedIn < one, `place ${i + 1}, cycle ${one}`);
        }
      });
    }
  }));
});
