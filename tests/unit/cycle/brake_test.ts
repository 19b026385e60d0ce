import assert from "node:assert/strict";
import {
  type Brake,
  BRAKE_TRANSITIONS,
  type BrakeState,
  brakeState,
  type Judgement,
  longestCanaryDistance,
  RELEASED,
  stepBrake,
} from "../../../src/cycle/brake.ts";

const INTERVAL_MS = 300_000;

Deno.test("stepBrake: goes on growing where a gate closes for a moment in every cycle", () => {
  let brake: Brake = { suspect: false, distance: 1, wait: 0, allowance: 800, reason: "stayed_away" };
  const budgets = [];
  for (let depth = 10_000; depth > 0 && budgets.length < 40; depth -= budgets.at(-1)!) {
    const input = { judgement: "stayed_away" as const, depth, batchSize: 0, intervalMs: INTERVAL_MS, strained: true };
    const step = stepBrake(brake, input);
    brake = step.brake;
    budgets.push(step.budget);
  }
  assert.deepEqual(budgets.slice(0, 4), [200, 800, 200, 800]);
  assert.ok(budgets.length < 40, `${budgets.length} cycles`);
});

Deno.test("stepBrake: keeps a suspect source waiting behind a full queue", () => {
  const brake: Brake = { suspect: true, distance: 3, wait: 2, allowance: 20, reason: "returns" };
  const input = { judgement: null, depth: 900, batchSize: 0, intervalMs: INTERVAL_MS, afterOutage: true };
  const step = stepBrake(brake, input);
  assert.deepEqual([step.budget, step.brake.wait], [0, 1]);
});

Deno.test("stepBrake: takes all when the batch size is 0, and at most the batch size otherwise", () => {
  const input = { judgement: null, depth: 5_000, batchSize: 0, intervalMs: INTERVAL_MS };
  assert.deepEqual(stepBrake(RELEASED, input).budget, 5_000);
  const bounded = stepBrake(RELEASED, { ...input, batchSize: 10 });
  assert.deepEqual([bounded.budget, bounded.cycleLimit], [10, "batch_size"]);
});

Deno.test("stepBrake: sends a canary group after a cycle that came back, waits longer after each, and ramps up after one that did not", () => {
  let brake = RELEASED;
  const states: [BrakeState, number][] = [];
  const after = (judgement: Judgement) => {
    const step = stepBrake(brake, { judgement, depth: 1_000, batchSize: 0, intervalMs: INTERVAL_MS });
    brake = step.brake;
    states.push([brakeState(brake, step.budget === 0), step.budget]);
  };
  const judgements = [
    "stayed_away",
    "came_back",
    "came_back",
    null,
    "came_back",
    null,
    null,
    "stayed_away",
    "stayed_away",
  ] as const;
  judgements.forEach(after);
  after("stayed_away");
  assert.deepEqual(states, [
    ["healthy", 1_000],
    ["canary", 20],
    ["suspect", 0],
    ["canary", 20],
    ["suspect", 0],
    ["suspect", 0],
    ["canary", 20],
    ["ramping", 80],
    ["ramping", 320],
    ["healthy", 1_000],
  ]);
});

Deno.test("stepBrake: takes no news from what comes back while it waits", () => {
  const brake: Brake = { suspect: true, distance: 3, wait: 2, allowance: 20, reason: "returns" };
  for (const judgement of ["came_back", "stayed_away", "consumer_works"] as const) {
    const step = stepBrake(brake, { judgement, depth: 1_000, batchSize: 0, intervalMs: INTERVAL_MS });
    assert.deepEqual(step, { brake: { ...brake, wait: 1 }, budget: 0, cycleLimit: "returns" }, judgement);
  }
});

Deno.test("stepBrake: goes on where the consumer works for others, whatever came back", () => {
  const suspect: Brake = { suspect: true, distance: 3, wait: 0, allowance: 4, reason: "returns" };
  const input = { judgement: "consumer_works" as const, depth: 180, batchSize: 0, intervalMs: INTERVAL_MS };
  const first = stepBrake(suspect, input);
  assert.deepEqual([first.budget, first.brake.reason, first.brake.suspect], [16, "consumer_works", false]);
  const second = stepBrake(first.brake, input);
  assert.deepEqual([second.budget, stepBrake(second.brake, input).budget], [64, 180]);
});

Deno.test("stepBrake: bounds nothing where it is switched off", () => {
  const suspect: Brake = { suspect: true, distance: 3, wait: 2, allowance: 4, reason: "returns" };
  const input = { judgement: "came_back" as const, depth: 180, batchSize: 0, intervalMs: INTERVAL_MS, enabled: false };
  assert.deepEqual(stepBrake(suspect, input), { brake: RELEASED, budget: 180, cycleLimit: "depth" });
});

Deno.test("longestCanaryDistance: is three cycles, or as many as take half a minute", () => {
  const seconds = [1, 5, 9, 10, 60, 300];
  assert.deepEqual(seconds.map((second) => longestCanaryDistance(second * 1_000)), [30, 6, 4, 3, 3, 3]);
});

Deno.test("BRAKE_TRANSITIONS: hold every step of random histories, and each is taken", () => {
  const taken = new Set<string>();
  const allowed = new Set(BRAKE_TRANSITIONS.map(({ from, to }) => `${from} ${to}`));
  let seed = 7;
  const random = () => (seed = seed * 48_271 % 2_147_483_647) / 2_147_483_647;
  let brake = RELEASED, before: BrakeState = "healthy", replayed = 0;
  for (let cycle = 0; cycle < 20_000; cycle++) {
    const back = random() < 0.5 ? random() < 0.2 ? "consumer_works" : "came_back" : "stayed_away";
    const depth = random() < 0.2 ? 3 : 1_000;
    const step = stepBrake(brake, {
      ...{ judgement: replayed > 0 ? back : null, depth, batchSize: 0, intervalMs: INTERVAL_MS },
      ...{ afterOutage: random() < 0.02, strained: random() < 0.1 },
    });
    const now = brakeState(step.brake, step.budget === 0);
    if (now !== before) {
      assert.ok(allowed.has(`${before} ${now}`), `${before} to ${now}`);
      taken.add(`${before} ${now}`);
    }
    [brake, before, replayed] = [step.brake, now, step.budget];
  }
  assert.deepEqual([...taken].sort(), [...allowed].sort());
});
