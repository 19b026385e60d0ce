/** The windows of the objectives against a count over every sample that there ever was. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SlidingCounts } from "../../src/slo/sliding_counts.ts";
import { SLOTS } from "../../src/config/objective_limits.ts";
import { judgeSlo } from "../../src/slo/objectives.ts";
import { propertyRuns } from "../../testkit/payloads.ts";

/** A pause, and what was counted at its end. */
const STEP = fc.record({
  pauseMs: fc.oneof(fc.nat(50), fc.nat(5_000), fc.nat(500_000)),
  events: fc.nat(1_000),
  bad: fc.nat(1_000),
});
const WINDOW_MS = fc.integer({ min: 3_600, max: 3_600_000 });

interface Sample {
  readonly atMs: number;
  readonly events: number;
  readonly bad: number;
}

/** Plays the steps; all samples, the longest pause between two notes, and the windows. */
function play(steps: readonly { pauseMs: number; events: number; bad: number }[], windowMs: number, startMs: number) {
  const counts = new SlidingCounts(startMs), samples: Sample[] = [];
  let atMs = startMs, events = 0, bad = 0;
  for (const step of steps) {
    atMs += step.pauseMs;
    samples.push({ atMs, events: step.events, bad: step.bad });
    counts.note(atMs, { events: events += step.events, bad: bad += step.bad }, { windowMs });
  }
  return { counts, samples, nowMs: atMs };
}

function sumAfter(samples: readonly Sample[], afterMs: number): { events: number; bad: number } {
  const within = samples.filter(({ atMs }) => atMs > afterMs);
  return {
    events: within.reduce((sum, { events }) => sum + events, 0),
    bad: within.reduce((sum, { bad }) => sum + bad, 0),
  };
}

Deno.test("SlidingCounts: counts what the samples add up to, over the window and at most a slot and a pause more", () => {
  fc.assert(
    fc.property(
      fc.array(STEP.filter(({ pauseMs }) => pauseMs > 0), { minLength: 1, maxLength: 1_500, size: "max" }),
      WINDOW_MS,
      fc.nat(1_000_000),
      (steps, windowMs, startMs) => {
        const { counts, samples, nowMs } = play(steps, windowMs, startMs);
        const longestPauseMs = Math.max(...steps.map(({ pauseMs }) => pauseMs));
        const { events, bad, observedMs } = counts.over(windowMs);
        assert.deepEqual({ events, bad }, sumAfter(samples, nowMs - observedMs));
        if (nowMs - startMs < windowMs) assert.equal(observedMs, nowMs - startMs, "all there is, while that is less");
        else {
          assert.ok(observedMs >= windowMs, `${observedMs} of ${windowMs} ms`);
          assert.ok(observedMs < windowMs + windowMs / SLOTS + longestPauseMs, `${observedMs} of ${windowMs} ms`);
        }
        const recentMs = windowMs / 24, recent = counts.over(recentMs);
        assert.deepEqual(
          { events: recent.events, bad: recent.bad },
          sumAfter(samples, nowMs - recent.observedMs),
          "the recent part, out of the same readings",
        );
      },
    ),
    propertyRuns(200),
  );
});

Deno.test("SlidingCounts: still counts right when the window is changed on the way", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ windowMs: WINDOW_MS, steps: fc.array(STEP, { minLength: 1, maxLength: 400, size: "max" }) }),
        {
          minLength: 1,
          maxLength: 6,
        },
      ),
      (parts) => {
        const counts = new SlidingCounts(0), samples: Sample[] = [];
        let atMs = 0, events = 0, bad = 0;
        for (const { windowMs, steps } of parts) {
          for (const step of steps) {
            atMs += step.pauseMs + 1;
            samples.push({ atMs, events: step.events, bad: step.bad });
            counts.note(atMs, { events: events += step.events, bad: bad += step.bad }, { windowMs });
          }
          const over = counts.over(windowMs);
          assert.deepEqual({ events: over.events, bad: over.bad }, sumAfter(samples, atMs - over.observedMs));
        }
      },
    ),
    propertyRuns(100),
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
