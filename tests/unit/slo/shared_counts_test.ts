import assert from "node:assert/strict";
import type { Role } from "../../../src/gates/leader.ts";
import { StoreError } from "../../../src/redis/errors.ts";
import { SharedCounts } from "../../../src/slo/shared_counts.ts";
import { MOST_FINE } from "../../../src/slo/slots.ts";
import { MemoryObjectiveStore } from "../../../testkit/objective_store.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const DAY_MS = 86_400_000;
const SWITCHED_OFF = [{ name: "enabled", reason: "switched_off" }] as const;

/** What the store does with the next calls; `lost`: it adds, and the reply is lost. */
type Fault = "none" | "refused" | "lost";

/** The store, its fault, and instances of one source. */
function setup() {
  const clock = new TestClock(), { log, lines } = recordLog();
  const shift = { serverMs: 0 }, memory = new MemoryObjectiveStore(() => clock.nowMs() + shift.serverMs);
  const world = {
    ...{ fault: "none" as Fault, code: "WRONGTYPE" as "WRONGTYPE" | "CONNECTION", isReady: true, windowMs: DAY_MS },
    gates: [] as typeof SWITCHED_OFF | [],
  };
  const failing = async <T>(call: () => Promise<T>): Promise<T> => {
    const { fault, code } = world;
    if (fault === "lost") await call();
    if (fault !== "none") throw new StoreError(code, { code, isCertain: fault === "refused" });
    return await call();
  };
  const create = (role: Role) => {
    const state = { role };
    const counts = new SharedCounts({
      ...{ source: "alerter", clock, log },
      store: { add: (...args) => failing(() => memory.add(...args)), read: (args) => failing(() => memory.read(args)) },
      isReady: () => world.isReady,
      role: () => state.role,
      gates: () => world.gates,
      windowMs: () => world.windowMs,
    });
    const sample = (events = 1, bad = 0) => counts.add("oldest_age", { events, bad });
    const seen = (windowMs = DAY_MS) => counts.over(windowMs).of.oldest_age.events;
    return { state, counts, sample, seen };
  };
  /** Runs instances every 5 s, each of which samples before. */
  const pass = async (ms: number, instances: readonly ReturnType<typeof create>[]) => {
    for (let left = ms; left > 0; left -= 5_000) {
      await clock.advance(5_000);
      for (const { sample, counts } of instances) {
        sample();
        await counts.runOnce();
      }
    }
  };
  return { clock, world, memory, create, pass, lines, shift };
}

Deno.test("SharedCounts: the leader adds its samples, and every instance reports them, also one that has just started", async () => {
  const { create, pass, memory, clock, shift } = setup();
  shift.serverMs = -7_000_000;
  const leader = create("leader"), standby = create("standby");
  await pass(600_000, [leader, standby]);
  const started = create("standby");
  assert.deepEqual([started.seen(), started.counts.staleSinceMs()], [0, clock.nowMs()]);
  await started.counts.runOnce();
  for (const { seen, counts } of [leader, standby, started]) {
    assert.deepEqual([seen(), counts.over(DAY_MS).observedMs, counts.staleSinceMs()], [120, 595_000, null]);
    assert.equal(counts.over(DAY_MS).sinceMs, memory.fine[0]!.fromMs);
  }
  leader.sample();
  assert.deepEqual([leader.seen(), standby.seen()], [121, 120], "not written yet");
});

Deno.test("SharedCounts: replays are counted whatever the role, samples by who records", async () => {
  const { create } = setup();
  const standby = create("standby");
  standby.counts.add("redrive_success", { events: 3 });
  standby.counts.add("redrive_success", { bad: 1 });
  standby.sample();
  await standby.counts.runOnce();
  const { redrive_success, oldest_age } = standby.counts.over(DAY_MS).of;
  assert.deepEqual([redrive_success, oldest_age], [{ events: 3, bad: 1 }, { events: 0, bad: 0 }]);
});

Deno.test("SharedCounts: a change of the leader neither loses nor doubles a sample", async () => {
  const { create, pass } = setup();
  const one = create("leader"), other = create("standby");
  await pass(60_000, [one, other]);
  one.sample(5);
  [one.state.role, other.state.role] = ["standby", "leader"];
  await pass(60_000, [one, other]);
  await one.counts.runOnce();
  assert.deepEqual([one.seen(), other.seen()], [12 + 5 + 12, 12 + 5 + 12]);
});

Deno.test("SharedCounts: while replay is switched off one of all instances counts, and another one when it has gone", async () => {
  const { create, pass, world } = setup();
  world.gates = SWITCHED_OFF;
  const three = [create("unknown"), create("unknown"), create("unknown")];
  await pass(60_000, three);
  assert.deepEqual(three.map(({ seen }) => seen()), [12, 12, 12]);
  await pass(60_000, three.slice(1));
  assert.equal(three[1]!.seen(), 24);
});

Deno.test("SharedCounts: replays just before replay was switched off are counted, although a slot has just been written", async () => {
  const { create, pass, world, clock } = setup();
  const leader = create("leader"), other = create("standby");
  await pass(60_000, [leader, other]);
  leader.counts.add("redrive_success", { events: 7 });
  world.gates = SWITCHED_OFF;
  [leader.state.role, other.state.role] = ["unknown", "unknown"];
  // Sooner behind the newest slot than two instances may both add samples.
  await clock.advance(2_000);
  for (const { counts } of [leader, other]) await counts.runOnce();
  for (const { counts } of [leader, other]) {
    assert.deepEqual(counts.over(DAY_MS).of.redrive_success, { events: 7, bad: 0 });
  }
});

