import assert from "node:assert/strict";
import {
  type Brake,
  BRAKE_TRANSITIONS,
  type BrakeState,
  brakeState,
  longestCanaryDistance,
  MAX_EXCUSES,
  RELEASED,
  stepBrake,
} from "../../../src/domain/brake.ts";
import { addTroubled, isTroubled, type TroubledCycles } from "../../../src/domain/troubled.ts";

interface Message {
  poison: boolean;
  failures: number;
  excused: number;
  cycle: number | null;
}

interface Case {
  /** Messages in the DLQ at first. */
  depth: number;
  /** 0: all. */
  batch: number;
  /** Cycles in which the consumer fails everything. */
  outage: readonly number[];
  /** How many of `depth` always fail. */
  poison?: number;
  /** New messages a cycle that fail during the outage. */
  live?: number;
  /** New messages a cycle that always fail. */
  bad?: number;
  /** Messages of others that are seen to succeed in a cycle without outage. */
  seen?: number;
  /** The same in a cycle with outage. */
  seenAmid?: number;
  cycles?: number;
  /** Default 300,000. */
  intervalMs?: number;
}

/** The whole rule over many cycles: messages fail, come back, are counted or excused, and die at `maxFailures`. */
function simulate(given: Case) {
  const {
    depth,
    batch,
    outage,
    poison = 0,
    live = 0,
    bad = 0,
    seen = 0,
    seenAmid = 0,
    cycles = 8_000,
    intervalMs = 300_000,
  } = given;
  const maxFailures = 3;
  const message = (isPoison: boolean): Message => ({ poison: isPoison, failures: 0, excused: 0, cycle: null });
  // Oldest first; poison spread evenly, which is as good as shuffled and the same every time.
  const queue = Array.from(
    { length: depth },
    (_, i) => message(poison > 0 && Math.floor((i + 1) * poison / depth) > Math.floor(i * poison / depth)),
  );
  const down = new Set(outage);
  const end = Math.max(-1, ...outage);
  let brake = RELEASED, troubled: TroubledCycles = [];
  let last = { cycle: -1, previous: -1, replayed: 0, depthAtStart: 0, dead: 0 };
  const dead: Message[] = [];
  let delivered = 0;
  for (let cycle = 0; cycle < cycles; cycle++) {
    const arrived = queue.length - last.depthAtStart + last.replayed + last.dead;
    const step = stepBrake(brake, {
      last: { replayed: last.replayed, arrived, proof: down.has(cycle - 1) ? seenAmid : seen },
      depth: queue.length,
      batchSize: batch,
      intervalMs,
    });
    brake = step.brake;
    if (step.troubled) troubled = addTroubled(troubled, { cycle: last.cycle, previous: last.previous });
    const previous = last.replayed > 0 ? last.cycle : last.previous;
    last = { cycle, previous, replayed: 0, depthAtStart: queue.length, dead: 0 };
    const back: Message[] = [];
    for (const one of queue.splice(0, step.budget)) {
      if (one.cycle !== null) {
        if (isTroubled(troubled, one.cycle) && one.excused < MAX_EXCUSES) one.excused++;
        else one.failures++;
      }
      if (one.failures >= maxFailures) {
        dead.push(one);
        last.dead++;
        continue;
      }
      one.cycle = cycle;
      last.replayed++;
      if (down.has(cycle) || one.poison) back.push(one);
      else delivered++;
    }
    queue.push(...back, ...Array.from({ length: down.has(cycle) ? live : 0 }, () => message(false)));
    queue.push(...Array.from({ length: bad }, () => message(true)));
    if (queue.length === 0 && cycle > end) {
      return { ...count(dead), delivered, left: 0, healed: cycle - (end + 1) };
    }
  }
  return { ...count(dead), delivered, left: queue.length, healed: null };
}

function count(dead: Message[]) {
  return {
    healthyDead: dead.filter(({ poison }) => !poison).length,
    poisonDead: dead.filter(({ poison }) => poison).length,
  };
}

const range = (length: number) => Array.from({ length }, (_, i) => i);

