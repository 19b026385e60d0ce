import assert from "node:assert/strict";
import { openEnvelope } from "../../../src/domain/envelope.ts";
import type { SourcePolicy } from "../../../src/domain/source.ts";
import { decide, readCounter, type VerdictContext } from "../../../src/domain/verdict.ts";
import { readMessage } from "../../../src/domain/message.ts";
import {
  alerterMessage,
  bytesOf,
  NOT_AN_OBJECT_TEXTS,
  NOT_UTF8,
  textOf,
  UNREADABLE_TEXTS,
} from "../../support/payloads.ts";

const ALERTER: SourcePolicy = {
  name: "alerter",
  dlq: "mutt:dlq:alerter",
  target: "mutt:ingest_queue",
  dead: "mutt:dlq:dead",
  counter: "_moog_retry_count",
  cutOnReplay: ["_retry_count", "shedding_reason"],
  required: ["hostname", "timestamp", "message"],
};
const MOOG: SourcePolicy = {
  name: "moog",
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
  maxExcuses: 5,
  cycle: 412,
  isTroubled: () => false,
  isUncounted: () => false,
  failedAt: FAILED_AT,
};

function decideText(text: string, context: Partial<VerdictContext> = {}) {
  return decide(bytesOf(text), { ...CALM, ...context });
}

/** `replay` or the reason of death, in one word. */
function wordFor(text: string, context: Partial<VerdictContext> = {}): string {
  const verdict = decideText(text, context);
  return verdict.action === "replay" ? "replay" : verdict.reason;
}

/** What the next record counts, as `failures/excused/sheds`, for a message that came back with that record. */
function countsAfter(record: string, context: Partial<VerdictContext> = {}, more = ""): string {
  const verdict = decideText(alerterMessage(`"_remediation": ${record}${more}`), {
    maxPoisonRetries: 1001,
    ...context,
  });
  assert.equal(verdict.action, "replay");
  const { failures, excused, sheds } = verdict.action === "replay" ? verdict.record : assert.fail();
  return `${failures}/${excused}/${sheds}`;
}

