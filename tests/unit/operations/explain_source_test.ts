import assert from "node:assert/strict";
import fc from "fast-check";
import { RELEASED } from "../../../src/cycle/brake.ts";
import { CYCLE_LIMITS } from "../../../src/cycle/cycle_limit.ts";
import { type CycleState, NEW_CYCLE_STATE } from "../../../src/cycle/cycle_state.ts";
import type { GateStatus } from "../../../src/gates/board.ts";
import { GATE_NAMES, type GateName, type GateReason, reasonsOf } from "../../../src/gates/gate.ts";
import { ACTIVITIES, explainSource, type SourceFacts } from "../../../src/operations/explain_source.ts";

const NOW_MS = Date.UTC(2026, 10, 29, 13, 30), MIN_MS = 60_000;

interface Given extends Partial<Omit<SourceFacts, "snapshot" | "flow">> {
  readonly depth?: number | null;
  readonly record?: Partial<CycleState>;
  readonly flow?: Partial<SourceFacts["flow"]>;
}

/** Facts about a source; default: all gates are open, and a cycle over all of 5,000 messages is going on. */
function facts({ depth = 1_200, record = {}, flow = {}, ...more }: Given): SourceFacts {
  const state = { ...NEW_CYCLE_STATE, cycle: 4, remaining: 1_200, replayed: 3_800, depthAtStart: 5_000, ...record };
  return {
    ...{ nowMs: NOW_MS, leadership: { role: "leader", holder: "pod-1" }, gates: [] },
    snapshot: depth === null ? null : { depth, nowMs: NOW_MS, record: state },
    ...{ snapshotAgeMs: 0, nextCycleInMs: 4 * MIN_MS, isCycleOver: depth === 0 || state.remaining === 0 },
    flow: { intervalMs: 5 * MIN_MS, batchSize: 0, mostPerSecond: null, movedPerSecond: null, ...flow },
    ...more,
  };
}

function closed<Name extends GateName>(
  name: Name,
  reason: GateReason<Name>,
  more: Partial<GateStatus> = {},
): GateStatus {
  return { name, reason, open: false, detail: "", sinceMs: NOW_MS - 54 * MIN_MS, ...more };
}

const CANARY = { ...RELEASED, suspect: true, allowance: 5 };
const REFUSED = closed("downstream", "unhealthy", { status: 503, failures: 12, nextMs: NOW_MS + 5_000 });
const PAUSED = closed("pause", "paused", { detail: "paused by ann until 14:30 UTC: network work" });

