/**
 * Writes what is made from the tables of settings, sources and the ACL (`.env.template`, `docs/configuration.md`, `docs/states.md`,
 * `docs/sources.schema.json`, a part of `docs/redis.md`), from Prometheus' rules (`k8s/components/monitoring/prometheusrule.yaml`), and
 * the Grafana dashboard (`monitoring/grafana/dashboards/mutt-remediation.json`, from `dashboard.ts`).
 *
 *     deno run -A scripts/generate.ts           # writes them
 *     deno run -A scripts/generate.ts --check   # exit 1 when they differ from the table
 *     deno run -A scripts/generate.ts --env     # prints the prefixes for --allow-env
 */
import { BRAKE_REASON_TEXTS, BRAKE_REASONS, BRAKE_STATES, BRAKE_TRANSITIONS } from "../src/cycle/brake.ts";
import { EXHAUSTED_FAILURES, EXHAUSTED_MS, POISON_EVIDENCE } from "../src/message/verdict.ts";
import { MAX_DYNAMIC_BYTES, NEIGHBOUR_FIELDS } from "../src/mutt/dynamic_keys.ts";
import { describeRange, type Field, type Group, GROUPS } from "../src/config/field.ts";
import { MAX_VALUE_CHARACTERS } from "../src/config/layers.ts";
import { SOURCE_FIELDS, SOURCE_MEMBERS } from "../src/config/source_fields.ts";
import { SOURCES_SCHEMA } from "../src/config/sources_file.ts";
import { environmentPrefixes, FIELDS, SETTING_KEYS } from "../src/config/fields.ts";
import { aclRules, CLUSTER_GRANT, COMMAND_GRANTS, keyGrants } from "./redis_acl.ts";
import { MAX_FILE_BYTES } from "../src/runtime/process.ts";
import { parse, stringify } from "yaml";
import { filesIn, ROOT } from "./child.ts";
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
    "For the source `alerter`, on Redis 7.0 or newer (tried on 7.0.15, and once on 8.0.2 and Valkey 8.1.1):\n",
    renderSetUser(aclRules(["alerter"])),
    "With the sources `alerter` and `moog`:\n",
    renderSetUser(aclRules(["alerter", "moog"])),
    renderTable(["Keys", "Access", "What for"], keys),
    renderTable(["Commands", "What for", "Without"], commands),
  ].join("\n");
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

