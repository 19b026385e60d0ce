import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { SourcePolicy } from "../../../src/message/source_policy.ts";
import type { Chunk } from "../../../src/cycle/chunk.ts";
import { parseCycleState } from "../../../src/cycle/cycle_state.ts";
import { type Candidate, createJudge, judgeChunk, judgePicks } from "../../../src/replay/judge_chunk.ts";

const POLICY: SourcePolicy = {
  name: "alerter",
  dlq: "dlq",
  target: "target",
  dead: "dead",
  counter: "_moog_retry_count",
  cutOnReplay: ["_retry_count"],
  required: [],
};

function plan(messages: string[], { newest, goesOnEqual = false, newestAt = 0 }: {
  newest: string;
  goesOnEqual?: boolean;
  newestAt?: number;
}) {
  const newestDigest = createHash("sha1").update(newest + newest).digest("hex");
  const record = { ...parseCycleState([]), remaining: 100, newestBytes: newest.length, newestDigest };
  const bytes = messages.map((text) => Buffer.from(text));
  const read = { record, depth: 9, nowMs: 0, messages: bytes, oversize: null, guard: null };
  const chunk: Chunk = { ...read, goesOnEqual, newestAt };
  const { moves, endsCycle } = judgeChunk(chunk, {
    policy: POLICY,
    record,
    maxPoisonRetries: 3,
    maxMessageBytes: 1_000_000,
    nowMs: 0,
    failedAt: "2026-01-01T00:00:00.000Z",
  });
  return { moves: moves.length, endsCycle };
}

const a = '{"a": 1}', b = '{"b": 1}', c = '{"c": 1}';

Deno.test("judgeChunk: ends the cycle behind the message that was newest when it began", () => {
  for (
    const [what, given, expected] of [
      ["it is not in the chunk", plan([a, b], { newest: c }), { moves: 2, endsCycle: false }],
      ["others are behind it", plan([a, b, c], { newest: b }), { moves: 2, endsCycle: true }],
      ["it is the last of the chunk", plan([a, b], { newest: b }), { moves: 2, endsCycle: true }],
      ["equal ones stand in a row", plan([a, b, b, c], { newest: b }), { moves: 3, endsCycle: true }],
      ["the row goes on", plan([a, b, b], { newest: b, goesOnEqual: true }), { moves: 3, endsCycle: false }],
      ["it is known to be further on", plan([b, a, b], { newest: b, newestAt: 4 }), { moves: 3, endsCycle: false }],
      ["it is known to be the last of equals", plan([b, a, b, b], { newest: b, newestAt: 3 }), {
        moves: 3,
        endsCycle: true,
      }],
      ["another goes on", plan([b, a], { newest: b, goesOnEqual: true }), { moves: 1, endsCycle: true }],
    ] as const
  ) {
    assert.deepEqual(given, expected, what);
  }
});

/** A message with an id that was replayed so often; in `cycle` the last time. */
function tried(id: number | string, tries: number, cycle = 1): string {
  const stamp = `"_remediation": {"failures": ${tries - 1}.0, "evidence": 0, "cycle": ${cycle}, "source": "alerter"}`;
  return `{"id": "${id}"${tries > 0 ? `, ${stamp}` : ""}}`;
}

/** The ids of what is picked, oldest first, from a DLQ of these messages; `null`: nothing. */
function picks(
  messages: readonly string[],
  bounds: Partial<Parameters<typeof judgePicks>[2]>,
  { arrivedSince = 0 } = {},
) {
  const brake = { suspect: true, distance: 1, wait: 0, allowance: 4, reason: "returns" as const };
  const record = {
    ...parseCycleState([]),
    cycle: 9,
    depthAtStart: messages.length - arrivedSince,
    remaining: 100,
    brake,
  };
  const context = { policy: POLICY, record, nowMs: 0, maxPoisonRetries: 3, maxMessageBytes: 1_000_000, failedAt: "" };
  const judge = createJudge(context);
  const candidates = messages.map((text, i): Candidate => {
    const message = Buffer.from(text);
    return { place: i + 1, message, verdict: judge(message) };
  });
  const all = { replays: 100, messages: 100, bytes: 100_000, ...bounds };
  const plan = judgePicks(candidates, { ...context, depth: messages.length }, all);
  return plan && {
    ids: plan.messages.map((message) => /"id": "(\w+)"/.exec(message.toString())?.[1] ?? "dead").join(" "),
    ...{ places: plan.places, replayed: plan.replayed, firsts: plan.firsts, spent: plan.spent },
  };
}

