import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { SourcePolicy } from "../../../src/domain/source.ts";
import type { Chunk } from "../../../src/redis/dead_letter_store.ts";
import { parseRecord } from "../../../src/redis/source_record.ts";
import { planChunk } from "../../../src/replay/plan.ts";

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
  const record = { ...parseRecord([]), remaining: 100, newestBytes: newest.length, newestDigest };
  const bytes = messages.map((text) => Buffer.from(text));
  const read = { record, depth: 9, nowMs: 0, messages: bytes, oversize: null, guard: null };
  const chunk: Chunk = { ...read, goesOnEqual, newestAt };
  const { moves, endsCycle } = planChunk(chunk, {
    policy: POLICY,
    record,
    maxPoisonRetries: 3,
    maxMessageBytes: 1_000_000,
    failedAt: "2026-01-01T00:00:00.000Z",
  });
  return { moves: moves.length, endsCycle };
}

const a = '{"a": 1}', b = '{"b": 1}', c = '{"c": 1}';

Deno.test("planChunk: ends the cycle behind the message that was newest when it began", () => {
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

Deno.test("planChunk: counts what came back from this source's replays, but for cycles that were counted as a whole", () => {
  const replayed = (source: string, cycle: number | string) =>
    `{"a": 1, "_remediation": {"failures": 1, "excused": 0, "cycle": ${cycle}, "source": "${source}"}}`;
  const cases: readonly (readonly [string, string, number])[] = [
    ["never replayed", a, 0],
    ["replayed by this source", replayed("alerter", 7), 1],
    ["in a cycle whose returns are counted already", replayed("alerter", 5), 0],
    ["by the source before this one", replayed("moog", 7), 0],
    ["a record that is not believed", replayed("alerter", -1), 0],
    ["not readable", `${replayed("alerter", 7)}x`, 0],
    ["dead, having come back", replayed("alerter", 7).replace('"failures": 1', '"failures": 9'), 1],
  ];
  const record = { ...parseRecord([]), cycle: 9, remaining: 100, troubled: [[4, 6]] as const };
  const planOf = (messages: readonly string[]) =>
    planChunk({
      ...{ record, depth: 9, nowMs: 0, messages: messages.map((text) => Buffer.from(text)), oversize: null },
      ...{ guard: null, goesOnEqual: false, newestAt: 9 },
    }, { policy: POLICY, record, maxPoisonRetries: 3, maxMessageBytes: 1_000_000, failedAt: "" });
  for (const [what, text, cameBack] of cases) assert.equal(planOf([text]).cameBack, cameBack, what);
  assert.equal(planOf(cases.map(([, text]) => text)).cameBack, 2);
});

Deno.test("planChunk: moves an oversize message unread to the dead list, alone", () => {
  const chunk: Chunk = {
    record: parseRecord([]),
    guard: null,
    depth: 2,
    nowMs: 0,
    messages: [],
    oversize: { bytes: 5_000_000, digest: "x" },
    goesOnEqual: false,
    newestAt: 0,
  };
  const result = planChunk(chunk, {
    policy: POLICY,
    record: { ...parseRecord([]), remaining: 2 },
    maxPoisonRetries: 3,
    maxMessageBytes: 4_194_304,
    failedAt: "",
  });
  assert.deepEqual(result.moves, [{ to: "dead", payload: null }]);
  assert.deepEqual(result.deaths.map(({ reason, message }) => [reason, message]), [["oversize", null]]);
  assert.match(result.deaths[0]!.detail, /5000000 bytes.*REMEDIATION_MAX_MESSAGE_BYTES/);
});