A source is in one of ${BRAKE_STATES.length} states; \`mutt_remediation_brake_state\`, the log (event \`brake\`) and \`once --json\` tell
which. It changes only when a cycle begins, by what came back of the cycles before. \`REMEDIATION_BRAKE_ENABLED=false\` switches all
of this off: every cycle then takes its whole batch. Failures are weighed all the same.

\`\`\`mermaid
stateDiagram-v2
    [*] --> healthy
${arrows.join("\n")}
\`\`\`

${rows.join("\n")}

**healthy**: a cycle takes up to its batch size. **canary**: it takes 2 % of the DLQ, at least one message. **suspect**: cycles
are skipped until the next canary group; the distance grows to 3 cycles, or to as many as take 30 s. **ramping**: the allowance
grows fourfold a step (\`mutt_remediation_allowance\`), and falls back to a quarter where a gate \`consumer\`, \`downstream\`,
\`breaker\` or \`depth\` was closed for 5 s or more. Where one was closed for \`REMEDIATION_CANARY_AFTER\`, a canary group goes first.

**Which messages go.** A healthy source takes the oldest. While little may go, the least tried messages go first, half of them from
the newest end and half from the oldest, because the oldest are again and again the poison that stayed behind. It looks at 200
messages at the old end and at up to 1,000 at the new one. Messages that are dead leave with them and use up nothing of the allowance.

**How fast it ramps up.** The step behind a good canary group, or behind a good step, does not wait for the interval. It begins when
the target is empty and the consumer has had its time: 3 s, and for a canary group also as long as the source's consumer may take
(\`REMEDIATION_SETTLE\`; \`moog\`: 70 s). After a bad one the distances above hold.

## Why

\`mutt_remediation_brake_reason\`, \`reason\` in the log and in \`once --json\`: what changed the state last.

${reasons.join("\n")}

## Evidence

**What counts as returned.** A message that stands in the DLQ with our stamp of that source and cycle. What bears no stamp is inflow
and says nothing, however much of it there is. Arrivals lie at the newest end; they are read when a cycle begins (at most 2,000
messages in blocks of 100 or 64 KiB, evenly spread where more arrived). A stamp names its cycle, so what comes back late is counted
there, and that cycle is judged again. A source is in trouble when nine tenths of a cycle's replays came back, and nine tenths of its
first-timers: messages that were never replayed before.

**What a failure weighs.** −log2(share of that cycle's first-timers that came back, the message among them) bits. Everything came
back: 0. One in ten: 3.3. One in a hundred: 6.6. No first-timers: 0. What waits in the target still, or may be with a consumer that
was seen to take long, counts as if it had come back. A message is poison when it has failed \`MAX_POISON_RETRIES\` times _and_ has
${POISON_EVIDENCE} bits: a thousand to one against chance. The sum over a healthy message's failures reaches that once in a thousand, however long a
partial outage lasts. Where nothing can be compared, it is poison after ${EXHAUSTED_FAILURES} failures over at least ${
    EXHAUSTED_MS / 3_600_000
  } hours.

**Live traffic.** The service looks every second at what MUTT's forwarder takes: alerts beyond those that had waited and those that
other sources replayed. What gets through within some five seconds of messages arriving in the DLQ counts as first-timers too. If at
least three do, and more than twice as many as failed newly, the cause lies with what came back: the source goes on, and the log says
so (event \`messages_fail\`). Nothing proves this while the breaker is not in use, not CLOSED or counts failures, for \`once\`, and for
sources from a file.

**A consumer that drops the stamp.** If three or more of the last cycle's messages arrive without it, the log says so (event
\`stamps_dropped\`), \`check\` warns, and \`mutt_remediation_stamps_dropped\` is 1. Then whatever arrives is taken for returns of the last
cycle, and no message can become poison: let the consumer keep the member \`_remediation\`. It ends with the first cycle of which none
does.

**Outages that a gate saw.** What is replayed while a gate on its path is closed weighs nothing. The field \`outages\` of a source's
record keeps the last 16: \`HGET mutt:remediation:{mutt:dlq:alerter}:state outages\` answers with \`gate reason from-until cycle;…\`
(milliseconds since the epoch), newest last. Each is logged as well (event \`outage\`). The field \`tallies\` keeps the last 64 cycles
that replayed anything: \`cycle:replayed:firsts:returned:firstsReturned:pending:others:othersFailed:movedAtMs:says\`.

Held by \`tests/unit/cycle/healing_test.ts\`, \`evidence_test.ts\`, \`brake_test.ts\` and \`tests/integration/alert_flow_test.ts\`.
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
    `Takes ${field.wants}.`,
    ...(field.aliases.length > 0 ? [`Also read: ${field.aliases.join(", ")}.`] : []),
    ...(field.inFile ? [`Or a file's path in ${field.variable}_FILE.`] : []),
    ...(field.dynamicKey ? [`Dynamic key: mutt:config:${field.dynamicKey}`] : []),
  ];
  const comments = [...field.doc.split("\n"), ...facts].map((line) => `# ${line}\n`).join("");
  return comments + (field.initialText === null ? `#${field.variable}=` : `${field.variable}=${field.initialText}`);
}

