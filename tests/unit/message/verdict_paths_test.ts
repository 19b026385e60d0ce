/** Verdicts of sources whose policy names members inside others, or whose consumer wraps what it dead-letters. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { CycleTally } from "../../../src/cycle/evidence.ts";
import { revivedMessage } from "../../../src/jobs/revive.ts";
import type { SourcePolicy } from "../../../src/message/source_policy.ts";
import { buryAsAsked, decide, type VerdictContext } from "../../../src/message/verdict.ts";
import { bytesOf, textOf } from "../../../testkit/payloads.ts";

const LISTS = { name: "orders", dlq: "orders:dlq", target: "orders", dead: "orders:dead", push: "LPUSH" } as const;
const PATHS: SourcePolicy = {
  ...LISTS,
  ...{ counter: "headers.retries", cutOnReplay: ["headers.retries", "error"], required: ["id", "headers.tenant.id"] },
};
const RESQUE: SourcePolicy = {
  ...LISTS,
  ...{ counter: "payload.attempts", cutOnReplay: ["payload.attempts"], required: ["payload.class"], unwrap: "payload" },
};
const CALM: VerdictContext = {
  ...{ policy: PATHS, maxPoisonRetries: 3, cycle: 412, cycleStartedAtMs: 1_764_000_000_999, nowMs: 1_764_000_300_000 },
  ...{ tallyOf: () => undefined, failedAt: "2026-01-02T03:04:05.678Z" },
};
const STAMP = '"_remediation": {"failures": 0, "evidence": 0, "since": 1764000000, "cycle": 412, "source": "orders"}';

function verdictOf(text: string, context: Partial<VerdictContext> = {}): string {
  const verdict = decide(bytesOf(text), { ...CALM, ...context });
  return verdict.action === "replay" ? textOf(verdict.payload) : `${verdict.reason}: ${verdict.detail}`;
}

const DECIDED: readonly (readonly [what: string, text: string, verdict: string])[] = [
  [
    "replays without what is to be cut at a path",
    '{"id": 1, "headers": {"retries" : 2 , "tenant": {"id": 7} }, "error": {}}',
    `{"id": 1, "headers": {"tenant": {"id": 7} }, ${STAMP}}`,
  ],
  [
    "counts at a path",
    '{"id": 1, "headers": {"retries": 3, "tenant": {"id": 7}}}',
    "poison: headers.retries is 3, limit 3",
  ],
  [
    "takes a counter of the same name elsewhere for none",
    '{"id": 1, "retries": 9, "headers": {"tenant": {"id": 7, "retries": 9}}}',
    `{"id": 1, "retries": 9, "headers": {"tenant": {"id": 7, "retries": 9}}, ${STAMP}}`,
  ],
  [
    "misses a member inside another",
    '{"id": 1, "headers": {"tenant": {}}}',
    'malformed: required member "headers.tenant.id" is missing',
  ],
  ["misses one on the way", '{"id": 1}', 'malformed: required member "headers.tenant.id" is missing'],
  [
    "misses one behind an array",
    '{"id": 1, "headers": [{"tenant": {"id": 7}}]}',
    'malformed: required member "headers.tenant.id" is missing',
  ],
  [
    "refuses an empty one",
    '{"id": 1, "headers": {"tenant": {"id": ""}}}',
    'malformed: required member "headers.tenant.id" is empty',
  ],
  [
    "takes the last of equal objects",
    '{"id": 1, "headers": {"retries": 9}, "headers": {"tenant": {"id": 7}}}',
    `{"id": 1, "headers": {}, "headers": {"tenant": {"id": 7}}, ${STAMP}}`,
  ],
];

for (const [what, text, verdict] of DECIDED) {
  Deno.test(`decide: ${what}`, () => assert.equal(verdictOf(text), verdict));
}

const FAILED_AT = '"failed_at": "2026/01/02 03:04:05 UTC"';
const UNWRAPPED: readonly (readonly [what: string, text: string, verdict: string])[] = [
  [
    "replays the inner object, byte for byte, with the stamp as its last member",
    `{${FAILED_AT}, "payload":{ "class" : "Charge","args":[1.0, {"b":2}] }, "error": "no", "queue": "q"}`,
    `{ "class" : "Charge","args":[1.0, {"b":2}], ${STAMP} }`,
  ],
  [
    "replays the text of an object, decoded",
    '{"payload": "{\\"class\\":\\"Caf\\u00e9\\\\\\\\\\", \\"attempts\\": 1}", "exception": "x"}',
    `{"class":"Café\\\\", ${STAMP}}`,
  ],
  [
    "cuts only what is in the inner message, and counts only there",
    '{"attempts": 9, "payload": {"class": "A", "attempts": 2}}',
    `{"class": "A", ${STAMP}}`,
  ],
  [
    "counts in the inner message",
    '{"payload": {"class": "A", "attempts": 3}}',
    "poison: payload.attempts is 3, limit 3",
  ],
  [
    "counts in its text",
    '{"payload": "{\\"class\\": 1, \\"attempts\\": 3}"}',
    "poison: payload.attempts is 3, limit 3",
  ],
  ["misses what is required there", '{"payload": {}}', 'malformed: required member "payload.class" is missing'],
  ["misses what is to be unwrapped", '{"class": "A"}', 'malformed: member "payload" to unwrap is missing'],
  [
    "refuses what cannot carry the stamp",
    '{"payload": [1]}',
    'malformed: member "payload" to unwrap is an array: only an object, or text that is one, can carry the stamp',
  ],
  ["refuses what is no object at all", "[1]", "malformed: JSON, but not an object"],
];

for (const [what, text, verdict] of UNWRAPPED) {
  Deno.test(`decide: with unwrap, ${what}`, () => assert.equal(verdictOf(text, { policy: RESQUE }), verdict));
}

Deno.test("decide: with unwrap, the dead list keeps the whole envelope, and its own time of failure", () => {
  const text = `{${FAILED_AT}, "payload": {"class": "A", "attempts": 3}, "error": "no"}`;
  const verdict = decide(bytesOf(text), { ...CALM, policy: RESQUE });
  assert.equal(
    textOf(verdict.payload),
    '{"payload": {"class": "A", "attempts": 3}, "error": "no", "failed_at": "2026-01-02T03:04:05.678Z", ' +
      `${STAMP.slice(0, -1)}, "reason": "poison", ${FAILED_AT}}}`,
  );
});

/** It alone of 1,025 came back. */
const aloneOf = (cycle: number): CycleTally => ({
  ...{ cycle, replayed: 1_025, firsts: 1_025, returned: 1, firstsReturned: 1, pending: 0, others: 0, othersFailed: 0 },
  ...{ movedAtMs: 0, says: "all", isTroubled: false },
});
const WRAPS: Readonly<Record<string, (inner: string) => string>> = {
  "an object": (inner) => `{"payload":${inner},"error":"no"}`,
  "text": (inner) => JSON.stringify({ error: "no", payload: inner }),
};

