import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { SourcePolicy } from "../../../src/message/source_policy.ts";
import type { ChunkBounds } from "../../../src/cycle/chunk.ts";
import { type CycleState, NEW_CYCLE_STATE } from "../../../src/cycle/cycle_state.ts";
import { toStoreError } from "../../../src/redis/errors.ts";
import { lookForReturns } from "../../../src/replay/returns.ts";
import { PLAIN_POLICY as POLICY } from "../../../testkit/policy.ts";

const stamped = (cycle: number, { failures = 0, source = "alerter" } = {}) =>
  `{"a": 1, "_remediation": {"failures": ${failures}, "evidence": 0, "since": 1, "cycle": ${cycle}, "source": "${source}"}}`;
const NEW = '{"a": 1}';

/** Looks at a DLQ, oldest first. A message of 1 MiB or more is not read. */
async function look(
  dlq: readonly (string | null)[],
  record: Partial<CycleState>,
  { pushes = 0, policy = POLICY, target = [] }: {
    pushes?: number;
    policy?: SourcePolicy;
    target?: readonly (string | null)[];
  } = {},
) {
  let targetCalls = 0;
  const newestFirst = dlq.toReversed().map((text) => text === null ? null : Buffer.from(text));
  let calls = 0, most = 0;
  const store = {
    browseNewest({ messages, skip = 0 }: ChunkBounds) {
      // Somebody pushes behind the first call.
      const more = calls++ === 0 ? 0 : pushes;
      const now = [...Array(more).fill(Buffer.from(NEW)), ...newestFirst];
      most = Math.max(most, messages);
      return Promise.resolve({ depth: now.length, messages: now.slice(skip, skip + messages) });
    },
    browseTarget({ messages, skip = 0 }: ChunkBounds) {
      // The consumer takes, and producers push, behind each call.
      const moved = pushes * targetCalls++, left = target.slice(moved);
      const now = [...left, ...Array<string>(moved).fill(NEW)].reverse().map((text) =>
        text === null ? null : Buffer.from(text)
      );
      return Promise.resolve({ depth: now.length, messages: now.slice(skip, skip + messages) });
    },
  };
  const snapshot = { record: { ...NEW_CYCLE_STATE, cycle: 9, ...record }, depth: dlq.length, nowMs: 0 };
  const found = await lookForReturns({ store, policy, maxMessageBytes: 1_048_576 }, snapshot);
  const { depth, firsts } = found.waiting, waiting = { depth, firsts: firsts && Object.fromEntries(firsts) };
  return { ...found, found: Object.fromEntries(found.found), waiting, calls, most, targetCalls };
}

Deno.test("lookForReturns: tells what came back by its stamp from what is new, among what arrived since the last look", async () => {
  const old = Array(50).fill(stamped(8));
  const arrived = [stamped(9), NEW, stamped(9, { failures: 2 }), stamped(7), "no JSON", null];
  const seen = await look([...old, ...arrived], { scannedDepth: 60, replayed: 7, dead: 3 });
  assert.deepEqual(seen.found, { 9: { returned: 2, firsts: 1 }, 7: { returned: 1, firsts: 1 } });
  assert.deepEqual([seen.arrived, seen.unstamped, seen.unstampedRead.length, seen.depth], [6, 3, 2, 56]);
});

Deno.test("lookForReturns: believes a stamp only where it could be ours", async () => {
  const arrived = [stamped(10), stamped(9, { source: "moog" }), stamped(-1), stamped(1e15)];
  const seen = await look(arrived, { scannedDepth: 0 });
  assert.deepEqual([seen.found, seen.unstamped], [{}, 4]);
});

Deno.test("lookForReturns: counts from the cycle's start where nothing was looked at, and never less than none", async () => {
  assert.equal((await look([NEW, NEW, NEW], { depthAtStart: 4, replayed: 2 })).arrived, 1);
  assert.equal((await look([NEW], { scannedDepth: 5 })).arrived, 0, "somebody else has taken messages");
});

Deno.test("lookForReturns: takes an evenly spread sample of many, and holds Redis up for no more than that", async () => {
  const dlq = Array.from({ length: 50_000 }, (_, i) => i < 40_000 && i % 2 === 0 ? stamped(9) : NEW);
  const seen = await look(dlq, { scannedDepth: 0 }, { pushes: 7 });
  assert.deepEqual([seen.arrived, seen.calls, seen.most], [50_000, 20, 100]);
  assert.ok(Math.abs(seen.found[9]!.returned - 20_000) < 500, `${seen.found[9]!.returned} estimated`);
  assert.ok(Math.abs(seen.unstamped - 30_000) < 500, `${seen.unstamped} estimated`);
});

Deno.test("lookForReturns: counts exactly where it can read all", async () => {
  const dlq = Array.from({ length: 1_999 }, (_, i) => i % 3 === 0 ? stamped(9) : NEW);
  const seen = await look(dlq, { scannedDepth: 0 });
  assert.equal(Math.round(seen.found[9]!.returned), 667);
});

Deno.test("lookForReturns: knows a large message by the excerpt that holds its stamp, and keeps none", async () => {
  const excerpt = stamped(9).slice(stamped(9).indexOf('"_remediation"')) + ', "after": "{';
  const seen = await look([NEW, "", excerpt, '"_remediation": {"failures": 0', '"_remediation"'], { scannedDepth: 0 });
  assert.deepEqual([seen.found, seen.unstamped], [{ 9: { returned: 1, firsts: 1 } }, 4]);
  assert.equal(seen.unstampedRead.length, 3);
});

