import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Chunk } from "../../../src/cycle/chunk.ts";
import { parseCycleState } from "../../../src/cycle/cycle_state.ts";
import { type Candidate, createJudge, judgeChunk, judgePicks } from "../../../src/replay/judge_chunk.ts";
import { PLAIN_POLICY } from "../../../testkit/policy.ts";

const POLICY = { ...PLAIN_POLICY, counter: "_moog_retry_count", cutOnReplay: ["_retry_count"] };

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

const DRILL = "d_0123456789abcdef", OTHER = "d_fedcba9876543210";
const marked = (number: number, id = DRILL) => `{"n": ${number}, "_remediation_drill": "${id}/${number}"}`;
/** A context while the drill runs, or (`""`) while none does. */
const drilling = (drill: string, fields: readonly string[] = []) => ({
  ...{
    policy: POLICY,
    maxPoisonRetries: 3,
    maxMessageBytes: 1_000_000,
    nowMs: 0,
    failedAt: "2026-01-01T00:00:00.000Z",
  },
  record: parseCycleState(["cycle", "4", "remaining", "100", "depthAtStart", "9", "drill", drill, ...fields]),
});
const MOCK = `${DRILL} mock downstream 5`, TO_TARGET = `${DRILL} real downstream 5`;

for (
  const { of, drill, texts, to, numbers, moves } of [
    { of: "real ones first", drill: MOCK, texts: [a, b, marked(1)], to: undefined, numbers: undefined, moves: 2 },
    { of: "marked ones first", drill: MOCK, texts: [marked(1), marked(2), a], to: "list", numbers: [1, 2], moves: 2 },
    { of: "no drill runs", drill: "", texts: [marked(1), a], to: "list", numbers: [], moves: 1 },
    { of: "another drill runs", drill: MOCK, texts: [marked(1, OTHER), marked(2)], to: "list", numbers: [2], moves: 2 },
    {
      of: "the target is real",
      drill: TO_TARGET,
      texts: [marked(1), marked(2), a],
      to: "target",
      numbers: [1, 2],
      moves: 2,
    },
    {
      of: "another's is first",
      drill: TO_TARGET,
      texts: [marked(1, OTHER), marked(2)],
      to: "list",
      numbers: [],
      moves: 1,
    },
    {
      of: "one was at the target before",
      ...{ drill: TO_TARGET, to: "list", numbers: [], moves: 1 },
      texts: [marked(1).replace("}", ', "_remediation": {"failures": 0, "cycle": 3, "source": "alerter"}}'), marked(2)],
    },
  ] as const
) {
  Deno.test(`judgeChunk: ends where the way of the messages changes, when ${of}`, () => {
    const messages = texts.map((text) => Buffer.from(text)), context = drilling(drill);
    const read = { record: context.record, depth: 9, nowMs: 0, messages, oversize: null, guard: null };
    const plan = judgeChunk({ ...read, goesOnEqual: false, newestAt: texts.length }, context);
    assert.equal(plan.moves.length, moves);
    assert.deepEqual([plan.drill?.to, plan.drill?.numbers], [to, numbers]);
    assert.equal(plan.endsCycle, moves === texts.length, "only if the newest message of the cycle is among them");
    const isDrill = plan.drill !== null;
    assert.deepEqual([plan.replayed, plan.firsts, plan.deaths.length], isDrill ? [0, 0, 0] : [2, 2, 0]);
    for (const { payload } of plan.moves) assert.equal(payload === null, to === "list", "only the target gets a stamp");
  });
}

Deno.test("judgePicks: messages of drills come first, in a commit of their own, and need no budget but the target's", () => {
  const texts = [a, marked(1), b, marked(2, OTHER), marked(3)];
  for (
    const [drill, to, places, spent] of [
      [MOCK, "list", [2, 4, 5], 0],
      [TO_TARGET, "list", [4], 0],
      [`${OTHER} real downstream 5`, "list", [2, 5], 0],
    ] as const
  ) {
    const context = { ...drilling(drill, ["allowance", "2"]), depth: 5 }, judge = createJudge(context);
    const candidates = texts.map((text, i): Candidate => {
      const message = Buffer.from(text);
      return { place: i + 1, message, verdict: judge(message) };
    });
    const picked = judgePicks(candidates, context, { replays: 1, messages: 100, bytes: 10_000 })!;
    assert.deepEqual([picked.drill?.to, picked.places, picked.spent], [to, places, spent]);
    assert.ok(picked.moves.every(({ payload }) => payload !== null), "picked messages need their bytes");
    const rest = candidates.filter(({ place }) => !picked.places!.includes(place));
    const next = judgePicks(rest, context, { replays: 1, messages: 100, bytes: 10_000 })!;
    if (drill === MOCK) assert.deepEqual([next.drill, next.replayed, next.spent], [null, 1, 1]);
    else assert.deepEqual([next.drill?.to, next.moves.length, next.spent], ["target", 1, 1]);
  }
});
