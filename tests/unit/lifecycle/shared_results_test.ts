import assert from "node:assert/strict";
import { SharedResults } from "../../../src/lifecycle/shared_results.ts";

const NEVER = new AbortController().signal;

/** Results that are computed when the test says so, and a clock that it drives. */
function share() {
  let nowMs = 1_000;
  const begun: PromiseWithResolvers<string | null>[] = [];
  const results = new SharedResults<string>({ clock: { nowMs: () => nowMs, monotonicMs: () => nowMs } });
  const compute = () => {
    const one = Promise.withResolvers<string | null>();
    begun.push(one);
    return one.promise;
  };
  return {
    begun,
    pass: (ms: number) => void (nowMs += ms),
    get: (maxAgeMs = 0, signal = NEVER, key = "a") => results.get(key, { maxAgeMs, signal, compute }),
  };
}

Deno.test("SharedResults: computes once for all who ask meanwhile, each key for itself", async () => {
  const { begun, get, pass } = share();
  const all = [get(), get(5), get(0, NEVER, "b"), get()];
  assert.equal(begun.length, 2);
  pass(50);
  begun[0]!.resolve("one");
  begun[1]!.resolve("other");
  const values = (await Promise.all(all)).map((result) => [result?.value, result?.beganAtMs]);
  assert.deepEqual(values, [["one", 1_000], ["one", 1_000], ["other", 1_000], ["one", 1_000]]);
});

Deno.test("SharedResults: returns the last result up to the age that a caller takes, from when it began", async () => {
  const { begun, get, pass } = share();
  const first = get();
  pass(10);
  begun[0]!.resolve("old");
  await first;
  pass(10);
  assert.equal((await get(20))?.value, "old");
  const second = get(19);
  begun[1]!.resolve("new");
  assert.deepEqual(await second, { value: "new", beganAtMs: 1_020 });
});

Deno.test("SharedResults: one of those who wait computes anew when the first gives up, and who stops asking gets none", async () => {
  const { begun, get } = share(), leaves = new AbortController();
  const first = get(), second = get(), third = get(0, leaves.signal);
  leaves.abort();
  assert.equal(await third, null);
  begun[0]!.resolve(null);
  assert.equal(await first, null);
  await Promise.resolve();
  begun[1]!.resolve("second");
  assert.equal((await second)?.value, "second");
  assert.equal(begun.length, 2);
  assert.equal(await get(0, leaves.signal), null);
});

Deno.test("SharedResults: tells all of a failure, and computes anew afterwards", async () => {
  const { begun, get } = share(), failing = [get(), get()];
  begun[0]!.reject(new Error("no Redis"));
  for (const one of failing) await assert.rejects(one, /no Redis/);
  const next = get();
  begun[1]!.resolve("again");
  assert.equal((await next)?.value, "again");
});
