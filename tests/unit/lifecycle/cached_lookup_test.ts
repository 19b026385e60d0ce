import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { BackgroundFact, type Finding, unlessAborted } from "../../../src/lifecycle/cached_lookup.ts";
import { TestClock, turn } from "../../../testkit/test_clock.ts";

/** A fact whose searches a test ends by hand. */
function setUp({ graceMs = 50 } = {}) {
  const clock = new TestClock();
  const searches: { found: (value: string, ageMs?: number) => void; signal: AbortSignal }[] = [];
  const fact = new BackgroundFact<string>({
    clock,
    freshMs: 100,
    graceMs: () => graceMs,
    find: (signal) =>
      new Promise<Finding<string>>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        searches.push({ signal, found: (value, ageMs = 0) => resolve({ value, ageMs }) });
      }),
  });
  return { clock, searches, fact };
}

async function setUpKnown(options: { graceMs?: number } = {}) {
  const all = setUp(options);
  all.fact.current();
  all.searches[0]!.found("a");
  await turn();
  return all;
}

Deno.test("BackgroundFact: answers nothing at once and searches a single time when nothing is known", () => {
  const { fact, searches } = setUp();
  deepStrictEqual([fact.current(), fact.current(), searches.length], [undefined, undefined, 1]);
});

Deno.test("BackgroundFact: keeps quiet when the value is fresh", async () => {
  const { fact, searches, clock } = await setUpKnown();
  await clock.advance(99);
  deepStrictEqual([fact.current(), searches.length], ["a", 1]);
});

Deno.test("BackgroundFact: answers the stale value within its grace and searches when it is stale", async () => {
  const { fact, searches, clock } = await setUpKnown();
  await clock.advance(149);
  deepStrictEqual([fact.current(), searches.length], ["a", 2]);
});

Deno.test("BackgroundFact: answers nothing when the grace is over", async () => {
  const { fact, clock } = await setUpKnown();
  await clock.advance(150);
  strictEqual(fact.current(), undefined);
});

Deno.test("BackgroundFact: answers the stale value for ever when its grace is infinite", async () => {
  const { fact, clock } = await setUpKnown({ graceMs: Infinity });
  await clock.advance(1e9);
  strictEqual(fact.current(), "a");
});

Deno.test("BackgroundFact: is stale sooner when the value was old already", async () => {
  const { fact, searches, clock } = setUp();
  fact.current();
  searches[0]!.found("a", 90);
  await turn();
  strictEqual(fact.freshForMs(), 10);
  await clock.advance(10);
  fact.current();
  strictEqual(searches.length, 2);
});

Deno.test("BackgroundFact.settled: waits for the search when there is one, else not", async () => {
  const { fact, searches } = setUp();
  const settled = fact.settled();
  searches[0]!.found("a");
  await settled;
  await fact.settled();
  deepStrictEqual([fact.current(), searches.length], ["a", 1]);
});

Deno.test("BackgroundFact.stop: ends the search and starts none afterwards when called", async () => {
  const { fact, searches } = setUp();
  fact.current();
  await fact.stop();
  await fact.stop();
  deepStrictEqual([searches[0]!.signal.aborted, fact.current(), searches.length], [true, undefined, 1]);
});

Deno.test("unlessAborted: rejects at once when the signal aborts, though the promise never settles", async () => {
  const stop = new AbortController();
  const waiting = unlessAborted(new Promise(() => {}), stop.signal);
  stop.abort();
  await rejects(waiting, { name: "AbortError" });
  await rejects(unlessAborted(Promise.reject(new Error("late")), stop.signal), { name: "AbortError" });
});

Deno.test("unlessAborted: passes outcome and failure on when nothing aborts", async () => {
  const { signal } = new AbortController();
  strictEqual(await unlessAborted(Promise.resolve(1), signal), 1);
  await rejects(unlessAborted(Promise.reject(new Error("no")), signal), { message: "no" });
});

Deno.test("BackgroundFact.expire: makes a fresh value stale, which counts until there is another", async () => {
  const { fact, searches } = await setUpKnown();
  fact.expire();
  deepStrictEqual([fact.current(), searches.length], ["a", 2]);
  searches[1]!.found("b");
  await turn();
  deepStrictEqual([fact.current(), searches.length], ["b", 2]);
});

Deno.test("BackgroundFact.expire: makes what a search finds stale that had begun before", async () => {
  const { fact, searches } = setUp();
  fact.current();
  fact.expire();
  searches[0]!.found("a");
  await turn();
  deepStrictEqual([fact.current(), searches.length], ["a", 2]);
});
