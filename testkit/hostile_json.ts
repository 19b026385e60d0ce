/** Generators (fast-check) of hostile JSON bytes: mostly almost valid, often not UTF-8. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { ANY_PAYLOAD, KNOWN_MEMBERS } from "./payloads.ts";

/**
 * A JSON text under construction. Each character is one byte, so that a piece need not be UTF-8. Use {@link rawOf} for
 * text.
 */
type Raw = string;

/** The bytes of a text, as {@link Raw}. */
function rawOf(text: string): Raw {
  return Buffer.from(text, "utf8").toString("latin1");
}

function bytesOfRaw(raw: Raw): Uint8Array {
  return Uint8Array.from(Buffer.from(raw, "latin1"));
}

/** `good` mostly, `bad` once in this many times: one error in a message tests more than ten. */
export function mostly<T>(good: fc.Arbitrary<T>, bad: fc.Arbitrary<T>, oneIn = 40): fc.Arbitrary<T> {
  return fc.oneof({ weight: oneIn - 1, arbitrary: good }, { weight: 1, arbitrary: bad });
}

/** Names with a meaning for this service or JavaScript, and names without any. */
export const HOSTILE_NAMES = [
  ...KNOWN_MEMBERS,
  ...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "__class__", "toJSON", "then"],
  ...["", " ", "\u0000", "_retry_count\u0000", "_Retry_count", "_retry_count ", "\ufeff_retry_count", "_rétry_count"],
  ...["_remediatio", "_remediation_", "ＡＰＩ_key", "\u{1f600}", "failed_at\u0301"],
] as const;

/** Valid pieces of a string. */
const GOOD_PIECE: fc.Arbitrary<Raw> = fc.oneof(
  fc.string({ maxLength: 8, unit: "grapheme" }).map((text) => rawOf(JSON.stringify(text).slice(1, -1))),
  fc.constantFrom(
    ...['\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000", "\\u001b[2J", "\\u000d\\u000a", "\\u2028"],
    ...["\\ud800", "\\udfff", "\\udc00\\ud800", "\\ud83d\\ude00", "\\uD83D", "\\ufeff", "\\uffff"],
    ...["\u007f", "\u0085", "\u009b", "\u2028", "\ufeff", "\ufffd", "\uffff", "\u{10ffff}", "\u{e0001}"].map(rawOf),
  ),
);
/** Pieces of a string that Python refuses: raw controls, bad escapes, bytes that are not UTF-8. */
const BAD_PIECE: fc.Arbitrary<Raw> = fc.constantFrom(
  ...["\x00", "\x01", "\n", "\r", "\t", "\x1f", "\\", "\\x41", "\\u12", "\\u12g4", "\\U0041", "\\'", "\\\x00", '"'],
  ...["\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\xbd\xed\xb8\x80", "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80"],
  ...["\xff", "\xfe\xff", "\x80", "\xc3", "\xe2\x82", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"],
);

const STRING: fc.Arbitrary<Raw> = fc.array(mostly(GOOD_PIECE, BAD_PIECE), { maxLength: 4 })
  .map((pieces) => `"${pieces.join("")}"`);

/** A name with some characters as escapes, in lower or upper case. */
const KEY: fc.Arbitrary<Raw> = fc.oneof(
  fc.tuple(fc.constantFrom(...HOSTILE_NAMES), fc.array(fc.nat(5), { maxLength: 20 })).map(([name, ways]) =>
    `"${name.split("").map((unit, at) => spell(unit, ways[at] ?? 5)).join("")}"`
  ),
  STRING,
);

function spell(unit: string, way: number): Raw {
  const code = unit.charCodeAt(0);
  const hex = code.toString(16).padStart(4, "0");
  if (way === 0) return `\\u${hex}`;
  if (way === 1) return `\\u${hex.toUpperCase()}`;
  // A lone surrogate is not a character.
  return code >= 0xd800 && code <= 0xdfff ? `\\u${hex}` : rawOf(JSON.stringify(unit).slice(1, -1));
}

const GOOD_NUMBER: fc.Arbitrary<Raw> = fc.oneof(
  fc.integer().map(String),
  fc.double().map((value) => Number.isNaN(value) ? "NaN" : Object.is(value, -0) ? "-0" : String(value)),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.constantFrom("-0", "0e5", "-0.0", "1.0", "1E+2", "1e-400", "1e999", "-1e999", "NaN", "Infinity", "-Infinity"),
  fc.constantFrom(4_299, 4_300).map((digits) => `-${"7".repeat(digits)}`),
  fc.constantFrom("3", "2.9999999999999999", "1000", "1001", "9007199254740993"),
);
const BAD_NUMBER: fc.Arbitrary<Raw> = fc.constantFrom(
  ...[
    "01",
    "-01",
    "+1",
    ".5",
    "5.",
    "1e",
    "1e+",
    "1.e1",
    "0x1",
    "1_0",
    "--1",
    "-",
    "-NaN",
    "nan",
    "inf",
    "1n",
    "٣",
    "²",
  ]
    .map(rawOf),
  "8".repeat(4_301),
);

const SPACE: fc.Arbitrary<Raw> = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("", "", " ") },
  { weight: 3, arbitrary: fc.constantFrom("\t", "\n", "\r\n", "  \n ") },
  { weight: 1, arbitrary: fc.constantFrom("\v", "\f", "\x00", "/**/", ...["\u00a0", "\u2028", "\ufeff"].map(rawOf)) },
);
const GOOD_SPACE: fc.Arbitrary<Raw> = fc.constantFrom("", "", " ", "\t", "\n", "\r\n");
const ANY_SPACE = mostly(GOOD_SPACE, SPACE, 10);