// Figures of the reference simulation (Python); cycles to heal where the order of poison among healthy does not matter.
const CASES: Record<string, { given: Case; healed: number | null; poisonDead: number; delivered: number }> = {
  "a lone poison message": {
    given: { depth: 1, batch: 10, outage: [], poison: 1 },
    healed: 21,
    poisonDead: 1,
    delivered: 0,
  },
  "ten poison messages": {
    given: { depth: 10, batch: 10, outage: [], poison: 10 },
    healed: 219,
    poisonDead: 10,
    delivered: 0,
  },
  "ten poison among 1,000": {
    given: { depth: 1_000, batch: 10, outage: [], poison: 10 },
    healed: null,
    poisonDead: 10,
    delivered: 990,
  },
  "500 poison of 1,000, all at once": {
    given: { depth: 1_000, batch: 0, outage: [], poison: 500 },
    healed: 950,
    poisonDead: 500,
    delivered: 500,
  },
  "4 messages, 1 hour down": {
    given: { depth: 4, batch: 10, outage: range(12) },
    healed: 1,
    poisonDead: 0,
    delivered: 4,
  },
  "50 messages, 15 minutes down": {
    given: { depth: 50, batch: 10, outage: range(3) },
    healed: 6,
    poisonDead: 0,
    delivered: 50,
  },
  "5,000, 15 minutes down, all at once": {
    given: { depth: 5_000, batch: 0, outage: range(3) },
    healed: 3,
    poisonDead: 0,
    delivered: 5_000,
  },
  "5,000, 1 hour down, 500 more a cycle": {
    given: { depth: 5_000, batch: 0, outage: range(12), live: 500 },
    healed: 3,
    poisonDead: 0,
    delivered: 11_000,
  },
  "5,000, 24 hours down, all at once": {
    given: { depth: 5_000, batch: 0, outage: range(288) },
    healed: 3,
    poisonDead: 0,
    delivered: 5_000,
  },
  "100, 24 hours down": {
    given: { depth: 100, batch: 10, outage: range(288) },
    healed: 10,
    poisonDead: 0,
    delivered: 100,
  },
  "1,000, flapping every two cycles": {
    given: { depth: 1_000, batch: 0, outage: range(200).filter((c) => Math.floor(c / 2) % 2 === 0) },
    healed: null,
    poisonDead: 0,
    delivered: 1_000,
  },
};

for (const [name, { given, healed, poisonDead, delivered }] of Object.entries(CASES)) {
  Deno.test(`stepBrake: kills nothing healthy and heals when there are ${name}`, () => {
    const result = simulate(given);
    assert.deepEqual(
      {
        healthyDead: result.healthyDead,
        poisonDead: result.poisonDead,
        delivered: result.delivered,
        left: result.left,
      },
      { healthyDead: 0, poisonDead, delivered, left: 0 },
    );
    if (healed !== null) assert.equal(result.healed, healed);
  });
}

for (const [name, { given, delivered }] of Object.entries(CASES)) {
  Deno.test(`stepBrake: kills nothing healthy either when others are seen to succeed, and there are ${name}`, () => {
    const result = simulate({ ...given, seen: 20 });
    assert.deepEqual([result.healthyDead, result.delivered, result.left], [0, delivered, 0]);
  });
}

Deno.test("stepBrake: lets a steady feed of always-failing messages pile up only where nothing proves the consumer works", () => {
  const feed = { depth: 50, batch: 0, outage: [], bad: 3, cycles: 3_000 };
  const proven = simulate({ ...feed, seen: 20 });
  assert.deepEqual([proven.healthyDead, proven.delivered], [0, 50]);
  assert.ok(proven.left <= 9 * 3, `${proven.left} left: each goes eight times and is dead at the ninth look`);
  const unproven = simulate(feed);
  assert.ok(unproven.left > 100, `${unproven.left} left`);
  const withinOutage = simulate({ ...feed, outage: range(12), live: 5, seen: 20 });
  assert.deepEqual([withinOutage.healthyDead, withinOutage.delivered], [0, 110]);
});

Deno.test("stepBrake: gets healthy messages out from behind poison at the old end within six cycles, where others succeed", () => {
  // 60 poison of 180, all before the healthy ones: with groups of 2 % alone that takes more than 15 groups.
  const step = (replayed: number, arrived: number, { brake, depth }: { brake: Brake; depth: number }) =>
    stepBrake(brake, { last: { replayed, arrived, proof: 20 }, depth, batchSize: 0, intervalMs: 300_000 });
  const suspect: Brake = { suspect: true, distance: 3, wait: 0, allowance: 4, reason: "returns" };
  const first = step(4, 4, { brake: suspect, depth: 180 });
  assert.deepEqual([first.troubled, first.budget, first.brake.reason], [true, 16, "consumer_works"]);
  const second = step(16, 16, { brake: first.brake, depth: 180 });
  assert.deepEqual([second.budget, step(64, 64, { brake: second.brake, depth: 180 }).budget], [64, 180]);
});

