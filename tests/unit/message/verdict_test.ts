import assert from "node:assert/strict";
import type { CycleTally } from "../../../src/cycle/evidence.ts";
import { openEnvelope } from "../../../src/message/envelope.ts";
import { findMember } from "../../../src/message/json_object.ts";
import type { SourcePolicy } from "../../../src/message/source_policy.ts";
import { readMessage } from "../../../src/message/read_message.ts";
import { decide, readCounter, type VerdictContext } from "../../../src/message/verdict.ts";
import {
  alerterMessage,
  bytesOf,
  NOT_AN_OBJECT_TEXTS,
  NOT_UTF8,
  textOf,
  UNREADABLE_TEXTS,
} from "../../../testkit/payloads.ts";

const ALERTER: SourcePolicy = {
  name: "alerter",
  push: "LPUSH",
  dlq: "mutt:dlq:alerter",
  target: "mutt:ingest_queue",
  dead: "mutt:dlq:dead",
  counter: "_moog_retry_count",
  cutOnReplay: ["_retry_count", "shedding_reason"],
  required: ["hostname", "timestamp", "message"],
};
const MOOG: SourcePolicy = {
  name: "moog",
  push: "LPUSH",
  dlq: "mutt:dlq:moog",
  target: "mutt:alert_queue",
  dead: "mutt:dlq:dead",
  counter: null,
  cutOnReplay: ["_moog_retry_count"],
  required: [],
};
const FAILED_AT = "2026-01-02T03:04:05.678Z";
const CALM: VerdictContext = {
  policy: ALERTER,
  maxPoisonRetries: 3,
  cycle: 412,
  cycleStartedAtMs: 1_764_000_000_999,
  nowMs: 1_764_000_300_000,
  tallyOf: () => undefined,
  failedAt: FAILED_AT,
};

/** Of 20 first-timers of each cycle so many came back. */
const tallyOf = (firstsReturned: number, more: Partial<CycleTally> = {}) => (cycle: number): CycleTally => ({
  ...{
    cycle,
    replayed: 20,
    firsts: 20,
    returned: firstsReturned,
    firstsReturned,
    pending: 0,
    others: 0,
    othersFailed: 0,
  },
  ...{ movedAtMs: 0, says: "all", isTroubled: false, ...more },
});

function decideText(text: string, context: Partial<VerdictContext> = {}) {
  return decide(bytesOf(text), { ...CALM, ...context });
}

/** `replay` or the reason of death, in one word. */
function wordFor(text: string, context: Partial<VerdictContext> = {}): string {
  const verdict = decideText(text, context);
  return verdict.action === "replay" ? "replay" : verdict.reason;
}

/** What the next record counts, as `failures/evidence/sheds`, for a message that came back with that record. */
function countsAfter(record: string, context: Partial<VerdictContext> = {}, more = ""): string {
  const verdict = decideText(alerterMessage(`"_remediation": ${record}${more}`), {
    maxPoisonRetries: 1001,
    ...context,
  });
  assert.equal(verdict.action, "replay");
  const { failures, evidence, sheds } = verdict.action === "replay" ? verdict.record : assert.fail();
  return `${failures}/${evidence}/${sheds}`;
}

Deno.test("decide: replays with the retry members cut and the record last when nothing speaks against it", () => {
  const verdict = decideText(
    alerterMessage('"_retry_count": 4, "shedding_reason": "queue", "big": 12345678901234567890'),
  );
  const stamp =
    '"_remediation": {"failures": 0, "evidence": 0, "since": 1764000000, "cycle": 412, "source": "alerter"}';
  assert.equal(textOf(verdict.payload), alerterMessage(`"big": 12345678901234567890, ${stamp}`));
  assert.deepEqual(verdict.action === "replay" && verdict.record, {
    failures: 0,
    evidence: 0,
    sheds: 0,
    since: 1_764_000_000,
    cycle: 412,
    source: "alerter",
  });
});

