import assert from "node:assert/strict";
import { permissionFlags, PLATFORMS, targetFlags } from "../../../scripts/compile.ts";
import { namesRedis } from "../../../scripts/dev.ts";

Deno.test("permissionFlags: grants network, reading, the known variables, Redis' sockets, its own user's number, and nothing else", () => {
  const flags = permissionFlags();
  const environment = flags.find((flag) => flag.startsWith("--allow-env=")) ?? "";
  assert.deepEqual(flags.filter((flag) => flag !== environment), [
    "--no-prompt",
    "--allow-net",
    "--ignore-env",
    "--allow-read",
    "--allow-write=/run/redis,/var/run/redis,/run/mutt-remediation",
    "--allow-sys=uid",
  ]);
  assert.match(environment, /^--allow-env=[A-Za-z][A-Za-z_*]+(,[A-Za-z][A-Za-z_*]+)*$/);
});

Deno.test("targetFlags: names each platform as Deno does, and leaves this machine's own to Deno", () => {
  assert.deepEqual(Object.keys(PLATFORMS).map(targetFlags), [
    ["--target=x86_64-unknown-linux-gnu"],
    ["--target=aarch64-unknown-linux-gnu"],
    ["--target=x86_64-apple-darwin"],
    ["--target=aarch64-apple-darwin"],
  ]);
  assert.deepEqual(targetFlags("linux/arm64/v8"), targetFlags("linux/arm64"));
  assert.deepEqual(targetFlags(""), []);
  for (const unknown of ["linux/386", "linux/amd64/v3", "toString"]) {
    assert.throws(() => targetFlags(unknown), { name: "RangeError", message: /is not one of linux\/amd64, / });
  }
});

Deno.test("namesRedis: an own Redis is started only where none is named", () => {
  assert.equal(namesRedis({}), false);
  assert.equal(namesRedis({ REDIS_URL: "", REDIS_PORT: "6379" }), false);
  assert.equal(namesRedis({ REDIS_HOST: "redis.example" }), true);
  assert.equal(namesRedis({ REDIS_URL: "redis://redis.example" }), true);
});
