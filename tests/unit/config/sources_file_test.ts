import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_SETTINGS, type Settings } from "../../../src/config/fields.ts";
import { parseSettings } from "../../../src/config/load.ts";
import { MAX_SOURCES, parseSources } from "../../../src/config/sources_file.ts";
import { createSources } from "../../../src/mutt/built_in_sources.ts";

const ORDERS = { dlq: "o:dlq", target: "o", dead: "o:dead" };
const FULL = {
  ...ORDERS,
  counter: "attempts",
  cutOnReplay: ["attempts"],
  required: ["id"],
  maxReplays: 3,
  maxPerSecond: 20,
  targetMaxDepth: 1_000,
  healthUrl: "http://orders:8080/health",
  push: "RPUSH",
};

function problemsOf(text: string, settings: Settings = DEFAULT_SETTINGS): readonly string[] {
  const parsed = parseSources(text, settings);
  return parsed.ok ? [] : parsed.problems;
}

/** Problems of a file with this source `orders`. */
function problemsWith(members: Record<string, unknown>): readonly string[] {
  return problemsOf(JSON.stringify({ sources: { orders: { ...ORDERS, ...members } } }));
}

function setupsOf(sources: Record<string, unknown>, settings: Settings = DEFAULT_SETTINGS) {
  const parsed = parseSources(JSON.stringify({ sources }), settings);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return createSources(settings, parsed.file);
}

const WRONG_FILES: readonly [text: string, problem: RegExp][] = [
  ["", /^the file is empty, not an object \{"sources"/],
  [" \n", /^the file is empty/],
  ["# nothing yet\n---\n", /^the file is empty/],
  ["\0", /^cannot parse as YAML or JSON: invalid UTF-8 text \(line 1, column 1\)$/],
  [`{"sources": {}}\0`, /invalid UTF-8 text \(line 1, column 16\)$/],
  ["{", /^cannot parse as YAML or JSON: unexpected end of file \(line 1, column 2\)$/],
  [`{"sources": {"alerter": {"dlq": "a`, /unexpected end of file \(line 1, column 35\)$/],
  [`{"sources": {} // none\n}`, /unexpected token \(line 1, column 16\)$/],
  [`{"sources": {}}{"sources": {}}`, /unexpected token \(line 1, column 16\)$/],
  ["[".repeat(100_000), /nested deeper than 64 levels \(line 1, column 65\)$/],
  [`{"sources":\n{"a": "\uFFFD"}}`, /invalid UTF-8 text \(line 2, column 8\)$/],
  [`{"sources": {"a": NaN}}`, /^sources\.a "NaN" is not an object/],
  ["null", /^\$ null is not an object/],
  [`{"windows": 5}`, /^windows 5 is not a list of at most 50 windows/],
  [
    `{"windows": [{"from": "0 1 * * *", "to": "0 2 * * *", "reason": "a", "to": "0 3 * * *"}]}`,
    /^windows\[0\]\.to is defined twice/,
  ],
  ["[]", /^\$ \(a list of 0\) is not an object/],
  [`"sources"`, /^\$ "sources" is not an object/],
  ["{}", /^sources is missing/],
  [`{"sources": []}`, /^sources \(a list of 0\) is not an object/],
  [`{"sources": null}`, /^sources null is not an object/],
  [`{"sources": {}, "more": 1}`, /^more is unknown/],
  [`{"sources": {}, "$schema": 5}`, /^\$schema 5 is not a string/],
  [`{"sources": {}, "__proto__": {}}`, /^__proto__ is unknown/],
  [`{"sources": {}, "sources": {}}`, /^sources is defined twice/],
  [`{"sources": {}, "s\\u006furces": {}}`, /^sources is defined twice/],
  [`{"sources": {"alerter": {"maxReplays": 1, "maxReplays": 2}}}`, /^sources\.alerter\.maxReplays is defined twice/],
  [`{"sources": {"alerter": 5}}`, /^sources\.alerter 5 is not an object/],
  [`{"sources": {"alerter": ${"[".repeat(50_000)}${"]".repeat(50_000)}}}`, /nested deeper than 64 levels/],
  // What YAML has beyond JSON, and where it goes wrong.
  ["sources:\n\talerter: {}\n", /a tab cannot indent: use spaces \(line 2, column 1\)$/],
  ["sources:\n  alerter:\n    maxReplays: 3\n   dead: d\n", /inconsistent indentation \(line 4, column 1\)$/],
  ["sources: alerter: {}\n", /a second colon on one line: .* \(line 1, column 10\)$/],
  ["sources: {}\n---\nsources: {}\n", /a second document begins here: only one is allowed \(line 2, column 1\)$/],
  ["%YAML 1.1\n---\nsources: {}\n", /directives \(%\) are not allowed \(line 1, column 1\)$/],
  ["sources: &a {}\n", /anchors \(&name\) are not allowed: .* \(line 1, column 10\)$/],
  ["sources: *a\n", /aliases \(\*name\) are not allowed: .* \(line 1, column 10\)$/],
  ["sources: !!map {}\n", /tags \(!name\) are not allowed \(line 1, column 10\)$/],
  ["sources: {alerter: {maxReplays: !secret-name 3}}\n", /tags \(!name\) are not allowed \(line 1, column 33\)$/],
  ["sources:\n  ? [a]\n  : {}\n", /a name must be a string \(line 2, column 5\)$/],
  ["sources:\n  alerter: {}\n  alerter: {}\n", /^sources\.alerter is defined twice \(line 3, column 3\)$/],
  ["sources: {alerter: {<<: {maxReplays: 3}}}\n", /^sources\.alerter\["<<"\] is unknown/],
  ["sources: {alerter: {maxReplays: 0x10}}\n", /^sources\.alerter\.maxReplays "0x10" is not a whole number/],
  ["sources: {alerter: {maxReplays: 0o7}}\n", /^sources\.alerter\.maxReplays "0o7" is not a whole number/],
  ["sources: {alerter: {maxPerSecond: .inf}}\n", /^sources\.alerter\.maxPerSecond "\.inf" is not 0 or/],
  ["sources: {alerter: {maxReplays: 2026-11-29}}\n", /^sources\.alerter\.maxReplays "2026-11-29" is not/],
  ["sources: {alerter: {dlq: 5}}\n", /^sources\.alerter\.dlq 5 is not a Redis key of 1 to 512 characters/],
  ["sources:\n  alerter:\n    # too many\n    maxReplays: 1e4\n", /maxReplays 10000 is not .* \(line 4, column 5\)$/],
  [" ".repeat(10) + "- ".repeat(300_000), /nested deeper than 64 levels/],
  ["\n".repeat(300_000) + "sources: {}", /more than 200000 tokens/],
];

for (const [text, problem] of WRONG_FILES) {
  Deno.test(`parseSources: refuses ${JSON.stringify(text.slice(0, 70))}`, () => {
    const problems = problemsOf(text);
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0]!, problem);
  });
}