Deno.test("decide: leaves retry members of other sources alone", () => {
  const text = '{"api_key": "k", "_retry_count": 4, "_moog_retry_count": 6, "raw_json": {"_moog_retry_count": 6}}';
  const verdict = decideText(text, { policy: MOOG });
  assert.equal(
    textOf(verdict.payload),
    '{"api_key": "k", "_retry_count": 4, "raw_json": {"_moog_retry_count": 6}, ' +
      '"_remediation": {"failures": 0, "evidence": 0, "since": 1764000000, "cycle": 412, "source": "moog"}}',
  );
});

Deno.test("decide: puts into an envelope, exact bytes inside, what no consumer reads as an object", () => {
  const table: [reason: string, payloads: Uint8Array[]][] = [
    ["unreadable", [...UNREADABLE_TEXTS.map(bytesOf), ...NOT_UTF8]],
    ["malformed", NOT_AN_OBJECT_TEXTS.map(bytesOf)],
  ];
  for (const [reason, payloads] of table) {
    for (const bytes of payloads) {
      for (const policy of [ALERTER, MOOG]) {
        const verdict = decide(bytes, { ...CALM, policy });
        assert.equal(verdict.action === "dead" && verdict.reason, reason);
        assert.deepEqual(openEnvelope(verdict.payload), bytes);
      }
    }
  }
  assert.equal(
    textOf(decideText("nonsense").payload),
    `{"failed_at": "${FAILED_AT}", "_remediation": {"failures": 0, "evidence": 0, "since": 1764000000, "cycle": 412, "source": "alerter", ` +
      '"reason": "unreadable"}, "payload": "nonsense"}',
  );
});

Deno.test("decide: says malformed and names the member when a required one is missing or falsy", () => {
  const table: [text: string, detail: string][] = [
    ["{}", 'required member "hostname" is missing'],
    ['{"hostname": "h", "timestamp": "t"}', 'required member "message" is missing'],
    ['{"hostname": "h", "timestamp": "t", "raw": {"message": "m"}}', 'required member "message" is missing'],
    [alerterMessage('"message": ""'), 'required member "message" is empty'],
    [alerterMessage('"timestamp": 0.0'), 'required member "timestamp" is empty'],
    [alerterMessage('"hostname": -0'), 'required member "hostname" is empty'],
    [alerterMessage('"host\\u006eame": null'), 'required member "hostname" is empty'],
    [alerterMessage('"message": [ ]'), 'required member "message" is empty'],
  ];
  for (const [text, detail] of table) {
    const verdict = decideText(text);
    assert.equal(verdict.action === "dead" && `${verdict.reason}: ${verdict.detail}`, `malformed: ${detail}`, text);
    assert.equal(wordFor(text, { policy: MOOG }), "replay", text);
  }
  for (const json of ["NaN", "1", "[0]", "true"]) assert.equal(wordFor(alerterMessage(`"message": ${json}`)), "replay");
});

Deno.test("decide: stamps the dead and cuts nothing else from them", () => {
  const verdict = decideText(
    '{"failed_at": "never", "_retry_count": 4, "_remediation": {"failures": 1}, "shedding_reason": 1}',
  );
  assert.equal(
    textOf(verdict.payload),
    `{"_retry_count": 4, "shedding_reason": 1, "failed_at": "${FAILED_AT}", "_remediation": {"failures": 1.0, ` +
      '"evidence": 0, "sheds": 1, "since": 1764000300, "cycle": 412, "source": "alerter", "reason": "malformed", ' +
      '"failed_at": "never"}}',
  );
});

