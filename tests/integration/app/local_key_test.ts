/** The file of the local key: private, never half-written, and that of the instance which listens. */
import assert from "node:assert/strict";
import { createLocalKey } from "../../../src/app/local_key.ts";

async function withDirectory(test: (directory: string) => void) {
  const directory = await Deno.makeTempDir();
  try {
    test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const names = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name);

Deno.test("local key: is written when it is published, only for this user, and removed at the end", () =>
  withDirectory((directory) => {
    const path = `${directory}/local.json`, local = createLocalKey(path)!;
    assert.deepEqual(names(directory), []);
    local.publish("http://127.0.0.1:8088");
    assert.deepEqual(names(directory), ["local.json"]);
    const { url, key } = JSON.parse(Deno.readTextFileSync(path));
    assert.deepEqual([url, typeof key], ["http://127.0.0.1:8088", "string"]);
    if (Deno.build.os !== "windows") assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    local.remove();
    assert.deepEqual(names(directory), []);
  }));

Deno.test("local key: an instance that never listens, or has been replaced, leaves the file of the other one", () =>
  withDirectory((directory) => {
    const path = `${directory}/local.json`, [one, two] = [createLocalKey(path)!, createLocalKey(path)!];
    one.publish("http://127.0.0.1:1");
    const text = Deno.readTextFileSync(path);
    two.remove();
    assert.equal(Deno.readTextFileSync(path), text);
    two.publish("http://127.0.0.1:2");
    one.remove();
    assert.equal(JSON.parse(Deno.readTextFileSync(path)).url, "http://127.0.0.1:2");
  }));

Deno.test("local key: a symbolic link is replaced, not followed", () =>
  withDirectory((directory) => {
    const path = `${directory}/local.json`;
    Deno.writeTextFileSync(`${directory}/other`, "kept");
    Deno.symlinkSync("other", path);
    createLocalKey(path)!.publish("http://127.0.0.1:1");
    assert.equal(Deno.readTextFileSync(`${directory}/other`), "kept");
    assert.ok(Deno.lstatSync(path).isFile);
  }));

Deno.test("local key: none without a directory that can be written, or with none", () =>
  withDirectory((directory) => {
    assert.equal(createLocalKey(`${directory}/missing/local.json`), null);
    assert.equal(createLocalKey("none"), null);
  }));
