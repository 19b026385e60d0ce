/** What the pages tell people to type, to follow or to look for is there. The commands of docs/operations.md run in tests/e2e. */
import type { Command } from "commander";
import { createProgram, listCommands } from "../../src/cli/program.ts";
import assert from "node:assert/strict";
import { filesIn, ROOT } from "../../scripts/child.ts";
import { knownVariables } from "../../src/config/fields.ts";
import { GATE_NAMES, type GateName, isGateName, reasonsOf } from "../../src/gates/gate.ts";
import { formatProbe } from "../../src/mutt/moogsoft_probe.ts";
import { parseRunbook } from "../../testkit/runbook.ts";
import { readYaml } from "../../testkit/yaml.ts";
import denoJson from "../../deno.json" with { type: "json" };

const read = (path: string) => Deno.readTextFileSync(ROOT + path);
const PAGES = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "bench/figures.md",
  "demo/simulator/figures.md",
  "tests/chaos/figures.md",
  ...filesIn("docs", ".md"),
];
const RUNBOOK = read("docs/operations.md"), SECTIONS = parseRunbook(RUNBOOK);
/** Pages to type from. */
const TYPED = ["docs/install.md", "docs/migration.md", "docs/operations.md"];
const SOURCES = filesIn("src", ".ts").map(read).join("\n");

const VARIABLES = new Set([
  ...knownVariables(),
  // Read by others: the probe's `source`, arguments of the image's build, compose's own, redis-cli's.
  ...["MUTT_HEALTH_CHECK", "BUILD_COMMIT", "DENO_IMAGE", "MUTT_PUBLISH_ADDRESS", "REDISCLI_AUTH"],
]);

/** A page's code: blocks line by line, and spans. */
function codeOf(page: string): string[] {
  const text = read(page);
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block]) => block!.split("\n"));
  const spans = [...text.replace(/^```.*?^```/gms, "").matchAll(/`([^`\n]+)`/g)].map(([, span]) => span!);
  return [...blocks, ...spans];
}

function slug(heading: string): string {
  return heading.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s/g, "-");
}

Deno.test("pages: name the pinned version of Deno, and the changelog this version", () => {
  const named = PAGES.flatMap((page) => [...read(page).matchAll(/deno@([\d.]+\d)/g)].map(([, version]) => version));
  assert.deepEqual([...new Set(named)], [read(".deno-version").trim()]);
  assert.ok(read("CHANGELOG.md").includes(`## ${denoJson.version}`));
});

Deno.test("pages: link only to files and headings that are there", () => {
  for (const page of PAGES) {
    for (const [link, target = "", anchor] of read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?[^)]*\)/g)) {
      const file = new URL(target === "" ? `file://${ROOT}${page}` : target, `file://${ROOT}${page}`);
      assert.ok(Deno.statSync(file).isFile, `${page}: ${link}`);
      if (anchor === undefined) continue;
      const headings = [...Deno.readTextFileSync(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading!));
      assert.ok(headings.includes(anchor), `${page}: ${link}`);
    }
  }
});

Deno.test("pages: name only variables that are read", () => {
  for (const page of ["README.md", "docs/differences-from-mutt.md", "docs/security.md"]) {
    for (const [name] of read(page).matchAll(/\b(?:REMEDIATION|REDIS|MOOG|ALERTER|MAX_POISON|LOG)_[A-Z_]+\b/g)) {
      assert.ok(VARIABLES.has(name), `${page} names ${name}`);
    }
  }
  for (const page of TYPED) {
    const names = codeOf(page).flatMap((code) => code.match(/\b[A-Z][A-Z]+(?:_[A-Z]+)+\b/g) ?? []);
    assert.ok(names.length > 5, page);
    for (const name of names) assert.ok(VARIABLES.has(name), `${page} names ${name}`);
  }
});

