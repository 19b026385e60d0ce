import assert from "node:assert/strict";
import fc from "fast-check";
import { INCIDENT_KINDS, type IncidentKind } from "../../../src/config/notify.ts";
import { findTemplateProblems, GROUP_NAMES, TEMPLATE_NAMES } from "../../../src/config/notify_template.ts";
import { viewPath } from "../../../src/console/messages_view.ts";
import { describeIncident } from "../../../src/notify/incident_words.ts";
import type { Incident, NoticeEvent } from "../../../src/notify/notice.ts";
import { cleanText, cut, escapeWithin, MAX_TEXT, MAX_TITLE } from "../../../src/notify/receivers/text.ts";
import { composeNotice } from "../../../src/notify/wording.ts";
import { BASE, BEGAN_MS, INCIDENT } from "../../../testkit/notify.ts";

const AT_MS = BEGAN_MS + 300_000, CONSOLE = "https://remediation.example.org";

function describe(event: NoticeEvent, incident: Partial<Incident>, atMs = AT_MS) {
  return describeIncident({ event, incident: { ...INCIDENT, ...incident }, atMs }, CONSOLE);
}

const group = (source: string, count: number) => ({ source, count, sample: null });

/** Title when it begins and when it ends, and the page: of one source, of two, of none in particular. */
const KINDS: Readonly<Record<IncidentKind, readonly [cause: string, began: string, ended: string, page: string]>> = {
  dead: [
    "malformed",
    "Malformed messages in alerter: 7 since 14:02 UTC",
    "Over: malformed messages in alerter, for 5 min",
    "/messages?source=alerter&list=dead",
  ],
  gate_closed: [
    "downstream",
    "Gate downstream closed in alerter since 14:02 UTC",
    "Over: gate downstream closed in alerter, for 5 min",
    "/sources/alerter",
  ],
  depth: [
    "depth",
    "Too many messages in alerter: 7 since 14:02 UTC",
    "Over: too many messages in alerter, for 5 min",
    "/sources/alerter",
  ],
  age: [
    "age",
    "Old messages in alerter: 7 since 14:02 UTC",
    "Over: old messages in alerter, for 5 min",
    "/sources/alerter",
  ],
  stalled: [
    "stalled",
    "No progress in alerter: 7 since 14:02 UTC",
    "Over: no progress in alerter, for 5 min",
    "/sources/alerter",
  ],
  job_failed: [
    "j_0123",
    "Job j_0123 failed in alerter since 14:02 UTC",
    "Over: job j_0123 failed in alerter, for 5 min",
    "/sources/alerter/jobs/j_0123",
  ],
  job_finished: [
    "j_0123",
    "Job j_0123 finished in alerter since 14:02 UTC",
    "Over: job j_0123 finished in alerter, for 5 min",
    "/sources/alerter/jobs/j_0123",
  ],
  config_rejected: [
    "sources_file",
    "Changed configuration rejected: sources file since 14:02 UTC",
    "Over: changed configuration rejected: sources file, for 5 min",
    "/settings",
  ],
  no_leader: [
    "no_leader",
    "No leader for alerter since 14:02 UTC",
    "Over: no leader for alerter, for 5 min",
    "/sources/alerter",
  ],
};

for (const kind of INCIDENT_KINDS) {
  Deno.test(`describeIncident: ${kind}`, () => {
    const [cause, began, ended, page] = KINDS[kind], incident = { kind, cause, groups: [group("alerter", 7)] };
    assert.equal(describe("began", incident).title, began);
    assert.equal(describe("ended", { ...incident, endedMs: AT_MS }).title, ended);
    assert.equal(describe("began", incident).url, `${CONSOLE}${page}`);
    assert.ok(!describe("happened", incident).title.includes("since"));
  });
}

Deno.test("describeIncident: names up to three sources, and no page of one if there are several", () => {
  const many = ["a", "b", "c", "d", "e"];
  const gate = (sources: string[]) => describe("began", { kind: "gate_closed", cause: "depth", sources, groups: [] });
  assert.equal(gate([]).title, "Gate depth closed since 14:02 UTC");
  assert.equal(gate(["a", "b"]).title, "Gate depth closed in a and b since 14:02 UTC");
  assert.equal(gate(many).title, "Gate depth closed in a, b, c and 2 more since 14:02 UTC");
  assert.deepEqual([[], ["a", "b"]].map((sources) => gate(sources).url), [`${CONSOLE}/`, `${CONSOLE}/`]);
});

Deno.test("describeIncident: says the day if it is another one", () => {
  const tomorrowMs = BEGAN_MS + 86_400_000;
  assert.match(
    describe("updated", {}, tomorrowMs).title,
    /^Still: poison messages in alerter: 1,204 since 2026-11-30 14:02 UTC$/,
  );
});

Deno.test("describeIncident: shows five groups, and counts the rest", () => {
  const groups = Array.from({ length: 8 }, (_, i) => group(`s${i}`, 1_000 * (i + 1)));
  assert.deepEqual(describe("began", { groups, detail: "Detail" }).text.split("\n"), [
    "Detail",
    ...Array.from({ length: 5 }, (_, i) => `s${i}: ${i + 1},000 messages`),
    "and 3 more (21,000 messages)",
  ]);
  assert.equal(describe("began", { groups: [group("a", 1)], detail: "" }).text, "a: 1 message");
});

