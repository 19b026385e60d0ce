import assert from "node:assert/strict";
import { knownVariables } from "../../src/config/fields.ts";
import { GATE_NAMES } from "../../src/gates/gate.ts";
import { filesIn } from "../../scripts/child.ts";
import denoJson from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
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

Deno.test("pages: name the pinned version of Deno wherever they name one", () => {
  const pinned = read(".deno-version").trim();
  const named = PAGES.flatMap((page) => [...read(page).matchAll(/deno@([\d.]+\d)/g)].map(([, version]) => version));
  assert.ok(named.length >= 2);
  assert.deepEqual([...new Set(named)], [pinned]);
});

Deno.test("pages: link only to files that are there", () => {
  for (const page of PAGES) {
    for (const [, target] of read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) {
      const file = new URL(target!, new URL(page, ROOT));
      assert.ok(Deno.statSync(file).isFile, `${page} links to ${target}`);
    }
  }
});

Deno.test("pages: name only variables that are read", () => {
  const known = new Set(knownVariables());
  for (const page of ["README.md", "docs/differences-from-mutt.md", "docs/security.md"]) {
    for (const [name] of read(page).matchAll(/\b(?:REMEDIATION|REDIS|MOOG|ALERTER|MAX_POISON|LOG)_[A-Z_]+\b/g)) {
      assert.ok(known.has(name), `${page} names ${name}`);
    }
  }
});

Deno.test("pages: list every gate in the README", () => {
  for (const gate of GATE_NAMES) assert.ok(read("README.md").includes(`| \`${gate}\``), gate);
});

Deno.test("pages: tell in the changelog what the version brought", () => {
  assert.ok(read("CHANGELOG.md").includes(`## ${denoJson.version}`));
});

Deno.test("pages: name only tests that are there on the page about security", () => {
  const named = [...read("docs/security.md").matchAll(/`(tests\/[\w/]+\.ts)`/g)].map(([, path]) => path!);
  assert.ok(named.length >= 5);
  for (const path of named) assert.ok(Deno.statSync(new URL(path, ROOT)).isFile, path);
});

/** Pages to type from: what they name must be there. */
const TYPED = ["docs/install.md", "docs/migration.md"];

/** Words in capitals that the program does not read: the probe's `source`, arguments of the image's build, compose's own. */
const NO_VARIABLES = ["MUTT_HEALTH_CHECK", "BUILD_COMMIT", "DENO_IMAGE", "MUTT_PUBLISH_ADDRESS", "REDISCLI_AUTH"];

/** A page's code: blocks line by line, and spans. */
function codeOf(page: string): string[] {
  const text = read(page);
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block]) => block!.split("\n"));
  const spans = [...text.replace(/^```.*?^```/gms, "").matchAll(/`([^`\n]+)`/g)].map(([, span]) => span!);
  return [...blocks, ...spans];
}

const exists = (path: string) => {
  try {
    return Deno.statSync(new URL(path, ROOT)) !== null;
  } catch {
    return false;
  }
};

Deno.test("install and migration pages: name only variables that are read", () => {
  const known = new Set([...knownVariables(), ...NO_VARIABLES]);
  for (const page of TYPED) {
    const names = new Set(codeOf(page).flatMap((code) => code.match(/\b[A-Z][A-Z]+(?:_[A-Z]+)+\b/g) ?? []));
    assert.ok(names.size > 5, page);
    for (const name of names) assert.ok(known.has(name), `${page} names ${name}`);
  }
});

Deno.test("install and migration pages: name only commands and flags that there are", () => {
  // One file a command, which says its flags.
  const commands = new Map(
    [...Deno.readDirSync(new URL("src/cli/", ROOT))].flatMap(({ name }) => {
      const text = read(`src/cli/${name}`);
      const command = /program\.command\("(\w+)"/.exec(text)?.[1];
      const flags = [...text.matchAll(/\.option\("(--[a-z-]+)/g)].map(([, flag]) => flag!);
      return command ? [[command, flags] as const] : [];
    }),
  );
  assert.ok(commands.get("once")?.includes("--dry-run"));
  for (const page of TYPED) {
    const used = codeOf(page).flatMap((
      code,
    ) => [...code.matchAll(/(?:mutt-remediation|as_service) ([a-z]+)(?![\w=-])([^|;&#]*)/g)]);
    assert.ok(used.length >= 5, page);
    for (const [text, command, rest] of used) {
      const flags = commands.get(command!);
      assert.ok(flags, `${page}: ${text}`);
      for (const [flag] of rest!.matchAll(/(?<=\s)--[a-z-]+/g)) assert.ok(flags.includes(flag), `${page}: ${text}`);
    }
  }
});

Deno.test("install and migration pages: name only files of the repository, routes and metrics that are there", () => {
  const routes = read("src/api/health_server.ts") + read("src/api/metrics_server.ts");
  const metrics = read("src/observability/metrics.ts");
  for (const page of TYPED) {
    const code = codeOf(page).map((one) => one.replaceAll("deployments/kubernetes/", "")).join("\n");
    const files = code.match(
      /(?<![\w./-])(?:(?:systemd|k8s|docs|src|tests|demo|monitoring)\/[\w./-]*\w|compose\.yaml|Dockerfile|\.env\.template)/g,
    );
    assert.ok(files && files.length > 1, page);
    for (const file of files) assert.ok(exists(file), `${page} names ${file}`);
    for (const [, route] of code.matchAll(/localhost:808[67](\/\w+)/g)) {
      assert.ok(routes.includes(`"${route}"`), `${page} names ${route}`);
    }
    for (const [name, short] of read(page).matchAll(/\bmutt_remediation_(\w+)\b/g)) {
      assert.ok(metrics.includes(`"${short}"`) || metrics.includes(`"${name}"`), `${page} names ${name}`);
    }
  }
});

Deno.test("pages: link only to headings that are there", () => {
  const slug = (heading: string) => heading.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s/g, "-");
  for (const page of PAGES) {
    for (const [, target = "", anchor] of read(page).matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)) {
      const file = target === "" ? new URL(page, ROOT) : new URL(target, new URL(page, ROOT));
      const headings = [...Deno.readTextFileSync(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading!));
      assert.ok(headings.includes(anchor!), `${page} links to ${target}#${anchor}`);
    }
  }
});
