import assert from "node:assert/strict";
import { SLO_NAMES, type SloName } from "../../../src/slo/objectives.ts";
import type { GateName, GateReason } from "../../../src/gates/gate.ts";
import { SloCounters } from "../../../src/slo/counters.ts";
import { SourceIndicators } from "../../../src/slo/indicators.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

interface TestGate {
  readonly name: GateName;
  readonly open: boolean;
  readonly reason: GateReason;
}

const HEALTHY: TestGate = { name: "downstream", open: true, reason: "healthy" };
const DOWN: TestGate = { name: "downstream", open: false, reason: "unhealthy" };

/** A source with 60 s to drain and 600 s of age, of which a sample is taken each second. */
function setup() {
  const clock = new TestClock(), counters = new SloCounters();
  const world = { gates: [HEALTHY] as TestGate[], leads: true, moved: 0, depth: 0, ageS: 0 };
  counters.addSource("alerter", SLO_NAMES);
  const indicators = new SourceIndicators({
    ...{ clock, count: (slo, counts) => counters.add("alerter", slo, counts), drainMs: 60_000, oldestAgeMs: 600_000 },
    gates: () => world.gates,
    leads: () => world.leads,
    moved: () => world.moved,
  });
  const seconds = async (count: number, { measured = true } = {}) => {
    for (let i = 0; i < count; i++) {
      if (measured) indicators.measured({ depth: world.depth, oldestAgeMs: world.ageS * 1_000 });
      await clock.advance(1_000);
      indicators.sample();
    }
  };
  /** [events, bad] since it was last asked. */
  const before = new Map<SloName, { events: number; bad: number }>();
  const counted = (slo: SloName) => {
    const now = counters.of("alerter", slo), then = before.get(slo) ?? { events: 0, bad: 0 };
    before.set(slo, now);
    return [now.events - then.events, now.bad - then.bad];
  };
  return { world, seconds, counted, indicators };
}

Deno.test("SourceIndicators: counts nothing of a queue before it was measured, and nothing of one not measured for long", async () => {
  const { seconds, counted } = setup();
  await seconds(10, { measured: false });
  assert.deepEqual([counted("oldest_age"), counted("time_to_drain")], [[0, 0], [0, 0]]);
  await seconds(1);
  await seconds(100, { measured: false });
  const events = [counted("oldest_age")[0]!, counted("time_to_drain")[0]!];
  assert.ok(events.every((count) => count >= 15 && count <= 16), `${events} samples of 15 s`);
});

Deno.test("SourceIndicators: holds the oldest age against its limit", async () => {
  const { world, seconds, counted } = setup();
  for (const [ageS, bad] of [[0, 0], [600, 0], [601, 10], [0, 0]]) {
    Object.assign(world, { depth: ageS === 0 ? 0 : 1, ageS });
    await seconds(10);
    assert.deepEqual(counted("oldest_age"), [10, bad], `${ageS} s`);
  }
});

Deno.test("SourceIndicators: holds a backlog against its time, until as much has left", async () => {
  const { world, seconds, counted } = setup();
  world.depth = 100;
  await seconds(60);
  assert.deepEqual(counted("time_to_drain"), [60, 0], "in time");
  await seconds(10);
  assert.deepEqual(counted("time_to_drain"), [10, 10], "late");
  world.moved = 100; // and 100 new ones have arrived
  await seconds(60);
  assert.deepEqual(counted("time_to_drain"), [60, 0], "the next backlog");
});

Deno.test("SourceIndicators: does not count the time in which nothing could drain", async () => {
  for (const name of ["enabled", "consumer", "downstream", "breaker"] as const) {
    const { world, seconds, counted } = setup();
    world.depth = 100;
    await seconds(50);
    world.gates = [{ name, open: false, reason: "unknown" }];
    await seconds(500);
    world.gates = [{ name, open: true, reason: "unknown" }];
    await seconds(15);
    assert.deepEqual(counted("time_to_drain"), [65, 5], name);
  }
});

Deno.test("SourceIndicators: counts the time of gates that say that it does not heal", async () => {
  for (const name of ["depth", "returns", "pace"] as const) {
    const { world, seconds, counted } = setup();
    Object.assign(world, { depth: 100, gates: [{ name, open: false, reason: "unknown" }] });
    await seconds(70);
    assert.deepEqual(counted("time_to_drain"), [70, 10], name);
  }
});

Deno.test("SourceIndicators: counts no backlog where another instance leads, and begins anew when it leads again", async () => {
  const { world, seconds, counted } = setup();
  world.depth = 100;
  await seconds(70);
  assert.deepEqual(counted("time_to_drain"), [70, 10]);
  world.leads = false;
  await seconds(100);
  assert.deepEqual([counted("time_to_drain"), counted("oldest_age")], [[0, 0], [170, 0]]);
  world.leads = true;
  await seconds(60);
  assert.deepEqual(counted("time_to_drain"), [60, 0]);
});

Deno.test("SourceIndicators: counts the downstream where it is asked, open or closed", async () => {
  const { world, seconds, counted } = setup();
  await seconds(10);
  assert.deepEqual(counted("downstream_availability"), [10, 0]);
  world.gates = [DOWN];
  await seconds(10);
  assert.deepEqual(counted("downstream_availability"), [10, 10]);
  for (const reason of ["no_url", "disabled", "unknown", "error", "drill"] as const) {
    world.gates = [{ ...HEALTHY, open: reason !== "unknown", reason }];
    await seconds(10);
    assert.deepEqual(counted("downstream_availability"), [0, 0], reason);
  }
  world.gates = [];
  await seconds(10);
  assert.deepEqual(counted("downstream_availability"), [0, 0], "a source without such a gate");
});

Deno.test("SourceIndicators: a drill holds a gate, so the time does not count for the drain", async () => {
  const { world, seconds, counted } = setup();
  world.depth = 5;
  world.gates = [HEALTHY, { name: "depth", open: false, reason: "drill" }];
  await seconds(120);
  assert.deepEqual([counted("time_to_drain"), counted("downstream_availability")], [[0, 0], [120, 0]]);
  world.gates = [HEALTHY, { name: "depth", open: false, reason: "over_limit" }];
  await seconds(2);
  assert.deepEqual(counted("time_to_drain"), [2, 0]);
});