Deno.test("decide: replays with the retry members cut and the record last when nothing speaks against it", () => {
  const verdict = decideText(
    alerterMessage('"_retry_count": 4, "shedding_reason": "queue", "big": 12345678901234567890'),
  );
  const stamp = '"_remediation": {"failures": 0, "excused": 0, "cycle": 412, "source": "alerter"}';
  assert.equal(textOf(verdict.payload), alerterMessage(`"big": 12345678901234567890, ${stamp}`));
  assert.deepEqual(verdict.action === "replay" && verdict.record, {
    failures: 0,
    excused: 0,
    sheds: 0,
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
      '"_remediation": {"failures": 0, "excused": 0, "cycle": 412, "source": "moog"}}',
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
    `{"failed_at": "${FAILED_AT}", "_remediation": {"failures": 0, "excused": 0, "cycle": 412, "source": "alerter", ` +
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
    `{"_retry_count": 4, "shedding_reason": 1, "failed_at": "${FAILED_AT}", "_remediation": {"failures": 1, ` +
      '"excused": 0, "sheds": 1, "cycle": 412, "source": "alerter", "reason": "malformed"}}',
  );
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

Deno.test("decide: replays a message that always fails three times and then says poison, whatever its consumer does", () => {
  let bytes = bytesOf(alerterMessage());
  for (let look = 1; look <= 3; look++) {
    const verdict = decide(bytes, CALM);
    assert.equal(verdict.action, "replay", `look ${look}`);
    bytes = bytesOf(textOf(verdict.payload).replace(/\}$/, ', "_retry_count": 4}'));
  }
  const last = decide(bytes, CALM);
  assert.equal(last.action === "dead" && `${last.reason}: ${last.detail}`, "poison: failed 3 times, limit 3");
  const record = '"_remediation": {"failures": 3, "excused": 0, "cycle": 412, "source": "alerter", "reason": "poison"}';
  assert.equal(textOf(last.payload), alerterMessage(`"_retry_count": 4, "failed_at": "${FAILED_AT}", ${record}`));
});

Deno.test("decide: counts a return as a failure unless its cycle was troubled and excuses are left", () => {
  const isTroubled = (cycle: number) => cycle === 411;
  const table: [record: string, counts: string][] = [
    ['{"failures": 1, "excused": 2, "cycle": 411, "source": "alerter"}', "1/3/0"],
    ['{"failures": 1, "excused": 4, "cycle": 411, "source": "alerter"}', "1/5/0"],
    ['{"failures": 1, "excused": 5, "cycle": 411, "source": "alerter"}', "2/5/0"],
    ['{"failures": 1, "excused": 2, "cycle": 410, "source": "alerter"}', "2/2/0"],
    ['{"failures": 1, "excused": 2, "cycle": 411, "source": "moog"}', "2/2/0"],
    ['{"failures": 1, "excused": 2, "cycle": 411}', "2/2/0"],
    ['{"failures": 1, "excused": 2, "cycle": "411", "source": "alerter"}', "2/2/0"],
    ['{"failures": 1, "excused": 2, "cycle": 411.0, "source": "alerter"}', "2/2/0"],
    ['{"failures": 1, "excused": 2, "source": "alerter"}', "2/2/0"],
    ["{}", "1/0/0"],
    ['{"failures": -1, "excused": 1001, "sheds": 2.0}', "1/0/0"],
    ['{"failures": 1000, "excused": 1000, "sheds": 1000}', "1000/1000/1000"],
    ["[]", "0/0/0"],
    ["null", "0/0/0"],
    ['"x"', "0/0/0"],
  ];
  for (const [record, counts] of table) assert.equal(countsAfter(record, { isTroubled }), counts, record);
});

Deno.test("decide: counts a shed message's return as a shed, and every tenth of them as a failure too", () => {
  const shed = ', "shedding_reason": "queue_depth_exceeded:2001>2000"';
  const isTroubled = () => true;
  const table: [record: string, counts: string][] = [
    ["{}", "0/0/1"],
    ['{"sheds": 8}', "0/0/9"],
    ['{"sheds": 9}', "1/0/10"],
    ['{"failures": 1, "excused": 2, "sheds": 10, "cycle": 411, "source": "alerter"}', "1/2/11"],
    ['{"failures": 1, "excused": 2, "sheds": 19, "cycle": 411, "source": "alerter"}', "2/2/20"],
    ['{"failures": 1000, "sheds": 1000}', "1000/0/1000"],
  ];
  for (const [record, counts] of table) assert.equal(countsAfter(record, { isTroubled }, shed), counts, record);
  assert.equal(wordFor(alerterMessage('"shedding_reason": "x"')), "replay");
});

Deno.test("decide: bounds the replays when every return is a shed, an excuse or a failure", () => {
  const table: [name: string, more: string, isTroubled: boolean, replays: number][] = [
    ["failures", "", false, 3],
    ["excuses, then failures", "", true, 8],
    ["sheds", ', "shedding_reason": "x"', false, 30],
  ];
  for (const [name, more, isTroubled, replays] of table) {
    let text = alerterMessage("");
    let count = 0;
    for (;;) {
      const verdict = decideText(text, { isTroubled: () => isTroubled });
      if (verdict.action === "dead") break;
      count++;
      text = textOf(verdict.payload).replace(/\}$/, `${more}}`);
    }
    assert.equal(count, replays, name);
  }
});

Deno.test("decide: writes one own record only when a client sent its own", () => {
  const text = alerterMessage('"_remediatio\\u006e": {"failures": 0}, "x": 1, "_remediation": {"failures": 2}')
    .replace("{", '{"_remediation": {"failures": -9}, ');
  assert.equal(wordFor(text), "poison");
  const verdict = decideText(text, { maxPoisonRetries: 4 });
  const stamp = '"_remediation": {"failures": 3, "excused": 0, "cycle": 412, "source": "alerter"}';
  assert.equal(textOf(verdict.payload), alerterMessage(`"x": 1, ${stamp}`));
});

Deno.test("decide: asks a context that is a class instance", () => {
  class Context implements VerdictContext {
    policy = ALERTER;
    maxPoisonRetries = 3;
    maxExcuses = 5;
    cycle = 412;
    failedAt = FAILED_AT;
    #troubled = new Set([411]);
    isTroubled(cycle: number) {
      return this.#troubled.has(cycle);
    }
    isUncounted(cycle: number) {
      return !this.#troubled.has(cycle);
    }
  }
  const text = alerterMessage('"_remediation": {"cycle": 411, "source": "alerter"}');
  const verdict = decide(bytesOf(text), new Context());
  assert.equal(verdict.action === "replay" && verdict.record.excused, 1);
});

Deno.test("readCounter: gives 0 unless the member is a number above 0", () => {
  const table: [text: string, name: string | null, count: number][] = [
    ['{"n": 2.5}', "n", 2.5],
    ['{"n": Infinity}', "n", Infinity],
    ['{"n": -1}', "n", 0],
    ['{"n": NaN}', "n", 0],
    ['{"n": "5"}', "n", 0],
    ['{"m": 5}', "n", 0],
    ['{"n": 5}', null, 0],
  ];
  for (const [text, name, count] of table) {
    const message = readMessage(bytesOf(text));
    assert.ok(message.readable);
    assert.equal(readCounter(message, name), count, text);
  }
});

Deno.test("decide: does not count the return of a canary, however often", () => {
  let text = alerterMessage('"_remediation": {"failures": 2, "excused": 5, "cycle": 411, "source": "alerter"}');
  for (let i = 0; i < 50; i++) {
    const verdict = decideText(text, { isUncounted: () => true });
    assert.equal(verdict.action, "replay");
    text = textOf(verdict.payload);
  }
  assert.match(text, /"failures": 2, "excused": 5/);
  assert.equal(decideText(text, {}).action, "dead");
});
