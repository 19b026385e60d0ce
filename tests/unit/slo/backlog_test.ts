import assert from "node:assert/strict";
import { Backlog } from "../../../src/slo/backlog.ts";

/** Measurements a minute apart, and the age in minutes that the backlog had before each. */
function agesOf(measurements: readonly (readonly [depth: number, moved: number])[]): number[] {
  const backlog = new Backlog();
  return measurements.map(([depth, moved]) => {
    backlog.grewOlder(60_000);
    const minutes = backlog.ageMs / 60_000;
    backlog.measured({ depth, moved });
    return minutes;
  });
}

const CASES: Readonly<Record<string, [(readonly [number, number])[], number[]]>> = {
  "an empty queue is no backlog": [[[0, 0], [0, 0], [0, 0]], [0, 0, 0]],
  "it grows older while nothing leaves": [[[5, 0], [5, 0], [5, 0], [5, 0]], [0, 1, 2, 3]],
  "it has drained when the queue is empty": [[[5, 0], [3, 2], [0, 5], [0, 5]], [0, 1, 2, 0]],
  "what arrives behind it is the next one": [[[5, 0], [8, 3], [9, 5], [9, 5]], [0, 1, 2, 1]],
  "a queue that is never empty drains all the same": [[[10, 0], [10, 10], [10, 20], [10, 30]], [0, 1, 1, 1]],
  "what comes back does not keep it from draining": [[[4, 0], [4, 4], [4, 8]], [0, 1, 1]],
  "others may empty the queue": [[[5, 0], [2, 0], [0, 0], [0, 0]], [0, 1, 2, 0]],
  "others may take most of it": [[[100, 0], [10, 0], [30, 10], [30, 10]], [0, 1, 2, 1]],
  "what was moved before it was marked does not count": [[[5, 700], [5, 700], [4, 701]], [0, 1, 2]],
};

for (const [name, [measurements, ages]] of Object.entries(CASES)) {
  Deno.test(`Backlog: ${name}`, () => assert.deepEqual(agesOf(measurements), ages));
}
