/**
 * Writes the generated files. From the tables of settings, sources and the ACL: `.env.template`,
 * `docs/configuration.md`, `docs/states.md`, `docs/sources.schema.json`, parts of `docs/redis.md` and
 * `docs/architecture.md`. From Prometheus' rules: `k8s/components/monitoring/prometheusrule.yaml`. From `dashboard.ts`:
 * `monitoring/grafana/dashboards/mutt-remediation.json`.
 *
 *     deno run -A scripts/generate.ts           # writes them
 *     deno run -A scripts/generate.ts --check   # exits 1 if a file differs
 *     deno run -A scripts/generate.ts --env     # prints the prefixes for --allow-env
 */
import { createRoutes } from "../src/api/routes.ts";
import { OPERATIONS } from "../src/operations/registry.ts";
import { BRAKE_REASON_TEXTS, BRAKE_REASONS, BRAKE_STATES, BRAKE_TRANSITIONS } from "../src/cycle/brake.ts";
import { EXHAUSTED_FAILURES, EXHAUSTED_MS, POISON_EVIDENCE } from "../src/message/verdict.ts";
import { MAX_DYNAMIC_BYTES, MUTT_SHARED_FIELDS } from "../src/mutt/dynamic_keys.ts";
import { type Field, type Group, GROUPS } from "../src/config/field.ts";
import { MAX_VALUE_CHARACTERS } from "../src/config/layers.ts";
import type { FileField, FileFields } from "../src/config/file_fields.ts";
import {
  INCIDENT_FIELDS,
  NOTIFY_FIELDS,
  NOTIFY_SCHEMA,
  QUIET_HOURS_FIELDS,
  RECEIVER_FIELDS,
  ROUTE_FIELDS,
  TEMPLATE_FIELDS,
  TYPE_FIELDS,
} from "../src/config/notify_fields.ts";
import { SOURCE_FIELDS } from "../src/config/source_fields.ts";
import { type BuiltInName } from "../src/config/sources.ts";
import { MAX_WINDOWS, WINDOW_FIELDS } from "../src/config/window_fields.ts";
import { SOURCES_SCHEMA } from "../src/config/sources_file.ts";
import { environmentPrefixes, FIELDS, SETTING_KEYS } from "../src/config/fields.ts";
import { aclRules, CLUSTER_GRANT, COMMAND_GRANTS, keyGrants, RECORD_GRANT } from "./redis_acl.ts";
import { MAX_FILE_BYTES } from "../src/runtime/process.ts";
import { parse, stringify } from "yaml";
import { createCatalog } from "./catalog.ts";
import { createSourceFlags } from "./source_flags.ts";
import { code, renderTable } from "./markdown.ts";
import { renderCliPage, renderManPage } from "./manual.ts";
import { filesIn, ROOT } from "./child.ts";
import { readRoomImports, reduceImports } from "./room_imports.ts";
import { renderDashboard } from "./dashboard.ts";

const MAKE = "deno run -A scripts/generate.ts", CATALOG = "src/cli/catalog.json", FLAGS = "src/cli/source_flags.json";

/** Path, relative to the project's root, and text of every generated file. */
export function renderFiles(): ReadonlyMap<string, string> {
  return new Map([
    [".env.template", renderEnvTemplate()],
    ["docs/configuration.md", renderConfigurationPage()],
    ["docs/states.md", renderStatesPage()],
    ["docs/sources.schema.json", `${JSON.stringify(SOURCES_SCHEMA, null, 2)}\n`],
    ["docs/notify.schema.json", `${JSON.stringify(NOTIFY_SCHEMA, null, 2)}\n`],
    ["docs/redis.md", renderRedisPage()],
    ["docs/architecture.md", renderArchitecturePage()],
    ["docs/api.md", renderApiPage()],
    [CATALOG, renderCatalog()],
    [FLAGS, `${JSON.stringify(createSourceFlags(), null, 2)}\n`],
    ["docs/cli.md", renderCliPage()],
    ["docs/mutt-remediation.1", renderManPage()],
    ["k8s/components/monitoring/prometheusrule.yaml", renderPrometheusRule()],
    ["monitoring/grafana/dashboards/mutt-remediation.json", renderDashboard()],
  ]);
}

