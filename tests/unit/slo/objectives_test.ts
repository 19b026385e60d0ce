import assert from "node:assert/strict";
import { eventsToJudge, samplePeriodMs } from "../../../src/config/objective_limits.ts";
import { judgeSlo, SLO_STATES, type SloState, worstState } from "../../../src/slo/objectives.ts";

/** Counters, the target, and what MUTT's formulae make of them by hand. */
const CASES: readonly {
  readonly name: string;
  readonly count: readonly [events: number, bad: number];
  readonly target: number;
  readonly availability: number | null;
  readonly burnRate: number | null;
  readonly left: number | null;
  readonly state: SloState;
}[] = [
  {
    name: "nothing",
    count: [0, 0],
    target: 0.99,
    availability: null,
    burnRate: null,
    left: null,
    state: "insufficient_data",
  },
  {
    name: "one bad event alone",
    count: [1, 1],
    target: 0.99,
    availability: 0,
    burnRate: 100,
    left: -99,
    state: "insufficient_data",
  },
  {
    name: "one event short",
    count: [99, 99],
    target: 0.99,
    availability: 0,
    burnRate: 100,
    left: -99,
    state: "insufficient_data",
  },
  {
    name: "bad without events",
    count: [0, 5],
    target: 0.99,
    availability: null,
    burnRate: null,
    left: null,
    state: "insufficient_data",
  },
  { name: "all good", count: [100, 0], target: 0.99, availability: 1, burnRate: 0, left: 1, state: "ok" },
  {
    name: "half the budget",
    count: [1_000, 5],
    target: 0.99,
    availability: 0.995,
    burnRate: 0.5,
    left: 0.5,
    state: "ok",
  },
  { name: "the whole budget", count: [100, 1], target: 0.99, availability: 0.99, burnRate: 1, left: 0, state: "ok" },
  {
    name: "a little more",
    count: [1_000, 11],
    target: 0.99,
    availability: 0.989,
    burnRate: 1.1,
    left: -0.1,
    state: "warn",
  },
  { name: "twice the budget", count: [100, 2], target: 0.99, availability: 0.98, burnRate: 2, left: -1, state: "warn" },
  {
    name: "more than twice",
    count: [1_000, 21],
    target: 0.99,
    availability: 0.979,
    burnRate: 2.1,
    left: -1.1,
    state: "critical",
  },
  { name: "all bad", count: [20, 20], target: 0.95, availability: 0, burnRate: 20, left: -19, state: "critical" },
  {
    name: "returns of earlier replays",
    count: [20, 35],
    target: 0.95,
    availability: 0,
    burnRate: 20,
    left: -19,
    state: "critical",
  },
  { name: "the lowest target", count: [2, 1], target: 0.5, availability: 0.5, burnRate: 1, left: 0, state: "ok" },
  {
    name: "the highest target",
    count: [10_000, 2],
    target: 0.9999,
    availability: 0.9998,
    burnRate: 2,
    left: -1,
    state: "warn",
  },
];

for (const { name, count: [events, bad], target, availability, burnRate, left, state } of CASES) {
  Deno.test(`judgeSlo: ${name} is ${state}`, () => {
    const { eventsNeeded: _, ...verdict } = judgeSlo({ events, bad }, target);
    assert.deepEqual(verdict, { availability, errorBudgetRemaining: left, burnRate, state });
  });
}

Deno.test("judgeSlo: gives every state there is", () => {
  assert.deepEqual(new Set(CASES.map(({ state }) => state)), new Set(SLO_STATES));
});

Deno.test("judgeSlo: is on the boundary what it is there, whatever the arithmetic makes of the target", () => {
  for (let percent = 50; percent <= 99; percent++) {
    const events = 10_000, budget = (100 - percent) * 100;
    assert.equal(judgeSlo({ events, bad: budget }, percent / 100).state, "ok", `${percent} %, once`);
    assert.equal(judgeSlo({ events, bad: budget + 1 }, percent / 100).state, "warn", `${percent} %, more than once`);
    if (percent === 50) continue; // twice that is all
    assert.equal(judgeSlo({ events, bad: 2 * budget }, percent / 100).state, "warn", `${percent} %, twice`);
    assert.equal(judgeSlo({ events, bad: 2 * budget + 1 }, percent / 100).state, "critical", `${percent} %, more`);
  }
});

Deno.test("eventsToJudge: is so many that a single bad one is within the budget, and with one less is not", () => {
  for (const [target, events] of [[0.5, 2], [0.9, 10], [0.95, 20], [0.99, 100], [0.999, 1_000], [0.9999, 10_000]]) {
    assert.equal(eventsToJudge(target!), events);
    assert.equal(judgeSlo({ events: events!, bad: 1 }, target!).state, "ok");
  }
});

Deno.test("worstState: is the worst that is known", () => {
  const cases: readonly (readonly [SloState[], SloState])[] = [
    [[], "insufficient_data"],
    [["insufficient_data", "insufficient_data"], "insufficient_data"],
    [["insufficient_data", "ok"], "ok"],
    [["ok", "warn", "insufficient_data"], "warn"],
    [["ok", "critical", "warn"], "critical"],
  ];
  for (const [states, worst] of cases) assert.equal(worstState(states), worst, states.join());
});

Deno.test("samplePeriodMs: is a slot of the window, but not beyond 0.1 to 5 s", () => {
  assert.deepEqual([1 / 1_000, 0.01, 0.1, 24, 720].map((hours) => samplePeriodMs(hours * 3_600_000)), [
    ...[100, 150, 1_500, 5_000, 5_000],
  ]);
});
