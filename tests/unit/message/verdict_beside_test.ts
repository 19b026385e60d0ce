/** The verdict of a source that records its stamps beside the messages. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { CycleTally } from "../../../src/cycle/evidence.ts";
import type { StandingMark } from "../../../src/cycle/standing.ts";
import { openEnvelope } from "../../../src/message/envelope.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import type { SourcePolicy } from "../../../src/message/source_policy.ts";
import { parseRecord, recordKey, type StampRecords } from "../../../src/message/stamp_record.ts";
import { findStamp } from "../../../src/message/stamp.ts";
import { buryAsAsked, decide, type Verdict, type VerdictContext } from "../../../src/message/verdict.ts";
import { ANY_PAYLOAD, bytesOf, textOf } from "../../../testkit/payloads.ts";

const POLICY: SourcePolicy = {
  ...{
    name: "orders",
    push: "LPUSH",
    dlq: "o:dlq",
    target: "o",
    dead: "o:dead",
    counter: null,
    cutOnReplay: [],
    required: [],
  },
  beside: { idMember: null, keepMs: 1_000 },
};
const CYCLE = 20, STARTED_S = 1_764_000_000;
const CONTEXT: VerdictContext = {
  ...{ policy: POLICY, maxPoisonRetries: 3, cycle: CYCLE, cycleStartedAtMs: STARTED_S * 1_000 + 999 },
  ...{ nowMs: 1_764_000_300_000, failedAt: "2026-01-02T03:04:05.678Z" },
  // Of 20 first-timers one came back: 4.3 bits.
  tallyOf: (cycle) => tally(cycle, 1),
};

function tally(cycle: number, back: number, says: CycleTally["says"] = "all"): CycleTally {
  const counts = {
    replayed: 20,
    firsts: 20,
    returned: back,
    firstsReturned: back,
    pending: 0,
    others: 0,
    othersFailed: 0,
  };
  return { cycle, ...counts, movedAtMs: 0, says, isTroubled: false };
}

interface Given extends Partial<Omit<VerdictContext, "policy">> {
  readonly policy?: Partial<SourcePolicy>;
  /** Its record, as it is stored. */
  readonly record?: string;
  readonly place?: number;
  readonly standing?: readonly StandingMark[];
}

function judge(message: string | Uint8Array, { policy, record, place = 0, standing = [], ...context }: Given = {}) {
  const bytes = typeof message === "string" ? bytesOf(message) : message, whole = { ...POLICY, ...policy };
  const records: StampRecords = new Map(
    record === undefined ? [] : [[recordKey(bytes, whole), parseRecord(record, whole.name) ?? assert.fail(record)]],
  );
  return decide(bytes, { ...CONTEXT, ...context, policy: whole }, { place, records, standing });
}

/** What becomes of the record: its text, `deleted`, or `kept`. */
function changeOf({ recordChange }: Verdict): string {
  return recordChange === null ? "kept" : recordChange.text ?? "deleted";
}

Deno.test("decide, beside: replays any bytes unchanged, and records a first replay", () => {
  fc.assert(fc.property(ANY_PAYLOAD, (bytes) => {
    const verdict = judge(bytes);
    const message = readMessage(bytes), own = message.readable && findStamp(message)?.source === "orders";
    assert.equal(verdict.action, "replay");
    if (!own) assert.equal(verdict.payload, bytes);
    assert.deepEqual([verdict.tries, verdict.cameBackFrom], [
      own ? verdict.tries : 0,
      own ? verdict.cameBackFrom : null,
    ]);
    assert.deepEqual(verdict.recordChange?.key, recordKey(bytes, POLICY));
    if (!own) assert.equal(changeOf(verdict), `:::${STARTED_S}:${CYCLE}`);
  }));
});

