/** What an operator may have put where `REMEDIATION_NOTIFY_PATH` points. */
import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { loadNotify } from "../../src/config/load_notify.ts";
import { MAX_NOTIFY_BYTES, NO_NOTIFY_FILE } from "../../src/config/notify.ts";
import { howToRun } from "../../testkit/service.ts";

const GOOD = `receivers:\n  ops: {type: slack, urlFile: URL_FILE}\n`;
const KNOWN = { gates: ["pause"], sources: ["alerter"] };

interface Folder {
  readonly path: string;
  readonly urlFile: string;
}

async function withFolder(body: (folder: Folder) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    const urlFile = `${folder}/slack_url`;
    Deno.writeTextFileSync(urlFile, "https://hooks.slack.example/Pl4nt3dS3cr3t\n", { mode: 0o400 });
    await body({ path: `${folder}/notify.yaml`, urlFile });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const load = (path: string) => loadNotify({ ...DEFAULT_SETTINGS, notifyPath: path }, KNOWN);
const write = ({ path, urlFile }: Folder, text: string) =>
  Deno.writeTextFileSync(path, text.replace("URL_FILE", JSON.stringify(urlFile)));

Deno.test("loadNotify: no file is an empty one", async () => {
  assert.deepEqual(await load(""), { ok: true, file: NO_NOTIFY_FILE, warnings: [] });
});

Deno.test("loadNotify: reads a file, and the files that it names, each time", () =>
  withFolder(async (folder) => {
    write(folder, GOOD);
    const first = await load(folder.path), second = await load(folder.path);
    assert.ok(first.ok, JSON.stringify(first));
    assert.deepEqual([first.file.receivers.map(({ name }) => name), first.warnings], [["ops"], []]);
    assert.equal(JSON.stringify(first), JSON.stringify(second), "unchanged files must be equal as JSON");
    Deno.chmodSync(folder.urlFile, 0o644);
    const open = await load(folder.path);
    assert.match(
      open.ok ? open.warnings.join() : "",
      /^REMEDIATION_NOTIFY_PATH ".*": receivers\.ops\.urlFile ".*" is readable by/,
    );
    Deno.removeSync(folder.urlFile);
    const broken = await load(folder.path);
    assert.match(
      broken.ok ? "" : broken.problems.join(),
      /: receivers\.ops\.urlFile ".*" cannot be read: NotFound \(line 2/,
    );
  }));

const BAD: readonly [what: string, prepare: (folder: Folder) => void, problem: RegExp][] = [
  ["nothing", () => {}, /cannot be read: NotFound \(expected: a regular file of at most 1048576 bytes/],
  ["a folder", ({ path }) => Deno.mkdirSync(path), /cannot be read: NotAFile/],
  ["an endless device", ({ path }) => Deno.symlinkSync("/dev/zero", path), /cannot be read: NotAFile/],
  ["one byte too many", ({ path }) => Deno.writeTextFileSync(path, " ".repeat(MAX_NOTIFY_BYTES + 1)), /FileTooLarge/],
  ["an empty file", ({ path }) => Deno.writeTextFileSync(path, ""), /the file is empty, not an object \{"receivers"/],
  ["a secret that is a folder", (folder) => {
    Deno.removeSync(folder.urlFile);
    Deno.mkdirSync(folder.urlFile);
    write(folder, GOOD);
  }, /receivers\.ops\.urlFile ".*" cannot be read: NotAFile/],
];

for (const [what, prepare, problem] of BAD) {
  Deno.test(`loadNotify: tells in one problem what is wrong with ${what}`, () =>
    withFolder(async (folder) => {
      prepare(folder);
      const loaded = await load(folder.path);
      assert.ok(!loaded.ok);
      assert.equal(loaded.problems.length, 1);
      assert.ok(loaded.problems[0]!.startsWith(`REMEDIATION_NOTIFY_PATH "${folder.path}"`), loaded.problems[0]!);
      assert.match(loaded.problems[0]!, problem);
    }));
}

for (const command of ["config", "check", "run", "once"]) {
  Deno.test(`${command}: exits with 78, and tells every problem of the notify file with its place`, () =>
    withFolder(async (folder) => {
      write(folder, `${GOOD}  mail: {type: email}\nincidents: {gate_closed: {except: [puase]}}\n`);
      const { program, prefix, needs } = howToRun();
      const { code, stderr } = await new Deno.Command(program, {
        ...{ args: [...prefix, command], clearEnv: true, cwd: folder.path.replace(/[^/]+$/, "") },
        ...{ stdin: "null", stdout: "null", stderr: "piped" },
        env: { ...needs, REMEDIATION_NOTIFY_PATH: folder.path },
      }).output();
      const text = new TextDecoder().decode(stderr);
      assert.equal(code, 78, text);
      for (const member of ["receivers.mail.host", "receivers.mail.from", "receivers.mail.to"]) {
        assert.ok(text.includes(`${member} is missing`), text);
      }
      assert.match(
        text,
        /incidents\.gate_closed\.except\[0\] "puase" is not a gate: use one of enabled, .* \(line 4, column/,
      );
    }));
}
