/** What can be told of the packages without asking anybody. */
import assert from "node:assert/strict";
import denoJson from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);
/** Licences under which code may go into the binary, with no more to do than to name it. */
const LICENSES = new Set([
  "MIT",
  "MIT-0",
  "ISC",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "0BSD",
  "CC0-1.0",
  "Python-2.0",
]);

/** Only tests use these, and nothing of them is in the binary. */
const FOR_TESTS: Readonly<Record<string, string>> = { "axe-core": "MPL-2.0" };

const lock = JSON.parse(Deno.readTextFileSync(new URL("deno.lock", ROOT)));
type Entry = { readonly integrity?: string; readonly scripts?: boolean };
const packages: [string, Entry][] = Object.entries(lock.npm);

Deno.test("supply chain: every import is one exact version of an npm package", () => {
  const imports = Object.entries(denoJson.imports);
  assert.ok(imports.length > 0);
  for (const [name, specifier] of imports) assert.match(specifier, new RegExp(`^npm:${name}@\\d+\\.\\d+\\.\\d+$`));
});

Deno.test("supply chain: the lock is frozen and holds what is imported, from npm and nowhere else", () => {
  assert.equal(denoJson.lock.frozen, true);
  assert.deepEqual(Object.keys(lock).toSorted(), ["npm", "specifiers", "version", "workspace"]);
  assert.deepEqual(Object.keys(lock.specifiers).toSorted(), Object.values(denoJson.imports).toSorted());
});

Deno.test("supply chain: every package is locked to the bytes it had", () => {
  assert.ok(packages.length > 0);
  for (const [name, { integrity }] of packages) assert.match(integrity ?? "", /^sha512-[A-Za-z0-9+/]{86}==$/, name);
});

Deno.test("supply chain: no package runs anything when it is installed", () => {
  assert.ok(!("allowScripts" in denoJson));
  assert.deepEqual(packages.filter(([, { scripts }]) => scripts), []);
});

Deno.test("supply chain: every package has a licence that the binary may carry", () => {
  for (const [entry] of packages) {
    // Behind `_` stands what it was installed beside.
    const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(entry)!;
    const file = new URL(
      `node_modules/.deno/${name!.replace("/", "+")}@${version}/node_modules/${name}/package.json`,
      ROOT,
    );
    const { license } = JSON.parse(Deno.readTextFileSync(file));
    assert.ok(LICENSES.has(license) || FOR_TESTS[name!] === license, `${entry}: ${license}`);
  }
});

Deno.test("supply chain: no module is imported from an address", () => {
  const files = ["src", "scripts", "tests", "testkit", "demo", "bench"].flatMap((folder) => sourcesIn(`${folder}/`));
  assert.ok(files.length > 100);
  for (const file of files) {
    const text = Deno.readTextFileSync(new URL(file, ROOT));
    assert.doesNotMatch(text, /^(?:(?:import|export)\b[^"'`;()=]*|\} from )["'`](?:https?|jsr|npm|data|blob):/m, file);
  }
});

function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) =>
    isDirectory ? sourcesIn(`${folder}${name}/`) : /\.tsx?$/.test(name) ? [folder + name] : []
  );
}
