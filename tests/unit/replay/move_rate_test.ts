import assert from "node:assert/strict";
import { MoveRate } from "../../../src/replay/move_rate.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

Deno.test("MoveRate: counts the moves of the last two minutes", async () => {
  const clock = new TestClock(), rate = new MoveRate(clock);
  assert.equal(rate.perSecond(), null);
  rate.moved(10);
  assert.equal(rate.perSecond(), null, "a moment is too short");
  await clock.advance(4_000);
  rate.moved(30);
  assert.equal(rate.perSecond(), 10);
  for (let i = 0; i < 200; i++) {
    await clock.advance(1_000);
    rate.moved(3);
  }
  assert.ok(Math.abs(rate.perSecond()! - 3) < 0.2, "what is older is forgotten");
  await clock.advance(120_000);
  assert.equal(rate.perSecond(), null);
});
