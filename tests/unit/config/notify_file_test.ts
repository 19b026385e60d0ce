import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_RULES, type NotifyFile, type ReceiverDefinition } from "../../../src/config/notify.ts";
import { parseNotify } from "../../../src/config/notify_file.ts";
import { BASE, CONTEXT, FILES, hasFileSecret, RECEIVERS } from "../../../testkit/notify.ts";

function parse(file: unknown, context = CONTEXT): { file: NotifyFile; warnings: readonly string[] } {
  const parsed = parseNotify(typeof file === "string" ? file : JSON.stringify(file), context);
  assert.ok(parsed.ok, JSON.stringify(parsed, null, 1));
  return parsed;
}

function problemsOf(file: unknown, context = CONTEXT): readonly string[] {
  const parsed = parseNotify(typeof file === "string" ? file : JSON.stringify(file), context);
  return parsed.ok ? [] : parsed.problems;
}

type Type = keyof typeof RECEIVERS;

/** A file with one receiver `ops`. */
const withReceiver = (type: Type, members: Record<string, unknown> = {}) => ({
  receivers: { ops: { ...RECEIVERS[type], ...members } },
});

Deno.test("parseNotify: fills in defaults", () => {
  const kinds = ["dead", "gate_closed", "depth", "age", "stalled", "job_failed", "config_rejected", "no_leader"];
  assert.deepEqual(parse({ receivers: RECEIVERS }), {
    ok: true,
    warnings: [],
    file: {
      ...{ consoleUrl: null, updateSeconds: 1_800, incidents: DEFAULT_RULES },
      routes: [{ sources: null, kinds, severity: "info", receivers: Object.keys(RECEIVERS) }],
      receivers: [
        { ...BASE, name: "slack", type: "slack", urlFile: "/run/secrets/slack" },
        {
          ...{ ...BASE, name: "email", type: "email", host: "smtp.example.org", port: 587, tls: "starttls" },
          ...{ from: "remediation@example.org", to: ["ops@example.org"], login: null },
        },
        { ...BASE, name: "teams", type: "teams", urlFile: "/run/secrets/teams" },
        {
          ...{ ...BASE, name: "pagerduty", type: "pagerduty", routingKeyFile: "/run/secrets/pager" },
          url: "https://events.pagerduty.com",
        },
        {
          ...{ ...BASE, name: "webhook", type: "webhook", address: { url: "https://hook.example/in" } },
          secretFile: "/run/secrets/hook",
        },
        {
          ...BASE,
          name: "alertmanager",
          type: "alertmanager",
          url: "http://alertmanager:9093",
          login: null,
          labels: {},
        },
      ],
    },
  });
});

