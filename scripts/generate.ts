/**
 * Writes what is made from the tables of settings, sources and the ACL (`.env.template`, `docs/configuration.md`, `docs/states.md`,
 * `docs/sources.schema.json`, parts of `docs/redis.md` and `docs/architecture.md`), from Prometheus' rules (`k8s/components/monitoring/prometheusrule.yaml`), and
 * the Grafana dashboard (`monitoring/grafana/dashboards/mutt-remediation.json`, from `dashboard.ts`).
 *
 *     deno run -A scripts/generate.ts           # writes them
 *     deno run -A scripts/generate.ts --check   # exit 1 when they differ from the table
 *     deno run -A scripts/generate.ts --env     # prints the prefixes for --allow-env
 */
import { BRAKE_REASON_TEXTS, BRAKE_REASONS, BRAKE_STATES, BRAKE_TRANSITIONS } from "../src/cycle/brake.ts";
import { EXHAUSTED_FAILURES, EXHAUSTED_MS, POISON_EVIDENCE } from "../src/message/verdict.ts";
import { MAX_DYNAMIC_BYTES, MUTT_SHARED_FIELDS } from "../src/mutt/dynamic_keys.ts";
import { type Field, type Group, GROUPS } from "../src/config/field.ts";
import { MAX_VALUE_CHARACTERS } from "../src/config/layers.ts";
import { SOURCE_FIELDS, SOURCE_MEMBERS } from "../src/config/source_fields.ts";
import { SOURCES_SCHEMA } from "../src/config/sources_file.ts";
import { environmentPrefixes, FIELDS, SETTING_KEYS } from "../src/config/fields.ts";
import { aclRules, CLUSTER_GRANT, COMMAND_GRANTS, keyGrants } from "./redis_acl.ts";
import { MAX_FILE_BYTES } from "../src/runtime/process.ts";
import { parse, stringify } from "yaml";
import { filesIn, ROOT } from "./child.ts";
import { readRoomImports, reduceImports } from "./room_imports.ts";
import { renderDashboard } from "./dashboard.ts";

const MAKE = "deno run -A scripts/generate.ts";

/** Every generated file's path from the project's root, and its text. */
export function renderFiles(): ReadonlyMap<string, string> {
  return new Map([
    [".env.template", renderEnvTemplate()],
    ["docs/configuration.md", renderConfigurationPage()],
    ["docs/states.md", renderStatesPage()],
    ["docs/sources.schema.json", `${JSON.stringify(SOURCES_SCHEMA, null, 2)}\n`],
    ["docs/redis.md", renderRedisPage()],
    ["docs/architecture.md", renderArchitecturePage()],
    ["k8s/components/monitoring/prometheusrule.yaml", renderPrometheusRule()],
    ["monitoring/grafana/dashboards/mutt-remediation.json", renderDashboard()],
  ]);
}

const ACL_SECTION = /(<!-- Made from scripts\/redis_acl\.ts by: [^\n]+ -->\n).*(\n<!-- So far\. -->)/s;

/** The page is written by hand but for its ACL. */
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
  const commands = [...COMMAND_GRANTS, CLUSTER_GRANT].map(({ commands, why, without }) => [
    commands.map((command) => code(command.replace("|", "\\|"))).join(" "),
    why,
    without ?? "needed",
  ]);
  return [
    "For the source `alerter`, on Redis 7.0 or newer:\n",
    renderSetUser(aclRules(["alerter"])),
    "With the sources `alerter` and `moog`:\n",
    renderSetUser(aclRules(["alerter", "moog"])),
    renderTable(["Keys", "Access", "What for"], keys),
    renderTable(["Commands", "What for", "Without"], commands),
  ].join("\n");
}

const ROOMS_SECTION = /(<!-- Made from the imports of src by: [^\n]+ -->\n).*(\n<!-- So far\. -->)/s;

/** The page is written by hand but for the drawing of the rooms. */
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

