/** docs/operations.md names only what there is, and leaves out nothing that it promises. Its commands run in tests/e2e. */
import assert from "node:assert/strict";
import { filesIn, ROOT } from "../../scripts/child.ts";
import { knownVariables } from "../../src/config/fields.ts";
import { GATE_NAMES } from "../../src/gates/gate.ts";
import { formatProbe } from "../../src/mutt/moogsoft_probe.ts";
import { REDIS_ERROR_CODES } from "../../src/redis/errors.ts";
import { parseRunbook } from "../../testkit/runbook.ts";
import { readYaml } from "../../testkit/yaml.ts";

const read = (path: string) => Deno.readTextFileSync(ROOT + path);
const PAGE = read("docs/operations.md");
const SECTIONS = parseRunbook(PAGE);
const SOURCES = filesIn("src", ".ts").map(read).join("\n");

Deno.test("operations page: shows the probe exactly as it is sent", () => {
  const [, json] = /^```json\n(.*?)^```/ms.exec(PAGE)!;
  const shown = JSON.parse(json!);
  const sent = JSON.parse(formatProbe(Date.parse(shown.timestamp)));
  assert.deepEqual(Object.entries(shown), Object.entries(sent));
});

Deno.test("operations page: says first what to do in Moogsoft, then how to see whether it heals", () => {
  const headings = SECTIONS.filter(({ level }) => level === 2).map(({ heading }) => heading);
  assert.equal(headings[0], "Once, in Moogsoft");
  assert.ok(headings.indexOf("Is it healing?") < headings.indexOf("The four key metrics"));
  assert.equal(headings.at(-1), "Alerts");
});

/** MUTT's eleven checks (its page "Troubleshooting") and the tasks of its runbooks, and where the page answers them. */
const ANSWERED: readonly (readonly [asked: string, heading: string])[] = [
  ["DLQ not draining: Moogsoft health", "Is Moogsoft healthy?"],
  ["DLQ not draining: logs", "What does the log say?"],
  ["DLQ not draining: Redis", "Does Redis answer?"],
  ["DLQ not draining: batch size", "Are the batches too small?"],
  ["poison: contents of the dead list", "What is in the dead list?"],
  ["poison: retry counts", "What do the retry counts say?"],
  ["poison: MAX_POISON_RETRIES", "Should `MAX_POISON_RETRIES` go up?"],
  ["poison: root cause", "What is the root cause?"],
  ["not starting: Redis", "Does Redis answer?"],
  ["not starting: URL", "Is Moogsoft's URL configured?"],
  ["not starting: logs", "What did it say last?"],
  ["depths", "How deep are the queues?"],
  ["head and tail of a list", "What is in a dead-letter queue, and why?"],
  ["by correlation id", "Where is the message with this id?"],
  ["why it failed", "Why did messages die?"],
  ["edit one and re-queue it", "How do I correct a message?"],
  ["re-queue poison", "How do I re-queue dead letters whose cause is mended?"],
  ["drain faster", "How do I drain faster?"],
  ["pause", "How do I pause, and go on?"],
  ["breaker", "Is the forwarder's breaker open?"],
  ["rate limit", "How much of the forwarder's rate limit is left?"],
  ["purge, with a backup", "How do I purge a list, with a backup?"],
  ["park old events", "How do I park messages, and bring them back?"],
  ["orphans", "Did a worker leave messages behind?"],
];

Deno.test("operations page: answers each check and each task of MUTT's runbooks with a command", () => {
  for (const [asked, heading] of ANSWERED) {
    const section = SECTIONS.find((one) => one.heading === heading);
    assert.ok(section && section.blocks.length > 0, asked);
  }
  for (const { heading, level, blocks } of SECTIONS) if (level === 4) assert.ok(blocks.length > 0, heading);
});

Deno.test("operations page: tells of every gate, and only of reasons that gates give", () => {
  const rows = [...PAGE.matchAll(/^\| (?:`(\w+)`)? +\| ((?:e\.g\. )?`\w+`(?:, `\w+`)*) +\|/gm)];
  assert.deepEqual(rows.flatMap(([, gate]) => gate ?? []), [...GATE_NAMES]);
  const gates = filesIn("src/gates", ".ts").map(read).join("\n") + filesIn("src/mutt", ".ts").map(read).join("\n");
  const codes = REDIS_ERROR_CODES.map((code) => code.toLowerCase());
  for (const [, , reasons] of rows) {
    for (const [, reason] of reasons!.matchAll(/`(\w+)`/g)) {
      assert.ok(gates.includes(`"${reason}"`) || (codes as string[]).includes(reason!), reason);
    }
  }
});

