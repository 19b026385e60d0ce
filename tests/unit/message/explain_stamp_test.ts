import assert from "node:assert/strict";
import { explainStamp, type StampContext } from "../../../src/message/explain_stamp.ts";
import type { FoundStamp } from "../../../src/message/stamp.ts";

const STAMP: FoundStamp = { failures: 1, evidence: 2, sheds: 0, since: 1_700_000_000, cycle: 412, source: "alerter" };
const AT = "first replayed at 2023-11-14T22:13:20.000Z";
const CONTEXT: StampContext = { failures: 2, limit: 3, evidence: null, source: "alerter" };

const SENTENCES: readonly (readonly [stamp: FoundStamp | null, context: Partial<StampContext>, sentence: string])[] = [
  [null, {}, "Has no stamp: this service has never replayed it."],
  [
    { ...STAMP, sheds: 1 },
    {},
    `Failed 2 times, shed once; replayed in cycle 412; ${AT}; would be poison at 3 failures, with enough evidence.`,
  ],
  [STAMP, { failures: 0, limit: null }, `Has not failed; replayed in cycle 412; ${AT}.`],
  [
    { ...STAMP, cycle: null, source: "moog", since: 9e15 },
    { failures: 1, limit: null },
    "Failed once; replayed in an unknown cycle of another source.",
  ],
  [
    STAMP,
    { failures: 3, evidence: 4.26 },
    `Failed 3 times; replayed in cycle 412; ${AT}; has reached the limit of 3 failures, but the evidence against it is 4.3 of 9.9 bits.`,
  ],
  [
    STAMP,
    { failures: 4, evidence: 10 },
    `Failed 4 times; replayed in cycle 412; ${AT}; poison: it has reached the limit of 3 failures, with 10.0 of 9.9 bits of evidence.`,
  ],
];

for (const [stamp, context, sentence] of SENTENCES) {
  Deno.test(`explainStamp: ${sentence}`, () => assert.equal(explainStamp(stamp, { ...CONTEXT, ...context }), sentence));
}