Deno.test("parseNotify: reads every member", () => {
  const quietHours = [{ from: "0 22 * * *", to: "0 7 * * *", timeZone: "Europe/Berlin", except: "none" }];
  const { file, warnings } = parse(`
$schema: ./notify.schema.json
consoleUrl: https://remediation.example.org/base/
updateSeconds: 600
receivers:
  mail:
    type: email
    host: 127.0.0.1
    tls: none
    from: Remediation <remediation@example.org>
    to: [ops@example.org, "ü@exämple.org"]
    username: user
    passwordFile: /run/secrets/password
    updateSeconds: 3600
    quietHours: [{from: "0 22 * * *", to: "0 7 * * *", timeZone: Europe/Berlin, except: none}]
    template: {title: "{{kind}}: {{title}}", text: "{{#groups}}{{source}} {{messages}}{{/groups}}{{^groups}}-{{/groups}}"}
  am:
    type: alertmanager
    url: https://alertmanager.example.org/path/
    username: user
    passwordFile: /run/secrets/password
    caFile: /run/ca.pem
    labels: {team: ops}
  hook: {type: webhook, urlFile: /run/secrets/hook_url, secretFile: /run/secrets/hook}
routes:
  - {sources: [orders], kinds: [dead, job_finished], severity: warning, receivers: [mail, am]}
  - {receivers: [hook]}
incidents:
  dead: {count: 10}
  gate_closed: {except: [enabled]}
  depth: off
  job_failed: {}
`);
  assert.deepEqual(warnings, []);
  const [mail, am, hook] = file.receivers;
  assert.equal(file.consoleUrl, "https://remediation.example.org/base");
  const login = { username: "user", passwordFile: "/run/secrets/password" };
  assert.deepEqual(mail, {
    ...{ ...BASE, name: "mail", type: "email", host: "127.0.0.1", port: 25, tls: "none", login, quietHours },
    ...{
      from: "Remediation <remediation@example.org>",
      to: ["ops@example.org", "ü@exämple.org"],
      updateSeconds: 3_600,
    },
    template: {
      title: "{{kind}}: {{title}}",
      text: "{{#groups}}{{source}} {{messages}}{{/groups}}{{^groups}}-{{/groups}}",
    },
  });
  assert.deepEqual(am, {
    ...{ ...BASE, name: "am", type: "alertmanager", url: "https://alertmanager.example.org/path", login },
    ...{ caFile: "/run/ca.pem", labels: { team: "ops" }, updateSeconds: 600 },
  });
  assert.deepEqual(
    (hook as ReceiverDefinition & { type: "webhook" }).address,
    { urlFile: "/run/secrets/hook_url" },
  );
  assert.deepEqual(file.routes[0], {
    ...{ sources: ["orders"], kinds: ["dead", "job_finished"], severity: "warning", receivers: ["mail", "am"] },
  });
  assert.equal(file.routes[1]!.kinds.includes("job_finished"), false);
  assert.deepEqual(file.incidents, {
    ...DEFAULT_RULES,
    dead: { count: 10, withinSeconds: 300, quietSeconds: 600 },
    gate_closed: { afterSeconds: 300, except: ["enabled"] },
    depth: "off",
  });
});

Deno.test("parseNotify: takes a file that only sets limits", () => {
  const { file } = parse({ receivers: {}, incidents: { age: "off" } });
  assert.deepEqual([file.receivers, file.routes, file.incidents.age], [[], [], "off"]);
});

