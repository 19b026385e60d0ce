import assert from "node:assert/strict";
import type { LeaseOffer, LeaseReply, LeaseStore } from "../../../src/redis/lease_store.ts";
import { Leadership } from "../../../src/replay/leadership.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const DURATION_MS = 15_000;
const OURS: LeaseReply = { isOurs: true, wasOffered: false, holder: "me", token: "m", leftMs: DURATION_MS };
const THEIRS: LeaseReply = { isOurs: false, wasOffered: false, holder: "pod-b", token: "b", leftMs: 9_000 };
const OFFER: LeaseOffer = { to: "b", forMs: 3_000 };

/** A leadership over answers that a test gives; an error is what the call rejects with, a number delays the reply so long. */
function setup({ enabled = true } = {}) {
  const clock = new TestClock(), { log, lines } = recordLog();
  const seen = { takes: 0, releases: 0, errors: 0, wakes: 0, offers: [] as LeaseOffer[] };
  const can = { reachRedis: true, move: true, turn: true, offer: true };
  const next: { reply: LeaseReply | Error; tookMs: number } = { reply: OURS, tookMs: 0 };
  const store = {
    async take() {
      seen.takes++;
      await clock.advance(next.tookMs);
      if (next.reply instanceof Error) throw next.reply;
      return next.reply;
    },
    offer: (offer: LeaseOffer) => Promise.resolve(can.offer && seen.offers.push(offer) > 0),
    release: () => Promise.resolve(void seen.releases++),
  } as unknown as LeaseStore;
  const leadership = new Leadership({
    ...{ store, enabled, durationMs: DURATION_MS, source: "alerter", clock, log },
    isReady: () => can.reachRedis,
    isEligible: () => can.move,
    onRedisError: () => void seen.errors++,
  });
  leadership.attachLoop({ wake: () => void seen.wakes++, isTurning: () => can.turn });
  return { leadership, clock, lines, seen, next, can, role: () => leadership.status().role };
}

Deno.test("Leadership: asks for nothing before it is started", async () => {
  const { leadership, seen, role } = setup();
  await leadership.refresh();
  assert.deepEqual([seen.takes, role()], [0, "unknown"]);
  await leadership.stop();
  assert.equal(seen.releases, 0);
});

Deno.test("Leadership: renews a lease at a third of it, asks for another's every half second, not more often", async () => {
  const { leadership, clock, seen, next } = setup();
  assert.deepEqual(await leadership.take(), OURS);
  await clock.advance(DURATION_MS / 3 - 1);
  await leadership.refresh();
  assert.equal(seen.takes, 1);
  await clock.advance(1);
  next.reply = THEIRS;
  await leadership.refresh();
  assert.equal(seen.takes, 2);
  await clock.advance(499);
  await leadership.refresh();
  assert.equal(seen.takes, 2);
  await clock.advance(1);
  await leadership.refresh();
  assert.equal(seen.takes, 3);
});

Deno.test("Leadership: does not lead any more when its lease is over by its own count from before the call", async () => {
  const { leadership, clock, next, seen, role, lines } = setup();
  next.tookMs = 4_000;
  await leadership.take();
  assert.equal(leadership.status().leftMs, DURATION_MS - 4_000);
  next.reply = new Error("Command timed out");
  next.tookMs = 0;
  await clock.advance(DURATION_MS - 4_001);
  await leadership.refresh();
  assert.equal(role(), "leader");
  await clock.advance(1);
  assert.equal(role(), "unknown");
  await clock.advance(500);
  await leadership.refresh();
  assert.deepEqual([seen.errors, leadership.status().errorCode], [2, "TIMEOUT"]);
  assert.deepEqual(lines.map(({ level, message }) => [level, message]), [
    ["INFO", "Remediation: this instance leads alerter"],
    ["INFO", "Remediation: this instance no longer leads alerter (TIMEOUT)"],
  ]);
});

Deno.test("Leadership: finds out anew at once when a script has refused it, and wakes the loop when it leads again", async () => {
  const { leadership, next, seen, role } = setup();
  await leadership.take();
  leadership.refused();
  assert.equal(role(), "unknown");
  next.reply = THEIRS;
  await leadership.refresh();
  assert.equal(role(), "standby");
  next.reply = OURS;
  await leadership.take();
  assert.deepEqual([role(), seen.wakes], ["leader", 2]);
});

Deno.test("Leadership: gives the lease back when it stops", async () => {
  const { leadership, seen, role } = setup();
  leadership.start();
  await leadership.refresh();
  await leadership.stop();
  assert.deepEqual([role(), seen.releases], ["unknown", 1]);
});

Deno.test("Leadership: without an election every instance works, and Redis is not asked", async () => {
  const { leadership, seen, role } = setup({ enabled: false });
  leadership.start();
  assert.equal(await leadership.take(), null);
  await leadership.refresh();
  await leadership.stop();
  assert.deepEqual([role(), leadership.leads(), seen.takes, seen.releases], ["off", true, 0, 0]);
});