Deno.test("pages: name only commands and flags that there are", () => {
  const program = createProgram({ signal: new AbortController().signal, onHangup: () => {}, exitCode: 0 }, ["help"]);
  const nameOf = (command: Command): string =>
    command.parent?.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
  const commands = new Map(
    listCommands(program).map((command) => [nameOf(command), command.options.map(({ long }) => long)]),
  );
  for (const page of TYPED) {
    const used = codeOf(page)
      .flatMap((code) => [...code.matchAll(/(?:mutt-remediation|as_service) ([a-z]+)(?![\w=-])([^|;&#]*)/g)]);
    assert.ok(used.length >= 5, page);
    for (const [text, command, rest] of used) {
      const [second = ""] = /(?<=^ )[a-z]+(?![\w=-])/.exec(rest!) ?? [];
      const flags = commands.get(`${command} ${second}`) ?? commands.get(command!);
      assert.ok(flags, `${page}: ${text}`);
      for (const [flag] of rest!.matchAll(/(?<=\s)--[a-z-]+/g)) assert.ok(flags.includes(flag), `${page}: ${text}`);
    }
  }
});

Deno.test("docs/cli.md: the command line accepts every example", async () => {
  const lines = [...read("docs/cli.md").matchAll(/^(?:[A-Z_]+=\S+ )*mutt-remediation(?: (.*))?$/gm)];
  assert.ok(lines.length > 50);
  for (const [line, rest = ""] of lines) {
    const words = [...rest.replace(/ [|<>] .*$/, "").matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) =>
      quoted ?? plain!
    );
    const program = createProgram({ signal: new AbortController().signal, onHangup: () => {}, exitCode: 0 }, words);
    let isRun = false;
    for (const command of [program, ...listCommands(program)]) {
      command.action(() => void (isRun = true)).exitOverride().configureOutput({ writeErr: () => {} });
    }
    await program.parseAsync(words, { from: "user" }).catch((error) => assert.fail(`${line}: ${error.message}`));
    assert.ok(isRun, line);
  }
});

Deno.test("pages: name only files of the repository, routes, metrics and log events that there are", () => {
  for (const page of [...TYPED, "docs/security.md"]) {
    const code = codeOf(page).map((one) => one.replaceAll("deployments/kubernetes/", "")).join("\n");
    const files = code.match(
      /(?<![\w./-])(?:(?:systemd|k8s|docs|src|tests|testkit|demo|monitoring)\/[\w./-]*\w|compose\.yaml|Dockerfile|\.env\.template)/g,
    ) ?? [];
    for (const file of files) assert.ok(Deno.statSync(ROOT + file), `${page} names ${file}`);
    for (const [, route] of code.matchAll(/localhost:808[67](\/\w+)/g)) {
      assert.ok(SOURCES.includes(`"${route}"`), `${page} names ${route}`);
    }
    for (
      const [, start, middle = "", end = ""] of read(page).matchAll(/\bmutt_remediation_(\w*)(?:\(([\w|]+)\)(\w*))?/g)
    ) {
      for (const name of middle.split("|").map((one) => `${start}${one}${end}`)) {
        const isThere = SOURCES.includes(`"${name}"`) || SOURCES.includes(`"mutt_remediation_${name}"`);
        assert.ok(isThere, `${page} names ${name}`);
      }
    }
  }
  const events = RUNBOOK.match(/(?<=WARNING |--event |event `)\w+(?=: |`|\n)/g) ?? [];
  assert.ok(events.length >= 3);
  for (const event of events) assert.ok(SOURCES.includes(`"${event}"`), event);
});

Deno.test("pages: tell of every gate, and only of reasons that gates give", () => {
  for (const gate of GATE_NAMES) assert.ok(read("README.md").includes(`| \`${gate}\``), gate);
  const rows = [...RUNBOOK.matchAll(/^\| (?:`(\w+)`)? +\| ((?:e\.g\. )?`\w+`(?:, `\w+`)*) +\|/gm)];
  assert.deepEqual(rows.flatMap(([, gate]) => gate ?? []), [...GATE_NAMES]);
  let gate: GateName = "enabled";
  for (const [, name, reasons] of rows) {
    // A row without a name goes on with the gate above.
    if (name && isGateName(name)) gate = name;
    for (const [, reason] of reasons!.matchAll(/`(\w+)`/g)) {
      assert.ok((reasonsOf(gate) as readonly string[]).includes(reason!), `${gate} ${reason}`);
    }
  }
});

Deno.test("operations page: shows the probe exactly as it is sent", () => {
  const [, json] = /^```json\n(.*?)^```/ms.exec(RUNBOOK)!;
  const shown = JSON.parse(json!);
  assert.deepEqual(Object.entries(shown), Object.entries(JSON.parse(formatProbe(Date.parse(shown.timestamp)))));
});

Deno.test("operations page: answers each question with a command, under a heading of its own", () => {
  assert.equal(new Set(SECTIONS.map(({ heading }) => slug(heading))).size, SECTIONS.length, "two headings of one name");
  for (const { heading, level, blocks } of SECTIONS) if (level === 4) assert.ok(blocks.length > 0, heading);
});

Deno.test("operations page: names Compose's service and Kubernetes' objects as they are", () => {
  const [compose] = readYaml<{ services: Record<string, unknown> }>("compose.yaml");
  for (const [text, service] of RUNBOOK.matchAll(/docker compose (?:exec -T|logs [^`]*?|ps) (\w+)(?= mutt|`)/g)) {
    assert.ok(compose!.services[service!], text);
  }
  type Named = { kind: string; metadata: { name: string; namespace: string; labels: Record<string, string> } };
  const objects = readYaml<Named>("k8s/remediation-deployment.yaml");
  const { name, namespace, labels } = objects.find(({ kind }) => kind === "Deployment")!.metadata;
  for (const line of RUNBOOK.match(/kubectl [^`]+/g)!.filter((line) => line.includes(" -n "))) {
    assert.match(line, new RegExp(` -n ${namespace} .*(-l component=${labels.component}\\b|deploy/${name} )`));
  }
});

interface Rules {
  readonly groups: readonly { readonly rules: readonly { alert?: string; annotations?: Record<string, string> }[] }[];
}

Deno.test("operations page: has a section with a command, or a link to one, for every alert, and for no other", () => {
  const alerts = filesIn("monitoring/prometheus/rules", ".yml").flatMap((path) => readYaml<Rules>(path))
    .flatMap(({ groups }) => groups.flatMap(({ rules }) => rules)).filter(({ alert }) => alert !== undefined);
  const from = SECTIONS.findIndex(({ heading }) => heading === "Alerts");
  const told = SECTIONS.slice(from + 1).filter(({ level }) => level === 3);
  assert.deepEqual(told.map(({ heading }) => heading).sort(), alerts.map(({ alert }) => alert!).sort());
  const answers = new Set(SECTIONS.filter(({ blocks }) => blocks.length > 0).map(({ heading }) => slug(heading)));
  for (const { heading, blocks } of told) {
    const text = RUNBOOK.split(`\n### ${heading}\n`)[1]!.split(/^##/m)[0]!;
    const linked = [...text.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor!);
    assert.ok(blocks.length > 0 || linked.some((anchor) => answers.has(anchor)), heading);
  }
  for (const { alert, annotations } of alerts) {
    assert.ok(annotations?.runbook_url?.endsWith(`docs/operations.md#${alert!.toLowerCase()}`), alert);
  }
});