Deno.test("SharedCounts: without leader election every instance adds what it counts; none is observed twice", async () => {
  const { create, pass } = setup();
  const three = [create("off"), create("off"), create("off")];
  await pass(600_000, three);
  for (const { counts } of three) await counts.runOnce();
  for (const { seen, counts } of three) assert.deepEqual([seen(), counts.over(DAY_MS).observedMs], [360, 595_000]);
});

Deno.test("SharedCounts: while Redis is away it reports what it knew and what it counts, and writes that later", async () => {
  const { create, pass, world, clock, memory, lines } = setup();
  const leader = create("leader"), reader = create("standby");
  await pass(60_000, [leader, reader]);
  const readMs = clock.nowMs();
  world.isReady = false;
  await pass(15_000, [leader, reader]);
  assert.deepEqual([leader.counts.staleSinceMs(), leader.seen(), reader.seen()], [null, 15, 12]);
  await pass(2 * 3_600_000, [leader, reader]);
  assert.deepEqual([leader.counts.staleSinceMs(), reader.counts.staleSinceMs()], [readMs, readMs]);
  assert.equal(leader.seen(), 12 + 3 + 1_440);
  assert.deepEqual([leader.seen(3_600_000) <= 720 + 73, reader.seen(), memory.fine.length], [true, 12, 1]);
  world.isReady = true;
  await pass(5_000, [leader, reader]);
  assert.deepEqual([leader.seen(), reader.seen(), reader.counts.staleSinceMs()], [1_456, 1_456, null]);
  assert.ok(memory.fine.length >= 20, "at their time");
  assert.ok(reader.seen(3_600_000) <= 720 + 73, `${reader.seen(3_600_000)} in the last hour`);
  assert.deepEqual(lines, []);
});

Deno.test("SharedCounts: a refusal is logged once; it goes on in its own memory, which is bounded, and writes all at the end", async () => {
  const { create, pass, world, lines, memory } = setup();
  world.windowMs = 3_600_000;
  const leader = create("leader");
  world.fault = "refused";
  await pass(2 * 3_600_000, [leader]);
  assert.deepEqual(lines.map(({ event }) => event), ["objectives_unshared"]);
  const hour = leader.seen(3_600_000);
  assert.ok(hour >= 720 && hour <= 724, String(hour));
  world.fault = "none";
  await pass(5_000, [leader]);
  assert.deepEqual(lines.map(({ event }) => event), ["objectives_unshared", "objectives_shared"]);
  assert.equal(memory.fine.length, MOST_FINE);
});

Deno.test("SharedCounts: if the reply is lost the counts are not added again, whether they were added or not", async () => {
  const { create, pass, world, lines } = setup();
  const leader = create("leader");
  await pass(60_000, [leader]);
  Object.assign(world, { fault: "lost", code: "CONNECTION" });
  await pass(5_000, [leader]);
  world.fault = "none";
  await pass(5_000, [leader]);
  assert.deepEqual([leader.seen(), lines], [14, []]);
});

Deno.test("SharedCounts: a read asks for the newest slots, and for all only if some may be missing", async () => {
  const { create, pass, memory, world } = setup();
  const leader = create("leader"), reader = create("standby");
  world.windowMs = 240 * 5_000;
  await pass(300_000, [leader]);
  await reader.counts.runOnce();
  assert.equal(memory.reads, 1 + 1, "the newest, then all");
  await pass(300_000, [leader, reader]);
  assert.equal(memory.reads, 2 + 60);
  await pass(300_000, [leader]);
  await reader.counts.runOnce();
  assert.equal(memory.reads, 62 + 2);
  assert.equal(reader.seen(), leader.seen());
  memory.fine = memory.coarse = [];
  await reader.counts.runOnce();
  assert.equal(reader.seen(), 0, "somebody deleted the key");
});

Deno.test("SharedCounts: a window that is made longer shows what is there, one made shorter cuts it", async () => {
  const { create, pass, world } = setup();
  const leader = create("leader");
  world.windowMs = 3_600_000;
  await pass(10 * 3_600_000, [leader]);
  assert.ok(Math.abs(leader.seen(3_600_000) - 720) <= 4);
  assert.equal(leader.seen(DAY_MS), 7_200, "from the coarse slots");
  world.windowMs = DAY_MS;
  await pass(3_600_000, [leader]);
  assert.equal(leader.seen(DAY_MS), 7_920);
  const hour = leader.seen(3_600_000);
  assert.ok(hour >= 720 && hour <= 720 + 73, String(hour));
});

Deno.test("SharedCounts: a server's clock that is set back hides what is in its future, until its time comes", async () => {
  const { create, pass, shift } = setup();
  const leader = create("leader");
  await pass(7_200_000, [leader]);
  shift.serverMs = -3_600_000;
  await pass(5_000, [leader]);
  const hidden = leader.seen();
  assert.ok(hidden >= 720 && hidden <= 720 + 74, String(hidden));
  await pass(3_600_000, [leader]);
  assert.equal(leader.seen(), 1_440 + 1 + 720);
});

Deno.test("SharedCounts: the stop writes what was counted, unless there is nothing, or no Redis", async () => {
  for (const [events, isReady, expected] of [[2, true, 2], [0, true, 0], [2, false, 0]] as const) {
    const { create, memory, world } = setup();
    const leader = create("leader");
    leader.sample(events);
    world.isReady = isReady;
    await leader.counts.stop();
    assert.equal(memory.fine[0]?.counts[2] ?? 0, expected);
  }
});