const WRONG_MEMBERS: readonly [member: string, value: unknown, shown: string][] = [
  ...["dlq", "target", "dead"].flatMap((role): [string, unknown, string][] => [
    [role, 5, "5"],
    [role, null, "null"],
    [role, "", '""'],
    [role, "a b", '"a b"'],
    [role, "a\u0000b", '"a\\u0000b"'],
    [role, "\ud800", '"\\ud800"'],
    [role, "x".repeat(513), `"${"x".repeat(80)}…"`],
    [role, ["a"], "(a list of 1)"],
    [role, "mutt:remediation:{o:dlq}:state:oversize", '"mutt:remediation:{o:dlq}:state:oversize"'],
    [role, "mutt:remediation:probe", '"mutt:remediation:probe"'],
  ]),
  ["record", "outside", '"outside"'],
  ["recordId", "", '""'],
  ["recordFor", 0, "0"],
  ["counter", 5, "5"],
  ["counter", "", '""'],
  ["counter", "_remediation", '"_remediation"'],
  ["counter", "headers._remediation.failures", '"headers._remediation.failures"'],
  ["counter", "failed_at.a", '"failed_at.a"'],
  ["counter", "headers.", '"headers."'],
  ["counter", "log\\level", '"log\\\\level"'],
  ["counter", "a.b.c.d.e.f.g.h.i", '"a.b.c.d.e.f.g.h.i"'],
  ["unwrap", "", '""'],
  ["unwrap", ["payload"], "(a list of 1)"],
  ["unwrap", "payload..job", '"payload..job"'],
  ["cutOnReplay", "attempts", '"attempts"'],
  ["cutOnReplay", Array.from({ length: 65 }, (_, i) => `m${i}`), "(a list of 65)"],
  ["required", {}, "(an object)"],
  ["maxReplays", 0, "0"],
  ["maxReplays", 1_001, "1001"],
  ["maxReplays", 2.5, "2.5"],
  ["maxReplays", "3", '"3"'],
  ["maxPerSecond", -1, "-1"],
  ["maxPerSecond", 1e-9, "1e-9"],
  ["maxPerSecond", 1_000_001, "1000001"],
  ["maxPerSecond", "auto", '"auto"'],
  ["maxPerSecond", true, "true"],
  ["targetMaxDepth", -1, "-1"],
  ["targetMaxDepth", null, "null"],
  ["healthUrl", "orders:8080", '"orders:8080"'],
  ["healthUrl", "ftp://user:secret@orders/", '"ftp://[redacted]@orders/"'],
  ["healthUrl", "", '""'],
  ["healthUrl", "http://orders:99999/", '"http://orders:99999/"'],
  ["healthUrl", "http://or\nders/", '"http://or\\nders/"'],
];

