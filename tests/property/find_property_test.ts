/** Queries, groups and exports of any text and any message. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ExportParser, formatEnd, formatHeader, formatRaw } from "../../src/message/export_format.ts";
import { groupId, maskText, MAX_GROUP_CHARACTERS } from "../../src/message/group.ts";
import { GroupTexts } from "../../src/message/group_texts.ts";
import { openLetter } from "../../src/message/letter.ts";
import { Mask } from "../../src/message/mask.ts";
import { readMember } from "../../src/message/member_value.ts";
import { messageId } from "../../src/message/message_id.ts";
import { createViewer } from "../../src/message/message_view.ts";
import { compileQuery } from "../../src/message/query.ts";
import { MAX_QUERY_CHARACTERS } from "../../src/message/query_syntax.ts";
import { readMessage } from "../../src/message/read_message.ts";
import { ANY_BYTES, HOSTILE_TEXT } from "../../testkit/hostile_json.ts";
import { propertyRuns } from "../../testkit/payloads.ts";

const WORDS = [
  ...[
    "a",
    "disk",
    "web-1",
    "10.0.0.1",
    '"a b"',
    '"\\""',
    "*",
    "d*k",
    "AND",
    "OR",
    "NOT",
    "TO",
    "-",
    "(",
    ")",
    ":",
    "\\",
  ],
  ...["id:m_0", "group:g_*", "reason:poison", "age:>1h", "age:[5m TO 2h]", "age:{* TO 1d}", "size:<=10k", "failures:2"],
  ...[
    "host:w*",
    "severity:error",
    "message:*disk*",
    '"age":7',
    "x:>5",
    ...["a.b:>5", "a\\.b:1", "a.b\\ c.\\-d:x*", "-x.-y:1", ".", "a..b:1", '"a.b":7', "é.\u0000.\ud800:1"],
    "x:[1 TO 2026-01-01]",
    "x:",
    "[",
    "}",
    ">=",
    "\u0000",
  ],
];
/** Almost valid queries. */
const QUERY_TEXT = fc.oneof(
  fc.array(fc.constantFrom(...WORDS), { maxLength: 12 }).map((words) => words.join(" ")),
  fc.array(fc.constantFrom(...WORDS), { maxLength: 6 }).map((words) => words.join("")),
  HOSTILE_TEXT,
  fc.string({ unit: "binary" }),
);
const DISPLAY = { groupBy: ["message"], secret: [] };
const VIEWER = createViewer({ source: "alerter", list: "dlq", display: DISPLAY, nowMs: 1_780_000_000_000 });

function view(bytes: Uint8Array) {
  return VIEWER({ id: messageId(bytes), place: 1, bytes, length: bytes.length });
}

Deno.test("compileQuery: never throws, and its canonical text means the same and stays", () => {
  fc.assert(
    fc.property(QUERY_TEXT, ANY_BYTES, (text, bytes) => {
      const query = compileQuery(text);
      if (!query.ok) {
        assert.ok(query.problems.length > 0);
        return;
      }
      const again = compileQuery(query.canonical);
      assert.ok(again.ok, query.canonical);
      assert.equal(again.canonical, query.canonical);
      assert.deepEqual(again.fields, query.fields);
      const message = view(bytes), isMatch = query.matches(message);
      assert.equal(again.matches(message), isMatch, query.canonical);
    }),
    propertyRuns(5_000),
  );
});

Deno.test("compileQuery: NOT is the complement", () => {
  fc.assert(
    fc.property(QUERY_TEXT, ANY_BYTES, (given, bytes) => {
      const query = compileQuery(given);
      const text = query.ok ? `NOT (${query.canonical})` : "";
      if (!query.ok || query.canonical === "" || text.length > MAX_QUERY_CHARACTERS) return;
      const not = compileQuery(text);
      assert.ok(not.ok);
      assert.equal(not.matches(view(bytes)), !query.matches(view(bytes)));
    }),
    propertyRuns(2_000),
  );
});

Deno.test("MessageView.holds: finds what its masked text has, and nothing else", () => {
  const part = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 6 }));
  fc.assert(
    fc.property(ANY_BYTES, fc.array(part, { minLength: 1, maxLength: 3 }), fc.boolean(), (bytes, parts, ofRaw) => {
      const text = view(bytes).text.toLowerCase(),
        source = ofRaw ? new TextDecoder().decode(bytes).toLowerCase() : text;
      const pieces = parts.map(([at, length]) => source.substr(at % (source.length + 1), length)).filter(Boolean);
      let from = 0, has = true;
      for (const piece of pieces) {
        const at = text.indexOf(piece, from);
        has &&= at >= 0;
        from = at + piece.length;
      }
      assert.equal(view(bytes).holds(pieces), has, JSON.stringify(pieces));
    }),
    propertyRuns(5_000),
  );
});

