import assert from "node:assert/strict";
import { renderFiles } from "../../../scripts/generate.ts";
import {
  DEFAULT_SETTINGS,
  environmentPrefixes,
  FIELDS,
  knownVariables,
  SETTING_KEYS,
} from "../../../src/config/fields.ts";
import { UNREAD_TEMPLATE_NAMES } from "../../../src/config/template_names.ts";
import { parseDotEnv } from "../../../src/config/layers.ts";
import { parseSettings } from "../../../src/config/load.ts";

function readProjectFile(path: string): string {
  return Deno.readTextFileSync(new URL(`../../../${path}`, import.meta.url));
}

for (const [path, text] of renderFiles()) {
  Deno.test(`renderFiles: ${path} is what the table says`, () => {
    assert.equal(readProjectFile(path), text, "run: deno run -A scripts/generate.ts");
  });
}

Deno.test("renderFiles: .env.template gives exactly the defaults when loaded as it is", () => {
  const { variables, warnings } = parseDotEnv(readProjectFile(".env.template"));
  const loaded = parseSettings({ environment: {}, dotEnv: variables, readFile: () => assert.fail() });
  assert.ok(loaded.ok);
  assert.deepEqual(loaded.settings, DEFAULT_SETTINGS);
  assert.deepEqual([...warnings, ...loaded.warnings], []);
  assert.equal(variables.MOOG_WEBHOOK_URL, "");
});

Deno.test("renderFiles: .env.template names every variable, its comments on lines of their own", () => {
  const lines = readProjectFile(".env.template").split("\n");
  for (const { variable } of Object.values(FIELDS)) {
    assert.equal(lines.filter((line) => line.replace(/^#/, "").startsWith(`${variable}=`)).length, 1, variable);
  }
  assert.deepEqual(lines.filter((line) => /^[^#].*#/.test(line)), []);
});

Deno.test("FIELDS: no name is used twice", () => {
  const names = [...knownVariables()];
  assert.deepEqual(names.filter((name, at) => names.indexOf(name) !== at), []);
});

Deno.test("FIELDS: every default is within its own bounds", () => {
  for (const key of SETTING_KEYS) {
    const { default: value, defaultText, parse } = FIELDS[key];
    if (defaultText) assert.deepEqual(parse(defaultText), value, key);
  }
});

Deno.test("environmentPrefixes: covers every variable, its file, and a slip at its end", () => {
  const prefixes = environmentPrefixes();
  assert.ok(prefixes.every((prefix) => /^[A-Za-z_]+\*?$/.test(prefix)), prefixes.join());
  for (const name of knownVariables().flatMap((one) => [one, `${one}_FILE`, `${one}S`, "REMEDIATION_PORT"])) {
    assert.ok(prefixes.some((prefix) => name.startsWith(prefix.slice(0, -1))), name);
  }
  for (const name of UNREAD_TEMPLATE_NAMES.keys()) {
    assert.ok(prefixes.some((prefix) => prefix === name || name.startsWith(prefix.slice(0, -1))), name);
  }
  assert.ok(!prefixes.some((prefix) => "PATH".startsWith(prefix.slice(0, -1))));
});