const cases: [when: string, given: Given, activity: string, sentence: string][] = [
  ["nothing is known", { depth: null }, "unknown", "Not known yet: the source has not been read"],
  [
    "Redis cannot be used",
    { depth: null, gates: [closed("redis", "oom")] },
    "waiting",
    "Waiting for Redis for 54 min: it is out of memory",
  ],
  [
    "replay is off",
    { gates: [closed("enabled", "switched_off")] },
    "off",
    "Switched off for 54 min: by REMEDIATION_ENABLED or the key remediation_enabled",
  ],
  [
    "no leader is known",
    { gates: [closed("leader", "unknown")] },
    "waiting",
    "Waiting for a leader for 54 min: it is not known which instance leads",
  ],
  ["it is paused", { gates: [PAUSED, REFUSED] }, "paused", "Paused by ann until 14:30 UTC: network work"],
  ["it is paused and empty", { depth: 0, gates: [PAUSED] }, "paused", "Paused by ann until 14:30 UTC: network work"],
  [
    "Moogsoft refuses",
    { gates: [REFUSED] },
    "waiting",
    "Waiting for Moogsoft for 54 min: it answered 503 to the last 12 probes; asked again in 5 s",
  ],
  [
    "two gates are closed",
    { gates: [closed("consumer", "gone", { sinceMs: NOW_MS }), REFUSED] },
    "waiting",
    "Waiting for the consumer: its heartbeat is gone; also closed: downstream",
  ],
  [
    "the DLQ is empty",
    { depth: 0, record: { movedAtMs: NOW_MS - 180 * MIN_MS }, gates: [REFUSED] },
    "idle",
    "Nothing to do: the DLQ is empty; the last message was moved 3 h ago",
  ],
  ["nothing ever came", { depth: 0 }, "idle", "Nothing to do: the DLQ is empty"],
  [
    "it drains",
    { flow: { movedPerSecond: 30 } },
    "draining",
    "Draining: 1,200 of 5,000 messages left, about 40 s at 30 a second",
  ],
  ["it drains without a known rate", {}, "draining", "Draining: 1,200 of 5,000 messages left"],
  [
    "it drains, more than at the start",
    { depth: 6_000, flow: { mostPerSecond: 10 } },
    "draining",
    "Draining: 6,000 messages left, about 10 min at 10 a second",
  ],
  [
    "it drains in batches",
    {
      record: { cycleLimit: "batch_size", remaining: 4 },
      flow: { batchSize: 10, movedPerSecond: 1 },
    },
    "draining",
    "Draining: 1,200 messages in the DLQ, 4 of them in this cycle, about 10 h at 2 a minute",
  ],
  [
    "the pace is closed for a moment",
    { gates: [closed("pace", "no_room", { sinceMs: NOW_MS - 1_000 })] },
    "draining",
    "Draining: 1,200 of 5,000 messages left",
  ],
  [
    "the queues stay full",
    { gates: [closed("depth", "over_limit", { sinceMs: NOW_MS - 70_000 })] },
    "waiting",
    "Waiting for room in the downstream queues for 70 s: they hold as many messages as their limit allows",
  ],
  [
    "a canary group goes after an outage",
    {
      record: {
        brake: { ...CANARY, reason: "outage" },
        ...{ remaining: 5, replayed: 0, outages: `downstream unhealthy 0-1 3;downstream timeout 0-${54 * MIN_MS} 4` },
      },
    },
    "testing",
    "Testing with 5 messages (canary) after an outage of 54 min (gate downstream)",
  ],
  [
    "a canary group has gone",
    {
      record: { brake: { ...CANARY, reason: "returns" }, remaining: 0, replayed: 1 },
      nextCycleInMs: 20_000,
    },
    "testing",
    "Testing after replayed messages came back: the canary group of 1 message went and is judged within 20 s",
  ],
  [
    "a canary group came back",
    {
      record: { brake: { ...CANARY, wait: 1 }, cycleLimit: "held", remaining: 0, replayed: 0 },
      ...{ gates: [closed("returns", "common_failure")], nextCycleInMs: 20_000, flow: { intervalMs: 100_000 } },
    },
    "testing",
    "Waiting after a canary group that came back; the next group in 2 min",
  ],
  [
    "a breaker wants a canary",
    { record: { cycleLimit: "breaker", remaining: 1 } },
    "testing",
    "Testing with 1 message, which the forwarder's circuit breaker lets through",
  ],
  [
    "it ramps",
    { record: { brake: { ...RELEASED, allowance: 80 }, remaining: 50, replayed: 30 } },
    "ramping",
    "Ramping up: up to 80 messages this cycle, 1,200 messages in the DLQ",
  ],
  [
    "it waits for the next cycle",
    { record: { remaining: 0 }, flow: { batchSize: 10 }, snapshotAgeMs: MIN_MS },
    "resting",
    "1,200 messages wait for the next cycle in 3 min, of at most 10 messages",
  ],
  [
    "an operator wants a cycle",
    { depth: 1, record: { remaining: 0, wantedCycle: 5 } },
    "resting",
    "1 message waits; the next cycle begins at once",
  ],
  [
    "it stands by",
    {
      leadership: { role: "standby", holder: "pod-2" },
      gates: [closed("leader", "standby"), REFUSED],
    },
    "waiting",
    "pod-2 leads; as this standby sees it: waiting for Moogsoft for 54 min: it answered 503 to the last 12 probes; asked again in 5 s",
  ],
  [
    "it stands by, and the leader moves as much as the pace allows",
    {
      ...{ leadership: { role: "standby", holder: "pod-2" }, record: { movedAtMs: NOW_MS - 1_000 } },
      ...{ gates: [closed("leader", "standby"), closed("pace", "no_room")], flow: { mostPerSecond: 1 } },
    },
    "draining",
    "pod-2 leads; as this standby sees it: draining: 1,200 of 5,000 messages left, about 20 min at 1 a second",
  ],
  [
    "it stands by, and the leader has moved nothing for a while",
    {
      ...{ leadership: { role: "standby", holder: "pod-2" }, record: { movedAtMs: NOW_MS - 6_000 } },
      gates: [closed("leader", "standby"), closed("pace", "no_room", { sinceMs: NOW_MS - 9_000 })],
    },
    "waiting",
    "pod-2 leads; as this standby sees it: waiting for the pace for 9 s: as many messages as it allows have gone",
  ],
];