for (const [what, wrap] of Object.entries(WRAPS)) {
  Deno.test(`decide: with unwrap, counts what comes back in a new envelope with ${what}, and gives it up at the limit`, () => {
    let inner = '{"class": "A"}', tries = 0;
    for (;;) {
      const verdict = decide(bytesOf(wrap(inner)), { ...CALM, policy: RESQUE, tallyOf: aloneOf });
      assert.equal(verdict.tries, tries);
      assert.equal(verdict.cameBackFrom, tries === 0 ? null : 412);
      if (verdict.action === "dead") {
        assert.deepEqual([verdict.reason, tries], ["poison", 3]);
        break;
      }
      assert.equal(verdict.record.failures, tries++);
      inner = textOf(verdict.payload);
    }
  });

  Deno.test(`buryAsAsked, revivedMessage: with unwrap of ${what}, the whole message comes back as it was before it was ever replayed`, () => {
    const fresh = wrap('{"class": "A", "b": {"x": 1.0}}');
    const replayed = decide(bytesOf(fresh), { ...CALM, policy: RESQUE });
    const returned = wrap(textOf(replayed.payload).replace("}, ", '}, "attempts": 2, '));
    const { payload } = buryAsAsked(bytesOf(returned), { context: { ...CALM, policy: RESQUE }, detail: "", job: "j" });
    assert.match(textOf(payload), /"failures": 1\.0.*"reason": "buried"/);
    assert.equal(textOf(revivedMessage(Buffer.from(payload), RESQUE)), fresh);
  });
}

Deno.test("revivedMessage: cuts the counter at its path, and a counter beside the inner message too", () => {
  const revive = (text: string, policy: Pick<SourcePolicy, "counter" | "unwrap">) =>
    textOf(revivedMessage(Buffer.from(text), policy));
  assert.equal(revive('{"headers": {"retries": 3, "a": 1}}', PATHS), '{"headers": {"a": 1}}');
  assert.equal(
    revive('{"tries": 4, "payload": {"tries": 1}}', { counter: "tries", unwrap: "payload" }),
    '{"payload": {"tries": 1}}',
  );
  assert.equal(revive('{"payload": [1]}', RESQUE), '{"payload": [1]}');
});