const ACL_SECTION = /(<!-- Made from scripts\/redis_acl\.ts by: [^\n]+ -->\n).*(\n<!-- So far\. -->)/s;

/** The page is written by hand except for the ACL. */
function renderRedisPage(): string {
  const page = Deno.readTextFileSync(new URL("../docs/redis.md", import.meta.url));
  if (!ACL_SECTION.test(page)) throw new Error("docs/redis.md has no place for the ACL");
  return page.replace(ACL_SECTION, (_, begin: string, end: string) => `${begin}\n${renderAcl()}${end}`);
}

function renderAcl(): string {
  const keys = keyGrants(["alerter", "moog"]).map(({ patterns, writes, why }) => [
    patterns.map(code).join(", "),
    writes ? "read and write" : "read",
    why,
  ]);
  const commands = [...COMMAND_GRANTS, CLUSTER_GRANT, RECORD_GRANT].map(({ commands, why, without }) => [
    commands.map((command) => code(command.replace("|", "\\|"))).join(" "),
    why,
    without ?? "needed",
  ]);
  return [
    "For the source `alerter`, on Redis 7.0 or newer:\n",
    renderSetUser(aclRules(["alerter"])),
    "For the source `moog` too, add:\n",
    renderAddedRules(["alerter"], ["alerter", "moog"]),
    renderTable(["Keys", "Access", "What for"], keys),
    renderTable(["Commands", "What for", "Without"], commands),
  ].join("\n");
}

const ROUTES_SECTION = /(<!-- Made from src\/operations\/registry\.ts by: [^\n]+ -->\n).*(<!-- So far\. -->)/s;

/** The page is written by hand except for the routes. */
function renderApiPage(): string {
  const page = Deno.readTextFileSync(new URL("../docs/api.md", import.meta.url));
  if (!ROUTES_SECTION.test(page)) throw new Error("docs/api.md has no place for the routes");
  const rows = createRoutes(OPERATIONS).map(({ path, http, operation }) => [
    code(http.method),
    code(path),
    operation.role,
    `${operation.summary}${operation.stream ? " (NDJSON)" : ""}`,
  ]);
  const events = [code("GET"), code("/api/v1/events"), "viewer", "What changes, as server-sent events"];
  return page.replace(
    ROUTES_SECTION,
    (_, begin: string, end: string) =>
      `${begin}\n${renderTable(["method", "path", "role", "what"], [...rows, events])}\n${end}`,
  );
}

function renderCatalog(): string {
  return `${JSON.stringify(createCatalog(), null, 2)}\n`;
}

const ROOMS_SECTION = /(<!-- Made from the imports of src by: [^\n]+ -->\n).*(\n<!-- So far\. -->)/s;

/** The page is written by hand except for the diagram of the rooms. */
function renderArchitecturePage(): string {
  const page = Deno.readTextFileSync(new URL("../docs/architecture.md", import.meta.url));
  if (!ROOMS_SECTION.test(page)) throw new Error("docs/architecture.md has no place for the rooms");
  const imports = readRoomImports();
  const arrows = [...reduceImports(imports)].flatMap(([from, targets]) => targets.map((to) => `  ${from} --> ${to}`));
  const rows = [...imports].map(([room, targets]) => [code(room), targets.map(code).join(" ") || "–"]);
  const section = `\n\`\`\`mermaid\nflowchart TD\n${arrows.join("\n")}\n\`\`\`\n\n${
    renderTable(["room", "imports"], rows)
  }`;
  return page.replace(ROOMS_SECTION, (_, begin: string, end: string) => `${begin}${section}${end}`);
}

/** Groups rules of one kind on a line, up to a maximum length. */
function renderSetUser(rules: readonly string[]): string {
  const kinds = [/^[~%]/, /^(resetchannels|&)/, /^\+/].map((kind) => rules.filter((rule) => kind.test(rule)));
  const lines = kinds.flatMap((kind) => wrap(kind.map((rule) => /[~&|]/.test(rule) ? `'${rule}'` : rule)));
  return `\`\`\`sh\nredis-cli ACL SETUSER remediation reset on '>PASSWORD' \\\n  ${lines.join(" \\\n  ")}\n\`\`\`\n`;
}

