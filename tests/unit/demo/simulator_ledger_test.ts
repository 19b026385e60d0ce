import { deepEqual, equal, ok } from "node:assert/strict";
import { isExact, Ledger, type Leftovers } from "../../../demo/simulator/ledger.ts";
import { generateTraffic, idIn, type SimEvent } from "../../../testkit/mutt/traffic.ts";

const NOTHING_LEFT: Leftovers = { queued: [], wedged: [], dlqAlerter: [], dlqMoog: [], dead: [] };
const bytes = ({ text }: SimEvent) => new TextEncoder().encode(text);

/** A ledger whose clock stands where it is put, and so many healthy events that have entered it. */
function openLedger(count: number) {
  const clock = { nowMs: 0 };
  const ledger = new Ledger({ elapsedMs: () => clock.nowMs, rateWindowMs: 1_000 });
  const events = generateTraffic([{ fromMinute: 0, toMinute: 1, perMinute: count, kind: "healthy" }], 1);
  for (const event of events) ledger.entered(event);
  return { ledger, events: events as [SimEvent, ...SimEvent[]], clock };
}

Deno.test("Ledger: is exact where each event has one fate", () => {
  const { ledger, events: [a, b, c, d, e, f] } = openLedger(6);
  ledger.delivered(a.text);
  ledger.destroyed(bytes(b!), 0);
  ledger.discarded(bytes(c!));
  const account = ledger.close({ ...NOTHING_LEFT, queued: [bytes(d!)], dlqMoog: [bytes(e!)], wedged: [bytes(f!)] });
  ok(isExact(account));
  deepEqual(account.fates, {
    ...{ delivered: 1, destroyed: 1, discarded: 1, queued: 1, wedged: 1, dlqAlerter: 0, dlqMoog: 1, dead: 0 },
  });
  deepEqual([account.lostByPipeline, account.lostByReplays], [2, 0]);
});

Deno.test("Ledger: sees an event without a fate, one with two, and one that never entered", () => {
  const { ledger, events: [a, b] } = openLedger(2);
  const [stranger] = generateTraffic([{ fromMinute: 0, toMinute: 1, perMinute: 1, kind: "healthy" }], 2);
  ledger.delivered(a.text);
  const account = ledger.close({ ...NOTHING_LEFT, dlqAlerter: [bytes(a), bytes(stranger!)] });
  ok(b && !isExact(account));
  deepEqual([account.unaccounted, account.doubled, account.strangers], [1, 1, 1]);
});

Deno.test("Ledger: a healthy event in the dead list is wrongly dead, a poison one is not", () => {
  const { ledger, events: [healthy] } = openLedger(1);
  const [poison] = generateTraffic([{ fromMinute: 0, toMinute: 1, perMinute: 1, kind: "poison" }], 3);
  ledger.entered(poison!);
  const account = ledger.close({ ...NOTHING_LEFT, dead: [bytes(healthy), bytes(poison!)] });
  deepEqual([account.wronglyDead, account.fates.dead, isExact(account)], [1, 2, true]);
});

Deno.test("Ledger: bounced counts each coming back to the same DLQ", () => {
  const { ledger, events: [a] } = openLedger(1);
  ledger.deadLettered(bytes(a), "alerter");
  ledger.deadLettered(bytes(a), "moog");
  equal(ledger.close({ ...NOTHING_LEFT, dlqMoog: [bytes(a)] }).bounced, 0);
  ledger.deadLettered(bytes(a), "moog");
  equal(ledger.close({ ...NOTHING_LEFT, dlqMoog: [bytes(a)] }).bounced, 1);
});

Deno.test("Ledger: replays are to blame for a replayed one, and for a live one where a replay used up the limit", () => {
  const { ledger, events: [replayed, live, other, late] } = openLedger(4);
  ledger.destroyed(bytes(other!), 0);
  ledger.deadLettered(bytes(replayed), "alerter");
  ledger.admitted(bytes(replayed), 100);
  ledger.destroyed(bytes(live!), 1_099);
  // By now the replay is out of the window.
  ledger.destroyed(bytes(late!), 1_100);
  const { lostByReplays, lostByPipeline } = ledger.close(NOTHING_LEFT);
  deepEqual([lostByReplays, lostByPipeline], [1, 2]);
});

Deno.test("Ledger: healing waits for every healthy event from before the instant, and for none after it", () => {
  const { ledger, events: [a, b], clock } = openLedger(2);
  clock.nowMs = 60_000;
  const [later] = generateTraffic([{ fromMinute: 0, toMinute: 1, perMinute: 1, kind: "healthy" }], 4);
  ledger.entered(later!);
  clock.nowMs = 90_000;
  ledger.delivered(a.text);
  deepEqual(ledger.healing(60_000), { open: 1, lastDeliveryMs: 90_000 });
  clock.nowMs = 120_000;
  ledger.delivered(b!.text);
  deepEqual(ledger.healing(60_000), { open: 0, lastDeliveryMs: 120_000 });
  equal(ledger.liveDelayMs({ fromMs: 60_000, nowMs: 150_000 }), 90_000);
});

Deno.test("generateTraffic: the same seed gives the same events, in order, each kind with its id and its fault", () => {
  const streams = (["healthy", "poison", "malformed", "not_json", "non_object"] as const)
    .map((kind) => ({ fromMinute: 1, toMinute: 3, perMinute: 10, kind }));
  const events = generateTraffic(streams, 5);
  deepEqual(events, generateTraffic(streams, 5));
  equal(events.length, 100);
  equal(new Set(events.map(({ id }) => id)).size, 100);
  ok(events.every(({ dueMs }, i) => dueMs >= 60_000 && dueMs < 180_000 && dueMs >= (events[i - 1]?.dueMs ?? 0)));
  ok(events.every(({ id, text }) => idIn(text) === id));
});
