import assert from "node:assert/strict";
import { ReadBatch } from "../../../src/redis/read_batch.ts";

/** Sizes of the reads whose longest messages were these. */
function sizesOf(batch: ReadBatch, longest: readonly number[]): number[] {
  return longest.map((bytes) => {
    const size = batch.size();
    batch.note(bytes);
    return size;
  });
}

const times = (count: number, bytes: number) => Array.from({ length: count }, () => bytes);

Deno.test("ReadBatch: fetches several at once after a first read that met only small messages", () => {
  assert.deepEqual(sizesOf(new ReadBatch(), [300, 4_096, 0]), [1, 4, 4]);
});

Deno.test("ReadBatch: goes one by one for 64 reads after a large message, for twice as many after the next surprise", () => {
  const batch = new ReadBatch();
  sizesOf(batch, [300]);
  assert.deepEqual(sizesOf(batch, [4_097, ...times(66, 300)]), [4, ...times(64, 1), 4, 4]);
  assert.deepEqual(sizesOf(batch, [5_000, ...times(129, 300)]), [4, ...times(128, 1), 4]);
});

Deno.test("ReadBatch: never fetches several at once while every read meets a large one", () => {
  assert.deepEqual(sizesOf(new ReadBatch(), times(9_000, 65_536)), times(9_000, 1));
});