/** What a user with the rules of some sources lacks for more sources. */
function renderAddedRules(before: readonly BuiltInName[], after: readonly BuiltInName[]): string {
  const had = new Set(aclRules(before));
  const added = aclRules(after).filter((rule) => !had.has(rule)).map((rule) => `'${rule}'`);
  return `\`\`\`sh\nredis-cli ACL SETUSER remediation ${added.join(" ")}\n\`\`\`\n`;
}

function wrap(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 110) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

const RULES = "monitoring/prometheus/rules";

/** Prometheus' rule files as one object for the Prometheus operator. */
function renderPrometheusRule(): string {
  const groups = filesIn(RULES, ".yml").flatMap((path) => parse(Deno.readTextFileSync(ROOT + path)).groups);
  const rule = {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "PrometheusRule",
    metadata: { name: "mutt-remediation", namespace: "mutt", labels: { app: "mutt", component: "remediation" } },
    spec: { groups },
  };
  return `# Made from ${RULES} by: ${MAKE}\n${stringify(rule, { lineWidth: 0 })}`;
}

function renderStatesPage(): string {
  // A second colon would end the label.
  const arrows = BRAKE_TRANSITIONS.map(({ from, to, when }) => `    ${from} --> ${to}: ${when.replaceAll(":", ",")}`);
  const reasons = BRAKE_REASONS.map((reason) => `- \`${reason}\`: ${BRAKE_REASON_TEXTS[reason]}.`);
  return `# States of a source

<!-- Made from src/cycle/brake.ts by: ${MAKE} -->

A source is in one of ${BRAKE_STATES.length} states (\`mutt_remediation_brake_state\`, event \`brake\`).
\`REMEDIATION_BRAKE_ENABLED=false\` turns the states off; failures are still weighed.

\`\`\`mermaid
stateDiagram-v2
    [*] --> healthy
${arrows.join("\n")}
\`\`\`

| state   | what a cycle takes                                                                               |
| ------- | ------------------------------------------------------------------------------------------------ |
| healthy | up to the batch size, oldest first                                                               |
| canary  | 2 % of the DLQ, at least one message                                                             |
| suspect | nothing, until the next canary group; the distance grows to 3 cycles, or to as many as take 30 s |
| ramping | an allowance that grows fourfold a step (\`mutt_remediation_allowance\`)                           |

**Closed gates.** If a gate \`window\`, \`consumer\`, \`downstream\`, \`breaker\` or \`depth\` was closed for 5 s or more, a ramping source falls back to
a quarter of its allowance; for \`REMEDIATION_CANARY_AFTER\`, a canary group goes first.

**Which messages go.** When little may go, the least tried of both ends of the DLQ.

**How fast.** After a good step the next one starts when the target is empty and the consumer has had 3 s, and after a canary group also
\`REMEDIATION_SETTLE\` (\`moog\`: 70 s).

**Released.** The operation \`release\` makes a source healthy at once. Messages replayed before it and outages that ended before it do not
change that; later ones do.

## Why

The last reason for a change (\`mutt_remediation_brake_reason\`; \`reason\` in the log):

${reasons.join("\n")}

## Evidence

**What counts as returned.** A message in the DLQ with our stamp of that source and cycle, however late. With
[\`record: beside\`](sources.md#record-beside-the-message): one whose record says so. When a cycle begins, up to 2,000 messages are read at the newest end. A source is in trouble when nine tenths of a
cycle's replays, and of its first-timers (never replayed before), came back.

**What a failure weighs.** −log2(share of that cycle's first-timers that came back, including the message) bits: 0 if all did, 3.3 if one
in ten did. A first-timer that still waits in the target counts as returned; live messages that wait there do not. If it holds
more than 2,000, or the source has both \`record: beside\` and \`unwrap\`, they cannot be told apart, and any of them may be one. A message is poison when it has failed
\`MAX_POISON_RETRIES\` times _and_ has ${POISON_EVIDENCE} bits. If there is nothing to compare with, it is
poison after ${EXHAUSTED_FAILURES} failures over at least ${EXHAUSTED_MS / 3_600_000} hours.

**Live traffic.** Alerts that the forwarder takes within five seconds of new dead letters count as first-timers too. If they are three or more, and more
than twice the new failures, the source continues (event \`messages_fail\`). This does not apply to
\`once\`, to sources from a file, or while the breaker is unused, not CLOSED or counting failures.

**A consumer that drops the stamp.** If three or more messages return without it (event \`stamps_dropped\`, \`check\`,
\`mutt_remediation_stamps_dropped\`), every arrival counts as a return, and no message can become poison. Make the consumer keep the
member \`_remediation\`, or set \`record: beside\`; if that is set, the consumer changes the bytes, and needs \`recordId\`. The condition ends when messages
arrive and none of them is such a message.

**Outages that a gate saw.** Replays during a closed gate on their path weigh nothing. The history (event \`outage\`):
\`HGET mutt:remediation:{mutt:dlq:alerter}:state outages\` prints the last 16 as \`gate reason from-until cycle;…\`, newest last.
`;
}

