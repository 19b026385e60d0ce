import assert from "node:assert/strict";
import {
  formatGrants,
  grantReplays,
  type LimiterReading,
  limiterRoom,
  type PaceLedger,
  parseGrants,
  rateRoom,
  spendRate,
} from "../../../src/mutt/pace.ts";

Deno.test("rateRoom: never lets more than the rate through, over any sequence of asks", () => {
  for (const perSecond of [0.1, 0.5, 0.7, 3, 7, 20, 333, 1_000]) {
    let spentUntilMs = 0, sent = 0;
    const startMs = 1_700_000_000_000, endMs = startMs + 60_000;
    for (let nowMs = startMs; nowMs < endMs; nowMs += 37) {
      const { room } = rateRoom({ perSecond, nowMs, spentUntilMs });
      if (room === 0) continue;
      sent += room;
      spentUntilMs = spendRate({ perSecond, nowMs, spentUntilMs, count: room });
    }
    const burst = Math.max(1, perSecond / 10);
    assert.ok(sent <= 60 * perSecond + burst + 1, `${perSecond}/s sent ${sent}`);
    assert.ok(sent >= 0.9 * 60 * perSecond - 1, `${perSecond}/s sent only ${sent}`);
  }
});

Deno.test("rateRoom: says when the next message may go when there is no room", () => {
  const nowMs = 1_700_000_000_000;
  const spentUntilMs = spendRate({ perSecond: 2, nowMs, spentUntilMs: 0, count: 1 });
  const { room, retryInMs } = rateRoom({ perSecond: 2, nowMs, spentUntilMs });
  assert.deepEqual([room, retryInMs], [0, 500]);
  assert.equal(rateRoom({ perSecond: 2, nowMs: nowMs + retryInMs, spentUntilMs }).room, 1);
});

Deno.test("rateRoom: does not wait for a clock that was set back", () => {
  const nowMs = 1_700_000_000_000;
  for (const perSecond of [0.1, 5, 50]) {
    const later = { perSecond, nowMs, spentUntilMs: nowMs + 3_600_000 };
    const { room } = rateRoom(later);
    assert.ok(room > 0, `${perSecond}/s`);
    assert.equal(room, rateRoom({ ...later, spentUntilMs: 0 }).room, "as on a source that never replayed");
    const spentUntilMs = spendRate({ ...later, count: room });
    assert.ok(Math.abs(spentUntilMs - nowMs) <= 1, "the next replays find the moved clock forgotten");
  }
});

const EMPTY_LEDGER: PaceLedger = { grants: [], livePeak: 0, livePeakAtMs: 0 };
const NOW_MS = 1_700_000_000_000;
const READING = { limit: 50, periodMs: 1_000, used: 0, waiting: 0, nowMs: NOW_MS };

Deno.test("limiterRoom: is 80 % of the limit less what was taken, waits, and is in nobody's books yet", () => {
  const roomOf = (ledger: Partial<PaceLedger>, reading: Partial<LimiterReading> = {}) =>
    limiterRoom({ ...EMPTY_LEDGER, ...ledger }, { ...READING, ...reading }).answer.room;
  assert.equal(roomOf({}), 4, "a tenth of the share at a time");
  assert.equal(roomOf({}, { used: 33, waiting: 5 }), 2);
  assert.equal(roomOf({ grants: [[NOW_MS - 50, 3]] }, { used: 35 }), 1, "a moment ago: neither sent nor waiting yet");
  assert.equal(roomOf({ grants: [[NOW_MS - 150, 30]] }), 4, "in the books by now, or gone elsewhere");
  assert.equal(roomOf({}, { used: 60 }), 0);
  assert.equal(roomOf({}, { limit: 0 }), 0);
});

Deno.test("limiterRoom: keeps free what live traffic took of late, beyond the fifth that is never used", () => {
  const peak = { ...EMPTY_LEDGER, livePeak: 35, livePeakAtMs: NOW_MS };
  assert.equal(limiterRoom(peak, { ...READING, used: 24 }).answer.room, 4, "24, and 35 - 24 - 10 kept free");
  assert.equal(limiterRoom({ ...peak, livePeak: 48 }, { ...READING, used: 24 }).answer.room, 2);
  assert.equal(limiterRoom({ ...peak, livePeak: 50 }, { ...READING, used: 24 }).answer.room, 0);
  const later = { ...READING, nowMs: NOW_MS + 10_000, used: 24 };
  assert.equal(limiterRoom({ ...peak, livePeak: 50 }, later).answer.room, 4, "the peak has faded");
});

