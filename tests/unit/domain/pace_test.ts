import assert from "node:assert/strict";
import { addRecent, formatRecent, limiterRoom, parseRecent, rateRoom, spendRate } from "../../../src/domain/pace.ts";

Deno.test("rateRoom: never lets more than the rate through, over any sequence of asks", () => {
  for (const perSecond of [0.1, 0.5, 3, 20, 1_000]) {
    let spentUntilMs = 0, sent = 0;
    const startMs = 1_700_000_000_000, endMs = startMs + 60_000;
    for (let nowMs = startMs; nowMs < endMs; nowMs += 37) {
      const { room } = rateRoom({ perSecond, nowMs, spentUntilMs });
      if (room === 0) continue;
      sent += room;
      spentUntilMs = spendRate({ perSecond, nowMs, spentUntilMs, count: room });
    }
    const burst = Math.max(1, perSecond);
    assert.ok(sent <= 60 * perSecond + burst + 1, `${perSecond}/s sent ${sent}`);
    assert.ok(sent >= 0.9 * 60 * perSecond - 1, `${perSecond}/s sent only ${sent}`);
  }
});

Deno.test("rateRoom: says when the next message may go when there is no room", () => {
  const nowMs = 1_700_000_000_000;
  const spentUntilMs = spendRate({ perSecond: 2, nowMs, spentUntilMs: 0, count: 2 });
  const { room, retryInMs } = rateRoom({ perSecond: 2, nowMs, spentUntilMs });
  assert.deepEqual([room, retryInMs], [0, 500]);
  assert.equal(rateRoom({ perSecond: 2, nowMs: nowMs + retryInMs, spentUntilMs }).room, 1);
});

Deno.test("rateRoom: does not wait for a clock that was set back", () => {
  const nowMs = 1_700_000_000_000;
  assert.ok(rateRoom({ perSecond: 5, nowMs, spentUntilMs: nowMs + 3_600_000 }).retryInMs <= 200);
});

Deno.test("limiterRoom: is 80 % of the limit less what was used, waits, and is not yet visible", () => {
  const nowMs = 1_700_000_000_000;
  const base = { limit: 50, used: 0, waiting: 0, recent: [], nowMs };
  assert.equal(limiterRoom(base).room, 40);
  assert.equal(limiterRoom({ ...base, used: 25, waiting: 5 }).room, 10);
  assert.equal(limiterRoom({ ...base, recent: [[nowMs - 100, 40]] }).room, 0);
  assert.equal(limiterRoom({ ...base, recent: [[nowMs - 2_000, 40]] }).room, 40);
  assert.deepEqual(limiterRoom({ ...base, used: 60 }), { room: 0, retryInMs: 100 });
});

Deno.test("parseRecent: reads what formatRecent writes, and addRecent forgets the old", () => {
  const recent = addRecent([[1_000, 3], [9_500, 4]], { nowMs: 10_000, count: 5 });
  assert.equal(formatRecent(recent), "9500:4,10000:5");
  assert.deepEqual(parseRecent("9500:4,10000:5,x,1:-2"), recent);
});
