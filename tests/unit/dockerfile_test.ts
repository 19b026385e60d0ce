import assert from "node:assert/strict";
import denoJson from "../../deno.json" with { type: "json" };

const read = (path: string) => Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url));
const DOCKERFILE = read("Dockerfile");

/** Defaults of an ARG, one for each time that it is declared with one. */
function defaultsOf(name: string): string[] {
  return [...DOCKERFILE.matchAll(new RegExp(`^ARG ${name}=(.*)$`, "gm"))].map(([, value]) => value!);
}

Deno.test("Dockerfile: names the pinned Deno and the version of the program", () => {
  assert.deepEqual(defaultsOf("DENO_IMAGE"), [`denoland/deno:${read(".deno-version").trim()}`]);
  assert.deepEqual(defaultsOf("VERSION"), [denoJson.version]);
});

Deno.test("Dockerfile: ends with the service, and names no architecture", () => {
  const stages = [...DOCKERFILE.matchAll(/^FROM .* AS (\S+)$/gm)].map(([, stage]) => stage);
  assert.equal(stages.at(-1), "remediation");
  assert.doesNotMatch(DOCKERFILE, /amd64|arm64|x86_64|aarch64/);
});

Deno.test(".dockerignore: lets through what is copied, and nothing else", () => {
  const allowed = read(".dockerignore").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const copied = [...DOCKERFILE.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, names]) => names!.split(" "));
  assert.equal(allowed[0], "*");
  assert.deepEqual(allowed.slice(1).sort(), [...new Set(copied)].map((name) => `!${name}`).sort());
});

/** Files that a module needs at run time, itself included, as paths in the repository. */
function importsOf(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const [, specifier] of read(path).matchAll(/^(?:import (?!type )|export |\} from ).*?"(\.[^"]+)"/gm)) {
    importsOf(new URL(specifier!, `file:///${path}`).pathname.slice(1), found);
  }
  return found;
}

Deno.test("Dockerfile: its stage for compose.yaml has every file that the programs of demo/ there need", () => {
  const [, stage = ""] = /^FROM .* AS demo$(.*?)^FROM/ms.exec(DOCKERFILE)!;
  const copied = [...stage.matchAll(/^COPY (?!--from)(\S+) \1$/gm)].map(([, folder]) => `${folder}/`);
  const programs = [...new Set(read("compose.yaml").match(/demo\/\w+\.ts/g))];
  assert.equal(programs.length, 2);
  for (const file of programs.flatMap((program) => [...importsOf(program)])) {
    assert.ok(copied.some((folder) => file.startsWith(folder)), file);
  }
});
