import assert from "node:assert/strict";
import { ReadMode, type ReadSizes } from "../../../src/redis/read_mode.ts";

const BOUNDS = { messages: 200, bytes: 100_000, messageBytes: 1_000_000 };

/** How many messages LRANGE takes after each of these reads (0: the script reads). */
function rangesAfter(mode: ReadMode, reads: readonly ReadSizes[]): number[] {
  return reads.map((sizes) => {
    mode.note(sizes);
    return mode.plan(BOUNDS).range;
  });
}

const of = (messages: number, each: number, longestAhead = each): ReadSizes => ({
  messages,
  bytes: messages * each,
  longestAhead,
});

Deno.test("ReadMode: takes as many messages as fit by the mean size of those before, at least one, once there were any", () => {
  const mode = new ReadMode();
  assert.equal(mode.plan(BOUNDS).range, 0);
  const sizes = [of(200, 300), of(200, 1_000), of(6, 16_384), of(1, 65_536), of(1, 500_000), of(0, 0), of(200, 10)];
  assert.deepEqual(rangesAfter(mode, sizes), [200, 100, 6, 1, 1, 0, 200]);
});

Deno.test("ReadMode: leaves the read to the script while a sample ahead says that LRANGE might return 32 chunks", () => {
  const mode = new ReadMode();
  assert.deepEqual(rangesAfter(mode, [of(200, 300, 16_000), of(200, 300, 16_001), of(200, 300, 300)]), [200, 0, 200]);
});

Deno.test("ReadMode: samples every 32nd message behind the chunk, and none behind a short one", () => {
  const mode = new ReadMode();
  assert.deepEqual(mode.plan(BOUNDS), { range: 0, step: 32, samples: 6 });
  mode.note(of(200, 1_000));
  assert.deepEqual(mode.plan(BOUNDS), { range: 100, step: 32, samples: 3 });
  mode.note(of(1, 65_536));
  assert.deepEqual(mode.plan(BOUNDS), { range: 1, step: 32, samples: 0 });
});

Deno.test("ReadMode: leaves 64 reads to the script after a reply that was cut off, twice as many after the next", () => {
  const mode = new ReadMode();
  for (const pause of [64, 128]) {
    mode.note(of(200, 300));
    mode.cutOff();
    const ranges = rangesAfter(mode, Array.from({ length: pause + 1 }, () => of(200, 300)));
    assert.deepEqual([ranges.indexOf(200), ranges.at(-1)], [pause - 1, 200]);
  }
});