for (const [member, value, shown] of WRONG_MEMBERS) {
  Deno.test(`parseSources: refuses ${member} ${shown}`, () => {
    const [problem, ...more] = problemsWith({ [member]: value });
    assert.ok(problem?.startsWith(`sources.orders.${member} ${shown} is not `), problem);
    assert.deepEqual(more, []);
  });
}

const WRONG_TOGETHER: readonly [what: string, sources: Record<string, unknown>, problems: readonly string[]][] = [
  ["a name that is none", { "Orders": ORDERS }, ["sources.Orders is not a source's name"]],
  ["a name that is too long", { ["o".repeat(33)]: ORDERS }, [`sources.${"o".repeat(33)} is not a source's name`]],
  ["a blank in a name", { "a b": ORDERS }, ['sources["a b"] is not a source\'s name']],
  ["an unknown member", { orders: { ...ORDERS, DLQ: "x" } }, ["sources.orders.DLQ is unknown"]],
  ["a member of Object", { orders: { ...ORDERS, constructor: 1 } }, ["sources.orders.constructor is unknown"]],
  ["missing lists", { orders: {} }, [
    "sources.orders.dlq is missing",
    "sources.orders.target is missing",
    "sources.orders.dead is missing",
  ]],
  ["bad items", { orders: { ...ORDERS, required: ["a", 5, "a"], cutOnReplay: ["failed_at"] } }, [
    'sources.orders.cutOnReplay[0] "failed_at" is not',
    "sources.orders.required[1] 5 is not",
    'sources.orders.required[2] "a" is not',
  ]],
  ["a required member that is cut", { orders: { ...ORDERS, required: ["a"], cutOnReplay: ["a"] } }, [
    'sources.orders.required[0] "a" is in sources.orders.cutOnReplay too',
  ]],
  ["a required member inside one that is cut", {
    orders: { ...ORDERS, required: ["id", "headers.id"], cutOnReplay: ["x", "headers"] },
  }, [
    'sources.orders.required[1] "headers.id" is in sources.orders.cutOnReplay too with "headers": no replay could succeed',
  ]],
  ["cuts beside what is replayed", {
    orders: {
      ...ORDERS,
      unwrap: "job.payload",
      cutOnReplay: ["attempts", "job.payload.attempts", "job", "job.payload"],
    },
  }, [
    'sources.orders.cutOnReplay[0] "attempts" is not in what is replayed: only the value of "job.payload" is replayed (sources.orders.unwrap)',
    'sources.orders.cutOnReplay[2] "job" is not in what is replayed',
    'sources.orders.cutOnReplay[3] "job.payload" is not in what is replayed',
  ]],
  ["a record's members without a record", { orders: { ...ORDERS, recordId: "id", recordFor: 1 } }, [
    'sources.orders.recordId has no effect: sources.orders.record is not "beside"',
    'sources.orders.recordFor has no effect: sources.orders.record is not "beside"',
  ]],
  [
    "a name of messages that replays cut",
    { orders: { ...ORDERS, record: "beside", recordId: "id", cutOnReplay: ["id"] } },
    ['sources.orders.recordId "id" is in sources.orders.cutOnReplay too'],
  ],
  [
    "a name of messages inside one that replays cut",
    { orders: { ...ORDERS, record: "beside", recordId: "h.id", cutOnReplay: ["h"] } },
    ['sources.orders.recordId "h.id" is in sources.orders.cutOnReplay too with "h": it would not be the same'],
  ],
  [
    "a name of messages that counts failures",
    { orders: { ...ORDERS, record: "beside", recordId: "id", counter: "id" } },
    ['sources.orders.recordId "id" is in sources.orders.counter too'],
  ],
  ["one key in two roles", { orders: { ...ORDERS, dead: "o" } }, [
    'sources.orders.dead "o" is also the target of source orders (sources.orders.target)',
  ]],
  ["a DLQ of a built-in source", { orders: { ...ORDERS, dlq: "mutt:dlq:alerter" } }, [
    'sources.orders.dlq "mutt:dlq:alerter" is also the DLQ of source alerter (ALERTER_DLQ_NAME)',
  ]],
  ["a DLQ in two sources", { orders: ORDERS, more: { ...ORDERS, target: "m" } }, [
    'sources.more.dlq "o:dlq" is also the DLQ of source orders (sources.orders.dlq)',
  ]],
  ["a target that is a DLQ", { orders: ORDERS, more: { dlq: "m:dlq", target: "o:dlq", dead: "m:dead" } }, [
    'sources.more.target "o:dlq" is also the DLQ of source orders (sources.orders.dlq)',
  ]],
  ["a dead list that another source works on", { orders: ORDERS, more: { dlq: "m:dlq", target: "m", dead: "o" } }, [
    'sources.more.dead "o" is also the target of source orders (sources.orders.target)',
  ]],
  ["a built-in target as a dead list", { orders: { ...ORDERS, dead: "mutt:ingest_queue" } }, [
    'sources.orders.dead "mutt:ingest_queue" is also the target of source alerter (INGEST_QUEUE_NAME)',
  ]],
  ["the forwarder's queue as a DLQ", { orders: { ...ORDERS, dlq: "mutt:alert_queue" } }, [
    'sources.orders.dlq "mutt:alert_queue" is also the target of source moog (ALERT_QUEUE_NAME)',
  ]],
  ["another direction than MUTT's", { moog: { push: "RPUSH" } }, [
    'sources.moog.push "RPUSH" is not LPUSH, by which MUTT pushes',
  ]],
  ["two directions of a list that two sources share", {
    orders: { ...ORDERS, push: "RPUSH" },
    more: { ...ORDERS, dlq: "m:dlq" },
  }, [
    'sources.orders.push "RPUSH" differs from source more (LPUSH), which shares the target "o"',
    'sources.orders.push "RPUSH" differs from source more (LPUSH), which shares the dead list "o:dead"',
  ]],
  ["a dead list that is a DLQ", { alerter: { dead: "o:dlq" }, orders: ORDERS }, [
    'sources.orders.dlq "o:dlq" is also the dead list of source alerter (sources.alerter.dead)',
  ]],
];

