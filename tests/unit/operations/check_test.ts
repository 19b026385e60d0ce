import assert from "node:assert/strict";
import { describeServer } from "../../../src/operations/check.ts";

Deno.test("describeServer: names Valkey and its own version and mode, beside the Redis that it is compatible with", () => {
  const facts = {
    redis_version: "7.2.4",
    server_name: "valkey",
    valkey_version: "8.1.3",
    server_mode: "cluster",
    role: "slave",
  };
  assert.deepEqual(describeServer({ ...facts, maxmemory_human: "0B", maxmemory_policy: "noeviction" }), [{
    ...{ level: "ok", subject: "redis" },
    text: "Valkey 8.1.3 (compatible with Redis 7.2.4), cluster, a replica, maxmemory 0B, policy noeviction",
  }]);
});

Deno.test("describeServer: says that Redis 5 is too old", () => {
  const [finding] = describeServer({ redis_version: "5.0.14", redis_mode: "standalone" });
  assert.equal(finding?.level, "wrong");
  assert.match(finding!.text, /version 5\.0\.14, standalone.*6\.0 or newer is needed/);
});
