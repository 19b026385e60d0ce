import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { CachedLookup, type LookupResult, unlessAborted } from "../../../src/lifecycle/cached_lookup.ts";
import { TestClock, turn } from "../../../testkit/test_clock.ts";

/** A lookup whose searches a test ends by hand. */
function setUp({ graceMs = 50 } = {}) {
  const clock = new TestClock();
  const searches: { found: (value: string, ageMs?: number) => void; signal: AbortSignal }[] = [];
  const lookup = new CachedLookup<string>({
    clock,
    freshMs: 100,
    graceMs: () => graceMs,
    find: (signal) =>
      new Promise<LookupResult<string>>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        searches.push({ signal, found: (value, ageMs = 0) => resolve({ value, ageMs }) });
      }),
  });
  return { clock, searches, lookup };
}

async function setUpKnown(options: { graceMs?: number } = {}) {
  const all = setUp(options);
  all.lookup.current();
  all.searches[0]!.found("a");
  await turn();
  return all;
}

Deno.test("CachedLookup: answers nothing at once and searches a single time when nothing is known", () => {
  const { lookup, searches } = setUp();
  deepStrictEqual([lookup.current(), lookup.current(), searches.length], [undefined, undefined, 1]);
});

Deno.test("CachedLookup: keeps quiet when the value is fresh", async () => {
  const { lookup, searches, clock } = await setUpKnown();
  await clock.advance(99);
  deepStrictEqual([lookup.current(), searches.length], ["a", 1]);
});

Deno.test("CachedLookup: answers the stale value within its grace and searches when it is stale", async () => {
  const { lookup, searches, clock } = await setUpKnown();
  await clock.advance(149);
  deepStrictEqual([lookup.current(), searches.length], ["a", 2]);
});

Deno.test("CachedLookup: answers nothing when the grace is over", async () => {
  const { lookup, clock } = await setUpKnown();
  await clock.advance(150);
  strictEqual(lookup.current(), undefined);
});

Deno.test("CachedLookup: answers the stale value for ever when its grace is infinite", async () => {
  const { lookup, clock } = await setUpKnown({ graceMs: Infinity });
  await clock.advance(1e9);
  strictEqual(lookup.current(), "a");
});

Deno.test("CachedLookup: is stale sooner when the value was old already", async () => {
  const { lookup, searches, clock } = setUp();
  lookup.current();
  searches[0]!.found("a", 90);
  await turn();
  strictEqual(lookup.freshForMs(), 10);
  await clock.advance(10);
  lookup.current();
  strictEqual(searches.length, 2);
});

Deno.test("CachedLookup.settled: waits for the search when there is one, else not", async () => {
  const { lookup, searches } = setUp();
  const settled = lookup.whenKnown();
  searches[0]!.found("a");
  await settled;
  await lookup.whenKnown();
  deepStrictEqual([lookup.current(), searches.length], ["a", 1]);
});

Deno.test("CachedLookup.stop: ends the search and starts none afterwards when called", async () => {
  const { lookup, searches } = setUp();
  lookup.current();
  await lookup.stop();
  await lookup.stop();
  deepStrictEqual([searches[0]!.signal.aborted, lookup.current(), searches.length], [true, undefined, 1]);
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

Deno.test("CachedLookup.expire: makes a fresh value stale, which counts until there is another", async () => {
  const { lookup, searches } = await setUpKnown();
  lookup.expire();
  deepStrictEqual([lookup.current(), searches.length], ["a", 2]);
  searches[1]!.found("b");
  await turn();
  deepStrictEqual([lookup.current(), searches.length], ["b", 2]);
});

Deno.test("CachedLookup.expire: makes what a search finds stale that had begun before", async () => {
  const { lookup, searches } = setUp();
  lookup.current();
  lookup.expire();
  searches[0]!.found("a");
  await turn();
  deepStrictEqual([lookup.current(), searches.length], ["a", 2]);
});