/** Nested containers, mixed or not, closed or not. */
const NEST: fc.Arbitrary<Raw> = fc.record({
  depth: fc.oneof(fc.nat(20), fc.constantFrom(497, 498, 499, 500, 501, 502, 1_000)),
  kinds: fc.constantFrom("[", "{", "[{", "{[[", "[[[{"),
  lost: mostly(fc.constant(0), fc.integer({ min: 1, max: 3 }), 8),
}).map(({ depth, kinds, lost }) => {
  const opened = Array.from({ length: depth }, (_, at) => kinds[at % kinds.length]!);
  // The innermost object is empty: it has no key.
  const open = opened.map((kind, at) => kind === "{" && at < depth - 1 ? '{"a":' : kind).join("");
  const close = opened.reverse().map((kind) => kind === "{" ? "}" : "]").join("");
  return depth === 0 ? "0" : open + close.slice(0, close.length - Math.min(lost, close.length));
});

const SCALAR: fc.Arbitrary<Raw> = fc.oneof(
  STRING,
  mostly(GOOD_NUMBER, BAD_NUMBER),
  mostly(fc.constantFrom("null", "true", "false"), fc.constantFrom("True", "None", "nul", "undefined", "")),
);

const { object: OBJECT, value: VALUE } = fc.letrec<{ value: Raw; object: Raw; array: Raw }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    { weight: 8, arbitrary: SCALAR },
    { weight: 1, arbitrary: NEST },
    { weight: 3, arbitrary: tie("object") },
    { weight: 2, arbitrary: tie("array") },
  ),
  array: fc.array(fc.tuple(ANY_SPACE, tie("value"), ANY_SPACE).map((parts) => parts.join("")), { maxLength: 4 })
    .map((items) => `[${items.join(",")}]`),
  object: fc.tuple(
    fc.array(
      fc.tuple(ANY_SPACE, KEY, ANY_SPACE, ANY_SPACE, tie("value"), ANY_SPACE)
        .map(([a, key, b, c, value, d]) => `${a}${key}${b}:${c}${value}${d}`),
      { maxLength: 6 },
    ),
    mostly(fc.constant(","), fc.constantFrom(",,", ";", " ", ", ,", "")),
    mostly(fc.constant("}"), fc.constantFrom(",}", "", "]", "}}")),
  ).map(([members, comma, close]) => `{${members.join(comma)}${close}`),
}));

