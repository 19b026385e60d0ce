import assert from "node:assert/strict";
import { resolveIncludes } from "../../../src/redis/scripts.ts";

Deno.test("resolveIncludes: puts the file in the place of the line, and leaves the other lines", () => {
  const lua = resolveIncludes("local a = 1\n-- include whole.lua\nreturn whole(a)\n");
  assert.match(lua, /^local a = 1\n(--.*\n)+local function whole\(text\).*\nreturn whole\(a\)\n$/);
});

Deno.test("resolveIncludes: throws when there is no such file", () => {
  assert.throws(() => resolveIncludes("-- include elsewhere.lua\n"), /elsewhere\.lua/);
  assert.throws(() => resolveIncludes("-- include constructor\n"), /constructor/);
});

Deno.test("scripts: none has a function that it could include", () => {
  const folder = new URL("../../../src/redis/scripts/", import.meta.url);
  const functions = [...Deno.readDirSync(folder)].flatMap(({ name }) =>
    [...Deno.readTextFileSync(new URL(name, folder)).matchAll(/^local function (.*)$/gm)].map(([, text]) => text!)
  );
  assert.deepEqual(functions.filter((text, i) => functions.indexOf(text) !== i), []);
});
