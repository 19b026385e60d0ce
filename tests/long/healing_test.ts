/** The cases by which the brake and the verdict were chosen, and outages of many kinds, against the very code. */
import assert from "node:assert/strict";
import { type Outcome, type Scenario, simulate } from "../../testkit/healing_simulation.ts";

const HOUR = 12;

/** What each case comes to: `healed` in intervals after the end of the outage, `wait` the longest of a healthy message. */
const CASES: Record<string, { given: Scenario; expected: Partial<Outcome> }> = {
  "a lone poison message": { given: { waiting: 1, poison: 1 }, expected: { poisonDead: 1, looks: 50 } },
  "40 poison": { given: { waiting: 40, poison: 40, until: 200 }, expected: { poisonLeft: 40 } },
  "40 poison, 20 healthy come at 20": {
    given: { waiting: 40, poison: 40, late: 20, until: 200 },
    expected: { delivered: 20, healthyLeft: 0, longestWait: 2.25 },
  },
  "40 poison in front of 20": {
    given: { waiting: 60, poison: 40, front: true, until: 100 },
    expected: { delivered: 20, healthyLeft: 0, longestWait: 2.3 },
  },
  "87 poison in front of 986, all at once": {
    given: { waiting: 1_073, batch: 0, poison: 87, front: true, until: 20 },
    expected: { delivered: 986, longestWait: 0 },
  },
  "500 poison of 1,000, all at once": {
    given: { waiting: 1_000, batch: 0, poison: 500, until: 100 },
    expected: { delivered: 500, healthyLeft: 0, longestWait: 0 },
  },
  "a steady inflow of 1, all at once": {
    given: { batch: 0, inflow: 1, until: 100 },
    expected: { delivered: 99, healthyLeft: 1, longestWait: 1 },
  },
  "a steady inflow of 5, batch 10": { given: { inflow: 5, until: 100 }, expected: { healthyLeft: 5, longestWait: 1 } },
  "a steady inflow of 20, all at once": {
    given: { waiting: 200, batch: 0, inflow: 20, until: 100 },
    expected: { healthyLeft: 20, longestWait: 1 },
  },
  "an inflow of 20 and 3 bad": {
    given: { batch: 0, inflow: 20, bad: 3, until: 100 },
    expected: { healthyLeft: 20, poisonDead: 285, looks: 5, longestWait: 1 },
  },
  "7 % poison under load": {
    given: { batch: 0, inflow: 93, bad: 7, until: 50 },
    expected: { healthyLeft: 93, poisonLeft: 28, looks: 4, longestWait: 1 },
  },
  "one poison beside 9 fresh ones, as many as go by default": {
    given: { waiting: 10, poison: 1, inflow: 9, until: 50 },
    expected: { healthyLeft: 9, poisonDead: 1, looks: 4 },
  },
  "one poison beside 9 fresh ones, while live messages always wait in the target": {
    given: { waiting: 10, poison: 1, inflow: 9, busy: 50, until: 50 },
    expected: { healthyLeft: 9, poisonDead: 1, looks: 4 },
  },
  "an inflow of 20 and 30 bad": {
    given: { batch: 0, inflow: 20, bad: 30, until: 100 },
    expected: { healthyLeft: 20, longestWait: 1, poisonDead: 2_550 },
  },
  "3 bad arrivals while live alerts get through": {
    given: { batch: 0, waiting: 50, bad: 3, live: 20, until: 200 },
    expected: { delivered: 50, looks: 7, poisonLeft: 21 },
  },
  "a lone poison message while live alerts get through": {
    given: { waiting: 1, poison: 1, live: 20 },
    expected: { poisonDead: 1, looks: 4 },
  },
  "4 messages, 1 hour down": { given: { waiting: 4, down: [[0, HOUR]] }, expected: { delivered: 4, healedAfter: 0.1 } },
  "4 messages, 8 hours down": { given: { waiting: 4, down: [[0, 8 * HOUR]] }, expected: { delivered: 4 } },
  "1 message, 8 hours down": { given: { waiting: 1, down: [[0, 8 * HOUR]] }, expected: { delivered: 1 } },
  "50 messages, 15 minutes down": { given: { waiting: 50, down: [[0, 3]] }, expected: { healedAfter: 4.15 } },
  "5,000, 1 hour down, 500 more each": {
    given: { waiting: 5_000, batch: 0, down: [[0, HOUR]], failing: 500 },
    expected: { delivered: 11_000, healedAfter: 1.15 },
  },
  "100, 24 hours down": { given: { waiting: 100, down: [[0, 24 * HOUR]] }, expected: { healedAfter: 8.15 } },
  "50, 2 hours down, inflow of 20 always": {
    given: { waiting: 50, batch: 0, down: [[5, 5 + 2 * HOUR]], inflow: 20, until: 100 },
    expected: { healthyLeft: 20, longestWait: 25.15 },
  },
  "200 with 20 poison, 1 hour down": {
    given: { waiting: 200, batch: 0, down: [[0, HOUR]], poison: 20, until: 100 },
    expected: { delivered: 180, longestWait: 12.15 },
  },
  "1,000, flapping every two": {
    given: { waiting: 1_000, batch: 0, down: Array.from({ length: 50 }, (_, i) => [4 * i, 4 * i + 2] as const) },
    expected: { delivered: 1_000, longestWait: 3.15 },
  },
  "1,000, half fail for 2 hours": {
    given: { waiting: 1_000, batch: 0, flaky: [[0, 24, 0.5]] },
    expected: { delivered: 1_000 },
  },
  "1,000, 80 % fail for 2 hours": {
    given: { waiting: 1_000, batch: 0, flaky: [[0, 24, 0.8]] },
    expected: { delivered: 1_000 },
  },
  "a consumer that drops the stamps, 1 hour down": {
    given: { waiting: 50, batch: 0, down: [[0, HOUR]], strips: true },
    expected: { delivered: 50, healedAfter: 1.15 },
  },
};

