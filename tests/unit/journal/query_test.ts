import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fc from "fast-check";
import { besideId, compareIds, formatCursor, parseCursor } from "../../../src/journal/query.ts";

const LAST = (1n << 64n) - 1n;
const id = fc.tuple(fc.bigInt({ min: 0n, max: LAST }), fc.bigInt({ min: 0n, max: LAST })).map(([ms, n]) =>
  `${ms}-${n}`
);

Deno.test("cursor: is parsed as it was formatted", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z ]{1,9}$/), id, { noNullPrototype: true }), (positions) => {
      assert.deepEqual(parseCursor(formatCursor(positions)), positions);
    }),
  );
});

const NONE = [`{"audit":"1"}`, `{"audit":"${LAST + 1n}-0"}`, `{"audit":["1-1"]}`];
for (const text of ["", "x", "bnVsbA", "W10", ...NONE.map((json) => Buffer.from(json).toString("base64url"))]) {
  Deno.test(`cursor: "${text}" is none`, () => assert.equal(parseCursor(text), null));
}

Deno.test("besideId: is the nearest id on its side, and there and back is the same", () => {
  fc.assert(fc.property(id, (one) => {
    const after = besideId(one, "after"), before = besideId(one, "before");
    if (after !== null) assert.deepEqual([compareIds(one, after), besideId(after, "before")], [-1, one]);
    if (before !== null) assert.deepEqual([compareIds(before, one), besideId(before, "after")], [-1, one]);
  }));
  assert.equal(besideId("0-0", "before"), null);
  assert.equal(besideId(`${LAST}-${LAST}`, "after"), null);
  assert.equal(besideId(`5-${LAST}`, "after"), "6-0");
  assert.equal(besideId("6-0", "before"), `5-${LAST}`);
});
