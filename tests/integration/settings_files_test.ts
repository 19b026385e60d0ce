/** What an operator may have put where settings are read from: `.env`, secrets, certificates, the environment itself. */
import assert from "node:assert/strict";
import { permissionFlags } from "../../scripts/compile.ts";
import { ROOT } from "../../scripts/child.ts";
import { watchOutput } from "../support/secrets_net.ts";
import { MAX_FILE_BYTES, readTextFile } from "../../src/runtime/process.ts";

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

Deno.test("readTextFile: reads up to its limit and refuses more, an endless device too", () =>
  withFolder((folder) => {
    const path = `${folder}/file`;
    Deno.writeTextFileSync(path, "x".repeat(MAX_FILE_BYTES));
    assert.equal(readTextFile(path).length, MAX_FILE_BYTES);
    Deno.truncateSync(path, 100_000_000);
    const refusal = { name: "FileTooLarge (more than 1048576 bytes)" };
    assert.throws(() => readTextFile(path), refusal);
    assert.throws(() => readTextFile("/dev/zero"), refusal);
  }));

Deno.test("config: says what is wrong with a .env and a secret of 100 MB, and starts nothing", () =>
  withFolder(async (folder) => {
    for (const name of [".env", "secret"]) {
      Deno.writeTextFileSync(`${folder}/${name}`, "");
      Deno.truncateSync(`${folder}/${name}`, 100_000_000);
    }
    const { code, told } = await showConfig(`export MOOG_API_KEY_FILE='${folder}/secret'`, folder);
    assert.notEqual(code, 0);
    assert.match(told, /\.env cannot be read and is ignored: FileTooLarge \(more than 1048576 bytes\)/);
    assert.match(told, /MOOG_API_KEY_FILE ".*secret" cannot be read: FileTooLarge \(more than 1048576 bytes\)/);
  }));

Deno.test("config: names a variable that is not UTF-8, and does not show it", async () => {
  const { code, told } = await showConfig("export REDIS_PASS=$(printf 'hid\\377den') REDIS_HOST=$(printf 'a\\300b')");
  assert.notEqual(code, 0);
  assert.match(told, /REDIS_PASS is not text in UTF-8/);
  assert.match(told, /REDIS_HOST is not text in UTF-8/);
  assert.doesNotMatch(told, /hid|den\b/);
});
