import assert from "node:assert/strict";
import {
  type ExportedMessage,
  ExportParser,
  formatEnd,
  formatHeader,
  formatMasked,
  formatRaw,
  formatSkipped,
  MAX_PROBLEMS,
} from "../../../src/message/export_format.ts";
import { messageId } from "../../../src/message/message_id.ts";

const HEADER = { source: "alerter", list: "dlq", query: "", masked: false, depth: 3, at: "2026-11-29T20:00:00.000Z" };
const encode = (text: string) => new TextEncoder().encode(text);

function exported(bytes: Uint8Array, place = 1): ExportedMessage {
  return { id: messageId(bytes), place, bytes };
}

function parse(lines: readonly string[], { maxMessageBytes = 1_000, ending = "\n", step = 7 } = {}) {
  const parser = new ExportParser({ maxMessageBytes }), bytes = encode(lines.join("\n") + ending);
  const messages: ExportedMessage[] = [];
  for (let at = 0; at < bytes.length; at += step) messages.push(...parser.push(bytes.subarray(at, at + step)));
  return { ...parser.finish(), messages };
}

const A = exported(encode('{"a": "é\\u0000\u2028"}'), 1), B = exported(Uint8Array.of(0xff, 0, 10, 13), 2);
const EMPTY = exported(encode(""), 3);

Deno.test("ExportParser: returns the exact bytes, in pieces of any size", () => {
  const lines = [formatHeader(HEADER), ...[A, B, EMPTY].map(formatRaw), formatEnd({ messages: 3, skipped: 0 })];
  for (const step of [1, 7, 100_000]) {
    const { header, messages, problems } = parse(lines, { step });
    assert.deepEqual({ header, problems }, { header: HEADER, problems: [] });
    assert.deepEqual(
      messages.map(({ id, place, bytes }) => [id, place, [...bytes]]),
      [A, B, EMPTY].map((one) => [
        ...[one.id, one.place, [...one.bytes]],
      ]),
    );
  }
});

const head = formatHeader(HEADER), end = formatEnd({ messages: 1, skipped: 0 }), line = formatRaw(A);
const wrong: [name: string, lines: string[], problems: [line: number, problem: RegExp][], ending?: string][] = [
  ["nothing", [], [[1, /no header/]], ""],
  ["no header", [line, end], [[1, /first line is not a header/]]],
  ["two headers", [head, head, line, end], [[2, /second header/]]],
  ["no end", [head, line], [[3, /end is missing/]]],
  ["an end in the middle", [head, line, end, line], [[4, /after the end/]]],
  [
    "a missing message",
    [head, end],
    [[2, /had 1 messages and 0 skipped ones; the file has 0 and 0/]],
  ],
  ["no last line feed", [head, line, end], [[3, /cut off/], [3, /end is missing/]], ""],
  ["other formats", ['{"kind":"header","format":"other"}'], [[1, /format, version/]]],
  [
    "names that no export has",
    [formatHeader({ ...HEADER, source: "x".repeat(65), list: "other" }), line, end],
    [[1, /no valid source, list/]],
  ],
  ["not JSON", [head, "nope", "[]", "null", ""], [[2, /JSON/], [3, /JSON/], [4, /JSON/], [5, /JSON/], [
    6,
    /end is missing/,
  ]]],
  ["an unknown kind", [head, '{"kind":"toString"}'], [[2, /kind is not one of/], [3, /end is missing/]]],
  ["a changed payload", [head, line.replace('{\\"a', '{\\"b'), end], [[2, /id does not fit/]]],
  ["two payloads", [head, `${line.slice(0, -1)}, "payload_b64": ""}`, end], [[2, /one of them/]]],
  ["no payload", [head, `{"kind":"message","id":"${A.id}","place":1}`, end], [[2, /one of them/]]],
  ["another member", [head, `${line.slice(0, -1)}, "x": 1}`, end], [[2, /beside these/]]],
  ["a place of 0", [head, line.replace('"place": 1', '"place": 0'), end], [[2, /place/]]],
  ["no Base64", [head, formatRaw(B).replace("/w", "?w"), end], [[2, /not Base64/]]],
  ["a lone surrogate", [head, line.replace("é", "\\ud800"), end], [[2, /not Unicode/]]],
  ["a message above the limit", [head, formatRaw(exported(encode("x".repeat(1_001)))), end], [[2, /limit is 1000/]]],
  ["a line above the limit", [head, "x".repeat(20_000), line, end], [[2, /longer than/]]],
  [
    "a masked header",
    [formatHeader({ ...HEADER, masked: true }), formatMasked({ id: A.id, place: 1, text: "x" }), end],
    [
      [1, /masked export cannot be imported/],
    ],
  ],
  ["a masked message under a raw header", [head, formatMasked({ id: A.id, place: 1, text: "x" }), end], [[
    2,
    /masked/,
  ]]],
];

for (const [name, lines, wanted, ending = "\n"] of wrong) {
  Deno.test(`ExportParser: refuses ${name} and says in which line`, () => {
    const { problems } = parse(lines, { ending });
    assert.deepEqual(problems.map(({ line }) => line), wanted.map(([line]) => line), JSON.stringify(problems));
    for (const [i, [, pattern]] of wanted.entries()) assert.match(problems[i]!.problem, pattern);
  });
}

Deno.test("ExportParser: counts skipped messages, and further problems without describing them", () => {
  const skipped = formatSkipped({ id: A.id, place: 2, sizeBytes: 1e9 });
  const whole = parse([head, line, skipped, formatEnd({ messages: 1, skipped: 1 })]);
  assert.deepEqual([whole.skipped, whole.problems], [1, []]);
  const { problems, moreProblems } = parse([head, ...Array.from({ length: 250 }, () => "?"), end]);
  assert.deepEqual([problems.length, moreProblems], [MAX_PROBLEMS, 150]);
});
