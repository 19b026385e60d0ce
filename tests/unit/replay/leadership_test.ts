import assert from "node:assert/strict";
import type { LeaseReply, LeaseStore } from "../../../src/redis/lease_store.ts";
import { Leadership } from "../../../src/replay/leadership.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const DURATION_MS = 15_000;
const OURS: LeaseReply = { isOurs: true, holder: "me", leftMs: DURATION_MS };
const THEIRS: LeaseReply = { isOurs: false, holder: "pod-b", leftMs: 9_000 };

/** A leadership over answers that a test gives; an error is what the call rejects with, a number delays the reply so long. */
function setup({ enabled = true } = {}) {
  const clock = new TestClock(), { log, lines } = recordLog();
  const seen = { takes: 0, releases: 0, errors: 0, wakes: 0 };
  const can = { reachRedis: true, move: true, turn: true };
  const next: { reply: LeaseReply | Error; tookMs: number } = { reply: OURS, tookMs: 0 };
  const store = {
    async take() {
      seen.takes++;
      await clock.advance(next.tookMs);
      if (next.reply instanceof Error) throw next.reply;
      return next.reply;
    },
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
