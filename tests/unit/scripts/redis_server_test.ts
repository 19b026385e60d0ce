import assert from "node:assert/strict";
import { decideRedis, type Surroundings } from "../../../scripts/redis_server.ts";

const CONTAINER: Surroundings = { found: undefined, os: "linux", isRoot: true, hasTerminal: false, hasApt: true };

Deno.test("decideRedis: uses what is there, whoever asks", () => {
  const wanted = { kind: "use", path: "/usr/bin/redis-server" };
  assert.deepEqual(decideRedis({ ...CONTAINER, found: "/usr/bin/redis-server" }), wanted);
  assert.deepEqual(decideRedis({ ...CONTAINER, found: "/usr/bin/redis-server", isRoot: false }), wanted);
});

Deno.test("decideRedis: installs only as root, without a terminal, where apt-get is", () => {
  assert.deepEqual(decideRedis(CONTAINER), { kind: "install" });
  for (const change of [{ isRoot: false }, { hasTerminal: true }, { hasApt: false }]) {
    assert.equal(decideRedis({ ...CONTAINER, ...change }).kind, "refuse");
  }
});

Deno.test("decideRedis: says in one line what to do", () => {
  const message = (os: Surroundings["os"]) => {
    const decision = decideRedis({ ...CONTAINER, os, isRoot: false });
    return decision.kind === "refuse" ? decision.message : decision.kind;
  };
  assert.equal(message("linux"), "This needs a Redis server program: run  sudo apt-get install redis-tools");
  assert.equal(message("darwin"), "This needs a Redis server program: run  brew install valkey");
});
