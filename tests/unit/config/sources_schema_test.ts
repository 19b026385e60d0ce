/** `docs/sources.schema.json` under a validator of others: it must say what the loader does, so that an editor can be believed. */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { parse } from "yaml";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { SOURCE_MEMBERS } from "../../../src/config/source_fields.ts";
import { MAX_SOURCES, parseSources } from "../../../src/config/sources_file.ts";
import schema from "../../../docs/sources.schema.json" with { type: "json" };

// Strict: an unknown word in the schema is an error, and not passed over.
const fitsSchema = new Ajv2020({ strict: true, strictTypes: false }).compile(schema);
const fitsLoader = (text: string) => parseSources(text, DEFAULT_SETTINGS).ok;

const LISTS = { dlq: "o:dlq", target: "o", dead: "o:dead" };
const orders = (members: Record<string, unknown>) => ({ sources: { orders: { ...LISTS, ...members } } });
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`);

const NIGHT = { from: "0 22 * * *", to: "0 6 * * *", reason: "Moogsoft is maintained" };

/** The issue's example. */
const ISSUE = `{"sources":{"orders":{"dlq":"orders:dlq","target":"orders","dead":"orders:dead","counter":"attempts",
  "cutOnReplay":["attempts"],"required":["id"],"maxReplays":3,"maxPerSecond":20,"targetMaxDepth":1000,
  "healthUrl":"http://orders:8080/health"},"alerter":{"maxPerSecond":10}}}`;
const PAGE = Deno.readTextFileSync(new URL("../../../docs/sources.md", import.meta.url));
const YAML_EXAMPLES = [...PAGE.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => text!);
const PAGE_EXAMPLES = [...PAGE.matchAll(/^```json\n(.*?)^```/gms), ...PAGE.matchAll(/`(\{"sources":.*?)`/g)]
  .map(([, text]) => text!);

const GOOD: readonly unknown[] = [
  { sources: {} },
  { windows: [] },
  { windows: [NIGHT], sources: {} },
  { windows: [{ ...NIGHT, timeZone: "Europe/Berlin", replay: "only" }] },
  { windows: [{ from: "2026-12-24T18:00", to: "2026-12-27T06:00:30", reason: "x".repeat(200) }] },
  { sources: { alerter: { windows: Array(50).fill(NIGHT) } } },
  orders({ windows: [{ from: "*/30 22,23 * * FRI#2", to: "0 6 1-7 * MON-FRI", reason: "ü" }] }),
  { $schema: "x", sources: {} },
  orders({ dlq: "mutt:remediation", target: "mutt:remediation2:dlq", dead: "a:mutt:remediation:b" }),
  { sources: { alerter: {}, moog: { maxPerSecond: "auto" } } },
  { sources: { constructor: LISTS, [`a${"-".repeat(31)}`]: { dlq: "a", target: "b", dead: "c" } } },
  ...[null, "attempts", "an attempt", "ü", "😀".repeat(128)].flatMap((
    counter,
  ) => [orders({ counter }), orders({ unwrap: counter })]),
  ...[
    "headers.retries",
    "log\\.level",
    "a\\\\.b",
    "a.b.c.d.e.f.g.h",
    "a.failed_at",
    "a\\._remediation",
    "_remediation_.a",
  ].map(
    (counter) => orders({ counter }),
  ),
  ...[[], ["a"], numbered(64)].map((required) => orders({ required })),
  ...[1, 1_000, 3.0].map((maxReplays) => orders({ maxReplays })),
  ...["inside", "beside"].map((record) => orders({ record })),
  orders({ record: "beside", recordId: "an id", recordFor: 8_760 }),
  ...[0, 0.001, 0.5, 1_000_000].map((maxPerSecond) => orders({ maxPerSecond })),
  ...[0, 1_000_000_000].map((targetMaxDepth) => orders({ targetMaxDepth })),
  ...["HTTPS://o", "http://ö:8080/a?b#c", "http://u:p@[::1]:80/"].map((healthUrl) => orders({ healthUrl })),
  orders({ dlq: "😀".repeat(512) }),
  ...["LPUSH", "RPUSH"].map((push) => orders({ push })),
  { sources: { alerter: { push: "LPUSH" } } },
];

for (const text of [ISSUE, ...PAGE_EXAMPLES, ...GOOD.map((file) => JSON.stringify(file))]) {
  Deno.test(`sources.schema.json: takes, as the loader does, ${text.slice(0, 60)}`, () => {
    assert.ok(fitsLoader(text), JSON.stringify(parseSources(text, DEFAULT_SETTINGS)));
    assert.ok(fitsSchema(JSON.parse(text)), JSON.stringify(fitsSchema.errors));
  });
}

Deno.test("sources.schema.json: the page has examples that are tried", () => assert.equal(PAGE_EXAMPLES.length, 2));

/** Values of which each is wrong for every member but those named. */
const WRONG_VALUES: readonly [value: unknown, ...goodFor: string[]][] = [
  [null, "counter", "unwrap"],
  [true],
  [{}],
  [""],
  [[], "cutOnReplay", "required", "show", "groupBy", "secret", "windows"],
  [5, "maxReplays", "maxPerSecond", "targetMaxDepth"],
  [-1],
  [0, "maxPerSecond", "targetMaxDepth"],
  [2.5, "maxPerSecond"],
  [1e-9],
  [1e300],
  ["\ud800"],
  ["a\u0000b"],
  [[1]],
  [["a", "a"]],
  [[["a"]]],
  [["failed_at"]],
];

const BAD: readonly unknown[] = [
  ...[null, [], 5, "x", true, {}, { sources: null }, { sources: [] }, { sources: 5 }, { sources: "x" }],
  { sources: {}, more: 1 },
  ...[null, {}, "x", [null], [5], [[]], Array(51).fill(NIGHT)].flatMap((windows) => [{ windows }, orders({ windows })]),
  ...["from", "to", "reason"].map((member) => ({ windows: [{ ...NIGHT, [member]: undefined }] })),
  ...["from", "to", "reason", "timeZone", "replay"].flatMap((member) =>
    [null, 5, "", [], "x".repeat(201)].map((value) => ({ windows: [{ ...NIGHT, [member]: value }] }))
  ).filter(({ windows: [window] }) => !(window && "timeZone" in window && String(window.timeZone).length === 201)),
  ...["22:00", "0 22 * *", "0 0 22 * * FRI", "@daily", "2026-12-24", "2026-12-24T18:00Z"].map((from) => ({
    ...{ windows: [{ ...NIGHT, from }] },
  })),
  ...[" ", "a\nb", "a\u202eb"].map((reason) => ({ windows: [{ ...NIGHT, reason }] })),
  { windows: [{ ...NIGHT, until: "x" }] },
  { windows: [{ ...NIGHT, replay: "sometimes" }] },
  { $schema: 5, sources: {} },
  ...["dlq", "target", "dead"].map((role) => orders({ [role]: "mutt:remediation:{o:dlq}:state:shelf" })),
  ...["Orders", "a b", "", "1a", "ö", "a.b", "o".repeat(33)].map((name) => ({ sources: { [name]: LISTS } })),
  ...[null, 5, [], "x"].map((orders) => ({ sources: { orders, alerter: orders } })),
  ...SOURCE_MEMBERS.flatMap((member) =>
    WRONG_VALUES.filter(([, ...goodFor]) => !goodFor.includes(member)).flatMap(([value]) => [
      orders({ [member]: value }),
      { sources: { alerter: { [member]: value } } },
    ])
  ),
  ...["dlq", "target", "dead"].flatMap((list) => [
    { sources: { orders: { ...LISTS, [list]: undefined } } },
    ...["a b", "a\tb", "a\u00a0b", "x".repeat(513)].map((key) => orders({ [list]: key })),
  ]),
  ...["DLQ", "constructor", "toString", "", "dlq "].map((member) => orders({ [member]: 1 })),
  ...[
    ...["_remediation", "failed_at", "x".repeat(129), "a.", ".a", "a..b", "a\\b", "a\\", "a.b.c.d.e.f.g.h.i"],
    ...["a._remediation", "_remediation.a", "a.b._remediation.c", "failed_at.a", "a.\n"],
  ].flatMap((name) => [
    orders({ unwrap: name }),
    orders({ show: [name] }),
    orders({ groupBy: [name] }),
    orders({ counter: name }),
    orders({ cutOnReplay: [name] }),
    orders({ required: [name] }),
  ]),
  orders({ required: numbered(65) }),
  orders({ maxPerSecond: "auto" }),
  ...["lpush", "right", "RPUSH ", ["RPUSH"]].map((push) => orders({ push })),
  { sources: { alerter: { push: "RPUSH" }, moog: { push: "RPUSH" } } },
  { sources: { alerter: { maxPerSecond: "fast" } } },
  orders({ maxReplays: 1_001 }),
  ...[{ recordId: "id" }, { recordFor: 1 }].flatMap((more) => [orders(more), orders({ record: "inside", ...more })]),
  ...[{ recordId: "_remediation" }, { recordFor: 0 }, { recordFor: 8_761 }].map((more) =>
    orders({ record: "beside", ...more })
  ),
  orders({ maxPerSecond: 1_000_001 }),
  ...["orders:8080", "ftp://o/", "http://", "http:///o", "http:/o", " http://o", "http://o/a b", "http://o\n", "//o"]
    .map((healthUrl) => orders({ healthUrl })),
  {
    sources: Object.fromEntries(
      numbered(MAX_SOURCES + 1).map((name) => [name, { dlq: `${name}:d`, target: `${name}:t`, dead: `${name}:x` }]),
    ),
  },
];

Deno.test("sources.schema.json: takes, as the loader does, the YAML of the page", () => {
  assert.equal(YAML_EXAMPLES.length, 6);
  for (const text of YAML_EXAMPLES) {
    assert.ok(fitsLoader(text), JSON.stringify(parseSources(text, DEFAULT_SETTINGS)));
    assert.ok(fitsSchema(parse(text)), JSON.stringify(fitsSchema.errors));
  }
});

for (const [number, text] of [...BAD.map((file) => JSON.stringify(file)), protoFile()].entries()) {
  Deno.test(`sources.schema.json: refuses, as the loader does, no. ${number}: ${text.slice(0, 90)}`, () => {
    assert.equal(fitsLoader(text), false);
    assert.equal(fitsSchema(JSON.parse(text)), false);
  });
}

/** Made as text: in an object of this program's the name would not be a member. */
function protoFile(): string {
  return `{"sources": {"__proto__": ${JSON.stringify(LISTS)}}}`;
}

/** What compares values with one another or with the settings, and what a parser has lost: only the loader can say it. */
const BEYOND_A_SCHEMA: readonly [rule: string, text: string][] = [
  ["a name stands twice", `{"sources": {}, "sources": {}}`],
  ["a list has two roles in a source", JSON.stringify(orders({ dead: "o" }))],
  ["a DLQ belongs to two sources", JSON.stringify({ sources: { a: LISTS, b: { ...LISTS, target: "b", dead: "c" } } })],
  ["a target is another source's DLQ", JSON.stringify({ sources: { a: LISTS, alerter: { target: "o:dlq" } } })],
  ["a DLQ is one of the variables'", JSON.stringify(orders({ dlq: DEFAULT_SETTINGS.alerterDlq }))],
  ["a shared list has one direction", JSON.stringify(orders({ push: "RPUSH", dead: DEFAULT_SETTINGS.deadList }))],
  ["a required member is cut", JSON.stringify(orders({ required: ["a"], cutOnReplay: ["a"] }))],
  ["a cron expression never happens", JSON.stringify({ windows: [{ ...NIGHT, from: "0 0 31 2 *" }] })],
  ["a field is out of bounds", JSON.stringify({ windows: [{ ...NIGHT, from: "61 25 * * *" }] })],
  [
    "a day does not exist",
    JSON.stringify({ windows: [{ ...NIGHT, from: "2026-02-30T00:00", to: "2026-03-01T00:00" }] }),
  ],
  ["a time zone exists", JSON.stringify({ windows: [{ ...NIGHT, timeZone: "Mars/X" }] })],
  [
    "a window ends before it begins",
    JSON.stringify(orders({ windows: [{ ...NIGHT, from: "2026-12-24T18:00", to: "2026-12-24T18:00" }] })),
  ],
  ["a window repeats and happens once", JSON.stringify({ windows: [{ ...NIGHT, to: "2026-12-24T18:00" }] })],
  ["a window ends when it begins", JSON.stringify({ windows: [{ ...NIGHT, to: "00 22 * * *" }] })],
  ["a URL's host or port is none", JSON.stringify(orders({ healthUrl: "http://o:99999/" }))],
];

for (const [rule, text] of BEYOND_A_SCHEMA) {
  Deno.test(`sources.schema.json: leaves to the loader whether ${rule}`, () => {
    assert.equal(fitsLoader(text), false);
    assert.ok(fitsSchema(JSON.parse(text)));
  });
}