for (const [what, sources, expected] of WRONG_TOGETHER) {
  Deno.test(`parseSources: refuses ${what}`, () => {
    const problems = problemsOf(JSON.stringify({ sources }));
    assert.equal(problems.length, expected.length, problems.join("\n"));
    expected.forEach((start, at) => assert.ok(problems[at]!.startsWith(start), problems[at]));
  });
}

Deno.test("parseSources: refuses __proto__ as a source and as a member, and changes no prototype", () => {
  const text = `{"sources": {"__proto__": {"dlq": "a", "target": "b", "dead": "c", "__proto__": {"dlq": 1}}}}`;
  assert.deepEqual(problemsOf(text).map((one) => one.split(/ is (?:not|unknown)/)[0]), [
    "sources.__proto__",
    "sources.__proto__.__proto__",
  ]);
  assert.equal(({} as Record<string, unknown>).dlq, undefined);
});

Deno.test("parseSources: refuses more sources than it serves", () => {
  const many = Object.fromEntries(
    Array.from({ length: MAX_SOURCES + 1 }, (_, i) => [`s${i}`, { dlq: `d${i}`, target: `t${i}`, dead: `x${i}` }]),
  );
  assert.deepEqual(problemsOf(JSON.stringify({ sources: many })), [
    "sources has 101 members, more than 100 (line 1, column 2)",
  ]);
});