Deno.test("stepBrake: believes in a common cause where others fail as well, whoever succeeds", () => {
  const isProven = (proof: number, arrived: number) =>
    stepBrake(RELEASED, { last: { replayed: 10, arrived, proof }, depth: 50, batchSize: 0, intervalMs: 300_000 })
      .proven;
  assert.deepEqual([isProven(2, 10), isProven(3, 10)], [false, true], "two may be chance");
  assert.deepEqual([isProven(10, 15), isProven(11, 15)], [false, true], "five new ones failed");
  assert.equal(isProven(50, 8), false, "nothing is to be proven");
});

Deno.test("stepBrake: kills nothing healthy within 30 minutes even where the proof is wrong in every cycle", () => {
  const wrong = simulate({ depth: 1_000, batch: 0, outage: range(6), seenAmid: 50 });
  assert.deepEqual([wrong.healthyDead, wrong.delivered, wrong.left], [0, 1_000, 0]);
});

Deno.test("stepBrake: goes on growing where a gate closes for a moment in every cycle", () => {
  let brake: Brake = { suspect: false, distance: 1, wait: 0, allowance: 800, reason: "stayed_away" };
  const budgets = [];
  for (let depth = 10_000; depth > 0 && budgets.length < 40; depth -= budgets.at(-1)!) {
    const last = { replayed: brake.allowance ?? depth, arrived: 0 };
    const step = stepBrake(brake, { last, depth, batchSize: 0, intervalMs: 300_000, strained: true });
    brake = step.brake;
    budgets.push(step.budget);
  }
  assert.deepEqual(budgets.slice(0, 4), [200, 800, 200, 800]);
  assert.ok(budgets.length < 40, `${budgets.length} cycles`);
});

Deno.test("stepBrake: keeps a suspect source waiting behind a full queue", () => {
  const brake: Brake = { suspect: true, distance: 3, wait: 2, allowance: 20, reason: "returns" };
  const last = { replayed: 0, arrived: 0 };
  const step = stepBrake(brake, { last, depth: 900, batchSize: 0, intervalMs: 300_000, afterOutage: true });
  assert.deepEqual([step.budget, step.brake.wait], [0, 1]);
});

Deno.test("stepBrake: cannot save four messages from eight hours, as the simulation says", () => {
  assert.equal(simulate({ depth: 4, batch: 10, outage: range(96) }).healthyDead, 4);
});

Deno.test("stepBrake: takes all when the batch size is 0, and at most the batch size otherwise", () => {
  const last = { replayed: 0, arrived: 0 };
  assert.deepEqual(stepBrake(RELEASED, { last, depth: 5_000, batchSize: 0, intervalMs: 300_000 }).budget, 5_000);
  const bounded = stepBrake(RELEASED, { last, depth: 5_000, batchSize: 10, intervalMs: 300_000 });
  assert.deepEqual([bounded.budget, bounded.boundBy], [10, "batch_size"]);
});

Deno.test("stepBrake: calls a cycle troubled at 90 % of its replays, not below", () => {
  const at = (arrived: number) =>
    stepBrake(RELEASED, { last: { replayed: 100, arrived }, depth: 1_000, batchSize: 0, intervalMs: 300_000 });
  assert.equal(at(89).troubled, false);
  const troubled = at(90);
  assert.deepEqual([troubled.troubled, troubled.budget, troubled.boundBy], [true, 20, "returns"]);
});

Deno.test("stepBrake: kills nothing healthy in an hour's outage when cycles are of a second", () => {
  const outage = range(3_600), intervalMs = 1_000;
  for (
    const [batch, live, delivered] of [[0, 0, 5_000], [0, 1, 8_600], [0, 5, 23_000], [10, 1, 8_600], [
      200,
      5,
      23_000,
    ]] as const
  ) {
    const result = simulate({ depth: 5_000, batch, outage, live, intervalMs });
    assert.deepEqual(
      [result.healthyDead, result.delivered, result.left],
      [0, delivered, 0],
      `batch ${batch}, live ${live}`,
    );
  }
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
    const last = { replayed, arrived: random() < 0.5 ? replayed : 0 };
    const depth = random() < 0.2 ? 3 : 1_000;
    const step = stepBrake(brake, {
      ...{ last: { ...last, proof: random() < 0.2 ? 9 : 0 }, depth, batchSize: 0, intervalMs: 300_000 },
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