for (const [when, given, activity, sentence] of cases) {
  Deno.test(`explainSource: says why when ${when}`, () => {
    const said = explainSource(facts(given));
    assert.deepEqual([said.activity, said.sentence], [activity, sentence]);
  });
}

const estimates: [when: string, given: Given, seconds: number | null, because: string][] = [
  ["it drains", { flow: { movedPerSecond: 30, mostPerSecond: 40 } }, 40, "observed"],
  ["nothing moved lately, and the pace is limited", { flow: { mostPerSecond: 40 } }, 30, "pace"],
  ["cycles are small", { flow: { batchSize: 10, movedPerSecond: 50 } }, 36_000, "batch"],
  ["cycles are small, and the pace is slower", { flow: { batchSize: 600, mostPerSecond: 1 } }, 1_200, "pace"],
  ["the batch covers the DLQ", { flow: { batchSize: 1_200, mostPerSecond: 40 } }, 30, "pace"],
  ["nothing limits it, and nothing has moved", {}, null, "nothing has moved lately, and the pace is not limited"],
  ["the DLQ is empty", { depth: 0 }, 0, "null"],
  ["a gate is closed", { gates: [REFUSED] }, null, "the gate downstream is closed"],
  ["it is paused", { gates: [PAUSED] }, null, "the gate pause is closed"],
  ["it tests", { record: { brake: CANARY } }, null, "only a few messages are replayed as a test"],
  ["it ramps", { record: { brake: { ...RELEASED, allowance: 9 } } }, null, "the amount of a cycle still grows"],
  ["it has not been read", { depth: null }, null, "the source has not been read yet"],
];

for (const [when, given, seconds, because] of estimates) {
  Deno.test(`explainSource: estimates when ${when}`, () => {
    const { estimate } = explainSource(facts(given));
    assert.deepEqual([estimate.seconds, estimate.reason ?? String(estimate.basis)], [seconds, because]);
  });
}

Deno.test("explainSource: shows a pause until it ends", () => {
  const pause = { untilMs: NOW_MS + 1, by: "ann", reason: "r" };
  assert.deepEqual(explainSource(facts({ record: { pause } })).pause, pause);
  assert.equal(explainSource(facts({ record: { pause: { ...pause, untilMs: NOW_MS } } })).pause, null);
});

Deno.test("explainSource: says one whole sentence about any facts", () => {
  const gate = fc.constantFrom(...GATE_NAMES).chain((name) =>
    fc.record({
      name: fc.constant(name),
      reason: fc.constantFrom(...reasonsOf(name), "error" as const),
      ...{ open: fc.boolean(), detail: fc.constant("paused by ann"), sinceMs: fc.constant(NOW_MS - 1) },
    })
  );
  const count = fc.nat(2_000);
  fc.assert(fc.property(
    fc.record({
      depth: fc.option(count),
      gates: fc.uniqueArray(gate, { selector: ({ name }) => name }),
      role: fc.constantFrom("leader" as const, "standby" as const, "unknown" as const, "off" as const),
      record: fc.record({
        ...{ remaining: count, replayed: count, depthAtStart: count, wantedCycle: count, movedAtMs: count },
        cycleLimit: fc.constantFrom(...CYCLE_LIMITS),
        brake: fc.record({
          ...{ suspect: fc.boolean(), distance: count, wait: count, allowance: fc.option(count) },
          reason: fc.constantFrom("returns" as const, "outage" as const, "none" as const),
        }),
        outages: fc.string(),
      }),
      flow: fc.record({
        ...{ intervalMs: fc.integer({ min: 1_000, max: 86_400_000 }), batchSize: count },
        ...{ mostPerSecond: fc.option(fc.integer({ min: 1 })), movedPerSecond: fc.option(fc.integer({ min: 1 })) },
      }),
    }),
    ({ role, ...given }) => {
      const { activity, sentence, estimate } = explainSource(facts({ ...given, leadership: { role, holder: "" } }));
      assert.ok(ACTIVITIES.includes(activity));
      assert.match(sentence, /^[A-Z0-9].*[A-Za-z0-9)]$/);
      assert.doesNotMatch(sentence, /undefined|NaN|Infinity|null/);
      assert.equal(estimate.seconds === null, estimate.reason !== null);
    },
  ));
});
