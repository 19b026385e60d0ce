import assert from "node:assert/strict";
import { objectivesOf, type SloName } from "../../../src/slo/objectives.ts";
import type { Role } from "../../../src/gates/leader.ts";
import { type MonitoredSource, SloMonitor } from "../../../src/slo/monitor.ts";
import { SharedCounts } from "../../../src/slo/shared_counts.ts";
import { MemoryObjectiveStore } from "../../../testkit/objective_store.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock, turn } from "../../../testkit/test_clock.ts";

const HOUR_MS = 3_600_000;
const TARGETS = { time_to_drain: 0.95, oldest_age: 0.9, redrive_success: 0.95, downstream_availability: 0.99 };

function setup(names: readonly string[] = ["alerter"]) {
  const clock = new TestClock(), { log } = recordLog();
  const world = { windowMs: 24 * HOUR_MS, role: "leader" as Role, samples: 0, sources: [] as MonitoredSource[] };
  const counts = new Map<string, SharedCounts>(), role = () => world.role;
  const add = async (name: string) => {
    const sloCounts = new SharedCounts({
      ...{ source: name, store: new MemoryObjectiveStore(() => clock.nowMs()), clock, log, role },
      ...{ isReady: () => true, gates: () => [], windowMs: () => world.windowMs },
    });
    counts.set(name, sloCounts);
    const objectives = objectivesOf(name === "orders" ? [] : ["downstream"]);
    world.sources.push({ name, objectives, indicators: { sample: () => void world.samples++ }, sloCounts, role });
    await sloCounts.runOnce();
  };
  const monitor = new SloMonitor({
    ...{ clock, targets: TARGETS, podName: "pod-1", thresholdMs: { oldest_age: 600_000 } },
    sources: () => world.sources,
    windowMs: () => world.windowMs,
  });
  const count = (slo: SloName, events: { events: number; bad: number }, source = "alerter") =>
    counts.get(source)!.add(slo, events);
  /** Lets hours go by, six minutes a step, in each of which so much is counted. */
  const hours = async (hours: number, slo: SloName, step: { events: number; bad: number }) => {
    for (let i = 0; i < hours * 10; i++) {
      await clock.advance(HOUR_MS / 10);
      count(slo, step);
      await counts.get("alerter")!.runOnce();
    }
  };
  return { clock, world, add, count, monitor, hours, ready: Promise.all(names.map(add)) };
}

const of = (monitor: SloMonitor, slo: SloName, source = "alerter") => monitor.report().components[`${source}.${slo}`]!;

Deno.test("SloMonitor: answers in MUTT's shape, and that it knows nothing, if nothing was counted", async () => {
  const { monitor, clock, ready } = setup();
  await ready;
  const report = monitor.report();
  assert.deepEqual(Object.keys(report.components), [
    "alerter.time_to_drain",
    "alerter.oldest_age",
    "alerter.redrive_success",
    "alerter.downstream_availability",
  ]);
  assert.deepEqual({ ...report, components: {} }, {
    ...{ window_hours: 24, components: {}, state: "insufficient_data", pod: "pod-1" },
    since: new Date(clock.nowMs()).toISOString(),
  });
  assert.deepEqual(report.components["alerter.oldest_age"], {
    ...{ target: 0.9, availability: null, error_budget_remaining: null, burn_rate: null, state: "insufficient_data" },
    ...{ window_hours: 24, observed_hours: 0, recent_burn_rate: null, events: 0, bad_events: 0, events_needed: 10 },
    ...{ threshold_seconds: 600, source: "alerter", slo: "oldest_age", role: "leader", stale_since: null },
  });
});

Deno.test("SloMonitor: judges no Moogsoft where no gate asks it", async () => {
  const { monitor, ready } = setup(["orders"]);
  await ready;
  assert.deepEqual(Object.values(monitor.report().components).map(({ slo }) => slo), [
    "time_to_drain",
    "oldest_age",
    "redrive_success",
  ]);
});

