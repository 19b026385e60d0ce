import assert from "node:assert/strict";
import { filesThatReach, testsThatReach } from "../../../scripts/reach.ts";

const SOURCES = new Map([
  ["src/a.ts", `import lua from "./a.lua" with { type: "text" };`],
  ["src/b.ts", `import type { A } from "./a.ts";\nexport { b } from "../src/deep/c.ts";`],
  ["src/deep/c.ts", `const d = await import("../d.ts");`],
  ["src/d.ts", `import "../src/e.ts";`],
  ["src/e.ts", `import { b } from "./b.ts"; // a circle`],
  ["tests/unit/b_test.ts", `import { b } from "../../src/b.ts";`],
  ["tests/unit/d_test.ts", `const text = new URL("../../docs/d.md", import.meta.url);`],
  ["tests/e2e/b_test.ts", `import { b } from "../../src/b.ts";`],
  ["tests/unit/turned/d_test.ts", `import "../d_test.ts?push=RPUSH";`],
]);

Deno.test("filesThatReach: follows every kind of import, through circles, to the files that nobody imports", () => {
  assert.deepEqual(filesThatReach(["src/a.lua"], SOURCES), [
    ...["src/a.lua", "src/a.ts", "src/b.ts", "src/d.ts", "src/deep/c.ts", "src/e.ts"],
    ...["tests/e2e/b_test.ts", "tests/unit/b_test.ts"],
  ]);
  assert.deepEqual(filesThatReach(["docs/d.md"], SOURCES), [
    ...["docs/d.md", "tests/unit/d_test.ts", "tests/unit/turned/d_test.ts"],
  ]);
});

Deno.test("testsThatReach: keeps the tests of the folders", () => {
  const reach = (target: string) => testsThatReach([target], { sources: SOURCES, folders: ["tests/unit"] });
  assert.deepEqual(reach("src/a.ts"), ["tests/unit/b_test.ts"]);
  assert.deepEqual(reach("tests/unit/d_test.ts"), ["tests/unit/d_test.ts", "tests/unit/turned/d_test.ts"]);
  assert.deepEqual(reach("src/none.ts"), []);
});
