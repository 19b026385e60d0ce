import assert from "node:assert/strict";
import plugin, { judgeGlobal, judgeImport } from "../../../scripts/layers.ts";

/** What the linter says about a text in that file of `src/`. */
function lint(path: string, text: string): string[] {
  return Deno.lint.runPlugin(plugin, `/anywhere/src/${path}`, text).map(({ message }) => message);
}

/** Put together here, so that a search of the repository for such imports finds only real ones. */
const [JSR, HTTPS] = ["jsr", "https"].map((scheme) => `${scheme}:`);
const WRONG: readonly (readonly [path: string, text: string])[] = [
  ["message/a.ts", `import { Redis } from "ioredis";`],
  ["message/a.ts", `import { connect } from "node:net";`],
  ["message/a.ts", `import type { Clock } from "../runtime/clock.ts";`],
  ["message/deep/a.ts", `import { x } from "../../config/fields.ts";`],
  ["runtime/a.ts", `import { x } from "../message/source_policy.ts";`],
  ["cycle/a.ts", `import type { Clock } from "../runtime/clock.ts";`],
  ["message/a.ts", `import { x } from "../gates/gate.ts";`],
  ["replay/a.ts", `import { x } from "../mutt/pace.ts";`],
  ["api/a.ts", `import { x } from "../redis/keys.ts";`],
  ["cli/a.ts", `import { x } from "../replay/loop.ts";`],
  ["operations/a.ts", `import { x } from "../http/door.ts";`],
  ["operations/a.ts", `import { x } from "../app/version.ts";`],
  ["operations/a.ts", `import { x } from "../app/core.ts";`],
  ["observability/a.ts", `import { x } from "../slo/objectives.ts";`],
  ["config/a.ts", `import { x } from "../slo/objectives.ts";`],
  ["cli/a.ts", `import { x } from "../gates/gate.ts";`],
  ["notify/a.ts", `import { x } from "../replay/loop.ts";`],
  ["redis/a.ts", `import { x } from "../gates/gate.ts";`],
  ["redis/a.ts", `export { x } from "../gates/gate.ts";`],
  ["redis/a.ts", `export * from "../gates/gate.ts";`],
  ["redis/a.ts", `const x = await import("../gates/gate.ts");`],
  ["redis/a.ts", `const x = await import(name);`],
  ["gates/a.ts", `import { x } from "../replay/loop.ts";`],
  ["redis/a.ts", `import { x } from "../mutt/pace.ts";`],
  ["app/a.ts", `import { x } from "../main.ts";`],
  ["observability/a.ts", `import { x } from "../config/fields.ts";`],
  ["http/a.ts", `import { x } from "../surprise/x.ts";`],
  ["surprise/a.ts", `import { x } from "../message/source_policy.ts";`],
  ["app/a.ts", `import { x } from "../../scripts/child.ts";`],
  ["redis/a.ts", `import { x } from "${JSR}@std/assert";`],
  ["redis/a.ts", `import { x } from "${HTTPS}//example.com/x.ts";`],
  ["redis/a.ts", `import { x } from "npm:ioredis";`],
  ["redis/a.ts", `import { setTimeout } from "node:timers/promises";`],
  ["gates/a.ts", `const x = Deno.env.get("A");`],
  ["gates/a.ts", `const x = Deno["env"];`],
  ["gates/a.ts", `const x = globalThis.Deno;`],
  ["gates/a.ts", `const { env } = Deno;`],
  ["gates/a.ts", `const x = { Deno };`],
  ["gates/a.ts", `const x = Date.now();`],
  ["gates/a.ts", `const read = Date.now;`],
  ["gates/a.ts", `const x = new Date();`],
  ["gates/a.ts", `const x = performance.now();`],
  ["gates/a.ts", `setTimeout(() => {}, 1);`],
  ["gates/a.ts", `globalThis.setInterval(() => {}, 1);`],
  ["gates/a.ts", `const later = setTimeout;`],
  ["gates/a.ts", `const x = Math.random();`],
  ["gates/a.ts", `const x = crypto.randomUUID();`],
  ["gates/a.ts", `const x = AbortSignal.timeout(1);`],
  ["http/a.ts", `Deno.exit(1);`],
  ["main.ts", `const x = Deno.env.get("A");`],
];

const RIGHT: readonly (readonly [path: string, text: string])[] = [
  ["message/a.ts", `import { x } from "./b.ts";\nimport { Buffer } from "node:buffer";`],
  ["message/a.ts", `import { createHash } from "node:crypto";`],
  ["message/deep/a.ts", `import { x } from "../source.ts";`],
  ["config/a.ts", `import { toIso } from "../runtime/clock.ts";\nimport { parse } from "dotenv";`],
  ["observability/a.ts", `import { Secret } from "../runtime/secret.ts";`],
  ["message/a.ts", `import { x } from "../cycle/brake.ts";`],
  ["cycle/a.ts", `import { x } from "../message/edit.ts";`],
  ["gates/a.ts", `import lua from "../redis/scripts/x.lua" with { type: "text" };`],
  ["app/version.ts", `import denoJson from "../../deno.json" with { type: "json" };`],
  ["main.ts", `import { x } from "./cli/run.ts";\nDeno.exit(0);`],
  ["http/a.ts", `const listener: Deno.TcpListener = Deno.listen({ port: 0 });`],
  [
    "runtime/a.ts",
    `const x = Date.now() + performance.now() + Math.random(); Deno.env.get("A"); setTimeout(() => {}, 1);`,
  ],
  ["gates/a.ts", `const x = new Date(0).toISOString() + Math.floor(1) + Date.parse("2026-01-01");`],
  ["gates/a.ts", `// Date.now() and Deno in a comment\nconst x = "Deno.env Date.now()";`],
  ["gates/a.ts", `const x = clock.setTimeout; const y = { process: 1 }.process;`],
];

for (const [path, text] of WRONG) {
  Deno.test(`layers: refuses, in ${path}: ${text}`, () => {
    assert.equal(lint(path, text).length, 1);
  });
}

for (const [path, text] of RIGHT) {
  Deno.test(`layers: takes, in ${path}: ${text}`, () => {
    assert.deepEqual(lint(path, text), []);
  });
}

Deno.test("layers: leaves files outside src alone", () => {
  const text = `import { x } from "${JSR}x"; Deno.exit(Date.now());`;
  assert.deepEqual(Deno.lint.runPlugin(plugin, "/anywhere/tests/unit/x_test.ts", text), []);
});

Deno.test("judgeImport: says which layer is not below which", () => {
  assert.equal(
    judgeImport("redis/keys.ts", "../gates/gate.ts"),
    "redis must not import gates/gate.ts: gates is not below it",
  );
});

Deno.test("judgeGlobal: is not confused by names that every object has", () => {
  assert.equal(judgeGlobal("gates/a.ts", { name: "toString", member: undefined }), undefined);
});

Deno.test("layers: no file under src silences the check", () => {
  const silenced = textsBelow(new URL("../../../src/", import.meta.url)).filter((text) =>
    /deno-lint-ignore-file\s*$|deno-lint-ignore(-file)?[^\n]*layers\//m.test(text)
  );
  assert.deepEqual(silenced, []);
});

function textsBelow(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].flatMap((entry) => {
    if (entry.isDirectory) return textsBelow(new URL(`${entry.name}/`, folder));
    return entry.name.endsWith(".ts") ? [Deno.readTextFileSync(new URL(entry.name, folder))] : [];
  });
}
