import assert from "node:assert/strict";
import type { LeaseReply, LeaseStore } from "../../../src/redis/lease_store.ts";
import { Leadership } from "../../../src/replay/leadership.ts";
import { recordLog } from "../../support/recorded_log.ts";
import { TestClock } from "../../support/test_clock.ts";

const DURATION_MS = 15_000;
const OURS: LeaseReply = { isOurs: true, holder: "me", leftMs: DURATION_MS };
const THEIRS: LeaseReply = { isOurs: false, holder: "pod-b", leftMs: 9_000 };

/** A leadership over answers that a test gives; an error is what the call rejects with, a number delays the reply so long. */
function setup({ enabled = true } = {}) {
  const clock = new TestClock(), { log, lines } = recordLog();
  const seen = { takes: 0, releases: 0, errors: 0, changes: [] as boolean[], leads: 0 };
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
    onRedisError: () => void seen.errors++,
    onChange: (leads) => void seen.changes.push(leads),
  });
  leadership.onLead(() => void seen.leads++);
  return { leadership, clock, lines, seen, next, role: () => leadership.status().role };
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
  assert.equal(await leadership.take(), true);
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
  assert.deepEqual(seen.changes, [true, false]);
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
    ["INFO", "Remediation: leads alerter"],
    ["WARNING", "Remediation: does not know any more whether it leads alerter"],
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
  assert.deepEqual([role(), seen.leads, seen.changes], ["leader", 2, [true, false, true]]);
});

Deno.test("Leadership: gives the lease back when it stops", async () => {
  const { leadership, seen, role } = setup();
  leadership.start();
  await leadership.refresh();
  await leadership.stop();
  assert.deepEqual([role(), seen.releases, seen.changes], ["unknown", 1, [true, false]]);
});

Deno.test("Leadership: without an election every instance works, and Redis is not asked", async () => {
  const { leadership, seen, role } = setup({ enabled: false });
  leadership.start();
  assert.equal(await leadership.take(), true);
  await leadership.refresh();
  await leadership.stop();
  assert.deepEqual([role(), seen.takes, seen.releases, seen.changes], ["off", 0, 0, [true]]);
});
