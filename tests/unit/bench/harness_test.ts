/** The benchmarks' arithmetic and messages. */
import { deepEqual, equal, rejects } from "node:assert/strict";
import { type Bench, type Figures, isMet, type Target } from "../../../bench/harness/family.ts";
import { countPoison, makeMessage } from "../../../bench/harness/messages.ts";
import { formatNumber } from "../../../bench/harness/report.ts";
import { alternate, median, medianRatio, mediansOf, worstOf } from "../../../bench/harness/rounds.ts";
import { createSources } from "../../../src/mutt/built_in_sources.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { decide } from "../../../src/message/verdict.ts";

const bench = (options: Partial<Bench> = {}): Bench => ({
  ...{ scale: "short", rounds: 3, signal: new AbortController().signal, tell: () => {} },
  ...options,
});
/** A contender that gives these rates, one a run. */
const giving = (name: string, rates: readonly (number | null)[], calls: string[] = []) => {
  let run = 0;
  return {
    name,
    run: () => Promise.resolve<Figures>({ rate: rates[run++] ?? null }).finally(() => calls.push(name)),
  };
};

Deno.test("median: is the middle, or the mean of the two in the middle, or nothing", () => {
  deepEqual([median([3, 1, 2]), median([4, 1, 3, 2]), median([])], [2, 2.5, null]);
});

Deno.test("alternate: each round begins with another contender", async () => {
  const calls: string[] = [];
  await alternate([giving("a", [1, 1, 1], calls), giving("b", [1, 1, 1], calls)], bench());
  equal(calls.join(""), "abbaab");
});

Deno.test("alternate: in full form the first round does not count", async () => {
  const rounds = await alternate([giving("a", [100, 1, 2, 3])], bench({ scale: "full" }));
  deepEqual(rounds.get("a"), [{ rate: 1 }, { rate: 2 }, { rate: 3 }]);
});

Deno.test("alternate: begins no other run once it was aborted", async () => {
  const calls: string[] = [], abort = new AbortController();
  const last = { name: "b", run: () => Promise.resolve<Figures>({}).finally(() => abort.abort()) };
  await rejects(alternate([giving("a", [1], calls), last], bench({ signal: abort.signal })), { name: "AbortError" });
  deepEqual(calls, ["a"]);
});

Deno.test("medianRatio: compares round by round, leaving out what was not measured", async () => {
  // On a machine that is half as fast in the second round the ratio stays the same; the medians' ratio would not be.
  const rounds = await alternate([giving("a", [100, 40, 90]), giving("b", [50, 20, null])], bench());
  equal(medianRatio(rounds, { of: "a", to: "b", heading: "rate" }), 2);
  equal(medianRatio(rounds, { of: "a", to: "nobody", heading: "rate" }), null);
  deepEqual(mediansOf(rounds.get("b")!), { rate: 35 });
  equal(worstOf(rounds.get("a")!, "rate"), 100);
});

Deno.test("isMet: takes the limit itself for met, and what was not measured for neither", () => {
  const target = (bound: Target["bound"], value: number | null) =>
    isMet({ what: "", bound, limit: 2, unit: "", value });
  deepEqual([target("at least", 2), target("at least", 1.9), target("at most", 2.1)], [true, false, false]);
  equal(target("at most", null), null);
});

Deno.test("makeMessage: gives JSON of exactly that size, and every twentieth is poison", () => {
  const context = {
    ...{ policy: createSources(DEFAULT_SETTINGS)[0]!.policy, maxPoisonRetries: 3, cycle: 1 },
    ...{ cycleStartedAtMs: 0, nowMs: 0, tallyOf: () => undefined, failedAt: "2026-01-15T14:30:00.000Z" },
  };
  for (const bytes of [300, 301, 302, 1_024, 65_536]) {
    const messages = Array.from({ length: 41 }, (_, i) => makeMessage(i, bytes));
    deepEqual([...new Set(messages.map(({ length }) => length))], [bytes]);
    const decisions = messages.map((message) => decide(message, context));
    const dead = decisions.flatMap((decision) => decision.action === "dead" ? [decision.reason] : []);
    deepEqual(dead, Array(countPoison(41)).fill("poison"));
  }
});

Deno.test("formatNumber: keeps three digits, groups thousands, shows what is missing", () => {
  const shown = [0.01234, 1.999, 99.94, 123_456.7, null].map(formatNumber);
  deepEqual(shown, ["0.0123", "2", "99.9", "123,457", "–"]);
});