Deno.test("decide: puts a dead message into an envelope when its own failed_at is nested too deeply to stand in the stamp", () => {
  const nested = (depth: number) => `{"failed_at": ${"[".repeat(depth)}${"]".repeat(depth)}}`;
  for (const [depth, isWrapped] of [[498, false], [499, true]] as const) {
    const text = nested(depth), { payload } = decideText(text);
    assert.ok(readMessage(payload!).readable, `${depth}`);
    assert.equal(openEnvelope(payload!) !== null, isWrapped, `${depth}`);
    assert.ok(textOf(payload).includes(isWrapped ? `"payload": ${JSON.stringify(text)}` : nested(depth).slice(1, -1)));
  }
});

Deno.test("decide: says poison when the counter that the source reads is at the limit or over", () => {
  const at = ["3", "3.0", "4", "1e400", "Infinity", "3e0", "9".repeat(4300)];
  const below = ["0", "2", "2.9", "-5", "-1e400", "NaN", "-Infinity", '"9"', "null", "true", "[9]", '{"a":9}'];
  for (const json of at) assert.equal(wordFor(alerterMessage(`"_moog_retry_count": ${json}`)), "poison", json);
  for (const json of below) assert.equal(wordFor(alerterMessage(`"_moog_retry_count": ${json}`)), "replay", json);
  const hostile: [more: string, word: string][] = [
    ['"_moog_retry_count": 9, "_moog_retry_count": 0', "replay"],
    ['"_moog_retry_count": 0, "_moog_retry_coun\\u0074": 9', "poison"],
    ['"_moog_retry_coun\\u0074": 9, "_moog_retry_count": 0', "replay"],
    ['"x": {"_moog_retry_count": 9}, "y": "\\"_moog_retry_count\\": 9"', "replay"],
    ['"_retry_count": 9', "replay"],
  ];
  for (const [more, word] of hostile) assert.equal(wordFor(alerterMessage(more)), word, more);
  assert.equal(wordFor(alerterMessage('"_moog_retry_count": 9'), { policy: MOOG }), "replay");
});

Deno.test("decide: replays a message that always fails three times and then says poison, whatever its consumer adds, while others get through", () => {
  let bytes = bytesOf(alerterMessage());
  // The first time it is one of the 20.
  const context = (look: number) => ({ ...CALM, tallyOf: tallyOf(look === 2 ? 1 : 0) });
  for (let look = 1; look <= 3; look++) {
    const verdict = decide(bytes, context(look));
    assert.equal(verdict.action, "replay", `look ${look}`);
    bytes = bytesOf(textOf(verdict.payload).replace(/\}$/, ', "_retry_count": 4}'));
  }
  const last = decide(bytes, context(4));
  const why = "failed 3 times, limit 3, while about 95 % of the others got through";
  assert.equal(last.action === "dead" && `${last.reason}: ${last.detail}`, `poison: ${why}`);
  const record = '"_remediation": {"failures": 3.0, "evidence": 13.1, "since": 1764000000, "cycle": 412, ' +
    '"source": "alerter", "reason": "poison"}';
  assert.equal(textOf(last.payload), alerterMessage(`"_retry_count": 4, "failed_at": "${FAILED_AT}", ${record}`));
});