function fieldsOf(group: Group): Field<unknown>[] {
  return SETTING_KEYS.map((key) => FIELDS[key]).filter((field) => field.group === group);
}

function renderEnvTemplate(): string {
  const groups = GROUPS.map((group) => [`# ---- ${group} ----`, ...fieldsOf(group).map(renderVariable)].join("\n\n"));
  return [
    `# Settings of mutt-remediation. Made from src/config/fields.ts by: ${MAKE}\n` +
    "# Copy to .env and change what you need; as it stands, every line says the default.\n" +
    "# Comments stand on lines of their own: systemd and Docker would take them for a part of the value.",
    ...groups,
  ].join("\n\n") + "\n";
}

function renderVariable(field: Field<unknown>): string {
  const facts = [
    `Takes ${shorten(field.expected)}.`,
    ...(field.aliases.length > 0 ? [`Also read: ${field.aliases.join(", ")}.`] : []),
    ...(field.inFile ? [`Or a file's path in ${field.variable}_FILE.`] : []),
    ...(field.dynamicKey ? [`Dynamic key: mutt:config:${field.dynamicKey}`] : []),
  ];
  const comments = [...wrap(field.doc.split(/\s+/)), ...facts].map((line) => `# ${line}\n`).join("");
  return comments + (field.defaultText === null ? `#${field.variable}=` : `${field.variable}=${field.defaultText}`);
}

/**
 * Values that a setting accepts, e.g. `1 to 86400 seconds`. The page's introduction explains booleans, texts and keys.
 */
function shorten(expected: string): string {
  return expected.replace(/^true or false.*/, "true or false")
    .replace(/^(?:one line of )?text without control characters$/, "text")
    .replace(/^a Redis key of .*/, "a Redis key")
    .replace(
      /^a (?:whole )?number from (\S+) to (\S+)(?: \((.+)\))?$/,
      (_, min: string, max: string, unit = "") => `${min} to ${max} ${unit}`.trimEnd(),
    );
}

