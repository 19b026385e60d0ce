import assert from "node:assert/strict";
import { joinNewest } from "../../../src/slo/slot_copy.ts";
import type { NumberedSlot } from "../../../src/slo/slots.ts";

const text = (number: number, events = 1) => `${number} 5 5 ${events} 0 1 0 1 0 1 0`;
const joined = (slots: readonly NumberedSlot[] | null) =>
  slots && slots.map(({ number, counts }) => [number, counts[0]]);
const KNOWN = joinNewest([], [40, 30, 20, 10].map((number) => text(number)), { most: 99, asked: Infinity })!;
const join = (newest: readonly string[], { asked = 3, most = 99 } = {}) =>
  joined(joinNewest(KNOWN, newest, { most, asked }));

Deno.test("joinNewest: replaces the newest slots and keeps those before", () => {
  assert.deepEqual(joined(KNOWN), [[10, 1], [20, 1], [30, 1], [40, 1]]);
  assert.deepEqual(join([text(40, 7), text(30), text(20)]), [[10, 1], [20, 1], [30, 1], [40, 7]]);
  assert.deepEqual(join([text(50), text(40, 7), text(30)]), [[10, 1], [20, 1], [30, 1], [40, 7], [50, 1]]);
  assert.deepEqual(join([text(60), text(50), text(40)]), [[10, 1], [20, 1], [30, 1], [40, 1], [50, 1], [60, 1]]);
  assert.deepEqual(join([text(50), text(40), text(30)], { most: 4 })?.map(([number]) => number), [20, 30, 40, 50]);
});

Deno.test("joinNewest: asks for everything if slots may be missing, and believes a list that has become shorter", () => {
  assert.equal(join([text(90), text(80), text(70)]), null);
  assert.equal(joinNewest([], [text(3), text(2), text(1)], { most: 99, asked: 3 }), null);
  assert.deepEqual(join([text(90)]), [[90, 1]]);
  assert.deepEqual(join([]), []);
});

Deno.test("joinNewest: leaves out what others wrote", () => {
  assert.deepEqual(join([text(50), "somebody else's", text(40)])?.at(-1), [50, 1]);
  assert.equal(join(["{}", "1 2", ""]), null);
});