Deno.test("operations page: names only metrics, variables and log events that there are", () => {
  const metrics = [...PAGE.matchAll(/\bmutt_remediation_(\w*)(?:\(([\w|]+)\)(\w*))?/g)]
    .flatMap(([, start, middle = "", end = ""]) => middle.split("|").map((one) => `${start}${one}${end}`));
  assert.ok(metrics.length > 12);
  for (const name of metrics) {
    assert.ok(SOURCES.includes(`"${name}"`) || SOURCES.includes(`"mutt_remediation_${name}"`), name);
  }

  const variables = new Set([...knownVariables(), "MUTT_HEALTH_CHECK", "REDISCLI_AUTH"]);
  const named = PAGE.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g)!;
  assert.ok(named.length > 20);
  for (const name of named) assert.ok(variables.has(name), name);

  const events = PAGE.match(/(?<=\[system\] |grep ' |event `)\w+(?=: |`)/g)!;
  assert.ok(events.length >= 3);
  for (const event of [...events, "config_rejected", "sources_rejected"]) {
    assert.ok(SOURCES.includes(`"${event}"`), event);
  }
});

Deno.test("operations page: names only commands and flags of the program that there are", () => {
  const flags = new Map(
    filesIn("src/cli", ".ts").flatMap((path) => {
      const text = read(path);
      const [, command] = /program\.command\("(\w+)"/.exec(text) ?? [];
      return command
        ? [[command, [...text.matchAll(/\.option\("(--[a-z-]+)/g)].map(([, flag]) => flag!)] as const]
        : [];
    }),
  );
  const used = [...PAGE.matchAll(/mutt-remediation ([a-z]+)((?: --?[a-z-]+(?: [a-z]+)?)*)/g)]
    .filter(([, command]) => command !== "is" && command !== "mutt");
  assert.ok(used.length > 12);
  for (const [text, command, rest] of used) {
    assert.ok(flags.has(command!), text);
    for (const [flag] of rest!.matchAll(/--[a-z-]+/g)) assert.ok(flags.get(command!)!.includes(flag), text);
  }
});

/** Where `docker` and `kubectl` find the service, and what the files that ship say. */
Deno.test("operations page: names Compose's service and Kubernetes' objects as they are", () => {
  const [compose] = readYaml<{ services: Record<string, { entrypoint?: unknown }> }>("compose.yaml");
  for (const [text, service] of PAGE.matchAll(/docker compose (?:exec -T|logs [^`]*?|ps) (\w+)(?= mutt|`)/g)) {
    assert.ok(compose!.services[service!], text);
  }
  type Named = { kind: string; metadata: { name: string; namespace: string; labels: Record<string, string> } };
  const objects = readYaml<Named>("k8s/remediation-deployment.yaml");
  const deployment = objects.find(({ kind }) => kind === "Deployment")!.metadata;
  const lines = PAGE.match(/kubectl [^`]+/g)!.filter((line) => line.includes(" -n "));
  assert.equal(lines.length, 4);
  for (const line of lines) {
    assert.match(line, new RegExp(` -n ${deployment.namespace} `));
    if (line.includes("-l ")) assert.match(line, new RegExp(` -l component=${deployment.labels.component}\\b`));
    else assert.match(line, new RegExp(` deploy/${deployment.name} `));
  }
});

const slugOf = (heading: string) => heading.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s/g, "-");

Deno.test("operations page: links only to headings that are there", () => {
  const anchors = new Set(SECTIONS.map(({ heading }) => slugOf(heading)));
  assert.equal(anchors.size, SECTIONS.length, "two headings of one name");
  const links = [...PAGE.matchAll(/\]\(#([^)]+)\)/g)];
  assert.ok(links.length > 20);
  for (const [, anchor] of links) assert.ok(anchors.has(anchor!), anchor);
});

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert?: string; readonly annotations?: Record<string, string> }[];
  }[];
}

const RULES = filesIn("monitoring/prometheus/rules", ".yml");

Deno.test({
  name: `operations page: has a section with a command, or a link to one, for every alert, and for no other${
    RULES.length > 0 ? "" : " (ignored: there are no rules yet)"
  }`,
  ignore: RULES.length === 0,
  fn: () => {
    const rules = RULES.flatMap((path) =>
      readYaml<Rules>(path).flatMap(({ groups }) => groups.flatMap((one) => one.rules))
    );
    const alerts = rules.filter(({ alert }) => alert !== undefined);
    const from = SECTIONS.findIndex(({ heading }) => heading === "Alerts");
    const told = SECTIONS.slice(from + 1).filter(({ level }) => level === 3);
    assert.deepEqual(told.map(({ heading }) => heading).sort(), alerts.map(({ alert }) => alert!).sort());
    const answers = new Set(SECTIONS.filter(({ blocks }) => blocks.length > 0).map(({ heading }) => slugOf(heading)));
    for (const { heading, blocks } of told) {
      const text = PAGE.split(`\n### ${heading}\n`)[1]!.split(/^##/m)[0]!;
      const linked = [...text.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor!);
      assert.ok(blocks.length > 0 || linked.some((anchor) => answers.has(anchor)), heading);
    }
    for (const { alert, annotations } of alerts) {
      assert.ok(annotations?.runbook_url?.endsWith(`docs/operations.md#${alert!.toLowerCase()}`), alert);
    }
  },
});
