/** The windows of the objectives against a count over every event that there ever was. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Role } from "../../src/gates/leader.ts";
import { StoreError } from "../../src/redis/errors.ts";
import { SharedCounts } from "../../src/slo/shared_counts.ts";
import {
  addEvents,
  addToSlots,
  chooseSlots,
  COARSE_MS,
  countWindow,
  fineSlotMs,
  MOST_COARSE,
  MOST_FINE,
  NO_COUNTS,
  type Slot,
} from "../../src/slo/slots.ts";
import { judgeSlo } from "../../src/slo/objectives.ts";
import { MemoryObjectiveStore } from "../../testkit/objective_store.ts";
import { propertyRuns } from "../../testkit/payloads.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { TestClock } from "../../testkit/test_clock.ts";

/** Every length of a window that a setting may have, short and long ones alike. */
const WINDOW_MS = fc.oneof(
  fc.integer({ min: 3_600, max: 60_000 }),
  fc.integer({ min: 3_600, max: 86_400_000 }),
  fc.integer({ min: 3_600, max: 2_592_000_000 }),
);
/** A pause without counting, the length of what is counted then, and its events. */
const STEP = fc.record({
  pauseMs: fc.oneof({ weight: 100, arbitrary: fc.constant(0) }, fc.nat(50_000), fc.nat(40_000_000)),
  lengthShare: fc.double({ min: 0, max: 2, noNaN: true }),
  events: fc.nat(1_000),
  bad: fc.nat(1_000),
});

interface Counted {
  readonly untilMs: number;
  readonly events: number;
  readonly bad: number;
}

/** Both lists of slots, and every event that was added to them. */
function createBook() {
  const all: Counted[] = [];
  let fine: readonly Slot[] = [], coarse: readonly Slot[] = [], longestMs = 0;
  return {
    all,
    add(
      { fromMs, untilMs }: { fromMs: number; untilMs: number },
      events: { events: number; bad: number },
      slotMs: number,
    ) {
      const slot = { fromMs, untilMs, counts: addEvents(NO_COUNTS, "oldest_age", events) };
      fine = addToSlots(fine, slot, { slotMs, most: MOST_FINE });
      coarse = addToSlots(coarse, slot, { slotMs: COARSE_MS, most: MOST_COARSE });
      longestMs = Math.max(longestMs, untilMs - fromMs);
      all.push({ untilMs, ...events });
      assert.ok(fine.length <= MOST_FINE && coarse.length <= MOST_COARSE);
    },
    over(window: { nowMs: number; windowMs: number }) {
      const chosen = chooseSlots({ fine, coarse }, window), { of, observedMs } = countWindow(chosen, window);
      return { ...of.oldest_age, observedMs, isCoarse: chosen === coarse && chosen !== fine };
    },
    longestMs: () => longestMs,
  };
}

/** What there was between two instants, without the first one. */
function sumOf(counted: readonly Counted[], afterMs: number, untilMs: number) {
  const within = counted.filter((one) => one.untilMs > afterMs && one.untilMs <= untilMs);
  return {
    events: within.reduce((sum, { events }) => sum + events, 0),
    bad: within.reduce((sum, { bad }) => sum + bad, 0),
  };
}

function assertBetween(found: { events: number; bad: number }, least: typeof found, most: typeof found, what: string) {
  for (const key of ["events", "bad"] as const) {
    assert.ok(
      least[key] <= found[key] && found[key] <= most[key],
      `${what}: ${key} ${least[key]} ≤ ${found[key]} ≤ ${most[key]}`,
    );
  }
}

Deno.test("slots: a window has all its events, and of those before it at most a slot and one addition", () => {
  const steps = fc.array(STEP, { minLength: 1, maxLength: 1_500, size: "max" });
  fc.assert(
    fc.property(steps, WINDOW_MS, fc.double({ min: 0.1, max: 1, noNaN: true }), (steps, windowMs, share) => {
      const book = createBook(), slotMs = fineSlotMs(windowMs);
      let nowMs = 1e12;
      for (const { pauseMs, lengthShare, ...events } of steps) {
        const fromMs = nowMs + pauseMs;
        nowMs = fromMs + Math.round(lengthShare * share * slotMs);
        book.add({ fromMs, untilMs: nowMs }, events, slotMs);
      }
      for (const lengthMs of [windowMs, windowMs / 24]) {
        const found = book.over({ nowMs, windowMs: lengthMs }), edgeMs = nowMs - lengthMs;
        assert.equal(found.isCoarse, false);
        const before = sumOf(book.all, edgeMs - slotMs - book.longestMs(), nowMs);
        assertBetween(found, sumOf(book.all, edgeMs, nowMs), before, `${lengthMs} ms`);
        assert.ok(found.observedMs >= 0 && found.observedMs <= lengthMs);
      }
    }),
    propertyRuns(150),
  );
});

Deno.test("slots: a window has all its events when its length changes on the way, and of those before at most a coarse slot", () => {
  const part = fc.record({ windowMs: WINDOW_MS, steps: fc.array(STEP, { minLength: 1, maxLength: 400, size: "max" }) });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
      const book = createBook();
      let nowMs = 1e12;
      for (const { windowMs, steps } of parts) {
        const slotMs = fineSlotMs(windowMs);
        for (const { pauseMs, lengthShare, ...events } of steps) {
          const fromMs = nowMs + pauseMs;
          nowMs = fromMs + Math.round(lengthShare * slotMs);
          book.add({ fromMs, untilMs: nowMs }, events, slotMs);
        }
        const edgeMs = nowMs - windowMs, before = sumOf(book.all, edgeMs - COARSE_MS - 1 - book.longestMs(), nowMs);
        assertBetween(book.over({ nowMs, windowMs }), sumOf(book.all, edgeMs, nowMs), before, `${windowMs} ms`);
      }
    }),
    propertyRuns(60),
  );
});