Deno.test("decide, beside: counts one failure a return, with its evidence, and remembers the first replay", () => {
  const first = judge("text", { record: `:::5:${CYCLE - 1}` });
  assert.deepEqual([first.action, first.tries, first.cameBackFrom], ["replay", 1, CYCLE - 1]);
  assert.equal(changeOf(first), `1:4.32::5:${CYCLE}`);
  const second = judge("text", { record: `1:4.32::5:${CYCLE - 1}` });
  assert.equal(changeOf(second), `2:7.71::5:${CYCLE}`);
});

Deno.test("decide, beside: buries poison in an envelope with its counts, and marks its record", () => {
  const verdict = judge("text", { record: `2:8.57::5:${CYCLE - 1}` });
  assert.equal(verdict.action === "dead" && verdict.reason, "poison");
  assert.equal(textOf(openEnvelope(verdict.payload)!), "text");
  assert.match(
    textOf(verdict.payload),
    /"failures": 3\.0, "evidence": 11\.96, "since": 5, "cycle": 20, .*"reason": "poison"/,
  );
  assert.equal(changeOf(verdict), `3:11.96::5:${CYCLE}x`);
});

Deno.test("decide, beside: buries an object with its members, and deletes its record when that does not matter", () => {
  const verdict = judge('{"id": 1}', { policy: { required: ["total"] }, record: `1:4.32::5:${CYCLE - 1}` });
  assert.match(
    textOf(verdict.payload),
    /^\{"id": 1, "failed_at": "[^"]+", "_remediation": \{.*"reason": "malformed"\}\}$/,
  );
  assert.equal(changeOf(verdict), "deleted");
  assert.equal(changeOf(judge('{"id": 1}', { policy: { required: ["total"] } })), "kept");
});

for (const text of ["text", "[1]", '"text"', "7", "", "{"]) {
  Deno.test(`decide, beside: is malformed when it must have members and is no object: ${text}`, () => {
    const verdict = judge(text, { policy: { required: ["id"], counter: "n", cutOnReplay: ["x"] } });
    assert.deepEqual(verdict.action === "dead" && [verdict.reason, verdict.detail], [
      ...["malformed", 'required member "id" is missing'],
    ]);
    assert.equal(judge(text, { policy: { counter: "n", cutOnReplay: ["x"] } }).action, "replay");
  });
}

Deno.test("decide, beside: cuts members on replay, and reads the consumer's counter", () => {
  const policy = { counter: "attempts", cutOnReplay: ["attempts"] };
  assert.equal(textOf(judge('{"id": 1.50, "attempts": 2}', { policy }).payload), '{"id": 1.50}');
  const dead = judge('{"id": 1, "attempts": 3}', { policy });
  assert.deepEqual(dead.action === "dead" && [dead.reason, dead.detail], ["poison", "attempts is 3, limit 3"]);
});

Deno.test("decide, beside: goes on with the stamp that was inside, and cuts it", () => {
  const stamp = (source: string) =>
    `{"id": 1, "_remediation": {"failures": 1.0, "evidence": 4.32, "since": 5, "cycle": ${
      CYCLE - 1
    }, "source": "${source}"}}`;
  const own = judge(stamp("orders")), other = judge(stamp("others"));
  assert.deepEqual([textOf(own.payload), changeOf(own)], ['{"id": 1}', `2:7.71::5:${CYCLE}`]);
  assert.deepEqual([textOf(other.payload), changeOf(other)], [stamp("others"), `:::${STARTED_S}:${CYCLE}`]);
});

const WRAPPED = { unwrap: "payload" } as const;
const unwrapped: readonly (readonly [text: string, payload: string])[] = [
  ['{"at": 1, "payload": "order 7, no JSON \\u00e9"}', "order 7, no JSON é"],
  ['{"payload": "{\\"a\\":1.0}"}', '{"a":1.0}'],
  ['{"payload" : { "a":1.0 } }', '{ "a":1.0 }'],
  ['{"payload": [1.0,  2]}', "[1.0,  2]"],
  ['{"payload": -0.0}', "-0.0"],
  ['{"payload": null}', "null"],
  ['{"payload": ""}', ""],
];