Deno.test("SloMonitor: goes from ok to critical and back as the bad hours enter and leave the window", async () => {
  const { monitor, hours, ready } = setup();
  await ready;
  await hours(30, "redrive_success", { events: 10, bad: 0 });
  const good = of(monitor, "redrive_success");
  assert.deepEqual([good.state, good.availability, good.error_budget_remaining, good.burn_rate], ["ok", 1, 1, 0]);
  assert.deepEqual([good.events, good.observed_hours], [2_400, 24]);
  await hours(3, "redrive_success", { events: 10, bad: 10 });
  const bad = of(monitor, "redrive_success");
  assert.deepEqual([bad.state, bad.availability, bad.burn_rate], ["critical", 0.875, 2.5]);
  assert.deepEqual([bad.error_budget_remaining, bad.recent_burn_rate], [-1.5, 20]);
  assert.equal(monitor.report().state, "critical");
  await hours(22, "redrive_success", { events: 10, bad: 0 });
  const better = of(monitor, "redrive_success");
  assert.deepEqual([better.state, better.bad_events, better.recent_burn_rate], ["warn", 200, 0]);
  await hours(3, "redrive_success", { events: 10, bad: 0 });
  assert.deepEqual(of(monitor, "redrive_success").state, "ok");
  assert.equal(monitor.report().state, "ok");
});

Deno.test("SloMonitor: says how little it has seen, and is not critical for a few events", async () => {
  const { monitor, hours, ready } = setup();
  await ready;
  await hours(1, "redrive_success", { events: 1, bad: 1 });
  const { state, events, events_needed, observed_hours } = of(monitor, "redrive_success");
  assert.deepEqual([state, events, events_needed, observed_hours], ["insufficient_data", 10, 20, 1]);
  await hours(1, "redrive_success", { events: 1, bad: 1 });
  assert.equal(of(monitor, "redrive_success").state, "critical");
});

Deno.test("SloMonitor: reports a source while it is there, and since when the earliest was counted", async () => {
  const { monitor, world, add, count, clock, hours, ready } = setup();
  await ready;
  const startMs = clock.nowMs();
  await hours(1, "redrive_success", { events: 0, bad: 0 });
  await add("orders");
  count("redrive_success", { events: 20, bad: 20 }, "orders");
  const { events, state } = of(monitor, "redrive_success", "orders");
  assert.deepEqual([events, state, monitor.report().state], [20, "critical", "critical"]);
  assert.equal(monitor.report().since, new Date(startMs).toISOString());
  world.sources.pop();
  assert.deepEqual(Object.values(monitor.report().components).filter(({ source }) => source === "orders"), []);
  assert.equal(monitor.report().state, "insufficient_data");
});

Deno.test("SloMonitor: says what this instance is to each source", async () => {
  const { monitor, world, ready } = setup();
  await ready;
  for (const role of ["leader", "standby", "unknown", "off"] as const) {
    world.role = role;
    assert.equal(of(monitor, "oldest_age").role, role);
  }
});

Deno.test("SloMonitor: follows a window that is changed while it runs", async () => {
  const { monitor, hours, world, ready } = setup();
  await ready;
  await hours(10, "redrive_success", { events: 10, bad: 0 });
  await hours(2, "redrive_success", { events: 10, bad: 5 });
  assert.equal(of(monitor, "redrive_success").events, 1_200);
  world.windowMs = 2 * HOUR_MS;
  const { events, bad_events, window_hours } = of(monitor, "redrive_success");
  assert.deepEqual([events, bad_events, window_hours], [200, 100, 2]);
});

Deno.test("SloMonitor: samples every source every 5 s while it runs, and ends at once", async () => {
  const { monitor, clock, world, ready } = setup(["alerter", "moog"]);
  await ready;
  monitor.start();
  await turn();
  assert.equal(world.samples, 2);
  for (let i = 0; i < 12; i++) await clock.advance(5_000);
  assert.equal(world.samples, 2 + 24);
  await monitor.stop();
  await clock.advance(60_000);
  assert.equal(world.samples, 2 + 24);
});