Deno.test("decide: weighs a failure by how few of the cycle's first-timers came back, itself among them", () => {
  const known = '"cycle": 411, "source": "alerter"';
  const table: [record: string, tally: ReturnType<typeof tallyOf>, counts: string][] = [
    [`{"failures": 0, ${known}}`, tallyOf(1), "1/4.32/0"],
    [`{"failures": 0, ${known}}`, tallyOf(20), "1/0/0"],
    [`{"failures": 0, ${known}}`, tallyOf(10), "1/1/0"],
    [`{"failures": 2.0, "evidence": 3.5, ${known}}`, tallyOf(0), "3/7.89/0"],
    [`{"failures": 2.0, "evidence": 3.5, ${known}}`, tallyOf(20), "3/3.5/0"],
    [`{"failures": 1.0, ${known}}`, tallyOf(0, { firsts: 0 }), "2/0/0"],
    [`{"failures": 1.0, ${known}}`, tallyOf(0, { firsts: 0, others: 63 }), "2/6/0"],
    [`{"failures": 1.0, ${known}}`, tallyOf(0, { pending: 20 }), "2/0/0"],
    [`{"failures": 1.0, ${known}}`, tallyOf(0, { says: "nothing" }), "2/0/0"],
    [`{"failures": 1, "excused": 3, ${known}}`, tallyOf(0), "5/4.39/0"],
    ['{"failures": 1.0, "cycle": 411, "source": "moog"}', tallyOf(0), "2/0/0"],
    ['{"failures": 1.0, "cycle": 413, "source": "alerter"}', tallyOf(0), "2/0/0"],
    ['{"failures": 1.0, "cycle": 411}', tallyOf(0), "2/0/0"],
    ['{"failures": 1.0, "cycle": "411", "source": "alerter"}', tallyOf(0), "2/0/0"],
    ['{"failures": -3, "source": "alerter"}', tallyOf(0), "1/0/0"],
    ["{}", tallyOf(0), "1/0/0"],
    ['{"failures": 1000, "excused": 1000, "sheds": 1000}', tallyOf(0), "1000/0/1000"],
    ["[]", tallyOf(0), "0/0/0"],
    ["null", tallyOf(0), "0/0/0"],
    ['"x"', tallyOf(0), "0/0/0"],
  ];
  for (const [record, tally, counts] of table) assert.equal(countsAfter(record, { tallyOf: tally }), counts, record);
});

Deno.test("decide: says poison for failures and evidence together, and without evidence only after half a day", () => {
  const HOURS = 3_600, now = CALM.nowMs / 1_000;
  const table: [failures: number, evidence: number, hoursAgo: number, word: string][] = [
    [2, 9.89, 0, "replay"],
    [1, 100, 0, "replay"],
    [2, 9.9, 0, "poison"],
    [23, 0, 11.9, "replay"],
    [1_000, 9, 11.9, "replay"],
    [22, 0, 100, "replay"],
    [23, 0, 12.1, "poison"],
  ];
  for (const [failures, evidence, hoursAgo, word] of table) {
    const since = Math.floor(now - hoursAgo * HOURS);
    const record =
      `{"failures": ${failures}.0, "evidence": ${evidence}, "since": ${since}, "cycle": 1, "source": "alerter"}`;
    assert.equal(wordFor(alerterMessage(`"_remediation": ${record}`)), word, record);
  }
  const old = decideText(alerterMessage(`"_remediation": {"failures": 23.0, "since": ${now - 13 * HOURS}}`));
  assert.match(
    old.action === "dead" ? old.detail : "",
    /^failed 24 times in 13 h, with too few other messages to compare/,
  );
});

Deno.test("decide: counts a shed message's return as a shed, and every tenth of them as a failure too", () => {
  const shed = ', "shedding_reason": "queue_depth_exceeded:2001>2000"';
  const table: [record: string, counts: string][] = [
    ["{}", "0/0/1"],
    ['{"sheds": 8}', "0/0/9"],
    ['{"sheds": 9}', "1/0/10"],
    ['{"failures": 1.0, "evidence": 2, "sheds": 10, "cycle": 411, "source": "alerter"}', "1/2/11"],
    ['{"failures": 1.0, "evidence": 2, "sheds": 19, "cycle": 411, "source": "alerter"}', "2/2/20"],
    ['{"failures": 1000, "sheds": 1000}', "1000/0/1000"],
  ];
  for (const [record, counts] of table) {
    assert.equal(countsAfter(record, { tallyOf: tallyOf(0) }, shed), counts, record);
  }
  assert.equal(wordFor(alerterMessage('"shedding_reason": "x"')), "replay");
});

