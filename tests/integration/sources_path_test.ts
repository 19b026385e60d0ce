/** What an operator may have put where `REMEDIATION_SOURCES_PATH` points. */
import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { loadSources } from "../../src/config/load.ts";
import { MAX_SOURCES_BYTES } from "../../src/config/sources.ts";

const GOOD = `{"sources": {"orders": {"dlq": "o:dlq", "target": "o", "dead": "o:dead"}}}`;
const utf8 = new TextEncoder();

type Prepare = (path: string) => void;
const write = (content: string | Uint8Array): Prepare => (path) =>
  Deno.writeFileSync(path, typeof content === "string" ? utf8.encode(content) : content);

async function loadFrom(prepare: Prepare) {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/sources.json`;
  try {
    prepare(path);
    return { path, loaded: await loadSources({ ...DEFAULT_SETTINGS, sourcesPath: path }) };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const GOOD_FILES: readonly [what: string, prepare: Prepare][] = [
  ["a file", write(GOOD)],
  ["a file with a byte order mark and lines of Windows", write(`\uFEFF${GOOD.replaceAll(" ", "\r\n")}`)],
  ["a file of the largest size", write(GOOD.padEnd(MAX_SOURCES_BYTES))],
  ["a link to a file", (path) => {
    write(GOOD)(`${path}.real`);
    Deno.symlinkSync("sources.json.real", path);
  }],
];

for (const [what, prepare] of GOOD_FILES) {
  Deno.test(`loadSources: reads ${what}`, async () => {
    const { loaded } = await loadFrom(prepare);
    assert.ok(loaded.ok, JSON.stringify(loaded));
    assert.deepEqual([...loaded.file.sources.keys()], ["orders"]);
  });
}

const BAD_FILES: readonly [what: string, prepare: Prepare, problem: RegExp][] = [
  ["nothing", () => {}, /cannot be read: NotFound \(expected: a regular file of at most 1048576 bytes/],
  ["a folder", (path) => Deno.mkdirSync(path), /cannot be read: NotAFile \(expected: a regular file/],
  ["a pipe that nobody writes to", makePipe, /cannot be read: NotAFile/],
  ["an endless device", (path) => Deno.symlinkSync("/dev/zero", path), /cannot be read: NotAFile/],
  ["a link to nothing", (path) => Deno.symlinkSync("nothing", path), /cannot be read: NotFound/],
  ["a link to itself", (path) => Deno.symlinkSync("sources.json", path), /cannot be read: FilesystemLoop/],
  ["a file of 100 MB", (path) => {
    write("{}")(path);
    Deno.truncateSync(path, 100_000_000);
  }, /cannot be read: FileTooLarge \(more than 1048576 bytes\) \(expected: a regular file/],
  ["one byte too many", write(GOOD.padEnd(MAX_SOURCES_BYTES + 1)), /cannot be read: FileTooLarge/],
  ["an empty file", write(""), /the file is empty, not an object \{"sources": \{…\}\}$/],
  ["nothing but a byte order mark", write("\uFEFF"), /the file is empty, not an object/],
  [
    "UTF-16",
    write(Uint8Array.from([0xff, 0xfe, 0x7b, 0, 0x7d, 0])),
    /invalid UTF-8 text \(line 1, column 1\)$/,
  ],
  [
    "Latin-1",
    write(Uint8Array.from([...utf8.encode(`{"\n`), 0xe4])),
    /invalid UTF-8 text \(line 2, column 1\)$/,
  ],
  ["zeros", write(new Uint8Array(1_000)), /invalid UTF-8 text \(line 1, column 1\)$/],
  ["half of a file", write(GOOD.slice(0, 40)), /unexpected end of file \(line 1, column 40\)$/],
];

for (const [what, prepare, problem] of BAD_FILES) {
  Deno.test(`loadSources: tells in one problem what is wrong with ${what}`, async () => {
    const { path, loaded } = await loadFrom(prepare);
    assert.ok(!loaded.ok);
    assert.equal(loaded.problems.length, 1);
    assert.ok(loaded.problems[0]!.startsWith(`REMEDIATION_SOURCES_PATH "${path}"`), loaded.problems[0]);
    assert.match(loaded.problems[0]!, problem);
  });
}

Deno.test({
  name: "loadSources: tells in one problem that a file may not be read",
  ignore: Deno.uid() === 0, // root may read everything
  fn: async () => {
    const { loaded } = await loadFrom((path) => {
      write(GOOD)(path);
      Deno.chmodSync(path, 0);
    });
    assert.ok(!loaded.ok);
    assert.match(loaded.problems.join(), /cannot be read: PermissionDenied \(expected: .* that this user may read\)$/);
  },
});

function makePipe(path: string): void {
  assert.ok(new Deno.Command("mkfifo", { args: [path] }).outputSync().success);
}
