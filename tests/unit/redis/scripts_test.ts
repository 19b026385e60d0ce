import assert from "node:assert/strict";
import { scriptText } from "../../../src/redis/scripts.ts";

Deno.test("scriptText: puts the file in the place of the line, and leaves out comments, indents and empty lines", () => {
  const lua = scriptText("-- A script.\nlocal a = '--' -- b\n\n-- include whole.lua\n  return whole(a)\n");
  assert.match(lua, /^local a = '--' -- b\nlocal function whole\(text\).*\nreturn whole\(a\)\n$/);
});

Deno.test("scriptText: throws when there is no such file", () => {
  assert.throws(() => scriptText("-- include elsewhere.lua\n"), /elsewhere\.lua/);
  assert.throws(() => scriptText("-- include constructor\n"), /constructor/);
});

Deno.test("scripts: none has a function that it could include", () => {
  const folder = new URL("../../../src/redis/scripts/", import.meta.url);
  const functions = [...Deno.readDirSync(folder)].flatMap(({ name }) =>
    [...Deno.readTextFileSync(new URL(name, folder)).matchAll(/^local function (.*)$/gm)].map(([, text]) => text!)
  );
  assert.deepEqual(functions.filter((text, i) => functions.indexOf(text) !== i), []);
});