const LOG_TEXT = fc.oneof(
  HOSTILE_TEXT,
  fc.array(
    fc.constantFrom(
      ...[
        "5",
        "a1",
        "deadbe12",
        "Nov ",
        "29",
        "T",
        "Z",
        "•",
        "…",
        ".",
        ":",
        "::",
        "-",
        "/",
        " ",
        "\t",
        "'",
        '"',
        "x",
        "é",
      ],
      ...["10.0.0.1", "fe80::1", "550e8400-e29b-41d4-a716-446655440000", "'ab-1'", "\ud800", "0x", "abcdefghijklmnop"],
    ),
    { maxLength: 60 },
  ).map((parts) => parts.join("")),
);

Deno.test("maskText: never throws, has a bound, leaves no digit, and changes a masked text no more", () => {
  fc.assert(
    fc.property(LOG_TEXT, (text) => {
      const masked = maskText(text);
      assert.ok(masked.length <= MAX_GROUP_CHARACTERS);
      assert.doesNotMatch(masked, /[0-9]/);
      assert.equal(maskText(masked), masked);
    }),
    propertyRuns(10_000),
  );
});

/** What hides secrets, with digits in it or spelled by digits. */
const HIDING = fc.constantFrom(
  ...["password=", "pin1:", "pin27 > ", "token", '"token": ', "payload_b64: ", "payload_b77=", "PIN9 "],
  ...["\\u0074oken: x", "\\x00", "\0", "pass\\u0077ord: ", "\u0009", "\\X41", "0x1f", "1x1f", "1e21", "\\", "\\\\x12 "],
);
const GROUPED_TEXT = fc.oneof(
  LOG_TEXT,
  fc.array(fc.oneof(LOG_TEXT, HIDING, fc.nat().map(String)), { maxLength: 6 }).map((parts) => parts.join("")),
);
const GROUPED_VALUE = fc.oneof(
  { weight: 8, arbitrary: GROUPED_TEXT.map((text) => JSON.stringify(text)) },
  GROUPED_TEXT.map((text) =>
    JSON.stringify(text).replace(/[a-z]/i, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`)
  ),
  fc.constantFrom("1e21", "1e20", "null", "true", "[1]", "0.0000001", "0.1000001", '""'),
);

Deno.test("GroupTexts: remembers only what masking every text gives", () => {
  const other = (text: string, digits: readonly number[]) => {
    let at = 0;
    return text.replace(/\d/g, () => String(digits[at++ % digits.length]));
  };
  fc.assert(
    fc.property(
      fc.array(fc.tuple(GROUPED_VALUE, fc.option(GROUPED_VALUE)), { maxLength: 4 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 20 }),
      fc.constantFrom(["message"], ["code", "message"], ["pin1", "message"]),
      (values, digits, groupBy) => {
        const mask = new Mask(["pin27", "pin1"]), texts = new GroupTexts(groupBy, mask);
        const written = values.map(([message, code]) =>
          `{"message": ${message}${code === null ? "" : `, "code": ${code}, "pin1": ${code}`}}`
        );
        // The last ones are as if the digits of the first had been others.
        const varied = written.map((text) => text.replace(/(?<="message": ).*/, (rest) => other(rest, digits)));
        for (const text of [...written, ...varied, ...written]) {
          const message = readMessage(new TextEncoder().encode(text));
          if (!message.readable) continue;
          const letter = openLetter(message, null);
          const expected = groupBy.map((name) => readMember(letter, name, mask) ?? "").join(" ").trim();
          assert.equal(texts.of(letter), maskText(expected), text);
        }
      },
    ),
    propertyRuns(5_000),
  );
});

Deno.test("groupId: gives every message a group", () => {
  fc.assert(fc.property(ANY_BYTES, (bytes) => /^g_[0-9a-f]{12}$/.test(groupId(view(bytes)))), propertyRuns(1_000));
});

Deno.test("ExportParser: returns any messages, byte for byte", () => {
  fc.assert(
    fc.property(fc.array(ANY_BYTES, { maxLength: 5 }), fc.integer({ min: 1, max: 5_000 }), (messages, step) => {
      const header = { source: "s", list: "dlq", query: "", masked: false, depth: 9, at: "2026-11-29T20:00:00.000Z" };
      const lines = messages.map((bytes, i) => formatRaw({ id: messageId(bytes), place: i + 1, bytes }));
      const whole = [formatHeader(header), ...lines, formatEnd({ messages: lines.length, skipped: 0 }), ""].join("\n");
      const parser = new ExportParser({ maxMessageBytes: 10_000_000 }), bytes = new TextEncoder().encode(whole);
      const found: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += step) {
        found.push(...parser.push(bytes.subarray(at, at + step)).map(({ bytes }) => bytes));
      }
      assert.deepEqual(parser.finish().problems, []);
      assert.deepEqual(found.map((one) => one.toBase64()), messages.map((one) => Uint8Array.from(one).toBase64()));
    }),
    propertyRuns(500),
  );
});

Deno.test("ExportParser: never throws, and reads no messages out of anything else without a problem", () => {
  fc.assert(
    fc.property(ANY_BYTES, (bytes) => {
      const parser = new ExportParser({ maxMessageBytes: 1_000 });
      parser.push(bytes);
      assert.ok(parser.finish().problems.length > 0);
    }),
    propertyRuns(1_000),
  );
});
