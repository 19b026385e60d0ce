/** Messages for tests: realistic ones, handwritten hostile ones, and generators (fast-check). */
import fc from "fast-check";

/** The UTF-8 bytes of a text. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Decodes bytes, with `U+FFFD` for invalid UTF-8. Keeps a byte order mark. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/**
 * An event as MUTT's alerter dead-letters it, in Python's format. Inserts the JSON text `more` before the last brace.
 */
export function alerterMessage(more = '"_retry_count": 4'): string {
  return '{"timestamp": "2025-01-15T14:30:29Z", "hostname": "core-1", "message": "link down", ' +
    `"_correlation_id": "7e0b5f0c-1111-4222-8333-444455556666"${more === "" ? "" : `, ${more}`}}`;
}

/** An object with `depth` nested containers. */
export function nestedObject(depth: number): string {
  return `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
}

/** Texts that CPython's `json.loads` reads as an object, so this service must too. */
export const READABLE_TEXTS: readonly string[] = [
  "{}",
  "{ }",
  " \t\n\r{ \t\n\r} \t\n\r",
  '{"a":1}',
  '{ "a" : 1 , "b" : [ ] , "c" : { } }',
  '{"a":NaN,"b":Infinity,"c":-Infinity}',
  '{"a":1,"a":2,"\\u0061":3}',
  '{"a":"\\ud800","\\udfff":"\\ud83d\\ude00"}',
  '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u00E4"}',
  '{"a":"\u007f\u2028\u2029\ufeff\u00e4\u20ac\u{1f600}"}',
  '{"":0,"a":-0,"b":0.0,"c":1e5,"d":1E+5,"e":1.5e-5,"f":-1.0,"g":0e0}',
  '{"a":1e400,"b":-1e400,"c":1e-400}',
  '{"a":12345678901234567890123456789012345678901234567890}',
  '{"a":[1,[2,[3,{"b":[]}]],{}],"c":null,"d":true,"e":false}',
  '{"a":{"_retry_count":9,"_remediation":{}},"b":"\\"_retry_count\\": 9"}',
  nestedObject(499),
  nestedObject(500),
  `{"a":${"9".repeat(4300)}}`,
  `{"a":-${"9".repeat(4300)}}`,
  `{"a":[{"b":${"9".repeat(4300)}}]}`,
  `{"a":${"9".repeat(5000)}.0,"b":0.${"9".repeat(5000)},"c":${"9".repeat(5000)}e5}`,
  `{"a":"${"9".repeat(5000)}"}`,
  alerterMessage(),
];

/** Texts that CPython reads as a value that is not an object. */
export const NOT_AN_OBJECT_TEXTS: readonly string[] = [
  "[]",
  "[1, 2]",
  '[{"a": 1}]',
  '"text"',
  '"{}"',
  "42",
  "-0.5e3",
  "null",
  " true ",
  "NaN",
  "-Infinity",
];

/** Texts that CPython's `json.loads` refuses or that would break a consumer. */
export const UNREADABLE_TEXTS: readonly string[] = [
  "",
  " ",
  "{",
  "}",
  "{]",
  '{"a"',
  '{"a":',
  '{"a":}',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  "{,}",
  '{"a" 1}',
  '{"a"::1}',
  '{"a":1 "b":2}',
  '{"a":1;"b":2}',
  "{a:1}",
  "{'a':1}",
  "{1:1}",
  '{"a":1}}',
  '{"a":1} x',
  '{"a":1}\u0000',
  '{"a":1}{"a":1}',
  '{"a":1}\u00a0',
  '{\u000b"a":1}',
  '{\u000c"a":1}',
  '\ufeff{"a":1}',
  '{"a":1}\ufeff',
  '{"a":"\u0000"}',
  '{"a":"\u001f"}',
  '{"a":"\n"}',
  '{"\t":1}',
  '{"a":"',
  '{"a":"\\',
  '{"a":"\\"}',
  '{"a":"\\x41"}',
  '{"a":"\\u"}',
  '{"a":"\\u00g0"}',
  '{"a":"\\u004"}',
  '{"a":"\\U0041"}',
  '{"a":"\\u+041"}',
  '{"a":01}',
  '{"a":-01}',
  '{"a":00}',
  '{"a":+1}',
  '{"a":.5}',
  '{"a":5.}',
  '{"a":-}',
  '{"a":1e}',
  '{"a":1e+}',
  '{"a":1.e5}',
  '{"a":0x10}',
  '{"a":1_000}',
  '{"a":-NaN}',
  '{"a":+Infinity}',
  '{"a":Infinit}',
  '{"a":nan}',
  '{"a":True}',
  '{"a":None}',
  '{"a":tru}',
  '{"a":nulll}',
  '{"a":undefined}',
  '{"a":[}',
  '{"a":[1,]}',
  '{"a":[,1]}',
  '{"a":[,]}',
  '{"a":[1 2]}',
  '{"a":[1}}',
  '{"a":{"b":}}',
  '{"a":{"b"}}',
  '{"a":{"b":1,}}',
  '{"a":{,"b":1}}',
  '{"a":{1}}',
  '{"a":{]}',
  '{"a":1/*c*/}',
  '{"a":1}//c',
  "[",
  "[1",
  '"a',
  "-",
  nestedObject(501),
  "[".repeat(501) + "]".repeat(501),
  nestedObject(100_000),
  "[".repeat(100_000),
  '{"a":'.repeat(100_000),
  `{"a":${"9".repeat(4301)}}`,
  `{"a":-${"9".repeat(4301)}}`,
  `{"a":[{"b":${"9".repeat(4301)}}]}`,
  "9".repeat(4301),
];

/** Invalid UTF-8, mostly inside otherwise valid messages. */
export const NOT_UTF8: readonly Uint8Array[] = [
  [0xff],
  [0x80],
  [0xc3],
  [0xc0, 0x80],
  [0xc1, 0xbf],
  [0xe0, 0x9f, 0xbf],
  [0xe2, 0x82],
  [0xed, 0xa0, 0x80],
  [0xed, 0xb0, 0x80],
  [0xf0, 0x8f, 0xbf, 0xbf],
  [0xf0, 0x9f, 0x98],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0xfe, 0xff],
].flatMap((bad) => [
  Uint8Array.from(bad),
  Uint8Array.from([...bytesOf('{"hostname":"'), ...bad, ...bytesOf('"}')]),
  Uint8Array.from([...bytesOf('{"a":1,"'), ...bad, ...bytesOf('":1}')]),
]);

/** All hostile messages above, as bytes. */
export const HOSTILE_PAYLOADS: readonly Uint8Array[] = [
  ...[...READABLE_TEXTS, ...NOT_AN_OBJECT_TEXTS, ...UNREADABLE_TEXTS].map(bytesOf),
  ...NOT_UTF8,
];

/** Member names with a meaning for this service or its consumers. */
export const KNOWN_MEMBERS = [
  "_remediation",
  "failed_at",
  "_retry_count",
  "_moog_retry_count",
  "shedding_reason",
  "hostname",
  "timestamp",
  "message",
  "_correlation_id",
  "api_key",
] as const;

const WHITE_SPACE = fc.array(fc.constantFrom(" ", "\t", "\n", "\r"), { maxLength: 2 }).map((parts) => parts.join(""));
const SPACE = fc.oneof({ weight: 3, arbitrary: fc.constantFrom("", " ") }, WHITE_SPACE);

const NUMBER_TEXT = fc.oneof(
  fc.constantFrom(
    "0",
    "-0",
    "0.0",
    "0e5",
    "1e-400",
    "1",
    "2",
    "2.9",
    "3",
    "3.0",
    "6",
    "-1",
    "1e400",
    "NaN",
    "Infinity",
  ),
  fc.constantFrom("-Infinity", "1000", "1001", "9007199254740993", "12345678901234567890", "1.0", "1E2"),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
);

/** A string literal with some needless escapes. */
function literalOf(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(text, fc.array(fc.boolean(), { maxLength: 12 })).map(([plain, escaped]) => {
    const characters = Array.from(
      plain,
      (character, i) => escaped[i] === true ? escapeAll(character) : quoted(character),
    );
    return `"${characters.join("")}"`;
  });
}

function escapeAll(character: string): string {
  return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

function quoted(character: string): string {
  return JSON.stringify(character).slice(1, -1);
}

const ANY_STRING = literalOf(fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ maxLength: 6, unit: "binary" }),
  fc.constantFrom("", "\ud800", "\u0000", '"_retry_count": 9', "{}", "\u2028", "\ufeff", "\u007f"),
));
const ANY_KEY = fc.oneof(literalOf(fc.constantFrom(...KNOWN_MEMBERS)), ANY_STRING);

function objectText(value: fc.Arbitrary<string>, key: fc.Arbitrary<string> = ANY_KEY): fc.Arbitrary<string> {
  const member = fc.tuple(SPACE, key, SPACE, SPACE, value, SPACE).map(([a, name, b, c, json, d]) =>
    `${a}${name}${b}:${c}${json}${d}`
  );
  return fc.tuple(SPACE, fc.array(member, { maxLength: 7 })).map(([space, members]) =>
    members.length === 0 ? `{${space}}` : `{${members.join(",")}}`
  );
}

const SCALAR_TEXT = fc.oneof(NUMBER_TEXT, ANY_STRING, fc.constantFrom("null", "true", "false", '""', "[]", "{ }"));
const RECORD_TEXT = objectText(
  fc.oneof(NUMBER_TEXT, fc.constantFrom('"alerter"', '"moog"', "411", "412", "null")),
  literalOf(fc.constantFrom("failures", "excused", "evidence", "sheds", "since", "cycle", "source", "reason")),
);
const { value: VALUE_TEXT } = fc.letrec<{ value: string; array: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    SCALAR_TEXT,
    RECORD_TEXT,
    tie("array"),
    objectText(tie("value")),
  ),
  array: fc.array(fc.tuple(SPACE, tie("value"), SPACE).map((parts) => parts.join("")), { maxLength: 4 })
    .map((items) => `[${items.join(",")}]`),
}));

/** JSON objects that Python reads: any white space, odd keys and numbers, duplicate keys, decoys, our own stamps. */
export const OBJECT_TEXT: fc.Arbitrary<string> = fc.tuple(SPACE, objectText(VALUE_TEXT), SPACE)
  .map((parts) => parts.join(""));

/** Readable events with the members that the alerter requires, among odd ones. */
export const EVENT_TEXT: fc.Arbitrary<string> = OBJECT_TEXT.map((text) => {
  const inside = text.trim().slice(1, -1);
  const comma = inside.trim() === "" ? "" : ",";
  return `{${inside}${comma}"hostname":"h","timestamp":"2025-01-15T14:30:29Z","message":"m"}`;
});

/** Messages with changed, removed or doubled bytes; few stay readable. */
export const DAMAGED_BYTES: fc.Arbitrary<Uint8Array> = fc.tuple(
  fc.oneof(OBJECT_TEXT, EVENT_TEXT),
  fc.array(
    fc.record({
      at: fc.nat(10_000),
      drop: fc.nat(2),
      put: fc.oneof(fc.uint8Array({ maxLength: 2 }), fc.constantFrom(...'{}[]",:\\u0-.eE '.split("")).map(bytesOf)),
    }),
    { minLength: 1, maxLength: 3 },
  ),
).map(([text, damages]) =>
  damages.reduce((bytes, { at, drop, put }) => {
    const place = at % (bytes.length + 1);
    return Uint8Array.from([...bytes.subarray(0, place), ...put, ...bytes.subarray(place + drop)]);
  }, bytesOf(text))
);

/** Any content of a dead-letter queue. */
export const ANY_PAYLOAD: fc.Arbitrary<Uint8Array> = fc.oneof(
  OBJECT_TEXT.map(bytesOf),
  EVENT_TEXT.map(bytesOf),
  VALUE_TEXT.map(bytesOf),
  DAMAGED_BYTES,
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(...HOSTILE_PAYLOADS.filter((bytes) => bytes.length < 10_000)),
);

/** Whether to run the long form of tests: `MUTT_TEST_FULL=1`. */
export function isLongForm(): boolean {
  return Deno.env.get("MUTT_TEST_FULL") !== undefined;
}

/** Factor for the number of runs in the long form. */
const LONG_FORM = 20;

/**
 * Parameters for `fc.assert`. `FC_SEED` sets the seed; on a failure fast-check prints the seed it used. The long form
 * has twenty times the runs.
 */
export function propertyRuns(numRuns: number): { numRuns: number; seed?: number } {
  const runs = isLongForm() ? numRuns * LONG_FORM : numRuns;
  const seed = Deno.env.get("FC_SEED");
  return seed === undefined ? { numRuns: runs } : { numRuns: runs, seed: Number(seed) };
}