const INTRODUCTION = `# Configuration

<!-- Made from src/config/fields.ts by: ${MAKE} -->

Environment variables set everything. MUTT's own variables keep the names, meanings and defaults of its Python remediation service, so its
environment file works unchanged. [\`.env.template\`](../.env.template) lists all variables with their defaults.

**Precedence**, weakest first: default, the file \`.env\` in the working directory, the environment, dynamic keys. An empty value counts as
unset, but in the environment it hides the one in \`.env\`. A variable wins over its aliases.

**Errors** are all reported at once; the service then exits with status 78. Only warnings: an unknown \`REMEDIATION_…\` name, a name one typo
away from a known one, settings that shadow each other, an invalid \`OTEL_…\` variable (its default applies).

**Limits**: ${MAX_VALUE_CHARACTERS} characters per value, ${MAX_FILE_BYTES} bytes for \`.env\` and for each secret or certificate file, ${MAX_DYNAMIC_BYTES} bytes per
dynamic key; UTF-8.

**Files** (\`.env\`, \`…_FILE\`, certificates, the sources file, the notify file) must be regular files. An unreadable \`.env\` is ignored with a warning. The log
(\`dot_env\`), \`check\` and \`config\` name the \`.env\` in use. There are warnings if it belongs to another user, if all users may write it,
or if all users may read a secret.

**The runtime's own variables** (\`SSLKEYLOGFILE\`, \`DENO_CERT\`, …) act past these settings
([list](security.md#variables-of-the-runtime)).

**Secrets** never appear in messages. Each can be given as a file: the variable's name plus \`_FILE\` holds the path; one trailing newline is
ignored. Files with Redis' secrets are [read again](redis.md#passwords).

**Comments and quotes.** systemd and Docker pass on what follows a value. The service removes a \`#\` after white space with all that
follows, and quotes around the whole value, each with a warning; a password or key is used as it stands. In \`.env\` an unquoted value
ends at the first \`#\`, even inside a word: quote a password with \`#\` there.

**Booleans**: \`true\`, \`1\`, \`yes\`, \`on\` or \`false\`, \`0\`, \`no\`, \`off\`, in any case; anything else is an error.

**Kubernetes** sets \`REDIS_PORT=tcp://…\` in every pod beside a Service named \`redis\`: set \`REDIS_PORT\` yourself, or
\`enableServiceLinks: false\`. \`REMEDIATION_PORT=tcp://…\` is ignored.

**IPv6.** \`REMEDIATION_BIND_ADDRESS=::\` listens on IPv6, and on IPv4 too unless Linux sets \`net.ipv6.bindv6only=1\`. \`health\` asks
\`127.0.0.1\`, then \`[::1]\`.
`;

const SOURCES_INTRODUCTION = `## Sources file

\`REMEDIATION_SOURCES_PATH\` names a YAML or JSON file with further sources: [how to use it](sources.md), and its JSON Schema,
[sources.schema.json](sources.schema.json). A source has these members, and no others. Members of messages are named by
their [paths](sources.md#paths):
`;

const WINDOWS_INTRODUCTION = `### Windows

\`windows\` beside \`sources\` is a list of windows of all sources; then \`sources\` may be missing. At most ${MAX_WINDOWS} in each list. A window has these
members, and no others ([examples](sources.md#windows)):
`;

const NOTIFY_INTRODUCTION = `## Notify file

\`REMEDIATION_NOTIFY_PATH\` names a YAML or JSON file that says who is told what: [how to use it](notifications.md), and its JSON Schema,
[notify.schema.json](notify.schema.json). It has these members, and no others:
`;

const DYNAMIC_INTRODUCTION = `## Dynamic keys

With \`DYNAMIC_CONFIG_ENABLED=true\` a Redis string overrides a setting at run time, with the same rules and bounds. It is read every 5 s, and
at once when its bare name is published:

\`\`\`console
$ redis-cli SET mutt:config:remediation_interval 60
$ redis-cli PUBLISH mutt:config:updates remediation_interval
\`\`\`

Delete or empty the key to return to the variable's value. An invalid value changes nothing: the last good one stays, one warning is
logged, and \`mutt_remediation_config_reloads_total{result="rejected"}\` counts it.
`;

const MUTT_SHARED_INTRODUCTION =
  `Keys of MUTT's other services are read, never written, and only with \`DYNAMIC_CONFIG_ENABLED=true\`, as MUTT's alerter and forwarder do.
With \`false\`, MUTT's limits come from the variables.
`;

