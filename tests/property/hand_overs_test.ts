/** That sources end up evenly spread, with no more hand-overs than needed, whoever looks when. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { decideHandOvers, type Share } from "../../src/replay/hand_overs.ts";
import { propertyRuns } from "../../testkit/payloads.ts";
import { SpreadWorld } from "../../testkit/spread_world.ts";

const COUNTS = fc.array(fc.oneof(fc.nat(5), fc.nat(120)), { minLength: 1, maxLength: 8 });
const tokenOf = (i: number) => `t${i}`;

function toShares(counts: readonly number[], gains: (i: number) => boolean = () => true): Share[] {
  return counts.map((leads, i) => ({ token: tokenOf(i), leads, mayGain: gains(i) }));
}

function after(shares: readonly Share[]): Share[] {
  const moves = decideHandOvers(shares);
  const sum = (matches: (move: typeof moves[number]) => boolean) =>
    moves.filter(matches).reduce((total, { sources }) => total + sources, 0);
  return shares.map((share) => ({
    ...share,
    leads: share.leads + sum(({ to }) => to === share.token) - sum(({ from }) => from === share.token),
  }));
}

const skewOf = (counts: readonly number[]) => Math.max(...counts) - Math.min(...counts);

/** The fewest hand-overs that make the shares even. */
function fewest(counts: readonly number[]): number {
  const total = counts.reduce((a, b) => a + b, 0), floor = Math.floor(total / counts.length);
  const more = total % counts.length;
  return counts.toSorted((a, b) => b - a)
    .reduce((moves, count, i) => moves + Math.max(0, count - floor - (i < more ? 1 : 0)), 0);
}

Deno.test("decideHandOvers: makes the shares even by the fewest hand-overs, whatever they are, and then decides none", () => {
  fc.assert(
    fc.property(COUNTS, (counts) => {
      const shares = toShares(counts), moves = decideHandOvers(shares), even = after(shares);
      assert.ok(skewOf(even.map(({ leads }) => leads)) <= 1);
      assert.equal(moves.reduce((sum, { sources }) => sum + sources, 0), fewest(counts));
      const givers = new Set(moves.map(({ from }) => from));
      assert.ok(moves.every(({ to }) => !givers.has(to)), "nobody hands over and is handed over to");
      assert.deepEqual(decideHandOvers(even), []);
    }),
    propertyRuns(300),
  );
});

Deno.test("decideHandOvers: hands nothing over to an instance that may gain nothing, and makes the others even", () => {
  fc.assert(
    fc.property(COUNTS, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (counts, gains) => {
      const shares = toShares(counts, (i) => gains[i]!), even = after(shares);
      const takers = even.filter(({ mayGain }) => mayGain).map(({ leads }) => leads);
      for (const [i, { leads, mayGain }] of even.entries()) {
        if (!mayGain) assert.ok(leads <= shares[i]!.leads);
        if (takers.length > 0) assert.ok(leads - Math.min(...takers) <= 1);
      }
      assert.deepEqual(decideHandOvers(even), []);
    }),
    propertyRuns(300),
  );
});

Deno.test("decideHandOvers: decides the same for the same shares in another order", () => {
  fc.assert(
    fc.property(
      COUNTS.chain((counts) => fc.shuffledSubarray(toShares(counts), { minLength: counts.length })),
      (mixed) => {
        const sorted = mixed.toSorted((one, other) => one.token < other.token ? -1 : 1);
        assert.deepEqual(decideHandOvers(mixed), decideHandOvers(sorted));
      },
    ),
    propertyRuns(300),
  );
});

Deno.test("Spread: comes to rest evenly, in whatever order instances look and take, also beside some that take nothing", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(30), { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 3 }).map((n) => n > 0), { minLength: 8, maxLength: 8 }),
      fc.array(fc.tuple(fc.boolean(), fc.nat(7)), { maxLength: 60 }),
      async (counts, takes, steps) => {
        const world = new SpreadWorld({ lookMs: 1, quietMs: 0 });
        for (const [i] of counts.entries()) world.join(tokenOf(i), { takes: takes[i]! });
        world.lead(Object.fromEntries(counts.map((count, i) => [tokenOf(i), count])));
        const total = counts.reduce((a, b) => a + b, 0);
        for (const [looks, i] of steps) {
          if (looks) await world.look(tokenOf(i));
          else world.answer(tokenOf(i));
        }
        // Each round offers ten, or finds one that takes nothing; what overlapped before may have to be mended.
        const rounds = total / 10 + 3 * counts.length + 3;
        for (let round = 0; round < rounds; round++) {
          for (const [i] of counts.entries()) await world.look(tokenOf(i));
          for (const [i] of counts.entries()) world.answer(tokenOf(i));
        }
        const before = world.handedOver;
        for (const [i] of counts.entries()) await world.look(tokenOf(i));
        assert.deepEqual([world.offers, world.handedOver], [[], before], "it has come to rest");
        const willing = Object.entries(world.counts()).filter(([token]) => world.members.get(token)!.takes);
        assert.ok(willing.length === 0 || skewOf(willing.map(([, leads]) => leads)) <= 1);
        assert.equal(world.leaders.size, total);
      },
    ),
    propertyRuns(60),
  );
});
