import assert from "node:assert/strict";
import fc from "fast-check";
import { pairLists } from "../../../src/operations/pair_lists.ts";

function pair(lists: readonly string[], known: Readonly<Record<string, string>> = {}) {
  return pairLists(new Set(lists), { known: new Map(Object.entries(known)) });
}

const pairsOf = (lists: readonly string[], known = {}) =>
  pair(lists, known).candidates.map(({ dlq, target, isTargetSeen }) => [dlq, target, isTargetSeen]);
const leftOf = (lists: readonly string[], known = {}) =>
  pair(lists, known).left.map(({ list, why }) => `${list}: ${why}`);

Deno.test("pairLists: pairs a DLQ with the list of the same name, else with a work queue", () => {
  assert.deepEqual(pairsOf(["orders:dlq", "orders", "orders:queue"]), [["orders:dlq", "orders", true]]);
  assert.deepEqual(pairsOf(["orders:dlq", "orders:queue"]), [["orders:dlq", "orders:queue", true]]);
  assert.deepEqual(pairsOf(["dlq:orders", "orders"]), [["dlq:orders", "orders", true]]);
});

Deno.test("pairLists: takes a target that was not seen only if the name is sure, and lists what is seen first", () => {
  assert.deepEqual(pairsOf(["a:dlq", "b:dlq", "b", "c:failed"]), [["b:dlq", "b", true], ["a:dlq", "a", false]]);
  assert.match(
    leftOf(["c:failed"])[0]!,
    /^c:failed: no list c was seen to replay to; .*watch --dry-run --dlq c:failed --target c$/,
  );
});

Deno.test("pairLists: leaves alone what is ambiguous, what has a role, and what is a DLQ itself", () => {
  assert.match(leftOf(["a:dlq", "a:jobs", "a:queue"])[0]!, /a:queue and a:jobs could be its work queue/);
  assert.match(leftOf(["dlq"])[0]!, /^dlq: no work queue can be told/);
  assert.deepEqual(leftOf(["a:dlq"], { "a:dlq": "it is taken" }), ["a:dlq: it is taken"]);
  assert.deepEqual(leftOf(["a:dlq"], { a: "it is taken" }), ["a:dlq: a has a role already: it is taken"]);
  assert.match(leftOf(["a:dlq:failed", "a:failed"]).join("\n"), /a:dlq:failed: a:failed looks like a DLQ/);
  assert.deepEqual(pairsOf(["a:dlq:failed"]), []);
});

Deno.test("pairLists: takes a list ending in dead for a dead list, and says how to name it if it is none", () => {
  assert.deepEqual(leftOf(["a", "a:dead", "a:dlq"]), []);
  assert.match(leftOf(["a", "a:dead"])[0]!, /^a:dead: such a list is mostly final; .* --dlq a:dead --target a$/);
});

Deno.test("pairLists: never pairs the service's own keys or those of other libraries", () => {
  const own = ["mutt:remediation:{a:dlq}:state:shelf", "mutt:remediation:x:dlq", "mutt:remediation:x"];
  assert.deepEqual(pair(own), { candidates: [], left: [], foreign: [] });
  const [beside] = pair(["mutt:remediation", "dlq.mutt:remediation", "dlq:mutt:remediation"]).candidates.map((
    { dead },
  ) => dead);
  assert.deepEqual(beside, ["mutt:remediation.dead", "mutt:remediation.buried", "mutt:remediation.dead-for-good"]);
  assert.deepEqual(pair(["mutt:remediation", "dlq:mutt:remediation"]).candidates[0]!.dead, []);
  const others = [
    ...["bull:mail:failed", "bull:mail", "{bull}:mail:failed", "queue:mail", "queue:mail:failed", "app:queue:x:dlq"],
    ...["resque:failed", "resque:queue:a", "celery", "rq:queue:a", "rq:queue:a:dlq", "queues:default"],
    ...["asynq:{a}:failed", "dramatiq:default", "dramatiq:default.dlq", "bq:a:failed", "bq:a"],
  ];
  const found = pair(others);
  assert.deepEqual(found.candidates, []);
  assert.deepEqual(found.left, []);
  assert.equal(found.foreign.reduce((sum, { count }) => sum + count, 0), others.length);
  for (const { advice, library } of found.foreign) assert.ok(advice.length > 10, library);
});

Deno.test("pairLists: counts any number of another library's lists", () => {
  // A copy of the names for each list took 6 minutes.
  const [found] = pair(Array.from({ length: 100_000 }, (_, at) => `queue:${at}`)).foreign;
  assert.deepEqual([found!.count, found!.example], [100_000, "queue:0"]);
});

Deno.test("pairLists: leaves a DLQ alone whose target is another library's", () => {
  assert.match(leftOf(["celery_dlq", "celery"]).join("\n"), /celery looks like a queue of Celery/);
});

const part = fc.constantFrom("a", "dlq", "failed", "dead", "queue", "bull", "orders", "mutt", "remediation", "errors");
const name = fc.array(part, { minLength: 1, maxLength: 4 }).chain((parts) =>
  fc.constantFrom(":", ".", "-", "_").map((separator) => parts.join(separator))
);

Deno.test("pairLists: a candidate's lists differ, its DLQ was seen, and none is of another library", () => {
  fc.assert(fc.property(fc.array(name), (lists) => {
    for (const { dlq, target, dead } of pair(lists).candidates) {
      assert.equal(new Set([dlq, target, ...dead]).size, 2 + dead.length);
      assert.ok(lists.includes(dlq));
      for (const one of [dlq, target]) assert.doesNotMatch(one, /^(bull:|queue:|mutt:remediation:)/);
    }
  }));
});