function renderConfigurationPage(): string {
  const groups = GROUPS.map((group) =>
    `## ${group}\n\n${renderTable(["Variable", "Default", "Takes", "Meaning"], fieldsOf(group).map(describeRow))}`
  );
  const dynamic = fieldsWithDynamicKey().map((
    field,
  ) => [code(`mutt:config:${field.dynamicKey}`), code(field.variable)]);
  const muttShared = Object.values(MUTT_SHARED_FIELDS).map((one) => [
    code(`mutt:config:${one.key}`),
    shorten(one.type.expected),
    one.doc,
  ]);
  return [
    INTRODUCTION,
    ...groups,
    SOURCES_INTRODUCTION,
    renderMembers(SOURCE_FIELDS),
    WINDOWS_INTRODUCTION,
    renderMembers(WINDOW_FIELDS),
    NOTIFY_INTRODUCTION,
    renderNotifyTables(),
    DYNAMIC_INTRODUCTION,
    renderTable(["Key", "Overrides"], dynamic),
    MUTT_SHARED_INTRODUCTION,
    renderTable(["Key", "Takes", "Meaning"], muttShared),
  ].join("\n");
}

function fieldsWithDynamicKey(): Field<unknown>[] {
  return SETTING_KEYS.map((key) => FIELDS[key]).filter((field) => field.dynamicKey !== null);
}

function describeRow(field: Field<unknown>): string[] {
  const notes = [
    ...(field.aliases.length > 0 ? [`Aliases: ${field.aliases.map(code).join(", ")}.`] : []),
    ...(field.secret ? ["Secret."] : []),
  ];
  return [
    code(field.variable),
    field.defaultText ? code(field.defaultText) : "–",
    shorten(field.expected),
    [field.doc.replaceAll("\n", " "), ...notes].join(" "),
  ];
}

function renderMembers(fields: FileFields): string {
  return renderTable(["Member", "Default", "Takes", "Meaning"], Object.entries(fields).map(describeMember));
}

function describeMember([name, { initialText, wants, doc }]: [string, FileField]): string[] {
  return [code(name), initialText ?? "must be given", wants, doc];
}

/** The tables of the notify file's objects. Kinds of incidents without members have none. */
function renderNotifyTables(): string {
  const types = Object.entries(TYPE_FIELDS).map(([type, fields]): [string, FileFields] => [
    `A receiver of type \`${type}\` also has`,
    fields,
  ]);
  const kinds = Object.entries(INCIDENT_FIELDS).flatMap(([kind, fields]): [string, FileFields][] =>
    Object.keys(fields).length === 0 ? [] : [[`\`incidents.${kind}\` is \`off\`, or has`, fields]]
  );
  const plain = Object.entries(INCIDENT_FIELDS).filter(([, fields]) => Object.keys(fields).length === 0);
  const tables: [string, FileFields][] = [
    ["Every receiver has", RECEIVER_FIELDS],
    ...types,
    ["An item of `quietHours` has", QUIET_HOURS_FIELDS],
    ["A `template` has one or both of", TEMPLATE_FIELDS],
    ["An item of `routes` has", ROUTE_FIELDS],
    ...kinds,
  ];
  return [
    renderMembers(NOTIFY_FIELDS),
    ...tables.map(([heading, fields]) => `${heading}:\n\n${renderMembers(fields)}`),
    `${plain.map(([kind]) => code(kind)).join(", ")} have no members: they are \`off\` or \`{}\`.\n`,
  ].join("\n");
}

function differsFrom(path: URL, text: string): boolean {
  try {
    return Deno.readTextFileSync(path) !== text;
  } catch {
    return true;
  }
}

function main(option: string | undefined): number {
  if (option === "--env") {
    console.log(environmentPrefixes().join(","));
    return 0;
  }
  let code = 0, isStale = false;
  for (const [path, text] of renderFiles()) {
    const url = new URL(`../${path}`, import.meta.url);
    if (!differsFrom(url, text)) continue;
    if (option !== "--check") {
      Deno.writeTextFileSync(url, text);
      console.log(`wrote ${path}`);
      isStale ||= path === CATALOG || path === FLAGS;
    } else {
      console.error(`${path} differs from its source: run ${MAKE}`);
      code = 1;
    }
  }
  return isStale ? runAgain() : code;
}

/** The pages of the command line are made from the catalog that was loaded at the start. */
function runAgain(): number {
  const args = ["run", "-A", "--no-lock", new URL(import.meta.url).pathname];
  return new Deno.Command(Deno.execPath(), { args, stdout: "inherit", stderr: "inherit" }).outputSync().code;
}

if (import.meta.main) Deno.exit(main(Deno.args[0]));
