import assert from "node:assert/strict";
import { knownVariables } from "../../src/config/fields.ts";
import { GATE_NAMES } from "../../src/gates/gate.ts";
import denoJson from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
const docs = [...Deno.readDirSync(new URL("docs/", ROOT))].filter(({ name }) => name.endsWith(".md"));
const PAGES = ["README.md", "CHANGELOG.md", "SECURITY.md", ...docs.map(({ name }) => `docs/${name}`)];

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
