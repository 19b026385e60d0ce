import assert from "node:assert/strict";
import fc from "fast-check";
import {
  describeEntry,
  ENTRY_KINDS,
  formatEntry,
  journalOf,
  type NewEntry,
  parseEntry,
} from "../../../src/journal/entries.ts";

const WHO = { at: "2026-01-02T03:04:05.678Z", instance: "pod (1234abcd)" };

const ENTRIES: readonly { entry: NewEntry; text: string }[] = [
  {
    entry: {
      ...{ kind: "operation", actor: "ann", role: "operator", operation: "redrive", source: "alerter" },
      ...{ input: { query: "severity:high" }, result: "ok", correlationId: "c-1", job: "j_1", messages: ["m_1"] },
    },
    text: "ann ran redrive on alerter: ok",
  },
  {
    entry: { kind: "config", origin: "dynamic_key", result: "applied", detail: "moog_rate_limit is now 5" },
    text: "Dynamic key applied: moog_rate_limit is now 5",
  },
  {
    entry: { kind: "config", origin: "sources_file", result: "rejected", detail: "orders: no dlq" },
    text: "Sources file rejected: orders: no dlq",
  },
  { entry: { kind: "service", event: "started", version: "2.0" }, text: "Version 2.0 started on pod (1234abcd)" },
  { entry: { kind: "leader", source: "moog", event: "gained" }, text: "pod (1234abcd) leads moog" },
  { entry: { kind: "leader", source: "moog", event: "lost" }, text: "pod (1234abcd) no longer leads moog" },
  {
    entry: { kind: "job", source: "moog", job: "j_1", actor: "ann", verb: "purge", state: "done", detail: "" },
    text: "Job j_1 (purge) of ann is done",
  },
  {
    entry: { kind: "drill", source: "moog", drill: "d_1", actor: "ann", state: "healed", detail: "9 of 9 arrived" },
    text: "Drill d_1 of ann is over (healed): 9 of 9 arrived",
  },
  {
    entry: {
      ...{ kind: "incident", incident: "i_1", event: "began", source: null, reason: "redis" },
      detail: "Redis does not answer",
    },
    text: "Incident began: Redis does not answer",
  },
];

for (const { entry, text } of ENTRIES) {
  Deno.test(`entries: one is parsed as it was formatted, and described: ${text}`, () => {
    const parsed = parseEntry(formatEntry(entry, WHO));
    assert.deepEqual(parsed, { ...entry, ...WHO });
    assert.equal(describeEntry(parsed), text);
    assert.equal(journalOf(entry), entry.kind === "incident" ? "incidents" : "audit");
  });
}

Deno.test("entries: the table above has every kind but a move, which the commit's store writes", () => {
  assert.deepEqual(new Set(["move", ...ENTRIES.map(({ entry }) => entry.kind)]), new Set(ENTRY_KINDS));
});

const invalid: readonly [text: string, problem: RegExp][] = [
  ["", /not JSON/],
  ["[]", /not an object/],
  ["null", /not an object/],
  ["7", /not an object/],
  ["{}", /kind is unknown/],
  [`{"kind": "constructor"}`, /kind is unknown/],
  [`{"kind": "service"}`, /missing or of the wrong type: at, instance, event, version/],
  [`{"kind": "service", "at": "", "instance": "", "event": "slept", "version": 2}`, /wrong type: event, version/],
  [
    `{"kind":"move","sequence":"1","cycle":-1,"replayed":1.5,"dead":{"poison":"x"},"bytes":0,"samples":[1],"job":null,"instance":""}`,
    /wrong type: cycle, replayed, dead, samples/,
  ],
];

for (const [text, problem] of invalid) {
  Deno.test(`parseEntry: says what is wrong with ${text || "nothing"}`, () => {
    const entry = parseEntry(text);
    assert.ok(entry.kind === "invalid");
    assert.match(entry.problem, problem);
    assert.match(describeEntry(entry), /^Not an entry of this service: /);
  });
}

Deno.test("parseEntry: never throws, whatever is there", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void describeEntry(parseEntry(text))));
});

Deno.test("formatEntry: cuts what is long, and stays an entry", () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 3_000 }),
      fc.array(fc.string({ maxLength: 300 }), { maxLength: 100 }),
      (long, many) => {
        const input = Object.fromEntries(many.map((text, i) => [`${i}`, text + long]));
        const entry: NewEntry = {
          ...{ kind: "operation", actor: long, role: "admin", operation: "edit", source: null, input, result: long },
          ...{
            correlationId: null,
            job: null,
            messages: many.map(() => "m_0123456789abcdef"),
          },
        };
        const text = formatEntry(entry, WHO);
        assert.ok(text.length <= 8_192 * 2, String(text.length));
        assert.equal(parseEntry(text).kind, "operation");
      },
    ),
  );
});
