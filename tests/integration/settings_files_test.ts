/** What an operator may have put where settings are read from: `.env`, secrets, certificates, the environment itself. */
import assert from "node:assert/strict";
import { permissionFlags } from "../../scripts/compile.ts";
import { ROOT } from "../../scripts/child.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { existsSync } from "node:fs";
import { MAX_FILE_BYTES, readFile, readTextFile } from "../../src/runtime/process.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

/** Runs `config` by a shell, which can set variables to any bytes. The script ends before the command. */
async function showConfig(script: string, cwd = ROOT): Promise<{ code: number; told: string }> {
  const flags = permissionFlags().map((flag) => `'${flag}'`).join(" ");
  const command = `exec '${Deno.execPath()}' run --config='${ROOT}deno.json' ${flags} '${ROOT}src/main.ts' config`;
  const { code, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", `${script}\n${command}`], cwd })
    .output();
  const told = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  watchOutput("config", told);
  return { code, told };
}

async function withFolder(body: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("readTextFile: reads up to its limit and refuses more, and whatever is no file", () =>
  withFolder((folder) => {
    const path = `${folder}/file`;
    Deno.writeTextFileSync(path, "x".repeat(MAX_FILE_BYTES));
    assert.equal(readTextFile(path).length, MAX_FILE_BYTES);
    Deno.truncateSync(path, 100_000_000);
    const refusal = { name: "FileTooLarge (more than 1048576 bytes)" };
    assert.throws(() => readTextFile(path), refusal);
    assert.throws(() => readTextFile("/dev/zero"), { name: "NotAFile" });
  }));

Deno.test("config: says what is wrong with a .env and a secret of 100 MB, and starts nothing", () =>
  withFolder(async (folder) => {
    for (const name of [".env", "secret"]) {
      Deno.writeTextFileSync(`${folder}/${name}`, "");
      Deno.truncateSync(`${folder}/${name}`, 100_000_000);
    }
    const { code, told } = await showConfig(`export MOOG_API_KEY_FILE='${folder}/secret'`, folder);
    assert.equal(code, 78);
    assert.match(told, /\.env cannot be read: FileTooLarge \(more than 1048576 bytes\) \(expected: a regular file/);
    assert.match(told, /MOOG_API_KEY_FILE ".*secret" cannot be read: FileTooLarge \(more than 1048576 bytes\)/);
  }));

Deno.test("config: a .env alone that is too large starts nothing, rather than the defaults", () =>
  withFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/.env`, `REDIS_HOST=redis.example\n${"#".repeat(MAX_FILE_BYTES)}`);
    const { code, told } = await showConfig("", folder);
    assert.equal(code, 78);
    assert.doesNotMatch(told, /REDIS_HOST/);
  }));

Deno.test("config: does not wait for a pipe in place of .env, a secret or the sources file, and names it", () =>
  withFolder(async (folder) => {
    for (const name of [".env", "pipe"]) {
      await new Deno.Command("mkfifo", { args: [`${folder}/${name}`] }).output();
    }
    const script = `export MOOG_API_KEY_FILE='${folder}/pipe' REMEDIATION_SOURCES_PATH='${folder}/pipe'`;
    const { code, told } = await showConfig(script, folder);
    assert.equal(code, 78);
    assert.match(told, /\.env cannot be read: NotAFile \(expected: a regular file/);
    assert.match(told, /MOOG_API_KEY_FILE ".*pipe" cannot be read: NotAFile/);
    assert.match(told, /REMEDIATION_SOURCES_PATH ".*pipe" cannot be read: NotAFile/);
  }));

Deno.test("readFile: looks at what it has opened, so that a file swapped for a pipe is never waited for", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    await new Deno.Command("mkfifo", { args: [`${folder}/pipe`] }).output();
    Deno.writeTextFileSync(`${folder}/real`, "text");
    // Between any two calls of the reader it may be either; a reader that waits hangs this test.
    const swapping = new Deno.Command("sh", {
      args: ["-c", 'while [ ! -e "$0/stop" ]; do ln -sfn real "$0/file"; ln -sfn pipe "$0/file"; done', folder],
    }).spawn();
    try {
      await waitUntil(() => existsSync(path), { what: "the link is there" });
      const seen = new Set<string>();
      const look = () => {
        try {
          return readFile(path).text;
        } catch (error) {
          return (error as Error).name;
        }
      };
      await waitUntil(() => {
        for (let i = 0; i < 1_000; i++) seen.add(look());
        return seen.has("text") && seen.has("NotAFile");
      }, { what: "both were read", timeoutMs: 60_000 });
      assert.deepEqual([...seen].filter((one) => !["text", "NotAFile", "NotFound"].includes(one)), []);
    } finally {
      // A kill could leave its last ln behind, which would make a file in the folder that is removed.
      Deno.writeTextFileSync(`${folder}/stop`, "");
      await swapping.status;
    }
  }));

Deno.test("config: refuses a .env in UTF-16, a value of ours in Latin-1, and a secret in Latin-1", () =>
  withFolder(async (folder) => {
    const utf16 = (text: string) =>
      new Uint8Array(Uint16Array.from(`\uFEFF${text}`, (unit) => unit.charCodeAt(0)).buffer);
    const latin1 = (text: string) => Uint8Array.from(text, (unit) => unit.charCodeAt(0));
    Deno.writeFileSync(`${folder}/.env`, utf16("REDIS_HOST=redis.example\n"));
    assert.match(
      (await showConfig("", folder)).told,
      /\.env is UTF-16 text: save it as UTF-8/,
    );

    Deno.writeFileSync(
      `${folder}/.env`,
      latin1("# f\u00fcr alle\nREDIS_PASS=hid\u00fcden\nOTHERS=\u00fc\nREDIS_DB=3\n"),
    );
    const bad = await showConfig("", folder);
    assert.equal(bad.code, 78);
    assert.match(bad.told, /REDIS_PASS in \.env is not UTF-8 text/);
    assert.doesNotMatch(bad.told, /hid|OTHERS/);

    Deno.writeFileSync(`${folder}/.env`, latin1("# f\u00fcr alle\nOTHERS=\u00fc\nREDIS_DB=3\n"));
    Deno.writeFileSync(`${folder}/secret`, latin1("hid\u00fcden\n"), { mode: 0o400 });
    const { code, told } = await showConfig(`export MOOG_API_KEY_FILE='${folder}/secret'`, folder);
    assert.equal(code, 78);
    assert.match(told, /MOOG_API_KEY_FILE ".*secret" is not UTF-8 text/);
    assert.equal((await showConfig("", folder)).code, 0, "a comment and a variable of somebody else do not matter");
  }));

Deno.test("config: names the .env that was read, and warns where others may write it or read a secret", () =>
  withFolder(async (folder) => {
    const path = `${folder}/.env`;
    Deno.writeTextFileSync(path, "REDIS_HOST=redis.example\n", { mode: 0o600 });
    Deno.writeTextFileSync(`${folder}/secret`, "planted", { mode: 0o400 });
    const secret = `export MOOG_API_KEY_FILE='${folder}/secret'`;
    const good = await showConfig(secret, folder);
    assert.match(good.told, new RegExp(`^\\.env is .*${path}$`, "m"));
    assert.doesNotMatch(good.told, /may be (read|written) by every user|belongs to another/);

    Deno.chmodSync(`${folder}/secret`, 0o444);
    Deno.writeTextFileSync(path, "REDIS_HOST=redis.example\nREDIS_PASS=planted\n");
    Deno.chmodSync(path, 0o666);
    const { told } = await showConfig(secret, folder);
    assert.match(told, /warning: ".*\.env" is writable by every user \(mode 0666\)/);
    assert.match(told, /warning: ".*\.env" holds REDIS_PASS and is readable by every user \(mode 0666\)/);
    assert.match(
      told,
      /warning: MOOG_API_KEY_FILE ".*secret" is readable by every user \(mode 0444\): change the mode to 0400/,
    );
  }));

Deno.test("run: logs which .env was read, and nothing of the kind where there is none", () =>
  withFolder(async (folder) => {
    const env = { REDIS_HOST: "127.0.0.1", REDIS_PORT: "1" };
    await using without = startService({ cwd: folder, env });
    await without.ports();
    assert.deepEqual(without.events("dot_env"), []);
    Deno.writeTextFileSync(`${folder}/.env`, "LOG_LEVEL=INFO\n");
    await using service = startService({ cwd: folder, env });
    await service.ports();
    assert.deepEqual(service.events("dot_env").map(({ path }) => path), [`${folder}/.env`]);
  }));

Deno.test({
  name: "config: warns of a .env that belongs to another user",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withFolder(async (folder) => {
      Deno.writeTextFileSync(`${folder}/.env`, "");
      Deno.chownSync(`${folder}/.env`, 65_533, 65_533);
      assert.match((await showConfig("", folder)).told, /warning: ".*\.env" belongs to another user \(65533\)/);
    }),
});

Deno.test("config: refuses runtime variables that give keys away or switch the check of certificates off, warns of others", () =>
  withFolder(async (folder) => {
    const refused = await showConfig(`export SSLKEYLOGFILE='${folder}/keys' NODE_TLS_REJECT_UNAUTHORIZED=0`, folder);
    assert.equal(refused.code, 78);
    assert.match(refused.told, /SSLKEYLOGFILE is set/);
    assert.match(refused.told, /NODE_TLS_REJECT_UNAUTHORIZED is 0/);
    const { code, told } = await showConfig("export NODE_EXTRA_CA_CERTS=/nowhere/ca.pem", folder);
    assert.equal(code, 0);
    assert.match(told, /warning: NODE_EXTRA_CA_CERTS is set: the runtime trusts the authorities/);
  }));

Deno.test("config: names a variable that is not UTF-8, and does not show it", async () => {
  const { code, told } = await showConfig("export REDIS_PASS=$(printf 'hid\\377den') REDIS_HOST=$(printf 'a\\300b')");
  assert.notEqual(code, 0);
  assert.match(told, /REDIS_PASS is not UTF-8 text/);
  assert.match(told, /REDIS_HOST is not UTF-8 text/);
  assert.doesNotMatch(told, /hid|den\b/);
});
