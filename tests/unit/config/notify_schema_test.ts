/** `docs/notify.schema.json` under another validator: it must say what the loader does, so that an editor can be believed. */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { INCIDENT_KINDS } from "../../../src/config/notify.ts";
import { parseNotify } from "../../../src/config/notify_file.ts";
import schema from "../../../docs/notify.schema.json" with { type: "json" };
import { CONTEXT, RECEIVERS } from "../../../testkit/notify.ts";
import { parse } from "yaml";

const fitsSchema = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false }).compile(schema);
const fitsLoader = (file: unknown) => parseNotify(JSON.stringify(file), CONTEXT).ok;

const one = (type: keyof typeof RECEIVERS, members: Record<string, unknown> = {}) => ({
  receivers: { ops: { ...RECEIVERS[type], ...members } },
});
const login = { username: "u", passwordFile: "/run/secrets/password" };
const { url: _, ...webhook } = RECEIVERS.webhook;

const GOOD: readonly unknown[] = [
  { receivers: {} },
  { $schema: "x", receivers: RECEIVERS, consoleUrl: "https://o/", updateSeconds: 60 },
  { receivers: { ops: { ...webhook, urlFile: "/run/secrets/hook_url" } } },
  one("email", { ...login, port: 2525, tls: "implicit", from: "Me <a@b.c>", to: ["ü@b.c"], caFile: "/run/ca.pem" }),
  one("alertmanager", { ...login, labels: { team: "ops" } }),
  one("slack", { quietHours: [{ from: "0 22 * * *", to: "0 7 * * *" }], template: { title: "{{kind}}\n{{text}}" } }),
  { ...one("slack"), routes: [{ receivers: ["ops"], kinds: ["dead"], sources: ["a"], severity: "critical" }] },
  { receivers: {}, incidents: Object.fromEntries(INCIDENT_KINDS.map((kind) => [kind, "off"])) },
  { receivers: {}, incidents: Object.fromEntries(INCIDENT_KINDS.map((kind) => [kind, {}])) },
  { receivers: {}, incidents: { dead: { count: 5, withinSeconds: 60, quietSeconds: 60 }, depth: { above: 1 } } },
];

for (const [number, file] of GOOD.entries()) {
  Deno.test(`notify.schema.json: takes, as the loader does, no. ${number}`, () => {
    assert.ok(fitsLoader(file), JSON.stringify(parseNotify(JSON.stringify(file), CONTEXT)));
    assert.ok(fitsSchema(file), JSON.stringify(fitsSchema.errors));
  });
}

const BAD: readonly unknown[] = [
  ...[null, [], 5, {}, { receivers: [] }, { receivers: null }, { receivers: {}, more: 1 }, {
    receivers: {},
    $schema: 1,
  }],
  ...["Ops", "1a", "", "a.b", "o".repeat(33)].map((name) => ({ receivers: { [name]: RECEIVERS.slack } })),
  ...[null, [], {}, { type: "x" }, { type: "slack" }].map((ops) => ({ receivers: { ops } })),
  one("slack", { host: "x" }),
  one("slack", { updateSeconds: 59 }),
  one("slack", { urlFile: "" }),
  one("slack", { quietHours: [{ from: "0 22 * * *" }] }),
  one("slack", { quietHours: [{ from: "0 22 * * *", to: "0 7 * * *", except: "x" }] }),
  one("slack", { template: {} }),
  one("slack", { template: { title: "" } }),
  one("slack", { template: { body: "x" } }),
  one("email", { to: [] }),
  one("email", { to: ["a"] }),
  one("email", { from: "a\r\n@b" }),
  one("email", { tls: "yes" }),
  one("email", { port: 0 }),
  one("email", { username: "u" }),
  one("alertmanager", { passwordFile: "/run/secrets/password" }),
  one("alertmanager", { labels: { severity: "x" } }),
  one("alertmanager", { labels: { "a-b": "x" } }),
  one("alertmanager", { labels: { a: 1 } }),
  one("webhook", { urlFile: "/run/secrets/hook_url" }),
  one("webhook", { url: "ftp://x" }),
  { receivers: { ops: webhook } },
  ...[{}, { receivers: [] }, { receivers: ["ops"], kinds: [] }, { receivers: ["ops"], severity: "x" }]
    .map((route) => ({ ...one("slack"), routes: [route] })),
  ...[{ x: {} }, { dead: {}, age: null }, { dead: { count: 0 } }, { job_failed: { a: 1 } }, { depth: "on" }]
    .map((incidents) => ({ receivers: {}, incidents })),
];

for (const [number, file] of BAD.entries()) {
  Deno.test(`notify.schema.json: refuses, as the loader does, no. ${number}: ${JSON.stringify(file).slice(0, 80)}`, () => {
    assert.equal(fitsLoader(file), false);
    assert.equal(fitsSchema(file), false);
  });
}

/** What compares members, names and files, or needs a parser: only the loader can say it. */
const BEYOND_A_SCHEMA: readonly [rule: string, file: unknown][] = [
  ["a route names a receiver", { receivers: {}, routes: [{ receivers: ["ops"] }] }],
  ["a file can be read", one("slack", { urlFile: "/nope" })],
  ["a port fits its TLS", one("email", { port: 465 })],
  ["a span has an end", one("slack", { quietHours: [{ from: "61 * * * *", to: "0 7 * * *" }] })],
  ["a template can be parsed", one("slack", { template: { title: "{{" } })],
  ["a gate is one", { receivers: {}, incidents: { gate_closed: { except: ["nope"] } } }],
  ["PagerDuty's URL is safe", one("pagerduty", { url: "http://pager.example" })],
];

for (const [rule, file] of BEYOND_A_SCHEMA) {
  Deno.test(`notify.schema.json: leaves to the loader whether ${rule}`, () => {
    assert.equal(fitsLoader(file), false);
    assert.ok(fitsSchema(file), JSON.stringify(fitsSchema.errors));
  });
}

const PAGE = Deno.readTextFileSync(new URL("../../../docs/notifications.md", import.meta.url));
const EXAMPLES = [...PAGE.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => text!).filter((text) =>
  text.includes("receivers:\n")
);

Deno.test("notifications.md: has examples that are tried", () => assert.ok(EXAMPLES.length >= 2));

for (const [number, text] of EXAMPLES.entries()) {
  Deno.test(`notifications.md: the loader and the schema take example ${number}`, () => {
    const secrets: Readonly<Record<string, string>> = {
      slack_url: "https://hooks.slack.com/services/x",
      teams_url: "https://teams.example/x",
      smtp_password: "x",
      alertmanager_password: "x",
      pagerduty_key: "0".repeat(32),
      webhook_secret: `whsec_${btoa("0".repeat(32))}`,
    };
    const parsed = parseNotify(text, {
      gates: null,
      sources: ["alerter", "moog", "orders"],
      readFile: (path) => secrets[path.replace("/run/secrets/", "")] ?? CONTEXT.readFile("/run/ca.pem"),
    });
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.deepEqual(parsed.warnings, []);
    assert.ok(fitsSchema(parse(text)), JSON.stringify(fitsSchema.errors));
  });
}