/** Rules of one kind to a line, as long as it is short. */
function renderSetUser(rules: readonly string[]): string {
  const kinds = [/^[~%]/, /^(resetchannels|&)/, /^\+/].map((kind) => rules.filter((rule) => kind.test(rule)));
  const lines = kinds.flatMap((kind) => wrap(kind.map((rule) => /[~&|]/.test(rule) ? `'${rule}'` : rule)));
  return `\`\`\`sh\nredis-cli ACL SETUSER remediation reset on '>PASSWORD' \\\n  ${lines.join(" \\\n  ")}\n\`\`\`\n`;
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

/** What Prometheus itself reads as files, as one object for the Prometheus operator. */
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
  const arrows = BRAKE_TRANSITIONS.map(({ from, to }) => `    ${from} --> ${to}`);
  const reasons = BRAKE_REASONS.map((reason) => `- \`${reason}\`: ${BRAKE_REASON_TEXTS[reason]}.`);
  const rows = BRAKE_TRANSITIONS.map(({ from, to, when }) => `- ${from} → ${to}: ${when}.`);
  return `# States of a source

<!-- Made from src/cycle/brake.ts by: ${MAKE} -->

A source is in one of ${BRAKE_STATES.length} states, shown by \`mutt_remediation_brake_state\`, the log (event \`brake\`) and
\`once --json\`. The state changes only at the start of a cycle, according to what came back from the cycles before.
\`REMEDIATION_BRAKE_ENABLED=false\` turns the states off: every cycle takes its whole batch. Failures are still weighed.

\`\`\`mermaid
stateDiagram-v2
    [*] --> healthy
${arrows.join("\n")}
\`\`\`

${rows.join("\n")}

| state   | what a cycle takes                                                                               |
| ------- | ------------------------------------------------------------------------------------------------ |
| healthy | up to the batch size, oldest first                                                               |
| canary  | 2 % of the DLQ, at least one message                                                             |
| suspect | nothing, until the next canary group; the distance grows to 3 cycles, or to as many as take 30 s |
| ramping | an allowance that grows fourfold a step (\`mutt_remediation_allowance\`)                           |

**Closed gates.** If a gate \`consumer\`, \`downstream\`, \`breaker\` or \`depth\` was closed for 5 s or more, a ramping source falls back to a
quarter of its allowance. If one was closed for \`REMEDIATION_CANARY_AFTER\`, a canary group goes first.

**Which messages go.** When little may go, the least tried messages go first, half of them from the newest end and half from the oldest,
because the poison that stayed behind collects at the oldest end. The service looks at 200 messages at the old end and up to 1,000 at the
new one. Dead messages leave with them and use none of the allowance.

**How fast it ramps up.** The step after a good canary group or a good step does not wait for the interval. It starts when the target is
empty and the consumer has had its time: 3 s, and after a canary group also the longest time that the source's consumer may take
(\`REMEDIATION_SETTLE\`; \`moog\`: 70 s). After a bad one, the distances above apply.

## Why

The last reason for a change, in \`mutt_remediation_brake_reason\`, and as \`reason\` in the log and \`once --json\`:

${reasons.join("\n")}

## Evidence

**What counts as returned.** A message in the DLQ with our stamp of that source and cycle. A message without a stamp is inflow and proves
nothing. Arrivals are read at the newest end when a cycle begins (at most 2,000 messages in blocks of 100 or 64 KiB, evenly spread if more
arrived). The stamp names its cycle, so a late return counts there, and that cycle is judged again. A source is in trouble when nine tenths
of a cycle's replays came back, and nine tenths of its first-timers, the messages never replayed before.

**What a failure weighs.** −log2(share of that cycle's first-timers that came back, including the message) bits. If everything came back: 0.
One in ten: 3.3. One in a hundred: 6.6. No first-timers: 0. A message that still waits in the target, or may be with a slow consumer, counts
as returned. A message is poison when it has failed \`MAX_POISON_RETRIES\` times _and_ has ${POISON_EVIDENCE} bits: a thousand to one against
chance. A healthy message collects that much once in a thousand, however long a partial outage lasts. If there is nothing to compare
with, a message is poison after ${EXHAUSTED_FAILURES} failures over at least ${EXHAUSTED_MS / 3_600_000} hours.

**Live traffic.** Every second the service counts the alerts that MUTT's forwarder takes, beyond those that had waited and those that other
sources replayed. Alerts that get through within about five seconds of messages arriving in the DLQ count as first-timers too. If there are at
least three, and more than twice as many as new failures, the returned messages are the cause: the source continues, and the log says so
(event \`messages_fail\`). This proves nothing while the breaker is unused, not CLOSED or counting failures, for \`once\`, and for sources
from a file.

**A consumer that drops the stamp.** If three or more of the last cycle's messages return without it, the log says so (event
\`stamps_dropped\`), \`check\` warns, and \`mutt_remediation_stamps_dropped\` is 1. Every arrival then counts as a return of the last cycle, and
no message can become poison. Make the consumer keep the member \`_remediation\`. The condition ends when messages arrive
and none of them is such a message; while nothing arrives, it stays.

**Outages that a gate saw.** Replays during a closed gate on their path weigh nothing. Two fields of the source's record keep the history:

- \`outages\`, the last 16: \`HGET mutt:remediation:{mutt:dlq:alerter}:state outages\` prints \`gate reason from-until cycle;…\` (milliseconds
  since the epoch), newest last. The log has each too (event \`outage\`).
- \`tallies\`, the last 64 cycles that replayed anything:
  \`cycle:replayed:firsts:returned:firstsReturned:pending:others:othersFailed:movedAtMs:says\`.

Tests: \`tests/property/healing_test.ts\`, \`evidence_test.ts\`, \`brake_test.ts\` and \`tests/integration/live_traffic_test.ts\`.
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

/** What a setting takes, as pages say it: `1 to 86400 seconds`. The page's beginning says what a boolean, text and key may be. */
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
unset; in the environment it also hides the one in \`.env\`. A variable wins over its aliases, with a warning if they differ.

**Errors** are all reported at once, each with variable, value and what is expected; the service then exits with status 78. Warnings do not
stop it: an unknown \`REMEDIATION_…\` name, a name one typo away from a known one, settings that shadow each other. An invalid
\`OTEL_…\` variable falls back to its default, with a warning if tracing is on.

**Limits**: ${MAX_VALUE_CHARACTERS} characters per value, ${MAX_FILE_BYTES} bytes for \`.env\` and for each secret or certificate file, ${MAX_DYNAMIC_BYTES} bytes per
dynamic key. Values, including those in \`.env\` and secrets, must be UTF-8.

**Files** (\`.env\`, \`…_FILE\`, certificates, the sources file) must be regular files; a pipe or device is an error, not waited for. A \`.env\` that
this user may not read, or a directory of that name, is ignored with a warning. The log (\`dot_env\`), \`check\` and \`config\` name the \`.env\` in
use. There is a warning if it belongs to a user other than this one or root, or if all users may write it. There is also one if all users may
read a secret's file, a client's key, or a \`.env\` with a secret.

**The runtime's own variables** (\`SSLKEYLOGFILE\`, \`DENO_CERT\`, …) act past these settings: a start with one of them is refused or warns
([list](security.md#variables-of-the-runtime)).

**Secrets**, and credentials inside URLs, never appear in messages. Each secret can be given as a file instead: the variable's name plus \`_FILE\`
holds the path, and one trailing newline is ignored. Files with Redis' secrets are read again for every connection
([redis.md](redis.md#passwords)).

**Comments and quotes.** systemd and Docker pass on what follows a value: \`REMEDIATION_INTERVAL=300  # five minutes\` arrives with its comment.
The service removes a \`#\` after white space with all that follows, and quotes around the whole value, each with a warning. A
password or key is used as it stands, with a warning; only if it is nothing but a comment does it count as empty. In \`.env\` an unquoted value
ends at the first \`#\`, even inside a word: quote a password with \`#\` there.

**Booleans**: \`true\`, \`1\`, \`yes\`, \`on\` or \`false\`, \`0\`, \`no\`, \`off\`, in any case; anything else is an error. (The original reads every word
except \`true\` as no.)

**Kubernetes** sets \`REDIS_PORT=tcp://…\` in every pod beside a Service named \`redis\`: set \`REDIS_PORT\` yourself, or
\`enableServiceLinks: false\`. \`REMEDIATION_PORT=tcp://…\`, from a Service named \`remediation\`, is ignored.

**IPv6.** \`REMEDIATION_BIND_ADDRESS=::\` listens on IPv6, and on IPv4 too unless Linux sets \`net.ipv6.bindv6only=1\`; \`::1\` is reachable from this
machine only. \`health\` asks \`127.0.0.1\`, then \`[::1]\`.
`;

const SOURCES_INTRODUCTION = `## Sources file

\`REMEDIATION_SOURCES_PATH\` names a YAML or JSON file with further sources: [how to use it](sources.md), and its JSON Schema,
[sources.schema.json](sources.schema.json). A source has these members, and no others:
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
    renderTable(["Member", "Default", "Takes", "Meaning"], SOURCE_MEMBERS.map(describeMember)),
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

function describeMember(name: (typeof SOURCE_MEMBERS)[number]): string[] {
  const { initialText, wants, doc } = SOURCE_FIELDS[name];
  return [code(name), initialText ?? "must be given", wants, doc];
}

function code(text: string): string {
  return `\`${text}\``;
}

/** A Markdown table with columns of even width, as `deno fmt` leaves it. */
function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(3, title.length, ...rows.map((row) => row[at]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(" | ")} |\n`;
  return line(head) + line(widths.map((width) => "-".repeat(width))) + rows.map(line).join("");
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
  let code = 0;
  for (const [path, text] of renderFiles()) {
    const url = new URL(`../${path}`, import.meta.url);
    if (!differsFrom(url, text)) continue;
    if (option !== "--check") {
      Deno.writeTextFileSync(url, text);
      console.log(`wrote ${path}`);
    } else {
      console.error(`${path} differs from its source: run ${MAKE}`);
      code = 1;
    }
  }
  return code;
}

if (import.meta.main) Deno.exit(main(Deno.args[0]));
