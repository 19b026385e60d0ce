import assert from "node:assert/strict";
import { Attempts, CUTS_AT_ONCE } from "../../../src/redis/attempts.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

Deno.test("Attempts: count up while nothing connects, and begin anew after a connection", () => {
  const attempts = new Attempts(new TestClock());
  assert.deepEqual([1, 2, 3, 4].map(() => attempts.lost()), [1, 2, 3, 4]);
  attempts.ready();
  assert.equal(attempts.lost(), 1);
});

Deno.test("Attempts: count up when every connection is cut at once, but not for the first few", async () => {
  const clock = new TestClock(), attempts = new Attempts(clock);
  const next = async (lastsMs: number) => {
    attempts.ready();
    await clock.advance(lastsMs);
    return attempts.lost();
  };
  const numbers: number[] = [];
  for (let i = 0; i < CUTS_AT_ONCE + 4; i++) numbers.push(await next(500));
  assert.deepEqual(numbers, [...Array(CUTS_AT_ONCE).fill(1), 1, 2, 3, 4]);
  assert.equal(attempts.cuts(), CUTS_AT_ONCE + 4);
  assert.equal(await next(5_000), 1);
  assert.equal(attempts.cuts(), 0);
});

Deno.test("Attempts: begin anew when the next goes to another server", async () => {
  const clock = new TestClock(), attempts = new Attempts(clock);
  for (let i = 0; i < 2 * CUTS_AT_ONCE; i++) {
    attempts.ready();
    await clock.advance(10);
    attempts.lost();
  }
  attempts.ready();
  attempts.reset();
  assert.equal(attempts.lost(), 1);
});