for (const [text, payload] of unwrapped) {
  Deno.test(`decide, beside: with unwrap, replays ${payload} of ${text} without a stamp, and counts it by its bytes`, () => {
    const verdict = judge(text, { policy: WRAPPED, record: `1:4.32::5:${CYCLE - 1}` });
    assert.deepEqual([verdict.action, textOf(verdict.payload)], ["replay", payload]);
    assert.deepEqual([verdict.recordChange?.key, changeOf(verdict)], [
      ...[recordKey(bytesOf(payload), POLICY), `2:7.71::5:${CYCLE}`],
    ]);
  });
}

const unfit: readonly (readonly [text: string, policy: Partial<SourcePolicy>, detail: string])[] = [
  ['{"at": 1}', WRAPPED, 'malformed: member "payload" to unwrap is missing'],
  ['{"payload": "\\ud800"}', WRAPPED, 'malformed: member "payload" to unwrap is text with half a surrogate pair'],
  ["text", WRAPPED, "unreadable: not JSON at byte 0"],
  ["[1]", WRAPPED, "malformed: JSON, but not an object"],
  [
    '{"payload": "text"}',
    { ...WRAPPED, required: ["payload.id"] },
    'malformed: required member "payload.id" is missing',
  ],
];

for (const [text, policy, detail] of unfit) {
  Deno.test(`decide, beside: with unwrap, buries ${text}: ${detail}`, () => {
    const verdict = judge(text, { policy });
    assert.deepEqual(verdict.action === "dead" && `${verdict.reason}: ${verdict.detail}`, detail);
    assert.equal(changeOf(verdict), "kept");
  });
}

Deno.test("decide, beside: with unwrap, the dead list keeps the envelope, with its stamp at the top", () => {
  const verdict = judge('{"at": 1, "payload": "text"}', { policy: WRAPPED, record: `2:8.57::5:${CYCLE - 1}` });
  assert.match(
    textOf(verdict.payload),
    /^\{"at": 1, "payload": "text", "failed_at": .*"failures": 3\.0.*"poison"\}\}$/,
  );
  assert.equal(changeOf(verdict), `3:11.96::5:${CYCLE}x`);
});

Deno.test("decide, beside: with unwrap, cuts and counts inside, and goes on with a stamp from when it was there", () => {
  const policy = { ...WRAPPED, counter: "payload.n", cutOnReplay: ["payload.n"], required: ["payload.id", "queue"] };
  const stamp = `"_remediation": {"failures": 1.0, "evidence": 4.32, "since": 5, "cycle": ${
    CYCLE - 1
  }, "source": "orders"}`;
  const verdict = judge(`{"queue": "q", "payload": {"id": 1.0, "n": 2, ${stamp}}}`, { policy });
  assert.deepEqual([textOf(verdict.payload), changeOf(verdict)], ['{"id": 1.0}', `2:7.71::5:${CYCLE}`]);
  const dead = judge('{"queue": "q", "payload": {"id": 1, "n": 3}}', { policy });
  assert.equal(dead.action === "dead" && dead.detail, "payload.n is 3, limit 3");
});

const MARKS = [{ cycle: 10, messages: 50 }, { cycle: CYCLE, messages: 100 }];
const copies: [what: string, given: Given, change: string, tries: number, cameBackFrom: number | null][] = [
  [
    "an equal one that stood there before the replay has not come back",
    { record: ":::5:12", place: 50, standing: MARKS },
    ...[`:::5:12-${CYCLE}`, 0, null] as const,
  ],
  [
    "one that arrived since has come back",
    { record: ":::5:12", place: 51, standing: MARKS },
    ...[`1:4.32::5:${CYCLE}`, 1, 12] as const,
  ],
  [
    "nothing is known of the list, so it has come back",
    { record: ":::5:12", place: 1 },
    ...[`1:4.32::5:${CYCLE}`, 1, 12] as const,
  ],
  [
    "it counts as standing there since before the first replay that was not counted",
    { record: "1:4.32::5:9-19", place: 50, standing: MARKS },
    ...[`2:7.71::5:${CYCLE}`, 2, 19] as const,
  ],
  [
    "an equal one was replayed in this cycle, which works on what was there",
    { record: `:::5:${CYCLE}`, place: 99, standing: MARKS },
    ...[`:::5:${CYCLE}`, 0, null] as const,
  ],
  [
    "an equal one was replayed in this cycle, and nothing is known of the list, which proves nothing",
    { record: `1:4.32::5:${CYCLE}`, place: 99, tallyOf: (cycle) => cycle === CYCLE ? undefined : tally(cycle, 1) },
    ...[`2:4.32::5:${CYCLE}`, 2, CYCLE] as const,
  ],
  [
    "it came back within this cycle, which proves nothing",
    {
      record: `1:4.32::5:${CYCLE}`,
      place: 101,
      standing: MARKS,
      tallyOf: (cycle) => cycle === CYCLE ? undefined : tally(cycle, 1),
    },
    ...[`2:4.32::5:${CYCLE}`, 2, CYCLE] as const,
  ],
];