Deno.test("describeIncident: the link to a dead message is the console's own", () => {
  const path = viewPath({ source: "alerter", list: "dead", message: "m_0123456789abcdef" });
  assert.equal(describe("began", {}).url, `${CONSOLE}${path}`);
  const { url } = describe("began", { groups: [{ ...group("alerter", 1), sample: { id: "m_&x=1", text: "" } }] });
  assert.equal(url, `${CONSOLE}${viewPath({ source: "alerter", list: "dead" })}`);
});

Deno.test("composeNotice: templates get every name, and nothing is escaped", () => {
  const names = TEMPLATE_NAMES.map((name) => `${name}={{${name}}}`).join("\n");
  const each = GROUP_NAMES.map((name) => `{{${name}}}`).join("|");
  const text = `${names}\n{{#groups}}${each}{{/groups}}{{#ended}}over{{/ended}}{{^ended}}open{{/ended}}`;
  assert.deepEqual(findTemplateProblems(text), []);
  const notice = composeNotice({ id: "n_1", event: "began", incident: INCIDENT, atMs: AT_MS }, {
    file: { consoleUrl: CONSOLE },
    definition: { ...BASE, template: { title: "[{{severity}}] {{title}} <&>", text } },
  });
  assert.equal(notice.title, "[warning] Poison messages in alerter: 1,204 since 14:02 UTC <&>");
  assert.deepEqual(notice.text.split("\n"), [
    "title=Poison messages in alerter: 1,204 since 14:02 UTC",
    "text=1,204 messages moved to the dead list as poison",
    "alerter: 1,204 messages, such as m_0123456789abcdef: HTTP 500 <html>",
    ...["event=began", "kind=dead", "cause=poison", "severity=warning"],
    "detail=1,204 messages moved to the dead list as poison",
    ...["sources=alerter", "count=1,204", "began=2026-11-30 14:02 UTC", "ended=", "lasted=5 min"],
    `url=${CONSOLE}/messages?source=alerter&list=dead&message=m_0123456789abcdef`,
    "id=i_0123abcd",
    "alerter|1,204|HTTP 500 <html>|m_0123456789abcdefopen",
  ]);
});

Deno.test("composeNotice: a template that says nothing leaves the title", () => {
  const { title, text } = composeNotice({ id: "n_1", event: "began", incident: INCIDENT, atMs: AT_MS }, {
    file: { consoleUrl: null },
    definition: { ...BASE, template: { title: "{{ended}}", text: "{{ended}}" } },
  });
  assert.deepEqual([title, text], ["Poison messages in alerter: 1,204 since 14:02 UTC", ""]);
});

Deno.test("composeNotice: what a message says is not a template", () => {
  const hostile = { ...INCIDENT, detail: "{{#groups}}{{id}}{{/groups}} {{>x}} {{{url}}}" };
  const { text } = composeNotice({ id: "n_1", event: "began", incident: hostile, atMs: AT_MS }, {
    file: { consoleUrl: null },
    definition: { ...BASE, template: { title: null, text: "{{detail}}" } },
  });
  assert.equal(text, hostile.detail);
});

const HOSTILE = fc.string({
  unit: fc.oneof(
    fc.string({ unit: "binary", minLength: 1 }),
    fc.constantFrom(
      ...["\r\n", "\u202e", "\u2066", "\u200b", "\u0000", "\u2028", "<", ">", "&", '"', "<!channel>", "\ud800", "😀"],
    ),
  ),
  maxLength: 2_000,
});

Deno.test("composeNotice: whatever messages say, a notice is short lines without hidden characters", () => {
  const groups = fc.array(
    fc.record({
      ...{ source: HOSTILE, count: fc.nat() },
      sample: fc.option(fc.record({ id: HOSTILE, text: HOSTILE })),
    }),
    { maxLength: 8 },
  );
  const incident = fc.record({ cause: HOSTILE, detail: HOSTILE, groups, kind: fc.constantFrom(...INCIDENT_KINDS) });
  fc.assert(fc.property(incident, HOSTILE, (given, template) => {
    const isUsable = template !== "" && findTemplateProblems(template).length === 0;
    const { title, text, incident } = composeNotice({
      ...{ id: "n_1", event: "began", atMs: AT_MS, incident: { ...INCIDENT, ...given } },
    }, {
      file: { consoleUrl: null },
      definition: { ...BASE, template: { title: null, text: isUsable ? template : null } },
    });
    assert.ok(title.length > 0 && title.length <= MAX_TITLE && text.length <= MAX_TEXT);
    for (const shown of [title, ...text.split("\n"), incident.cause, incident.detail]) {
      assert.ok(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(shown) && shown.isWellFormed() && shown.length <= 500, shown);
    }
  }));
});

Deno.test("cleanText: lines of 10 kB, and many of them, are cut", () => {
  const text = cleanText(`${"x".repeat(10_000)}\n\n\n\ny`);
  assert.equal(text, `${"x".repeat(499)}…\n\ny`);
  assert.ok(cleanText("a\n".repeat(100_000)).length <= MAX_TEXT);
});

Deno.test("cut: does not cut a character in two", () => {
  assert.equal(cut("ab😀", 4), "ab😀");
  assert.equal(cut("ab😀c", 4), "ab…");
  assert.equal(cut("abc", 3), "abc");
});

Deno.test("escapeWithin: never exceeds the limit, and never cuts an entity", () => {
  const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("&", "<", "a", "😀") }),
      fc.integer({ min: 1, max: 30 }),
      (text, most) => {
        const escaped = escapeWithin(text, most, escape);
        assert.ok(escaped.length <= most && escaped.isWellFormed());
        assert.ok(!/&(?!amp;|lt;|gt;)/.test(escaped) && !/[<>]/.test(escaped), escaped);
      },
    ),
  );
});
