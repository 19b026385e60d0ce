import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { findWatermark, planSweep } from "../../../src/jobs/plan_sweep.ts";
import { sha1 } from "../../../src/redis/sample.ts";

const messages = ["a", "b", "c", "b"].map((text) => Buffer.from(text));
const digestOf = (...texts: string[]) => sha1(texts.map((text) => Buffer.from(text)));
const picks = (message: Buffer) => message.toString() === "b";

const cases = [
  {
    name: "takes the whole chunk when more is left",
    given: { left: 10, endsAt: 0 },
    expected: { count: 4, digest: digestOf("a", "b"), left: 6, places: [2, 4] },
  },
  {
    name: "takes no more than is left",
    given: { left: 3, endsAt: 0 },
    expected: { count: 3, digest: digestOf("a", "c"), left: 0, places: [2] },
  },
  {
    name: "ends at the newest message of the plan",
    given: { left: 10, endsAt: 2 },
    expected: { count: 2, digest: digestOf("a", "b"), left: 0, places: [2] },
  },
] as const;

for (const { name, given, expected: { places, ...expected } } of cases) {
  Deno.test(`planSweep: ${name}`, () => {
    const { picks: picked, isOversize, ...plan } = planSweep({ messages, oversize: null }, { ...given, picks });
    assert.deepEqual(plan, expected);
    assert.equal(isOversize, false);
    assert.deepEqual(picked, places.map((place) => ({ place, digest: digestOf("b") })));
  });
}

Deno.test("planSweep: is over when the list is empty", () => {
  const plan = planSweep({ messages: [], oversize: null }, { left: 5, endsAt: 0, picks });
  assert.deepEqual(plan, { count: 0, digest: "", isOversize: false, picks: [], left: 0 });
});

Deno.test("planSweep: passes a message that is too large to read, and never picks it", () => {
  const oversize = { bytes: 9, digest: "d" };
  const plan = planSweep({ messages: [], oversize }, { left: 5, endsAt: 0, picks: () => true });
  assert.deepEqual(plan, { count: 1, digest: "d", isOversize: true, picks: [], left: 4 });
});

Deno.test("findWatermark: returns the last of equal messages, and 0 when it is not there or not known", () => {
  const newest = { depth: 4, newestBytes: 1, newestDigest: digestOf("b") };
  assert.equal(findWatermark(messages, newest), 4);
  assert.equal(findWatermark(messages.slice(0, 1), newest), 0);
  assert.equal(findWatermark(messages, { ...newest, newestDigest: "" }), 0);
});