for (const [what, given, change, tries, cameBackFrom] of copies) {
  Deno.test(`decide, beside: ${what}`, () => {
    const verdict = judge("text", given);
    assert.deepEqual([changeOf(verdict), verdict.tries, verdict.cameBackFrom], [change, tries, cameBackFrom]);
  });
}

Deno.test("decide, beside: a record of cycles that are not yet, because the state of the source was lost, is of a message that came back", () => {
  const verdict = judge("text", { record: "1:4.32::5:500-510", place: 50, standing: MARKS });
  assert.deepEqual([changeOf(verdict), verdict.tries, verdict.cameBackFrom], [`2:4.32::5:${CYCLE}`, 2, null]);
});

Deno.test("decide, beside: takes the least evidence of the cycles that a return may be from", () => {
  const tallyOf = (cycle: number) => cycle === 13 ? tally(13, 20) : cycle === 15 ? undefined : tally(cycle, 1);
  assert.equal(changeOf(judge("text", { record: ":::5:12-14", tallyOf })), `1:::5:${CYCLE}`);
  assert.equal(changeOf(judge("text", { record: ":::5:14", tallyOf })), `1:4.32::5:${CYCLE}`);
  assert.equal(changeOf(judge("text", { record: ":::5:14-15", tallyOf })), `1:::5:${CYCLE}`);
});

Deno.test("decide, beside: buries the equals of a dead message that stood there with it, and replays those that arrive later", () => {
  const record = "3:12.82::5:12x";
  const standing = judge("text", { record, place: 50, standing: MARKS });
  assert.deepEqual([standing.action, changeOf(standing)], ["dead", `3:12.82::5:12-${CYCLE}x`]);
  const later = judge("text", { record, place: 51, standing: MARKS });
  assert.deepEqual([later.action, later.tries, changeOf(later)], ["replay", 0, `:::${STARTED_S}:${CYCLE}`]);
  assert.equal(judge("text", { record: `3:12.82::5:${CYCLE}x`, place: 3, standing: MARKS }).action, "dead");
});

Deno.test("decide, beside: does not count a return from a cycle that was a breaker's canary", () => {
  const verdict = judge("text", { record: ":::5:12", tallyOf: (cycle) => tally(cycle, 1, "uncounted") });
  assert.equal(changeOf(verdict), `:::5:${CYCLE}`);
});

Deno.test("buryAsAsked, beside: keeps the counts, and deletes the record", () => {
  const bytes = bytesOf("text"), key = recordKey(bytes, POLICY);
  const records = new Map([[key, parseRecord("1:4.32::5:12", "orders")!]]);
  const asked = { context: CONTEXT, detail: "", job: "j" };
  const buried = buryAsAsked(bytes, { ...asked, reading: { place: 1, records, standing: [] } });
  assert.match(textOf(buried.payload), /"failures": 2\.0, "evidence": 7\.71/);
  assert.deepEqual(buried.recordChange, { key, text: null });
  assert.equal(buryAsAsked(bytes, asked).recordChange, null);
});
