import assert from "node:assert/strict";
import { isOwnKey, OWN_PREFIX } from "../../../src/message/source_policy.ts";
import { stateKey } from "../../../src/redis/keys.ts";
import { scriptText } from "../../../src/redis/scripts.ts";

const FOLDER = new URL("../../../src/redis/scripts/", import.meta.url);
const SCRIPTS = [...Deno.readDirSync(FOLDER)].map(({ name }) =>
  [name, Deno.readTextFileSync(new URL(name, FOLDER))] as const
);

Deno.test("scriptText: puts the file in the place of the line, and leaves out comments, indents and empty lines", () => {
  const lua = scriptText("-- A script.\nlocal a = '--' -- b\n\n-- include whole.lua\n  return whole(a)\n");
  assert.match(lua, /^local a = '--' -- b\nlocal function whole\(text\).*\nreturn whole\(a\)\n$/);
});

Deno.test("scriptText: throws when there is no such file", () => {
  assert.throws(() => scriptText("-- include elsewhere.lua\n"), /elsewhere\.lua/);
  assert.throws(() => scriptText("-- include constructor\n"), /constructor/);
});

Deno.test("scripts: none has a function that it could include", () => {
  const functions = SCRIPTS.flatMap(([, lua]) => [...lua.matchAll(/^local function (.*)$/gm)].map(([, text]) => text!));
  assert.deepEqual(functions.filter((text, i) => functions.indexOf(text) !== i), []);
});

Deno.test("scriptText: is as the script is written for lists that are pushed to the left, and only preceded for the others", () => {
  const [lua] = SCRIPTS.filter(([name]) => name === "commit_moves.lua").map(([, text]) => text);
  assert.equal(scriptText(lua!, "LPUSH"), scriptText(lua!));
  assert.ok(scriptText(lua!, "RPUSH").endsWith(scriptText(lua!)));
});

/** Commands on lists that are the same from both ends. */
const WITHOUT_DIRECTION = ["LLEN"];

Deno.test("turned.lua: turns every command on a list that a script calls, and has what else they take from `redis`", () => {
  const [turned] = SCRIPTS.filter(([name]) => name === "turned.lua").map(([, text]) => text!);
  const known = [...turned!.matchAll(/^ +([A-Z]+) = function|name == '([A-Z]+)'/gm)].map(([, one, other]) =>
    one ?? other
  );
  const others = SCRIPTS.filter(([name]) => name !== "turned.lua").map(([, text]) => text).join("\n");
  const called = new Set([...others.matchAll(/\bp?call\('((?:L|RP|BL|BR)[A-Z]+)'/g)].map(([, command]) => command!));
  assert.ok(called.size > 8);
  assert.deepEqual(
    [...called].filter((command) => !known.includes(command) && !WITHOUT_DIRECTION.includes(command)),
    [],
  );
  assert.ok(isOwnKey(stateKey("orders")) && turned!.includes(`'${OWN_PREFIX}'`));
  const [, fields] = /^local redis = \{\n(.*?)^\}/ms.exec(turned!)!;
  const taken = new Set([...others.matchAll(/\bredis\.(\w+)/g)].map(([, name]) => name!));
  assert.deepEqual([...taken].filter((name) => !fields!.includes(`${name} = `)), []);
});