Deno.test("slots: after the server's clock was set back a window has all that was counted since", () => {
  const back = fc.record({ backMs: fc.nat(200_000_000), steps: fc.array(STEP, { minLength: 1, maxLength: 100 }) });
  fc.assert(
    fc.property(fc.array(back, { minLength: 1, maxLength: 5 }), WINDOW_MS, (parts, windowMs) => {
      const book = createBook(), slotMs = fineSlotMs(windowMs);
      let nowMs = 1e12;
      for (const { backMs, steps } of parts) {
        nowMs -= backMs;
        const since = book.all.length;
        for (const { pauseMs, lengthShare, ...events } of steps) {
          const fromMs = nowMs + pauseMs;
          nowMs = fromMs + Math.round(lengthShare * slotMs);
          book.add({ fromMs, untilMs: nowMs }, events, slotMs);
        }
        const edgeMs = nowMs - windowMs, latestMs = nowMs + COARSE_MS + book.longestMs();
        const most = sumOf(book.all, edgeMs - COARSE_MS - 1 - book.longestMs(), latestMs);
        assertBetween(
          book.over({ nowMs, windowMs }),
          sumOf(book.all.slice(since), edgeMs, nowMs),
          most,
          `${windowMs} ms`,
        );
      }
    }),
    propertyRuns(100),
  );
});

/** What may happen to three instances of one source. */
const HAPPENING = fc.oneof(
  { weight: 8, arbitrary: fc.record({ what: fc.constant("count"), instance: fc.nat(2), events: fc.nat(50) }) },
  { weight: 8, arbitrary: fc.record({ what: fc.constant("run"), instance: fc.nat(2), events: fc.constant(0) }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant("wait"), instance: fc.constant(0), events: fc.nat(50) }) },
  ...["kill", "stop", "lead", "refuse", "lose", "heal"].map((what) => ({
    weight: 1,
    arbitrary: fc.record({ what: fc.constant(what), instance: fc.nat(2), events: fc.constant(0) }),
  })),
);

Deno.test("SharedCounts: whatever happens to instances and Redis, all report the same: every event but those that were lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(HAPPENING, { maxLength: 150, size: "max" }), async (happenings) => {
      const clock = new TestClock(), { log } = recordLog(), memory = new MemoryObjectiveStore(() => clock.nowMs());
      const state = { fault: "none", leader: 0 };
      const failing = async <T>(call: () => Promise<T>): Promise<T> => {
        if (state.fault === "none") return await call();
        if (state.fault === "lose") await call();
        throw new StoreError("", { code: "CONNECTION", isCertain: state.fault === "refuse" });
      };
      const create = (at: number) => ({
        own: 0,
        counts: new SharedCounts({
          ...{ source: "alerter", clock, log, isReady: () => true, gates: () => [], windowMs: () => 240_000 },
          store: {
            add: (...args) => failing(() => memory.add(...args)),
            read: (args) => failing(() => memory.read(args)),
          },
          role: (): Role => state.leader === at ? "leader" : "standby",
        }),
      });
      const instances = [0, 1, 2].map(create);
      let expected = 0;
      for (const { what, instance: at, events } of happenings) {
        const instance = instances[at]!;
        if (what === "wait") await clock.advance(events * 1_000);
        else if (what === "lead") state.leader = at;
        else if (what === "count") {
          instance.counts.add("oldest_age", { events });
          if (at === state.leader) [expected, instance.own] = [expected + events, instance.own + events];
        } else if (what === "kill") {
          expected -= instance.own;
          instances[at] = create(at);
        } else if (what === "run" || what === "stop") {
          await instance.counts[what === "run" ? "runOnce" : "stop"]();
          if (state.fault !== "refuse") instance.own = 0;
          else if (what === "stop") expected -= instance.own;
          if (what === "stop") instances[at] = create(at);
        } else state.fault = what === "heal" ? "none" : what;
      }
      state.fault = "none";
      // The first may have read before the last has written.
      for (const { counts } of [...instances, ...instances]) await counts.runOnce();
      const found = instances.map(({ counts }) => counts.over(86_400_000).of.oldest_age.events);
      assert.deepEqual(found, [expected, expected, expected]);
    }),
    propertyRuns(300),
  );
});

Deno.test("judgeSlo: is what the formulae say, whatever the counts", () => {
  const target = fc.double({ min: 0.5, max: 0.9999, noNaN: true });
  const good = fc.nat(1_000_000), bad = fc.nat(1_000_000);
  const close = (a: number | null, b: number) =>
    assert.ok(Math.abs(a! - b) <= 1e-5 * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
  fc.assert(
    fc.property(fc.record({ good, bad }), target, ({ good, bad }, target) => {
      const events = good + bad, verdict = judgeSlo({ events, bad }, target);
      if (events === 0) return assert.equal(verdict.state, "insufficient_data");
      const availability = good / events;
      close(verdict.availability, availability);
      close(verdict.burnRate, (1 - availability) / (1 - target));
      close(verdict.errorBudgetRemaining, (availability - target) / (1 - target));
      assert.ok((verdict.state === "insufficient_data") === (events < verdict.eventsNeeded));
    }),
    propertyRuns(1_000),
  );
});