for (const [name, { given, expected }] of Object.entries(CASES)) {
  Deno.test(`healing: kills nothing healthy and heals: ${name}`, async () => {
    const outcome = await simulate(given);
    assert.equal(outcome.healthyDead, 0);
    const found = Object.fromEntries(Object.keys(expected).map((key) => [key, outcome[key as keyof Outcome]]));
    assert.deepEqual(found, expected);
  });
}

Deno.test("healing: kills at most one healthy message in 200, in any partial outage, however slow the consumer", async () => {
  for (const slow of [0, 0.5, 3]) {
    for (const share of [0.3, 0.5, 0.65, 0.8, 0.88, 0.92, 0.95]) {
      for (const [waiting, inflow, hours] of [[0, 20, 8], [0, 2, 8], [1_000, 0, 8], [300, 20, 2]] as const) {
        const to = hours * HOUR;
        const given = { waiting, inflow, batch: 0, flaky: [[0, to, share]] as const, until: to + 30, slow };
        const { healthyDead, delivered } = await simulate(given);
        const most = Math.floor((healthyDead + delivered) / 200);
        assert.ok(healthyDead <= most, `${healthyDead} of ${delivered}: ${JSON.stringify(given)}`);
      }
    }
  }
});

Deno.test("healing: kills nothing in total outages of up to eight hours, whatever waits and arrives", async () => {
  for (const hours of [0.25, 1, 8]) {
    for (const [waiting, inflow, batch] of [[1, 0, 10], [4, 0, 10], [20, 1, 10], [1_000, 20, 0]] as const) {
      const to = hours * HOUR;
      const { healthyDead } = await simulate({ waiting, inflow, batch, down: [[0, to]], until: to + 60 });
      assert.equal(healthyDead, 0, `${hours} h, ${waiting} waiting, ${inflow} more each`);
    }
  }
});