Deno.test("decide: bounds the replays of a message that is shed, or fails with nothing to compare it with", () => {
  for (const [more, replays] of [["", 24], [', "shedding_reason": "x"', 240]] as const) {
    let text = alerterMessage(""), count = 0;
    for (;;) {
      // An hour from look to look.
      const verdict = decideText(text, { nowMs: CALM.nowMs + count * 3_600_000 });
      if (verdict.action === "dead") break;
      count++;
      text = textOf(verdict.payload).replace(/\}$/, `${more}}`);
    }
    assert.equal(count, replays, more);
  }
});

Deno.test("decide: writes one own record only when a client sent its own", () => {
  const own = '"_remediation": {"failures": 2, "evidence": 10, "since": 7}';
  const text = alerterMessage(`"_remediatio\\u006e": {"failures": 0}, "x": 1, ${own}`)
    .replace("{", '{"_remediation": {"failures": -9}, ');
  assert.equal(wordFor(text), "poison");
  const verdict = decideText(text, { maxPoisonRetries: 4 });
  const stamp = '"_remediation": {"failures": 3.0, "evidence": 10, "since": 7, "cycle": 412, "source": "alerter"}';
  assert.equal(textOf(verdict.payload), alerterMessage(`"x": 1, ${stamp}`));
});

Deno.test("decide: asks a context that is a class instance", () => {
  class Context implements VerdictContext {
    policy = ALERTER;
    maxPoisonRetries = 3;
    cycle = 412;
    cycleStartedAtMs = 0;
    nowMs = 0;
    failedAt = FAILED_AT;
    #tallies = new Map([[411, tallyOf(10)(411)]]);
    tallyOf(cycle: number) {
      return this.#tallies.get(cycle);
    }
  }
  const text = alerterMessage('"_remediation": {"cycle": 411, "source": "alerter"}');
  const verdict = decide(bytesOf(text), new Context());
  assert.equal(verdict.action === "replay" && verdict.record.evidence, 1);
});

Deno.test("readCounter: gives 0 unless the member is a number above 0", () => {
  const table: [text: string, count: number][] = [
    ['{"n": 2.5}', 2.5],
    ['{"n": Infinity}', Infinity],
    ['{"n": -1}', 0],
    ['{"n": NaN}', 0],
    ['{"n": "5"}', 0],
    ['{"m": 5}', 0],
  ];
  for (const [text, count] of table) {
    const message = readMessage(bytesOf(text));
    assert.ok(message.readable);
    assert.equal(readCounter(findMember(message, "n")), count, text);
  }
});

Deno.test("decide: does not count the return of a breaker's canary, however often", () => {
  let text = alerterMessage(
    '"_remediation": {"failures": 2.0, "evidence": 9.5, "since": 1, "cycle": 411, "source": "alerter"}',
  );
  for (let i = 0; i < 50; i++) {
    const verdict = decideText(text, { tallyOf: tallyOf(0, { says: "uncounted" }) });
    assert.equal(verdict.action, "replay");
    text = textOf(verdict.payload);
  }
  assert.match(text, /"failures": 2\.0, "evidence": 9\.5/);
  assert.equal(decideText(text, { tallyOf: tallyOf(0) }).action, "dead");
});

Deno.test("decide: tells how often a message was tried, and the cycle of ours that it came back from", () => {
  const table: [record: string, tries: number, cycle: number | null][] = [
    ["1", 0, null],
    ['{"failures": 0, "cycle": 411, "source": "alerter"}', 1, 411],
    ['{"failures": 2.0, "sheds": 3, "cycle": 412, "source": "alerter"}', 6, 412],
    ['{"failures": 2.0, "cycle": 413, "source": "alerter"}', 3, null],
    ['{"failures": 2.0, "cycle": 411, "source": "moog"}', 3, null],
  ];
  for (const [record, tries, cycle] of table) {
    const verdict = decideText(alerterMessage(`"_remediation": ${record}`));
    assert.deepEqual([verdict.tries, verdict.cameBackFrom], [tries, cycle], record);
  }
});