for (const what of ["move", "turn"] as const) {
  Deno.test(`Leadership: gives the lease to others once, and takes none, while it cannot ${what}`, async () => {
    const { leadership, clock, can, seen, role } = setup();
    await leadership.take();
    can[what] = false;
    for (let i = 0; i < 3; i++) {
      await clock.advance(DURATION_MS / 3);
      await leadership.refresh();
    }
    assert.deepEqual([role(), seen.takes, seen.releases], ["unknown", 1, 1]);
    can[what] = true;
    await clock.advance(500);
    await leadership.refresh();
    assert.deepEqual([role(), seen.takes], ["leader", 2]);
  });
}

Deno.test("Leadership: asks more and more seldom while Redis refuses, and not at all while it is away", async () => {
  const { leadership, clock, can, next, seen } = setup();
  leadership.start();
  await clock.advance(0);
  next.reply = new Error("READONLY You can't write against a read only replica.");
  leadership.refused();
  for (let i = 0; i < 600; i++) {
    await clock.advance(100);
    await leadership.refresh();
  }
  // At 0, 0.5, 1.5, 3.5, 7.5 s, then each 10 s.
  assert.equal(seen.errors, 10);
  can.reachRedis = false;
  for (let i = 0; i < 600; i++) {
    await clock.advance(100);
    await leadership.refresh();
  }
  assert.equal(seen.errors, 10);
  await leadership.stop();
  assert.equal(seen.releases, 0);
});

Deno.test("Leadership: leads while an offer stands, asks every half second whether it was taken, and says so once", async () => {
  const { leadership, clock, seen, next, lines, role } = setup();
  await leadership.take();
  await leadership.offer(OFFER);
  assert.deepEqual([role(), leadership.isOffering(), seen.offers], ["leader", true, [OFFER]]);
  await clock.advance(500);
  await leadership.refresh();
  assert.deepEqual([role(), leadership.isOffering(), seen.takes], ["leader", true, 2]);
  await clock.advance(500);
  next.reply = THEIRS;
  await leadership.refresh();
  assert.deepEqual([role(), leadership.isOffering(), leadership.status().token], ["standby", false, "b"]);
  assert.deepEqual(lines.map(({ level, message }) => [level, message]), [
    ["INFO", "Remediation: this instance leads alerter"],
    ["INFO", "Remediation: this instance has handed alerter over to pod-b, which led fewer sources"],
  ]);
});

Deno.test("Leadership: a refusal after a hand-over is told as the hand-over, not as a loss", async () => {
  const { leadership, next, lines, role } = setup();
  await leadership.take();
  await leadership.offer(OFFER);
  leadership.refused();
  assert.equal(role(), "unknown");
  next.reply = THEIRS;
  await leadership.refresh();
  assert.match(lines.at(-1)!.message, /has handed alerter over to pod-b/);
  assert.equal(lines.length, 2);
});

Deno.test("Leadership: an offer that nobody takes ends with an answer after its end, and the lease is renewed as before", async () => {
  const { leadership, clock, seen } = setup();
  await leadership.take();
  await leadership.offer(OFFER);
  for (let i = 0; i < 6; i++) {
    await clock.advance(500);
    await leadership.refresh();
  }
  assert.deepEqual([leadership.isOffering(), seen.takes], [true, 7]);
  await clock.advance(500);
  await leadership.refresh();
  assert.deepEqual([leadership.isOffering(), seen.takes], [false, 8]);
  await clock.advance(DURATION_MS / 3 - 1);
  await leadership.refresh();
  assert.equal(seen.takes, 8);
});

Deno.test("Leadership: offers only what it leads, and asks who leads if Redis says that it does not", async () => {
  const { leadership, can, next, seen, role } = setup();
  next.reply = THEIRS;
  await leadership.take();
  await leadership.offer(OFFER);
  assert.deepEqual([seen.offers, leadership.isOffering()], [[], false]);
  next.reply = OURS;
  await leadership.take();
  can.offer = false;
  await leadership.offer(OFFER);
  assert.deepEqual([role(), leadership.isOffering()], ["unknown", false]);
});

Deno.test("Leadership: tells from whom it was handed a source, and forgets it when it leads by other means", async () => {
  const { leadership, next, lines, seen } = setup();
  next.reply = THEIRS;
  await leadership.take();
  next.reply = { ...OURS, wasOffered: true };
  await leadership.take();
  assert.match(lines.at(-1)!.message, /^Remediation: this instance leads alerter, handed over by pod-b$/);
  assert.deepEqual([leadership.wasHandedOver(), seen.wakes], [true, 1]);
  next.reply = OURS;
  await leadership.take();
  assert.equal(leadership.wasHandedOver(), true, "a renewal changes nothing");
  next.reply = THEIRS;
  await leadership.take();
  next.reply = OURS;
  await leadership.take();
  assert.equal(leadership.wasHandedOver(), false);
});

for (const end of ["stop", "give up"] as const) {
  Deno.test(`Leadership: no offer stands after a ${end}`, async () => {
    const { leadership, clock, can, seen } = setup();
    await leadership.take();
    await leadership.offer(OFFER);
    if (end === "stop") {
      await leadership.stop();
    } else {
      can.move = false;
      await clock.advance(500);
      await leadership.refresh();
    }
    assert.deepEqual([leadership.isOffering(), seen.releases], [false, 1]);
  });
}
