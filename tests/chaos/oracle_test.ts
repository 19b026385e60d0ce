import assert from "node:assert/strict";
import { eventText, replayedText } from "../../testkit/engine.ts";
import { bytesOf } from "../../testkit/payloads.ts";
import { type Findings, isClean, Oracle, type Whereabouts } from "./harness/oracle.ts";

const [one, two] = [eventText(1), eventText(2)] as const;
const UNREADABLE = "not JSON";
const buried = (reason: string) =>
  `{"failed_at": "2026-01-01T00:00:00.000Z", "_remediation": {"failures": 0, "evidence": 0, "since": 0, "cycle": 1, ` +
  `"source": "alerter", "reason": "${reason}"}, "payload": "${UNREADABLE}"}`;

/** What the oracle says of these lists, after the two events and the unreadable one went in. */
function check({ miscounted = 0, ...lists }: Partial<Record<keyof Whereabouts, string[]>> & { miscounted?: number }) {
  const oracle = new Oracle();
  oracle.add([one, two, UNREADABLE].map(bytesOf));
  const { dlq = [], target = [], dead = [], taken = [], kept = [] } = lists;
  return oracle.check({
    ...{ dlq: dlq.map(bytesOf), target: target.map(bytesOf), dead: dead.map(bytesOf), taken: taken.map(bytesOf) },
    kept: kept.map(bytesOf),
  }, { miscounted });
}

function numbersOf({ lost, doubled, misjudged, miscounted, broken }: Findings) {
  return { lost, doubled, misjudged, miscounted, broken };
}

const NONE = { lost: 0, doubled: 0, misjudged: 0, miscounted: 0, broken: 0 };
const MOVED = { target: [replayedText(one), replayedText(two)], dead: [buried("unreadable")] };
const rows: [what: string, found: Findings, expected: typeof NONE][] = [
  ["all is where the model says", check(MOVED), NONE],
  ["nothing has moved", check({ dlq: [one, two, UNREADABLE] }), NONE],
  ["others took all of it", check({ taken: [one, two, UNREADABLE] }), NONE],
  ["one is nowhere", check({ ...MOVED, target: [replayedText(one)] }), { ...NONE, lost: 1 }],
  ["one is in two lists", check({ ...MOVED, dlq: [one] }), { ...NONE, doubled: 1 }],
  ["one was never put in", check({ ...MOVED, taken: [eventText(3)] }), { ...NONE, doubled: 1 }],
  ["one is in the wrong list", check({ dlq: [one, two], target: [UNREADABLE] }), { ...NONE, misjudged: 1 }],
  ["one is dead for another reason", check({ ...MOVED, dead: [buried("malformed")] }), { ...NONE, misjudged: 1 }],
  ["a byte was changed", check({ ...MOVED, target: [replayedText(one), replayedText(two).replace('"m"', '"n"')] }), {
    ...NONE,
    ...{ lost: 1, doubled: 1 },
  }],
  ["all is kept as it came", check({ kept: [one, two, UNREADABLE] }), NONE],
  ["what is kept has a stamp more", check({ kept: [one, replayedText(two), UNREADABLE] }), { ...NONE, lost: 1 }],
  ["counters are off", check({ ...MOVED, miscounted: 2 }), { ...NONE, miscounted: 2 }],
];

for (const [what, found, expected] of rows) {
  Deno.test(`Oracle: finds ${Deno.inspect(expected)} when ${what}`, () => {
    assert.deepEqual(numbersOf(found), expected);
    assert.equal(isClean(found), expected === NONE);
  });
}

Deno.test("Oracle: does not judge what others have moved, and counts it all the same", () => {
  const oracle = new Oracle();
  oracle.add([bytesOf(UNREADABLE)]);
  oracle.excuse([bytesOf(UNREADABLE)]);
  const where = { dlq: [], target: [bytesOf(UNREADABLE)], dead: [] };
  assert.ok(isClean(oracle.check(where)));
  assert.equal(oracle.check({ ...where, target: [] }).lost, 1);
});
