import { deepEqual, equal, notDeepEqual, ok, throws } from "node:assert/strict";
import {
  ALERTER_MARKS,
  DEMO_API_KEY,
  DEMO_MIX,
  type Fate,
  generateDeadLetter,
  generateDeadLetters,
  LARGE_BYTES,
  type MessageKind,
} from "../../../testkit/mutt/dead_letters.ts";
import { SeededRandom } from "../../../testkit/mutt/random.ts";
import { withoutStamps } from "../../../src/message/envelope.ts";
import { decide } from "../../../src/message/verdict.ts";

const CONTEXT = {
  policy: {
    name: "alerter",
    push: "LPUSH" as const,
    dlq: "dlq",
    target: "target",
    dead: "dead",
    counter: "_moog_retry_count",
    cutOnReplay: ALERTER_MARKS,
    required: ["hostname", "timestamp", "message"],
  },
  maxPoisonRetries: 3,
  cycle: 1,
  cycleStartedAtMs: 0,
  nowMs: 0,
  tallyOf: () => undefined,
  failedAt: "2026-01-15T14:30:00.000Z",
};

/** Twenty of a kind. */
function some(kind: MessageKind) {
  const random = new SeededRandom(7);
  return Array.from({ length: 20 }, (_, index) => generateDeadLetter(kind, { random, index }));
}

const textsOf = (kind: MessageKind) => some(kind).map(({ payload }) => new TextDecoder().decode(payload));

Deno.test("generateDeadLetters: makes the same bytes of a seed, others of another", () => {
  deepEqual(generateDeadLetters({ count: 60, seed: 5 }), generateDeadLetters({ count: 60, seed: 5 }));
  notDeepEqual(generateDeadLetters({ count: 60, seed: 5 }), generateDeadLetters({ count: 60, seed: 6 }));
});

Deno.test("generateDeadLetters: makes exactly as many as asked, each kind of the mix at least once", () => {
  for (const count of [11, 50, 300]) {
    const letters = generateDeadLetters({ count });
    equal(letters.length, count);
    deepEqual(new Set(letters.map(({ kind }) => kind)), new Set(Object.keys(DEMO_MIX)));
  }
  equal(generateDeadLetters({ count: 300 }).filter(({ kind }) => kind === "large").length, 1);
});

Deno.test("generateDeadLetters: keeps to a mix of one's own", () => {
  const kinds = generateDeadLetters({ count: 40, mix: { shed: 3, poison: 1 } }).map(({ kind }) => kind);
  equal(kinds.filter((kind) => kind === "shed").length, 30);
  equal(kinds.filter((kind) => kind === "poison").length, 10);
});

Deno.test("generateDeadLetters: refuses fewer messages than kinds", () => {
  throws(() => generateDeadLetters({ count: 10 }), RangeError);
  throws(() => generateDeadLetters({ count: 1, mix: {} }), RangeError);
});

Deno.test("generateDeadLetter: a first look judges each kind as its fate says, poison not yet", () => {
  for (const kind of Object.keys(DEMO_MIX) as MessageKind[]) {
    for (const { fate, payload } of some(kind)) {
      const verdict = decide(payload, CONTEXT);
      const firstLook: Fate = verdict.action === "replay" ? "delivered" : verdict.reason as Fate;
      equal(firstLook, fate === "poison" ? "delivered" : fate, kind);
    }
  }
});

Deno.test("generateDeadLetter: the original is the payload without the alerter's marks", () => {
  for (const kind of Object.keys(DEMO_MIX) as MessageKind[]) {
    for (const { payload, original } of some(kind)) deepEqual(withoutStamps(payload, ALERTER_MARKS), original, kind);
  }
});

Deno.test("generateDeadLetter: marks what the alerter gave up or shed, as the last member", () => {
  for (const text of textsOf("exhausted")) ok(text.endsWith(', "_retry_count": 4}'), text);
  for (const text of textsOf("shed")) ok(/, "shedding_reason": "queue_depth_exceeded:2\d{3}>2000"\}$/.test(text), text);
  for (const text of textsOf("healthy")) ok(/"_correlation_id": "[0-9a-f-]{36}"\}$/.test(text), text);
});

Deno.test("generateDeadLetter: each odd kind is as odd as it says", () => {
  for (const text of textsOf("big_integers")) ok(!JSON.stringify(JSON.parse(text)).includes("9007199254740993"));
  for (const text of textsOf("odd_numbers")) {
    ok(text.includes('"load": 1.0, "ratio": NaN'));
    throws(() => JSON.parse(text), SyntaxError);
  }
  for (const text of textsOf("equal_keys")) equal(text.split('"tag": ').length, 3);
  for (const { payload } of some("large")) equal(payload.length, LARGE_BYTES);
  for (const { payload } of some("bad_utf8")) {
    throws(() => new TextDecoder("utf-8", { fatal: true }).decode(payload), TypeError);
  }
});

Deno.test("generateDeadLetters: some messages carry the secret as their first member, most do not", () => {
  const texts = generateDeadLetters({ count: 300 }).map(({ payload }) => new TextDecoder().decode(payload));
  const secret = texts.filter((text) => text.includes(DEMO_API_KEY));
  ok(secret.length > 10 && secret.length < 100, `${secret.length}`);
  ok(secret.some((text) => text.startsWith(`{"api_key": "${DEMO_API_KEY}", "timestamp": `)));
});
