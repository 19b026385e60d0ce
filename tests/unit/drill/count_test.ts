/** The oracle of a drill: a table of what was found, and its counts. */
import { deepStrictEqual } from "node:assert/strict";
import { countMessages, type DrillCount, type FoundMessages } from "../../../src/drill/count.ts";

const NONE: FoundMessages = { seeded: 3, kept: [], waiting: [], sent: "", sentTwice: 0 };

interface Case {
  readonly of: string;
  readonly isReal?: boolean;
  readonly found: Partial<FoundMessages>;
  readonly count: Partial<DrillCount>;
}

const CASES: readonly Case[] = [
  { of: "all have arrived", found: { kept: [3, 1, 2] }, count: { arrived: 3 } },
  { of: "nothing was pushed", found: { seeded: 0 }, count: {} },
  { of: "none is anywhere", found: {}, count: { lost: 3 } },
  { of: "one is missing", found: { kept: [1, 3] }, count: { arrived: 2, lost: 1 } },
  { of: "one is there twice", found: { kept: [1, 2, 2, 3] }, count: { arrived: 3, doubled: 1 } },
  {
    of: "one is there twice and another is missing",
    found: { kept: [1, 2, 2] },
    count: { arrived: 2, lost: 1, doubled: 1 },
  },
  { of: "one waits", found: { kept: [1, 2], waiting: [3] }, count: { arrived: 2, left: 1 } },
  {
    of: "a copy of an arrived one waits",
    found: { kept: [1, 2, 3], waiting: [3] },
    count: { arrived: 3, doubled: 1, left: 1 },
  },
  { of: "one waits twice", found: { kept: [1, 2], waiting: [3, 3] }, count: { arrived: 2, doubled: 1, left: 2 } },
  { of: "all were sent", isReal: true, found: { sent: "1-3" }, count: { arrived: 3 } },
  { of: "one was not sent", isReal: true, found: { sent: "1,3" }, count: { arrived: 2, lost: 1 } },
  {
    of: "one was sent and came back",
    isReal: true,
    found: { sent: "1-3", kept: [2] },
    count: { arrived: 3, returned: 1 },
  },
  { of: "one was sent twice", isReal: true, found: { sent: "1-3", sentTwice: 1 }, count: { arrived: 3, doubled: 1 } },
  {
    of: "one was not sent, but kept",
    isReal: true,
    found: { sent: "1-2", kept: [3] },
    count: { arrived: 2 },
  },
  {
    of: "one came back twice",
    isReal: true,
    found: { sent: "1-3", kept: [2, 2] },
    count: { arrived: 3, returned: 1, doubled: 1 },
  },
];

for (const { of, isReal = false, found, count } of CASES) {
  Deno.test(`countMessages: ${isReal ? "real target, " : ""}when ${of}`, () => {
    deepStrictEqual(countMessages({ ...NONE, ...found }, { isReal }), {
      ...{ arrived: 0, returned: 0, lost: 0, doubled: 0, left: 0 },
      ...count,
    });
  });
}
