import assert from "node:assert/strict";
import {
  comparedWith,
  countReturns,
  type CycleTally,
  formatTallies,
  isProvenToWork,
  isTroubled,
  MAX_TALLIES,
  parseTallies,
  pendingOf,
  weigh,
} from "../../../src/cycle/evidence.ts";

const TALLY: CycleTally = {
  ...{ cycle: 7, replayed: 30, firsts: 20, returned: 0, firstsReturned: 0, pending: 0, others: 0, othersFailed: 0 },
  ...{ movedAtMs: 1_000, says: "all", isTroubled: false },
};
const bits = (more: Partial<CycleTally>, isFirst = false) =>
  Math.round(weigh({ ...TALLY, ...more }, { isFirst }) * 100) / 100;

Deno.test("weigh: is −log2 of the share of the first-timers that came back, the message among them", () => {
  assert.equal(bits({ firstsReturned: 20 }), 0, "all");
  assert.equal(bits({ firstsReturned: 20 }, true), 0);
  assert.equal(bits({ firstsReturned: 1 }, true), 4.32, "it alone of 20");
  assert.equal(bits({}), 4.39, "it and none of 20");
  assert.equal(bits({ firstsReturned: 10 }, true), 1, "half");
  assert.equal(bits({ firsts: 0 }), 0, "nothing to compare with");
  assert.equal(bits({ firsts: 1, firstsReturned: 1 }, true), 0, "nothing but itself");
  assert.equal(
    bits({ returned: 30, firstsReturned: 20, others: 63 - 20, firsts: 20 }),
    1.61,
    "live ones are first-timers too",
  );
  assert.equal(bits({ firsts: 3, firstsReturned: 9 }), 0, "a sample may have estimated too many");
});

Deno.test("weigh: makes a healthy message dead less often than once in a thousand, however many messages there are beside it", () => {
  // E[1 ÷ share, if it fails] over all outcomes of n others, each of which fails with chance p.
  const choose = (n: number, k: number): number => k === 0 ? 1 : choose(n, k - 1) * (n - k + 1) / k;
  for (const others of [0, 1, 2, 5, 20, 50]) {
    for (const p of [0.01, 0.3, 0.5, 0.8, 0.95, 1]) {
      let sum = 0;
      for (let failed = 0; failed <= others; failed++) {
        const chance = choose(others, failed) * p ** failed * (1 - p) ** (others - failed);
        sum += p * chance * 2 ** weigh({ ...TALLY, firsts: others, firstsReturned: failed }, { isFirst: false });
      }
      assert.ok(sum <= 1 + 1e-9, `${others} others, chance ${p}: ${sum}`);
    }
  }
});

Deno.test("comparedWith: counts what may still come back as failed, and nothing of a cycle that says nothing", () => {
  const compared = (more: Partial<CycleTally>) =>
    Object.values(comparedWith({ ...TALLY, ...more }, { isFirst: false }));
  assert.deepEqual(compared({ firstsReturned: 2, pending: 5 }), [20, 7]);
  assert.deepEqual(compared({ firstsReturned: 2, others: 5, othersFailed: 3 }), [28, 5]);
  for (const says of ["nothing", "uncounted"] as const) assert.deepEqual(compared({ firstsReturned: 2, says }), [0, 0]);
});

Deno.test("isTroubled: nine tenths of all came back, and of the first-timers", () => {
  const table: [more: Partial<CycleTally>, expected: boolean][] = [
    [{ returned: 27, firstsReturned: 18 }, true],
    [{ returned: 26, firstsReturned: 18 }, false],
    [{ returned: 27, firstsReturned: 17 }, false],
    [{ returned: 27, firsts: 0 }, true],
    [{ replayed: 0, firsts: 0 }, false],
    [{ replayed: 41, firsts: 1, returned: 40, firstsReturned: 0 }, false],
  ];
  for (const [more, expected] of table) assert.equal(isTroubled({ ...TALLY, ...more }), expected, JSON.stringify(more));
});

Deno.test("isProvenToWork: three others at least, and more than twice as many as failed", () => {
  const isProven = (others: number, othersFailed: number) => isProvenToWork({ ...TALLY, others, othersFailed });
  assert.deepEqual([isProven(2, 0), isProven(3, 0), isProven(10, 5), isProven(11, 5)], [false, true, false, true]);
});

Deno.test("countReturns: counts to the cycle that a stamp names, never more than went, and tells what is new", () => {
  const tallies = [{ ...TALLY, cycle: 5, returned: 3, firstsReturned: 3 }, {
    ...TALLY,
    cycle: 6,
    replayed: 4,
    firsts: 2,
  }];
  const found = new Map([[5, { returned: 2, firsts: 1 }], [6, { returned: 9, firsts: 9 }], [4, {
    returned: 8,
    firsts: 8,
  }]]);
  const counted = countReturns(tallies, found);
  assert.equal(counted.returned, 2 + 4);
  assert.deepEqual(counted.tallies.map(({ returned, firstsReturned }) => [returned, firstsReturned]), [[5, 4], [4, 2]]);
});

Deno.test("countReturns: does not count messages twice that were moved away and back", () => {
  const tally = { ...TALLY, replayed: 100, firsts: 100, returned: 60, firstsReturned: 60 };
  const { tallies, returned } = countReturns([tally], new Map([[7, { returned: 60, firsts: 60 }]]));
  assert.deepEqual([tallies[0]!.returned, tallies[0]!.firstsReturned, returned], [60, 60, 0]);
});

Deno.test("pendingOf: is what waits, and all that went more recently than the consumer needs", () => {
  const tally = { ...TALLY, firstsReturned: 5, movedAtMs: 10_000 };
  const at = (nowMs: number, waiting: number) => pendingOf(tally, { nowMs, lagMs: 2_000, waiting });
  assert.deepEqual([at(11_999, 0), at(12_000, 0), at(12_000, 4), at(12_000, 400)], [15, 0, 4, 15]);
});

Deno.test("parseTallies: reads what is written, and nothing else", () => {
  const tallies: CycleTally[] = [
    { ...TALLY, returned: 28, firstsReturned: 19, isTroubled: true },
    { ...TALLY, cycle: 8, pending: 3, others: 4, othersFailed: 5, says: "nothing" },
    { ...TALLY, cycle: 9, says: "uncounted" },
  ];
  const text = formatTallies(tallies);
  assert.equal(text.split(",")[0], "7:30:20:28:19:0:0:0:1000:at");
  assert.deepEqual(parseTallies(text, 9), tallies);
  assert.deepEqual(parseTallies(text, 8), tallies.slice(0, 2), "a cycle to come");
  for (
    const odd of [
      "",
      "x",
      "7",
      "7:1:1:1:1:1:1:1:1:x",
      "7:-1:1:1:1:1:1:1:1:a",
      "7:1:1:1:1:1:1:1:1e3:a",
      `${"9".repeat(16)}:1:1:1:1:1:1:1:1:a`,
    ]
  ) {
    assert.deepEqual(parseTallies(odd, 9), [], odd);
  }
  const many = Array.from({ length: 100 }, (_, cycle) => ({ ...TALLY, cycle }));
  assert.deepEqual(parseTallies(formatTallies(many), 100).map(({ cycle }) => cycle)[0], 100 - MAX_TALLIES);
});