Deno.test("parseSources: reads YAML, and the same out of JSON", () => {
  const yaml = `
# The orders of the shop.
$schema: ./sources.schema.json
sources:
  orders:
    dlq: o:dlq
    target: o
    dead: o:dead # kept for a week
    counter: attempts
    cutOnReplay: [attempts]
    push: RPUSH
    required:
      - id
    maxReplays: 3
    maxPerSecond: 2e1
    targetMaxDepth: 1_000
    healthUrl: http://orders:8080/health
`;
  const [, orders] = [yaml.replace("1_000", "1000"), JSON.stringify({ sources: { orders: FULL } })].map((text) => {
    const parsed = parseSources(text, DEFAULT_SETTINGS);
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.deepEqual(parsed.file.sources.get("orders"), FULL);
    return parsed.file.sources;
  });
  assert.deepEqual([...orders!.keys()], ["orders"]);
  const [problem] = problemsOf(yaml);
  assert.match(problem!, /^sources\.orders\.targetMaxDepth "1_000" is not .* \(line 16, column 5\)$/);
});

Deno.test("parseSources: takes words that YAML 1.1 took for booleans and dates for texts", () => {
  for (const word of ["no", "on", "off", "y", "2026-11-29", "12:30:45", "0x10", "1_0", "NaN", ".inf"]) {
    const parsed = parseSources(`sources: {alerter: {dlq: ${word}}}`, DEFAULT_SETTINGS);
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.equal(parsed.file.sources.get("alerter")!.dlq, word);
  }
});

Deno.test("parseSources: takes JSON in every way that it may be written", () => {
  const pretty = JSON.stringify({ sources: { orders: FULL } }, null, "\t");
  for (const text of [pretty, pretty.replaceAll("\n", "\r\n"), `\t${pretty}\n\n`, pretty.replaceAll("/", "\\/")]) {
    const parsed = parseSources(text, DEFAULT_SETTINGS);
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.deepEqual(parsed.file.sources.get("orders"), FULL);
  }
});

Deno.test("parseSources: tells where each problem is", () => {
  const text = `sources:
  orders:
    dlq: ""
    target: o
    dead: o
    required: [id,
      "", id]
    size: 3
  more:
    target: m`;
  assert.deepEqual(problemsOf(text).map((one) => one.replace(/ is .*\(line (\d+), column (\d+)\)$/, " $1:$2")), [
    "sources.orders.size 8:5",
    'sources.orders.dlq "" 3:5',
    'sources.orders.required[1] "" 7:7',
    'sources.orders.required[2] "id" 7:11',
    "sources.more.dlq 9:3",
    "sources.more.dead 9:3",
    'sources.orders.dead "o" 5:5',
  ]);
});

Deno.test("parseSources: tells all problems of a file at once", () => {
  const problems = problemsOf(
    JSON.stringify({ x: 1, sources: { A: 5, orders: { dlq: 1, target: "o", dead: "o", y: 2, maxReplays: 0 } } }),
  );
  assert.equal(problems.length, 7, problems.join("\n"));
});

Deno.test("parseSources: tells a hundred problems one by one, and the number of the others", () => {
  const members = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`m${i}`, i]));
  const problems = problemsWith(members);
  assert.equal(problems.length, 101);
  assert.match(problems[99]!, /^sources\.orders\.m99 is unknown/);
  assert.equal(problems[100], "4900 more problems");
});

Deno.test("parseSources: takes targets and dead lists that sources share", () => {
  const more = { dlq: "m:dlq", target: "mutt:alert_queue", dead: "mutt:dlq:dead" };
  assert.deepEqual(
    problemsOf(JSON.stringify({ sources: { more, orders: ORDERS, others: { ...ORDERS, dlq: "x" } } })),
    [],
  );
});

const NONE: Settings = { ...DEFAULT_SETTINGS, sources: [] };

Deno.test("parseSources: leaves the built-in sources out when REMEDIATION_SOURCES is none", () => {
  // Their lists are then free for sources of one's own.
  const setups = setupsOf({ orders: { ...ORDERS, dlq: DEFAULT_SETTINGS.alerterDlq }, alerter: {} }, NONE);
  assert.deepEqual(setups.map(({ policy }) => policy.name), ["orders"]);
});

Deno.test("parseSources: refuses a file without a source of its own when REMEDIATION_SOURCES is none", () => {
  for (const sources of [{}, { alerter: { maxReplays: 2 } }]) {
    assert.deepEqual(problemsOf(JSON.stringify({ sources }), NONE), [
      "sources names no source of its own, and REMEDIATION_SOURCES is none: no source would be left (line 1, column 2)",
    ]);
  }
});

Deno.test("parseSources: never throws, whatever the text", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
    parseSources(text, DEFAULT_SETTINGS);
    parseSources(`{"sources": ${text}}`, DEFAULT_SETTINGS);
    parseSources(`{"sources": {"orders": ${text}}}`, DEFAULT_SETTINGS);
  }));
});