const INTRODUCTION = `# Configuration

<!-- Made from src/config/fields.ts by: ${MAKE} -->

Everything is set by environment variables. Names, meanings and defaults of MUTT's own variables are those of its Python
remediation service, so its environment file works as it is. All lines with their defaults:
[\`.env.template\`](../.env.template).

**Precedence**, weakest first: default, the file \`.env\` in the working directory, the environment, dynamic keys. An
empty value counts as unset; an empty value in the environment also hides the one in \`.env\`. A variable wins over its
aliases; where two of them say different things, a warning says which one is ignored.

**Problems.** All of them are reported at once, each with variable, value and what is wanted; then the service ends with
exit status 78 and nothing was started. Warnings do not stop it: a \`REMEDIATION_…\` name that nothing reads, a name that
is one slip away from a known one, settings that shadow each other. So does no \`OTEL_…\` variable of the standard: where
one is no good its default holds, with a warning if tracing is on at all.

**Bounds**: a value has at most ${MAX_VALUE_CHARACTERS} characters, \`.env\` and the file of a secret or certificate at most
${MAX_FILE_BYTES} bytes, a dynamic key at most ${MAX_DYNAMIC_BYTES}. A variable must be UTF-8.

**Files** (\`.env\`, \`…_FILE\`, certificates, the sources file) must be regular files: a pipe or device is a problem and is never
waited for. A \`.env\` that is too large, in UTF-16, or with a value of ours that is not UTF-8 is a problem, and so is a secret
that is not UTF-8. One that this user may not read, or a folder of that name, is ignored with a warning. The log (\`dot_env\`),
\`check\` and \`config\` name the \`.env\` that was read. Warnings tell where it belongs to another user than this one or root, where
every user may write it, and where every user may read a secret's file, a client's key, or a \`.env\` with a secret in it.

**The runtime's own variables** (\`SSLKEYLOGFILE\`, \`DENO_CERT\`, proxies, …) act past these settings:
[security.md](security.md#variables-of-the-runtime) lists them, and a start with one of them is refused or warns.

**Secrets** never appear in messages, nor do credentials inside URLs. Each can also be given as a file: the variable's
name with \`_FILE\` behind it holds the path, and one newline at the file's end is not a part of the secret. The files of
Redis' secrets are read again whenever a connection is made ([redis.md](redis.md#passwords)).

**Comments and quotes.** systemd and Docker keep what follows a value: \`REMEDIATION_INTERVAL=300  # five minutes\`
arrives with its comment. Text from white space and \`#\` on is cut, and quotes around the whole value are taken off, each
with a warning. A password or key is always used as it stands, because both may be meant; there is only a warning
(unless nothing but a comment is there: that is an empty value). In \`.env\` an unquoted value ends at the first \`#\`, even
inside a word, so put a password with \`#\` in quotes there.

**Yes or no** is \`true\`, \`1\`, \`yes\`, \`on\` or \`false\`, \`0\`, \`no\`, \`off\`, in any case; any other word is a problem. (The
original takes every word but \`true\` for no.)

**Kubernetes** sets \`REDIS_PORT=tcp://…\` in every pod beside a Service named \`redis\`. Set \`REDIS_PORT\` yourself there,
or \`enableServiceLinks: false\`. What it sets for a Service named \`remediation\` (\`REMEDIATION_PORT=tcp://…\`) is ignored.

**IPv6.** \`REMEDIATION_BIND_ADDRESS=::\` listens for IPv6, and for IPv4 as well where Linux is left as it is
(\`net.ipv6.bindv6only=0\`). \`health\` asks \`127.0.0.1\`, then \`[::1]\`. With \`::1\` only this machine reaches it.
`;

const SOURCES_INTRODUCTION = `## Sources file

\`REMEDIATION_SOURCES_PATH\` names a YAML or JSON file with further sources; [sources.md](sources.md) tells how to use it, and
[sources.schema.json](sources.schema.json) is its JSON Schema. A source may have these members, and no others:
`;

const DYNAMIC_INTRODUCTION = `## Dynamic keys

With \`DYNAMIC_CONFIG_ENABLED=true\` a string in Redis overrides a setting while the service runs, by the same rules and
bounds. It is read every 5 s, and at once when its bare name is published:

\`\`\`console
$ redis-cli SET mutt:config:remediation_interval 60
$ redis-cli PUBLISH mutt:config:updates remediation_interval
\`\`\`

Deleting a key, or setting it to nothing, returns to the variable's value. A value that is no good changes nothing:
there is one warning, \`mutt_remediation_config_reloads_total{result="rejected"}\` counts it, and the last good value
stays.
`;

const NEIGHBOUR_INTRODUCTION =
  `Keys of the services beside this one are only read, and only with \`DYNAMIC_CONFIG_ENABLED=true\`, as MUTT's alerter and
forwarder read them. Where it is \`false\`, MUTT's limits are those of the variables, whatever Redis holds.
`;

function renderConfigurationPage(): string {
  const groups = GROUPS.map((group) =>
    `## ${group}\n\n${renderTable(["Variable", "Default", "Takes", "Meaning"], fieldsOf(group).map(describeRow))}`
  );
  const dynamic = fieldsWithDynamicKey().map((
    field,
  ) => [code(`mutt:config:${field.dynamicKey}`), code(field.variable)]);
  const neighbours = Object.values(NEIGHBOUR_FIELDS).map((one) => [
    code(`mutt:config:${one.key}`),
    describeRange("a whole number", one),
    one.doc,
  ]);
  return [
    INTRODUCTION,
    ...groups,
    SOURCES_INTRODUCTION,
    renderTable(["Member", "Default", "Takes", "Meaning"], SOURCE_MEMBERS.map(describeMember)),
    DYNAMIC_INTRODUCTION,
    renderTable(["Key", "Overrides"], dynamic),
    NEIGHBOUR_INTRODUCTION,
    renderTable(["Key", "Takes", "Meaning"], neighbours),
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
    field.initialText ? code(field.initialText) : "–",
    field.wants,
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