Deno.test("judgePicks: takes the least tried, from the newest and the oldest end in turn", () => {
  const queue = [tried("a", 2), tried("b", 0), tried("c", 0), tried("d", 0), tried("e", 0), tried("f", 1)];
  assert.deepEqual(picks(queue, { replays: 1 }), { ids: "e", places: [5], replayed: 1, firsts: 1, spent: 1 });
  assert.equal(picks(queue, { replays: 2 })?.ids, "b e");
  assert.equal(picks(queue, { replays: 3 })?.ids, "b d e");
  assert.equal(picks(queue, { replays: 5 })?.ids, "b c d e f");
  assert.deepEqual(picks(queue, {}), {
    ids: "a b c d e f",
    places: [1, 2, 3, 4, 5, 6],
    replayed: 6,
    firsts: 4,
    spent: 6,
  });
});

Deno.test("judgePicks: buries all the dead beside what is replayed, and they use up nothing of the cycle", () => {
  const queue = ["no JSON", tried("a", 0), "[]", tried("b", 0), "no JSON either"];
  const plan = picks(queue, { replays: 1 });
  assert.deepEqual(plan, { ids: "dead dead b dead", places: [1, 3, 4, 5], replayed: 1, firsts: 1, spent: 1 });
});

Deno.test("judgePicks: leaves what came back in this very cycle, and what arrived since it began", () => {
  const queue = [tried("a", 1, 9), tried("b", 1, 8), tried("c", 0)];
  assert.equal(picks(queue, {}, { arrivedSince: 1 })?.ids, "b");
  assert.equal(picks([tried("a", 1, 9)], {}), null);
  assert.equal(picks([], {}), null);
});

Deno.test("judgePicks: keeps to the bounds of a chunk, and to what Redis may pass over, but takes one", () => {
  const queue = Array.from({ length: 9 }, (_, i) => tried(i, 0));
  assert.equal(picks(queue, { messages: 3 })?.ids, "0 7 8");
  assert.equal(picks(queue, { bytes: 2 * queue[0]!.length })?.ids, "0 8");
  assert.equal(picks(queue, { bytes: 1 })?.ids, "8");
  const long = Array.from({ length: 600 }, (_, i) => tried(i, 0));
  const { places } = picks(long, { replays: 600, messages: 600 })!;
  const passed = places!.reduce((sum, place) => sum + Math.min(place, 600 - place), 0);
  assert.ok(places!.length > 200 && passed <= 20_000, `${places!.length} of them, ${passed} passed over`);
});

Deno.test("judgeChunk: moves an oversize message unread to the dead list, alone", () => {
  const chunk: Chunk = {
    record: parseCycleState([]),
    guard: null,
    depth: 2,
    nowMs: 0,
    messages: [],
    oversize: { bytes: 5_000_000, digest: "x" },
    goesOnEqual: false,
    newestAt: 0,
  };
  const result = judgeChunk(chunk, {
    policy: POLICY,
    record: { ...parseCycleState([]), remaining: 2 },
    maxPoisonRetries: 3,
    maxMessageBytes: 4_194_304,
    nowMs: 0,
    failedAt: "",
  });
  assert.deepEqual(result.moves, [{ to: "dead", payload: null }]);
  assert.deepEqual(result.deaths.map(({ reason, message }) => [reason, message]), [["oversize", null]]);
  assert.match(result.deaths[0]!.detail, /5000000 bytes.*REMEDIATION_MAX_MESSAGE_BYTES/);
});
