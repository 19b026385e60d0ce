import assert from "node:assert/strict";

const SRC = new URL("../../../src/", import.meta.url);

/** Packages and files that a file loads without a dynamic import. */
function loadedBy(entry: string): { packages: Set<string>; files: Set<string> } {
  const packages = new Set<string>(), files = new Set<string>(), left = [new URL(entry, SRC)];
  for (let file; (file = left.pop()) !== undefined;) {
    if (files.has(file.href)) continue;
    files.add(file.href);
    const text = Deno.readTextFileSync(file);
    for (const [, clause, name] of text.matchAll(/^(?:import|export)\s([^;"]*?)from\s"([^"]+)"/gm)) {
      if (clause!.startsWith("type ") || name!.endsWith(".lua")) continue;
      if (name!.startsWith(".")) left.push(new URL(name!, file));
      else packages.add(name!);
    }
  }
  return { packages, files };
}

Deno.test("service: loads neither the API nor its libraries before a port listens", () => {
  const { packages, files } = loadedBy("app/service.ts");
  assert.ok(packages.has("ioredis") && files.size > 50);
  for (const name of packages) assert.doesNotMatch(name, /^(hono|typebox)/);
  assert.ok(!files.has(new URL("api/api.ts", SRC).href) && !files.has(new URL("operations/registry.ts", SRC).href));
});

Deno.test("main: loads no library of the API", () => {
  for (const name of loadedBy("main.ts").packages) assert.doesNotMatch(name, /^(hono|typebox|ioredis|prom-client)/);
});

Deno.test("main: loads no library of tables, progress or completions, and none of the operations", () => {
  const { packages, files } = loadedBy("main.ts");
  for (const name of packages) assert.doesNotMatch(name, /^(cli-|@bomb)/);
  for (const file of files) assert.doesNotMatch(file, /\/src\/(operations|api|redis)\//);
});