/** Damages valid bytes: flips, cuts, doubles, and joins the head of one message to the tail of another. */
const DAMAGE = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at: fc.nat(), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant("cut" as const), at: fc.nat(), length: fc.nat(6) }),
  fc.record({ kind: fc.constant("end" as const), at: fc.nat() }),
  fc.record({ kind: fc.constant("double" as const), at: fc.nat(), length: fc.nat(12) }),
  fc.record({ kind: fc.constant("put" as const), at: fc.nat(), byte: fc.nat(255) }),
);
type Damage = typeof DAMAGE extends fc.Arbitrary<infer T> ? T : never;

function damage(raw: Raw, one: Damage): Raw {
  const at = one.at % (raw.length + 1);
  const [head, tail] = [raw.slice(0, at), raw.slice(at)];
  switch (one.kind) {
    case "flip":
      return head + tail.slice(0, 1).split("").map((c) => String.fromCharCode(c.charCodeAt(0) ^ (1 << one.bit))) +
        tail.slice(1);
    case "cut":
      return head + tail.slice(one.length);
    case "end":
      return head;
    case "double":
      return head + tail.slice(0, one.length) + tail;
    case "put":
      return head + String.fromCharCode(one.byte) + tail;
  }
}

const WHOLE: fc.Arbitrary<Raw> = fc.tuple(
  mostly(GOOD_SPACE, fc.constantFrom("\xef\xbb\xbf", "\x00", "\xfe\xff", ")]}'\n"), 20),
  fc.oneof({ weight: 9, arbitrary: OBJECT }, { weight: 1, arbitrary: VALUE }),
  mostly(GOOD_SPACE, fc.constantFrom("\x00", "\xef\xbb\xbf", "{}", ",", "\x1a"), 20),
).map((parts) => parts.join(""));

/** JSON bytes, valid or broken in ways that could fool a parser. */
export const HOSTILE_JSON: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 5, arbitrary: WHOLE },
  {
    weight: 2,
    arbitrary: fc.tuple(WHOLE, fc.array(DAMAGE, { minLength: 1, maxLength: 3 })).map(([raw, damages]) =>
      damages.reduce(damage, raw)
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(WHOLE, WHOLE, fc.nat(), fc.nat()).map(([a, b, i, j]) =>
      a.slice(0, i % (a.length + 1)) + b.slice(j % (b.length + 1))
    ),
  },
).map(bytesOfRaw);

/** Any content of a dead-letter queue, harmless or hostile. */
export const ANY_BYTES: fc.Arbitrary<Uint8Array> = fc.oneof(HOSTILE_JSON, ANY_PAYLOAD);

/** Hostile text in place of one word or one line. */
export const HOSTILE_TEXT: fc.Arbitrary<string> = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ maxLength: 30, unit: "binary" }),
  fc.array(
    fc.constantFrom(
      ...["\r\n", "\n", "\r", "\u0000", "\u001b[31m", "\u009b2J", "\u0085", "\u2028", "\u2029", "\u202e", "\ufeff"],
      ...[
        "\ud800",
        "\udc00",
        "\u{1f600}",
        "\u007f",
        "\v",
        "\f",
        "\t",
        " ",
        "#",
        "'",
        '"',
        "`",
        "\\",
        "%",
        "$(x)",
        "${x}",
      ],
      ...[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "@",
        "/",
        "?",
        "=",
        "-",
        "0",
        "1",
        "9",
        "e",
        "true",
        "none",
        "auto",
        "__proto__",
      ],
    ),
    { maxLength: 12 },
  ).map((parts) => parts.join("")),
  fc.tuple(fc.constantFrom("x", " ", "\n", "9", "é", "[", "\u0000"), fc.integer({ min: 100, max: 3_000 }))
    .map(([unit, times]) => unit.repeat(times)),
);
