import assert from "node:assert/strict";
import { type Entered, findDifferences, type Found, isConserved } from "../../../testkit/oracle.ts";

const to = (key: string, ...ends: string[]): Entered => ends.length === 0 ? { key } : { key, ends };
const at = (key: string, place: string): Found => ({ key, place });
const onItsWay = (key: string): Found => ({ key, place: "dlq", isOnItsWay: true });

const ROWS: readonly (readonly [what: string, entered: Entered[], found: Found[], counts: number[]])[] = [
  ["all is where it belongs", [to("a", "target"), to("b", "dead")], [at("b", "dead"), at("a", "target")], [0, 0, 0, 0]],
  ["what is on its way may be anywhere", [to("a", "target")], [onItsWay("a")], [0, 0, 0, 0]],
  ["what has no end may end anywhere", [to("a")], [at("a", "dead")], [0, 0, 0, 0]],
  ["one is nowhere", [to("a"), to("b")], [at("a", "target")], [1, 0, 0, 0]],
  ["one is there twice", [to("a", "target")], [at("a", "target"), onItsWay("a")], [0, 1, 0, 0]],
  ["one never went in", [], [at("a", "target")], [0, 0, 1, 0]],
  ["a byte was changed", [to("a")], [at("b", "target")], [1, 0, 1, 0]],
  ["a healthy one is dead", [to("a", "target")], [at("a", "dead")], [0, 0, 0, 1]],
  ["equal ones end where each belongs", [to("a", "x"), to("a", "y")], [at("a", "y"), at("a", "x")], [0, 0, 0, 0]],
  ["equal ones end in one place", [to("a", "x"), to("a", "y")], [at("a", "x"), at("a", "x")], [0, 0, 0, 1]],
  ["an equal one is on its way", [to("a", "x"), to("a", "y")], [onItsWay("a"), at("a", "y")], [0, 0, 0, 0]],
];

for (const [what, entered, found, counts] of ROWS) {
  Deno.test(`findDifferences: finds ${counts} when ${what}`, () => {
    const differences = findDifferences(entered, found);
    const { lost, doubled, strangers, misplaced } = differences;
    assert.deepEqual([lost, doubled, strangers, misplaced].map(({ length }) => length), counts);
    assert.equal(isConserved(differences), counts.every((count) => count === 0));
  });
}
