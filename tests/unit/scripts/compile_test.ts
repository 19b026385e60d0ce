import assert from "node:assert/strict";
import { permissionFlags } from "../../../scripts/compile.ts";
import { namesRedis } from "../../../scripts/dev.ts";

Deno.test("permissionFlags: grants network, reading, the known variables, Redis' sockets, and nothing else", () => {
  const flags = permissionFlags();
  const environment = flags.find((flag) => flag.startsWith("--allow-env=")) ?? "";
  assert.deepEqual(flags.filter((flag) => flag !== environment), [
    "--no-prompt",
    "--allow-net",
    "--ignore-env",
    "--allow-read",
    "--allow-write=/run/redis,/var/run/redis",
  ]);
  assert.match(environment, /^--allow-env=[A-Z][A-Z_*]+(,[A-Z][A-Z_*]+)*$/);
});

Deno.test("namesRedis: an own Redis is started only where none is named", () => {
  assert.equal(namesRedis({}), false);
  assert.equal(namesRedis({ REDIS_URL: "", REDIS_PORT: "6379" }), false);
  assert.equal(namesRedis({ REDIS_HOST: "redis.example" }), true);
  assert.equal(namesRedis({ REDIS_URL: "redis://redis.example" }), true);
});