Deno.test("lookForReturns: the messages of a drill neither arrived nor came back", async () => {
  const marked = (text: string) => `${text.slice(0, -1)}, "_remediation_drill": "d_0123456789abcdef/1"}`;
  const seen = await look([NEW, marked(NEW), stamped(9), marked(stamped(9))], { scannedDepth: 0 });
  assert.deepEqual([seen.arrived, seen.found, seen.unstamped], [2, { 9: { returned: 1, firsts: 1 } }, 1]);
});

Deno.test("lookForReturns: finds the stamp in what is unwrapped, however large the envelope is, and keeps no large one", async () => {
  const policy: SourcePolicy = { ...POLICY, unwrap: "payload" };
  const wrap = (payload: unknown, error = "no") => JSON.stringify({ payload, error });
  const trace = `${"x".repeat(20_000)} "_remediation" {"_remediation": 1}`;
  const arrived = [
    ...[wrap(JSON.parse(stamped(9))), wrap(stamped(9)), wrap(JSON.parse(stamped(9)), trace), wrap(stamped(9), trace)],
    ...[wrap(JSON.parse(NEW)), wrap({}, trace), stamped(9), wrap([1])],
  ];
  const seen = await look(arrived, { scannedDepth: 0 }, { policy });
  assert.deepEqual([seen.found, seen.unstamped], [{ 9: { returned: 4, firsts: 4 } }, 4]);
  assert.deepEqual(seen.unstampedRead.map(String), [wrap([1]), stamped(9), wrap(JSON.parse(NEW))]);
});

/** What waits in this target, oldest first. */
const waitingIn = async (
  target: readonly (string | null)[],
  options: { pushes?: number; policy?: SourcePolicy } = {},
) => {
  const { waiting, targetCalls } = await look([], {}, { ...options, target });
  return { ...waiting, calls: targetCalls };
};

Deno.test("lookForReturns: tells first-timers that wait in the target from live messages and from what was replayed before", async () => {
  const target = [
    NEW,
    stamped(8),
    stamped(9),
    NEW,
    stamped(9),
    stamped(9, { failures: 1 }),
    stamped(9, { source: "moog" }),
  ];
  assert.deepEqual(await waitingIn(target), { depth: 7, firsts: { 8: 1, 9: 2 }, calls: 1 });
  assert.deepEqual(await waitingIn([]), { depth: 0, firsts: {}, calls: 1 });
  assert.deepEqual(await waitingIn([NEW, "no JSON"]), { depth: 2, firsts: {}, calls: 1 });
});

Deno.test("lookForReturns: reads the whole target, and misses none that waits there while others come and go", async () => {
  const target = [...Array(900).fill(NEW), ...Array(10).fill(stamped(9)), ...Array(1_000).fill(NEW)];
  assert.deepEqual(await waitingIn(target), { depth: 1_910, firsts: { 9: 10 }, calls: 20 });
  const { firsts } = await waitingIn(target.slice(400), { pushes: 30 });
  assert.ok(firsts![9]! >= 10, `${firsts![9]} found`);
});

Deno.test("lookForReturns: says that it cannot tell what waits in a target that is long, or has a message that it does not read", async () => {
  assert.deepEqual(await waitingIn(Array(2_001).fill(NEW)), { depth: 2_001, firsts: null, calls: 1 });
  assert.deepEqual(await waitingIn([NEW, null]), { depth: 2, firsts: null, calls: 1 });
});

Deno.test("lookForReturns: reads on in a target of large messages only where it can come to its end", async () => {
  const lookAt = async (depth: number) => {
    let calls = 0;
    const store = {
      browseNewest: () => Promise.resolve({ depth: 0, messages: [] }),
      // One of them fills a block.
      browseTarget: () => Promise.resolve({ depth, messages: [Buffer.from(stamped(9))], calls: calls++ }),
    };
    const record = { ...NEW_CYCLE_STATE, cycle: 9 }, source = { store, policy: POLICY, maxMessageBytes: 1_048_576 };
    const { waiting } = await lookForReturns(source, { record, depth: 0, nowMs: 0 });
    return [waiting.firsts?.get(9) ?? null, calls];
  };
  assert.deepEqual([await lookAt(20), await lookAt(21)], [[20, 20], [null, 1]]);
});

Deno.test("lookForReturns: does not know what waits in a target that Redis refuses to read, and hides no bug", async () => {
  const store = (error: Error) => ({
    browseNewest: () => Promise.resolve({ depth: 0, messages: [] }),
    browseTarget: () => Promise.reject(error),
  });
  const snapshot = { record: NEW_CYCLE_STATE, depth: 0, nowMs: 0 };
  const lookAt = (error: Error) =>
    lookForReturns({ store: store(error), policy: POLICY, maxMessageBytes: 1 }, snapshot);
  assert.deepEqual((await lookAt(toStoreError(new Error("WRONGTYPE")))).waiting, { depth: Infinity, firsts: null });
  await assert.rejects(lookAt(new TypeError("a bug")), TypeError);
});

Deno.test("lookForReturns: finds in the target what was unwrapped, unless only its envelope led to the record", async () => {
  const policy: SourcePolicy = { ...POLICY, unwrap: "payload" }, beside = { idMember: null, keepMs: 1_000 };
  assert.deepEqual((await waitingIn([stamped(9), NEW], { policy })).firsts, { 9: 1 });
  assert.deepEqual((await waitingIn([NEW], { policy: { ...policy, beside } })).firsts, null);
  assert.deepEqual((await waitingIn([], { policy: { ...policy, beside } })).firsts, {});
  assert.deepEqual((await waitingIn([NEW], { policy: { ...POLICY, beside } })).firsts, {});
});