const WRONG: readonly [what: string, file: unknown, ...problems: RegExp[]][] = [
  ["nothing", "", /^the file is empty, not an object \{"receivers"/],
  ["half of a file", `{"receivers": {`, /^cannot parse as YAML or JSON: unexpected end of file \(line 1, column 16\)$/],
  ["a list", "[]", /^\$ \(a list of 0\) is not an object/],
  ["no receivers", "{}", /^receivers is missing: an object with a member for each receiver/],
  ["receivers in a list", { receivers: [] }, /^receivers \(a list of 0\) is not an object with/],
  [
    "an unknown member",
    { receivers: {}, more: 1 },
    /^more is unknown: use one of consoleUrl, updateSeconds, receivers/,
  ],
  ["a schema that is no text", { $schema: 5, receivers: {} }, /^\$schema 5 is not a string/],
  ["too many receivers", {
    receivers: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`r${i}`, RECEIVERS.slack])),
  }, /^receivers has 21 members, more than 20/],
  ["a bad name", { receivers: { "Ops": RECEIVERS.slack } }, /^receivers\.Ops is not a receiver's name: a to z/],
  ["no type", { receivers: { ops: {} } }, /^receivers\.ops\.type is missing: one of slack, email, teams/],
  ["an unknown type", { receivers: { ops: { type: "pager" } } }, /^receivers\.ops\.type "pager" is not one of slack, /],
  ["a receiver that is null", { receivers: { ops: null } }, /^receivers\.ops null is not an object/],
  [
    "a member of another type",
    withReceiver("slack", { host: "smtp" }),
    /^receivers\.ops\.host is unknown: use one of type, updateSeconds, quietHours, template, caFile, urlFile \(/,
  ],
  [
    "a name twice",
    `{"receivers": {}, "routes": [{"receivers": ["a"], "receivers": ["a"]}]}`,
    /^routes\[0\]\.receivers is defined twice \(line 1, column 51\)/,
    /^routes\[0\]\.receivers\[0\] "a" is not a receiver: the file defines no receiver/,
  ],
  [
    "an update too often",
    withReceiver("slack", { updateSeconds: 59 }),
    /^receivers\.ops\.updateSeconds 59 is not a whole number from 60 to 86400 \(seconds\)/,
  ],
  [
    "a console that is no URL",
    { consoleUrl: "remediation", receivers: {} },
    /^consoleUrl "remediation" is not an http:\/\/ or https:\/\/ URL/,
  ],
  ["a console with a query", { consoleUrl: "https://o/?a=1", receivers: {} }, /^consoleUrl has a query or fragment/],
  // Mail.
  [
    "mail without anything",
    { receivers: { ops: { type: "email" } } },
    /^receivers\.ops\.host is missing/,
    /^receivers\.ops\.from is missing/,
    /^receivers\.ops\.to is missing/,
  ],
  [
    "bad addresses",
    withReceiver("email", { from: "a@b\r\nBcc: c@d", to: ["x", "a@b.c", "a@b.c", "<a@b.c>"] }),
    /^receivers\.ops\.from "\[redacted\]@d" is not a mail address/,
    /\.to\[0\] "x" is not a mail address/,
    /\.to\[2\] .* is not different from the others/,
    /\.to\[3\] .* is not a mail address/,
  ],
  [
    "nobody to send to",
    withReceiver("email", { to: [] }),
    /^receivers\.ops\.to \(a list of 0\) is not a list of 1 to 50/,
  ],
  ["a sender's name with a quote", withReceiver("email", { from: 'a" <a@b.c>' }), /^receivers\.ops\.from/],
  ["port 465 with STARTTLS", withReceiver("email", { port: 465 }), /^receivers\.ops\.port 465 needs tls: implicit/],
  [
    "port 587 with TLS at once",
    withReceiver("email", { port: 587, tls: "implicit" }),
    /\.port 587 does not begin with/,
  ],
  ["an unknown kind of TLS", withReceiver("email", { tls: true }), /\.tls true is not one of starttls, implicit, none/],
  ["a user without password", withReceiver("email", { username: "u" }), /\.username needs passwordFile too/],
  [
    "a password without user",
    withReceiver("alertmanager", { passwordFile: "/run/secrets/password" }),
    /\.passwordFile needs username too/,
  ],
  [
    "a host with a path",
    withReceiver("email", { host: "smtp/x" }),
    /\.host "smtp\/x" is not a host name or IP address/,
  ],
  // HTTP.
  [
    "a webhook without address",
    { receivers: { ops: { type: "webhook", secretFile: "/run/secrets/hook" } } },
    /^receivers\.ops\.url is missing: set it, or urlFile/,
  ],
  [
    "a webhook with two",
    withReceiver("webhook", { urlFile: "/run/secrets/hook_url" }),
    /^receivers\.ops\.url and urlFile are both set: use one of them/,
  ],
  [
    "a webhook's password in clear",
    withReceiver("webhook", { url: "https://u:p@hook.example/" }),
    /^receivers\.ops\.url has a user or password: keep the whole address in a file/,
  ],
  [
    "PagerDuty in clear",
    withReceiver("pagerduty", { url: "http://pager.example" }),
    /^receivers\.ops\.url "http:\/\/pager\.example" is not an https:\/\/ URL: the integration key would cross/,
  ],
  [
    "a password in Alertmanager's URL",
    withReceiver("alertmanager", { url: "http://u:p@am" }),
    /^receivers\.ops\.url has a user or password, which is not allowed/,
  ],
  [
    "labels of the service",
    withReceiver("alertmanager", { labels: { severity: "x", "a-b": "y", c: 5 } }),
    /\.labels\.severity is set by the service, as are alertname, cause, severity, source/,
    /\.labels\.a-b is not the name of a label/,
    /\.labels\.c 5 is not a text of at most 200 characters/,
  ],
  ["labels in a list", withReceiver("alertmanager", { labels: [] }), /\.labels \(a list of 0\) is not an object/],
  // Quiet hours and templates.
  [
    "quiet hours that are no list",
    withReceiver("slack", { quietHours: {} }),
    /\.quietHours \(an object\) is not a list/,
  ],
  [
    "quiet hours without an end",
    withReceiver("slack", { quietHours: [{ from: "0 22 * * *" }] }),
    /^receivers\.ops\.quietHours\[0\]\.to is missing: a cron expression/,
  ],
  [
    "bad quiet hours",
    withReceiver("slack", {
      quietHours: [
        { from: "22:00", to: "0 7 * * *", timeZone: "Mars/Olympus", except: "high" },
        { from: "0 7 * * *", to: "0 7 * * *" },
        { from: "2026-12-24T18:00", to: "2026-12-23T18:00" },
        5,
      ],
    }),
    /\[0\]\.except "high" is not one of info, warning, critical, none/,
    /\[0\]\.from "22:00" is not a cron expression/,
    /\[0\]\.timeZone "Mars\/Olympus" is not an IANA time zone/,
    /\[1\]\.to ".*" is not at another time than from/,
    /\[2\]\.to ".*" is not after from/,
    /quietHours\[3\] 5 is not an object/,
  ],
  [
    "an empty template",
    withReceiver("slack", { template: {} }),
    /\.template \(an object\) is not an object with title/,
  ],
  [
    "templates that cannot be used",
    withReceiver("slack", { template: { title: "{{>x}} {{=<% %>=}}", text: "{{kind" } }),
    /\.template\.title has a partial/,
    /\.template\.title changes the delimiters/,
    /\.template\.text cannot be parsed as Mustache: Unclosed tag/,
  ],
  [
    "unknown names in a template",
    withReceiver("slack", {
      template: {
        title: "{{kind}} {{source}}",
        text: "{{#groups}}{{source}}{{#groups}}{{/groups}}{{/groups}}{{.}}{{a.b}}{{#id}}{{nope}}{{/id}}",
      },
    }),
    /\.template\.title uses \{\{source\}\}, which is unknown here: use title, text, event, /,
    /\.template\.text uses \{\{groups\}\}/,
    /uses \{\{\.\}\}/,
    /uses \{\{a\.b\}\}/,
    /uses \{\{nope\}\}/,
  ],
  ["an open section", withReceiver("slack", { template: { text: "{{#groups}}x" } }), /Unclosed section/],
  // Routes.
  ["routes in an object", { receivers: {}, routes: {} }, /^routes \(an object\) is not a list of at most 100 objects/],
  [
    "a route to nobody",
    { ...withReceiver("slack"), routes: [{ receivers: ["opps"] }, { receivers: [] }, {}, 5] },
    /^routes\[0\]\.receivers\[0\] "opps" is not a receiver: use one of ops/,
    /^routes\[1\]\.receivers \(a list of 0\) is not a list of 1 to 20 names of receivers/,
    /^routes\[2\]\.receivers is missing/,
    /^routes\[3\] 5 is not an object/,
  ],
  [
    "a route's bad conditions",
    {
      ...withReceiver("slack"),
      routes: [{ receivers: ["ops"], kinds: ["dead", "death"], severity: "high", sources: "orders" }],
    },
    /\.sources "orders" is not a list/,
    /\.kinds\[1\] "death" is not one of dead, /,
    /\.severity "high" is not one of info/,
  ],
  // Incidents.
  [
    "an unknown kind",
    { receivers: {}, incidents: { death: {} } },
    /^incidents\.death is unknown: use one of dead, gate_/,
  ],
  [
    "kinds that are neither",
    { receivers: {}, incidents: { dead: false, age: null, depth: [] } },
    /^incidents\.dead false is not off, or an object/,
    /^incidents\.depth/,
    /^incidents\.age/,
  ],
  [
    "limits out of bounds",
    { receivers: {}, incidents: { dead: { count: 0, quietSeconds: 1e9 }, depth: { over: 5 } } },
    /^incidents\.dead\.count 0 is not a whole number from 1/,
    /^incidents\.dead\.quietSeconds/,
    /^incidents\.depth\.over is unknown: use one of above/,
  ],
  [
    "members where there are none",
    { receivers: {}, incidents: { job_failed: { count: 1 } } },
    /^incidents\.job_failed\.count is unknown: no members are allowed/,
  ],
  [
    "a gate that is none",
    { receivers: {}, incidents: { gate_closed: { except: ["pause", "puase"] } } },
    /^incidents\.gate_closed\.except\[1\] "puase" is not a gate: use one of enabled, pause, downstream/,
  ],
];

for (const [what, file, ...expected] of WRONG) {
  Deno.test(`parseNotify: refuses ${what}`, () => {
    const problems = problemsOf(file);
    assert.equal(problems.length, expected.length, problems.join("\n"));
    for (const wanted of expected) {
      assert.ok(problems.some((problem) => wanted.test(problem)), `${wanted}\n${problems.join("\n")}`);
    }
  });
}

Deno.test("parseNotify: does not check gates that it does not know", () => {
  const file = { receivers: {}, incidents: { gate_closed: { except: ["puase"] } } };
  assert.deepEqual(problemsOf(file, { ...CONTEXT, gates: null }), []);
});

const BAD_FILES: readonly [what: string, text: string, type: Type, member: string, problem: RegExp][] = [
  ["an empty file", "\n", "slack", "urlFile", /"\/run\/x" is empty \(line 1/],
  ["no URL", "Pl4nt3dS3cr3t", "slack", "urlFile", /"\/run\/x" does not hold one https:\/\/ URL \(/],
  ["two lines", "https://a/Pl4nt3dS3cr3t\nhttps://b/", "teams", "urlFile", /does not hold one https:\/\/ URL/],
  ["a URL in clear", "http://hooks.example/Pl4nt3dS3cr3t", "slack", "urlFile", /does not hold one https:\/\/ URL/],
  ["a key that is too short", "Pl4nt3dS3cr3t", "pagerduty", "routingKeyFile", /does not hold an integration key of 32/],
  [
    "a short secret",
    "whsec_UGw0bnQzZFMzY3IzdA==",
    "webhook",
    "secretFile",
    /does not hold a secret of the form whsec_…/,
  ],
  ["a secret without prefix", "UGw0bnQzZFMzY3IzdA==".repeat(2), "webhook", "secretFile", /does not hold a secret of/],
  ["another scheme", "ftp://x/Pl4nt3dS3cr3t", "webhook", "urlFile", /does not hold one http:\/\/ or https:\/\/ URL/],
  ["a password of two lines", "Pl4nt3dS3cr3t\na", "email", "passwordFile", /does not hold a password on one line/],
  ["5 kB", "x".repeat(5_000), "email", "passwordFile", /does not hold a password/],
  ["no certificate", "Pl4nt3dS3cr3t", "alertmanager", "caFile", /cannot be used: it has no PEM certificate/],
  [
    "half of one",
    FILES["/run/ca.pem"]!.slice(0, 500),
    "slack",
    "caFile",
    /cannot be used: its last certificate is incomp/,
  ],
];

for (const [what, text, type, member, expected] of BAD_FILES) {
  Deno.test(`parseNotify: refuses ${what} in ${type}'s ${member}, and shows nothing of it`, () => {
    const login = member === "passwordFile" ? { username: "u" } : {};
    const { url: _, ...webhook } = RECEIVERS.webhook;
    const receiver = { ...member === "urlFile" && type === "webhook" ? webhook : RECEIVERS[type], ...login };
    const problems = problemsOf({ receivers: { ops: { ...receiver, [member]: "/run/x" } } }, {
      ...CONTEXT,
      readFile: (path) => path === "/run/x" ? text : CONTEXT.readFile(path),
    });
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0]!, expected);
    assert.ok(problems[0]!.startsWith(`receivers.ops.${member} "/run/x" `), problems[0]!);
    assert.ok(!hasFileSecret(problems.join().replace("whsec_…", "")), problems.join());
  });
}

for (
  const secret of [
    ...["https://hooks.slack.com/services/T0/B0/Secret", "whsec_abc/def", "hunter2", "HTTPS://x/y"],
    ...["xoxb-1234", "ftp://user:hunter2@x", "MIGfMA0GCSq/abcdefgh+12", "correct/horse"],
  ]
) {
  Deno.test(`parseNotify: does not show ${secret} where the path of its file belongs`, () => {
    const problems = problemsOf(withReceiver("slack", { urlFile: secret }));
    assert.match(
      problems.join("\n"),
      /^receivers\.ops\.urlFile \[redacted\] cannot be read: NotFound \(expected: the path/,
    );
  });
}

Deno.test("parseNotify: shows no path that is no text", () => {
  for (const urlFile of ["hunter2\nhunter2", `${"x".repeat(4_097)}`]) {
    assert.match(
      problemsOf(withReceiver("slack", { urlFile })).join(),
      /urlFile \[redacted\] is not the path of a file/,
    );
  }
});

const WARNINGS: readonly [what: string, file: unknown, warning: RegExp][] = [
  [
    "a receiver without route",
    { ...withReceiver("slack"), routes: [] },
    /^receivers\.ops gets nothing: no route names it$/,
  ],
  ["a route for an unknown source", {
    ...withReceiver("slack"),
    routes: [{ sources: ["alerter", "nope"], receivers: ["ops"] }],
  }, /^routes\[0\]\.sources\[1\] has no effect: there is no source "nope"$/],
  [
    "a mail password in clear",
    withReceiver("email", { tls: "none", username: "u", passwordFile: "/run/secrets/password" }),
    /^receivers\.ops\.tls is none: the password crosses the network in clear$/,
  ],
  [
    "Alertmanager's password in clear",
    withReceiver("alertmanager", { username: "u", passwordFile: "/run/secrets/password" }),
    /^receivers\.ops\.url is not https:\/\/: the password crosses the network in clear$/,
  ],
  [
    "a CA without TLS",
    withReceiver("email", { tls: "none", caFile: "/run/ca.pem" }),
    /caFile has no effect: tls is none$/,
  ],
  [
    "a CA without https",
    withReceiver("alertmanager", { caFile: "/run/ca.pem" }),
    /caFile has no effect: url is not https/,
  ],
];

for (const [what, file, expected] of WARNINGS) {
  Deno.test(`parseNotify: warns of ${what}`, () => {
    const { warnings } = parse(file);
    assert.equal(warnings.length, 1, warnings.join("\n"));
    assert.match(warnings[0]!, expected);
  });
}

Deno.test("parseNotify: warns of a secret that every user can read, but not of certificates", () => {
  const file = withReceiver("slack", { caFile: "/run/ca.pem" });
  const { warnings } = parse(file, { ...CONTEXT, fileMode: () => 0o644 });
  assert.deepEqual(warnings, [
    'receivers.ops.urlFile "/run/secrets/slack" is readable by every user (mode 0644): change the mode to 0400',
  ]);
});

Deno.test("parseNotify: a password to this machine may cross in clear", () => {
  const login = { username: "u", passwordFile: "/run/secrets/password" };
  for (const host of ["localhost", "127.0.0.1", "::1"]) {
    const url = `http://${host.includes(":") ? `[${host}]` : host}:9093`;
    assert.deepEqual(parse(withReceiver("email", { ...login, host, tls: "none" })).warnings, [], host);
    assert.deepEqual(parse(withReceiver("alertmanager", { ...login, url })).warnings, [], host);
    assert.deepEqual(problemsOf(withReceiver("pagerduty", { url })), []);
  }
});

Deno.test("parseNotify: takes or refuses any members, with few short problems", () => {
  const members = [
    ...["type", "url", "urlFile", "host", "port", "tls", "from", "to", "username", "passwordFile", "secretFile"],
    ...["quietHours", "template", "labels", "updateSeconds", "caFile", "__proto__", "constructor"],
  ];
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(
      "slack",
      "email",
      "webhook",
      "alertmanager",
      "http://x",
      "/run/secrets/hook",
      "https://[",
      "{{",
      "::",
    ),
  );
  const receiver = fc.dictionary(fc.constantFrom(...members), value, { maxKeys: 12 });
  const file = fc.record({
    receivers: fc.oneof(fc.dictionary(fc.constantFrom("a", "b", "__proto__"), receiver), fc.jsonValue({ maxDepth: 1 })),
    routes: fc.jsonValue({ maxDepth: 3 }),
    incidents: fc.oneof(fc.dictionary(fc.constantFrom("dead", "age", "gate_closed", "x"), value), fc.jsonValue()),
    consoleUrl: value,
    updateSeconds: value,
  }, { requiredKeys: [] });
  fc.assert(fc.property(file, (file) => {
    const parsed = parseNotify(JSON.stringify(file), CONTEXT);
    if (parsed.ok) return;
    assert.ok(parsed.problems.length > 0 && parsed.problems.length <= 101);
    for (const problem of parsed.problems) assert.ok(problem.length < 700 && !problem.includes("\n"), problem);
  }));
});