Deno.test("parseSources: warns of a built-in source that is not switched on", () => {
  const parsed = parseSources(`{"sources": {"moog": {}}}`, DEFAULT_SETTINGS);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.warnings, ["sources.moog has no effect: REMEDIATION_SOURCES does not name moog"]);
});

Deno.test("createSources: keeps a week of records beside the messages unless the file says otherwise", () => {
  const besides = [{ record: "beside" }, { record: "beside", recordId: "id", recordFor: 2 }, { record: "inside" }, {}]
    .map(
      (more) => setupsOf({ orders: { ...ORDERS, ...more } }).at(-1)!.policy.beside,
    );
  assert.deepEqual(besides, [
    { idMember: null, keepMs: 7 * 24 * 3_600_000 },
    { idMember: "id", keepMs: 2 * 3_600_000 },
    undefined,
    undefined,
  ]);
});

Deno.test("createSources: gives a declared source its own gates, pace and limits", () => {
  const [alerter, orders] = setupsOf({ orders: FULL });
  assert.equal(alerter!.policy.name, "alerter");
  assert.deepEqual(orders!.policy, {
    ...{ name: "orders", push: "RPUSH", ...ORDERS, unwrap: null },
    ...{ counter: "attempts", cutOnReplay: ["attempts"], required: ["id"] },
  });
  assert.deepEqual(orders!.gates, [
    "enabled",
    "redis",
    "leader",
    "pause",
    "window",
    "job",
    "consumer",
    "depth",
    "returns",
    "pace",
  ]);
  assert.deepEqual([orders!.maxReplays, orders!.maxPerSecond, orders!.depthLimit.fixed], [3, 20, 1_000]);
  assert.deepEqual(orders!.downstreamQueues, ["o"]);
});

Deno.test("createSources: gives a declared source that names only its lists safe defaults, whatever its name", () => {
  const [, setup] = setupsOf({ constructor: ORDERS });
  assert.deepEqual(setup!.policy, {
    ...{ name: "constructor", push: "LPUSH", ...ORDERS, counter: null, cutOnReplay: [], required: [], unwrap: null },
  });
  assert.deepEqual(setup!.gates, ["enabled", "redis", "leader", "pause", "window", "job", "depth", "returns", "pace"]);
  assert.deepEqual([setup!.maxReplays, setup!.maxPerSecond, setup!.depthLimit.fixed], [null, 0, 1_000]);
  assert.deepEqual(setup!.display, { show: [], groupBy: [], secret: [] });
});

Deno.test("createSources: takes the members to show, to group by and to hide from the file", () => {
  const [alerter, orders] = setupsOf({
    alerter: { secret: ["pin"] },
    orders: { ...ORDERS, show: ["id"], groupBy: ["error"] },
  });
  assert.deepEqual(alerter!.display, {
    ...{ show: ["hostname", "severity", "message"], groupBy: ["message"], secret: ["pin"] },
  });
  assert.deepEqual(orders!.display, { show: ["id"], groupBy: ["error"], secret: [] });
});

Deno.test("createSources: overrides single members of a built-in source, and switches none on", () => {
  const [plain] = setupsOf({});
  const setups = setupsOf({ alerter: { maxPerSecond: 10, target: "t", counter: null }, moog: { maxReplays: 2 } });
  assert.equal(setups.length, 1);
  assert.deepEqual(setups[0], {
    ...plain!,
    policy: { ...plain!.policy, target: "t", counter: null },
    maxPerSecond: 10,
    provenByAlerts: false,
    otherAlertDlqs: [],
    downstreamQueues: ["t", "mutt:alert_queue"],
  });
});

Deno.test("parseSettings: reports a sources file that cannot be read beside every other problem", () => {
  const loaded = parseSettings({
    environment: { REMEDIATION_SOURCES_PATH: "/none.json", REMEDIATION_INTERVAL: "x" },
    dotEnv: {},
    readFile: () => {
      throw new Deno.errors.NotFound();
    },
  });
  assert.ok(!loaded.ok);
  assert.equal(loaded.problems.length, 2);
  assert.equal(
    loaded.problems[1],
    'REMEDIATION_SOURCES_PATH "/none.json" cannot be read: NotFound ' +
      "(expected: a regular file of at most 1048576 bytes that this user may read)",
  );
});
