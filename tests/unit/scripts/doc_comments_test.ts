import assert from "node:assert/strict";
import plugin from "../../../scripts/doc_comments.ts";

const complaints = (text: string, path = "src/gates/a.ts"): string[] =>
  Deno.lint.runPlugin(plugin, `/anywhere/${path}`, text).map(({ message }) => message);

Deno.test("doc comments: refuses an exported symbol without one", () => {
  assert.deepEqual(complaints("export const a = 1;"), ["exported symbol has no doc comment"]);
  assert.deepEqual(complaints("export function f() {}"), ["exported f has no doc comment"]);
  assert.deepEqual(complaints("export interface I {}\nexport type T = I;").length, 2);
  assert.deepEqual(complaints("// plain\nexport class C {}"), ["exported C has no doc comment"]);
  assert.deepEqual(complaints("/* not for docs */\nexport class C {}"), ["exported C has no doc comment"]);
  assert.deepEqual(complaints("/** Another's. */\nconst a = 1;\nexport const b = a;").length, 1);
});

Deno.test("doc comments: takes what has one, what is not exported, and later overloads", () => {
  assert.deepEqual(complaints("/** What it is. */\nexport const a = 1;\nconst b = 2;\nexport { b };"), []);
  assert.deepEqual(complaints("/** What it is. */\n// deno-lint-ignore no-explicit-any\nexport const a: any = 1;"), []);
  const overloads =
    "/** Does it. */\nexport function f(a: 1): void;\nexport function f(a: 2): void;\nexport function f() {}";
  assert.deepEqual(complaints(overloads), []);
  assert.deepEqual(complaints("export const a = 1;", "testkit/a.ts"), []);
});
