/** The stand-ins against the facts of the contract (§1.3, §1.4, §2): a table a row of which is a line of the contract. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { alertOf, fitsTable, judgeEvent, retriedEvent, shedEvent } from "../../../testkit/mutt/alerter_rules.ts";
import {
  backoffSeconds,
  judgeAlert,
  judgeAnswer,
  moogPayload,
  retriedAlert,
} from "../../../testkit/mutt/forwarder_rules.ts";
import { judgeAsOriginal } from "../../../testkit/mutt/original_rules.ts";
import { readMessage } from "../../../src/message/read_message.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (message: Uint8Array) => new TextDecoder().decode(message);
const LATIN1 = new Uint8Array([0x7b, 0x22, 0xdc, 0x22, 0x7d]);

function object(json: string) {
  const message = readMessage(bytes(json));
  ok(message.readable);
  return message;
}

const event = (more = "", { hostname = '"h"' } = {}) =>
  `{"hostname": ${hostname}, "timestamp": "2025-01-15T14:30:29Z", "message": "m"${more}}`;

Deno.test("judgeEvent: does with each message what the alerter does", () => {
  const rows: [json: string, action: string][] = [
    [event(), "attempt"],
    [event(', "_retry_count": 3'), "attempt"],
    [event(', "_retry_count": 4'), "dead_letter"],
    [event(', "_retry_count": 3.5'), "dead_letter"],
    [event(', "_retry_count": Infinity'), "dead_letter"],
    [event(', "_retry_count": true'), "attempt"],
    [event(', "_retry_count": "2"'), "wedge"],
    [event(', "_retry_count": null'), "wedge"],
    ["not json", "discard"],
    ["", "discard"],
    ["[1,2]", "wedge"],
    ["42", "wedge"],
    ["null", "wedge"],
    [event("", { hostname: '""' }), "discard"],
    [event("", { hostname: "null" }), "discard"],
    ['{"timestamp": "2025-01-15T14:30:29Z", "message": "m"}', "discard"],
    // The count comes first: what is over it is dead-lettered, whatever it lacks.
    ['{"_retry_count": 4}', "dead_letter"],
  ];
  deepEqual(rows.map(([json]) => [json, judgeEvent(bytes(json)).action]), rows);
});

Deno.test("retriedEvent: four attempts, and the fifth look dead-letters with a count of 4", () => {
  let message = bytes(event(', "x": 1.0'));
  const actions = Array.from({ length: 5 }, () => {
    const verdict = judgeEvent(message);
    if (verdict.action === "attempt") message = Uint8Array.from(retriedEvent(verdict.message, verdict.retries));
    return verdict.action;
  });
  deepEqual(actions, ["attempt", "attempt", "attempt", "attempt", "dead_letter"]);
  equal(text(message), event(', "x": 1.0, "_retry_count": 4'));
});

Deno.test("fitsTable: takes no odd time and no long name", () => {
  ok(fitsTable(object(event())));
  ok(fitsTable(object(event("", { hostname: `"${"h".repeat(255)}"` }))));
  ok(!fitsTable(object(event("", { hostname: `"${"h".repeat(256)}"` }))));
  ok(!fitsTable(object('{"hostname": "h", "timestamp": "soon", "message": "m"}')));
});

Deno.test("shedEvent: gives an object the reason as its last member, and leaves all else as it is", () => {
  equal(text(shedEvent(bytes(event()), 2001)), event(', "shedding_reason": "queue_depth_exceeded:2001>2000"'));
  for (const raw of ["[1,2]", "not json", ""]) equal(text(shedEvent(bytes(raw), 2001)), raw);
  deepEqual(shedEvent(LATIN1, 2001), LATIN1);
});

Deno.test("alertOf: carries the secret first and the whole message inside, other members too", () => {
  const message = event(', "_correlation_id": "c", "_remediation": {"cycle": 3}');
  const alert = text(alertOf(object(message)));
  ok(alert.startsWith('{"api_key": "'), alert);
  ok(alert.includes(`"raw_json": ${message}, "_correlation_id": "c"}`), alert);
  ok(readMessage(bytes(alert)).readable);
});

Deno.test("judgeAlert: does with each alert what the forwarder does", () => {
  const rows: [json: string, action: string][] = [
    ["{}", "send"],
    ['{"_moog_retry_count": 5}', "send"],
    ['{"_moog_retry_count": 6}', "dead_letter"],
    ['{"_moog_retry_count": "6"}', "wedge"],
    ["not json", "discard"],
    ["[]", "wedge"],
  ];
  deepEqual(rows.map(([json]) => [json, judgeAlert(bytes(json)).action]), rows);
});

Deno.test("judgeAnswer: 200 and 201 are success, 202 is not, 429 and 5xx and silence are tried again", () => {
  const rows = [
    ...[200, 201].map((status) => [status, "delivered"]),
    ...[202, 204, 301, 400, 401, 403, 404].map((status) => [status, "refused"]),
    ...[429, 500, 502, 503, "no_answer"].map((answer) => [answer, "retry"]),
  ] as [number | "no_answer", string][];
  deepEqual(rows.map(([answer]) => [answer, judgeAnswer(answer)]), rows);
});

Deno.test("retriedAlert: six sends, 63 s of sleep, then the DLQ with a count of 6", () => {
  let alert = bytes('{"hostname": "h"}');
  let sleptSeconds = 0, sends = 0;
  for (;;) {
    const verdict = judgeAlert(alert);
    if (verdict.action !== "send") {
      equal(verdict.action, "dead_letter");
      break;
    }
    sends++;
    sleptSeconds += backoffSeconds(verdict.retries);
    alert = Uint8Array.from(retriedAlert(verdict.message, verdict.retries));
  }
  deepEqual([sends, sleptSeconds, text(alert)], [6, 63, '{"hostname": "h", "_moog_retry_count": 6}']);
  equal(backoffSeconds(7), 60);
});

Deno.test("moogPayload: carries id and event, not the key", () => {
  const alert = text(alertOf(object(event(', "_correlation_id": "c"'))));
  const payload = moogPayload(object(alert));
  ok(payload.includes('"external_id": "c"') && payload.includes(`"custom_info": ${event(', "_correlation_id": "c"')}`));
  ok(!payload.includes("api_key"));
});

Deno.test("judgeAsOriginal: looks at the wrong count, replays what is not JSON, stops at what is no object", () => {
  const rows: [message: Uint8Array, verdict: string][] = [
    [bytes(event(', "_retry_count": 4')), "replay"],
    [bytes(event(', "_moog_retry_count": 2')), "replay"],
    [bytes(event(', "_moog_retry_count": 3')), "dead"],
    [bytes(event(', "_moog_retry_count": "2"')), "put_back"],
    [bytes(event(', "_moog_retry_count": null')), "put_back"],
    [bytes("not json"), "replay"],
    [bytes("[1,2]"), "put_back"],
    [bytes('"str"'), "put_back"],
    [bytes("42"), "put_back"],
    [bytes("null"), "put_back"],
    [LATIN1, "put_back"],
  ];
  deepEqual(rows.map(([message]) => [message, judgeAsOriginal(message)]), rows);
});