Deno.test("limiterRoom: does not wait for a clock that was set back", () => {
  const later = NOW_MS + 3_600_000;
  const ledger = { grants: [[later, 40]], livePeak: 50, livePeakAtMs: later } as const;
  const asked = limiterRoom(ledger, READING);
  assert.equal(asked.answer.room, 4, "as on a source that never replayed");
  assert.deepEqual(grantReplays(asked.ledger, { nowMs: NOW_MS, count: 4, periodMs: 1_000 }).grants, [[NOW_MS, 4]]);
});

Deno.test("grantReplays: keeps what another instance entered a moment later than the reading", () => {
  const entered = (atMs: number) =>
    grantReplays({ ...EMPTY_LEDGER, grants: [[atMs, 3]] }, { nowMs: NOW_MS, count: 1, periodMs: 1_000 }).grants;
  assert.deepEqual(entered(NOW_MS + 2), [[NOW_MS + 2, 4]]);
  assert.deepEqual(entered(NOW_MS + 70), [[NOW_MS + 70, 4]]);
});

Deno.test("limiterRoom: asks again when its own replays make room, and not a poll later", () => {
  const cases = [
    { what: "the step is used up", grants: [[NOW_MS - 30, 4]], used: 10, retryInMs: 70 },
    { what: "not yet in the books", grants: [[NOW_MS - 60, 4]], used: 36, retryInMs: 40 },
    { what: "just before the end of a step", grants: [[NOW_MS - 99, 4]], used: 10, retryInMs: 10 },
    { what: "live traffic takes it all", grants: [], used: 40, retryInMs: 50 },
  ] as const;
  for (const { what, grants, used, retryInMs } of cases) {
    const ledger = { ...EMPTY_LEDGER, grants };
    assert.deepEqual(limiterRoom(ledger, { ...READING, used }).answer, { room: 0, retryInMs }, what);
    if (used < 40) {
      assert.equal(limiterRoom(ledger, { ...READING, used, nowMs: NOW_MS + retryInMs }).answer.room, 4, what);
    }
  }
  const slow = { ...READING, limit: 100, periodMs: 60_000 };
  const { retryInMs } = limiterRoom({ ...EMPTY_LEDGER, grants: [[NOW_MS, 8]] }, slow).answer;
  assert.equal(retryInMs, 1_000, "at least once a second, because live traffic changes");
});

Deno.test("limiterRoom: does not take own replays for live traffic", () => {
  const { ledger } = limiterRoom({ ...EMPTY_LEDGER, grants: [[NOW_MS - 500, 30]] }, { ...READING, used: 35 });
  assert.equal(ledger.livePeak, 5);
});

Deno.test("grantReplays: never lets more than the share through a sliding window, with live traffic beside", () => {
  for (const [limit, periodMs, live] of [[50, 1_000, 25], [100, 60_000, 50], [50, 1_000, 0]] as const) {
    let ledger = EMPTY_LEDGER, replayed = 0;
    const sent: [number, boolean][] = [];
    const endMs = NOW_MS + 20 * periodMs, stepMs = periodMs / 100;
    for (let nowMs = NOW_MS, owed = 0; nowMs < endMs; nowMs += stepMs) {
      for (owed += live * stepMs / periodMs; owed >= 1; owed--) sent.push([nowMs, false]);
      const used = sent.filter(([atMs]) => atMs > nowMs - periodMs).length;
      const asked = limiterRoom(ledger, { limit, periodMs, used, waiting: 0, nowMs });
      ledger = asked.ledger;
      assert.ok(used <= limit, `${used} in a window of ${limit}`);
      const count = asked.answer.room;
      if (count === 0) continue;
      ledger = grantReplays(ledger, { nowMs, count, periodMs });
      for (let i = 0; i < count; i++) sent.push([nowMs, true]);
      replayed += count;
    }
    const leftOver = (0.8 * limit - live) * 20;
    assert.ok(replayed >= 0.9 * leftOver, `${replayed} of ${leftOver} at ${limit} per ${periodMs} ms`);
    assert.ok(ledger.grants.length <= 110);
  }
});

Deno.test("parseGrants: reads what formatGrants writes, and leaves out what is no entry", () => {
  const grants = [[9_500, 4], [10_000, 5]] as const;
  assert.equal(formatGrants(grants), "9500:4,10000:5");
  assert.deepEqual(parseGrants("9500:4,10000:5,x,1:-2"), grants);
});
