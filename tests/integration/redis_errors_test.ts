/** What the server at hand answers when it refuses a command or a script, in its own words, has the code that the service goes by. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { type RedisErrorCode, redisErrorCode } from "../../src/redis/errors.ts";
import { shareRedis, startRedis, type TestRedis } from "../../testkit/redis.ts";
import { serverHas } from "../../testkit/redis_version.ts";
import { waitUntil } from "../../testkit/wait.ts";

const redis = shareRedis();
const WRITE = "return redis.call('SET', KEYS[1], '1')";

/** Rejects with the server's words. */
async function codeOf(call: Promise<unknown>): Promise<RedisErrorCode | "accepted"> {
  return await call.then(() => "accepted" as const, redisErrorCode);
}

/** The codes of a write by a command, by a script, and by a command in a transaction. */
async function codesOfWrites(client: Redis): Promise<string[]> {
  const inTransaction = async () => {
    await client.call("MULTI");
    try {
      await client.call("SET", "k", "1");
    } finally {
      await client.call("DISCARD");
    }
  };
  return [
    await codeOf(client.set("k", "1")),
    await codeOf(client.eval(WRITE, 1, "k")),
    await codeOf(inTransaction()),
  ];
}

/** A user with these rules. */
async function user(server: TestRedis, ...rules: string[]): Promise<Redis> {
  // Redis 7.2 and newer name the user in some refusals.
  await server.client().call("ACL", "SETUSER", "OOM", "reset", "on", ">p", ...rules);
  return server.client({ username: "OOM", password: "p", enableReadyCheck: false, disableClientInfo: true });
}

const GRANTED = ["+eval", "+multi", "+discard", "+ping", "+client|setname"];

Deno.test("refusals: a command, a key and what a script calls are NOPERM", async () => {
  const noCommand = await user(redis(), ...GRANTED, "~*");
  assert.deepEqual(await codesOfWrites(noCommand), ["NOPERM", "NOPERM", "NOPERM"]);
  const text = await noCommand.eval("return redis.pcall('SET', KEYS[1], '1').err", 1, "k");
  assert.equal(redisErrorCode(new Error(String(text))), "NOPERM", "as a script of ours hands it on");
  const noKey = await user(redis(), ...GRANTED, "+set", "~other");
  assert.deepEqual(await codesOfWrites(noKey), ["NOPERM", "NOPERM", "NOPERM"]);
  assert.equal(await codeOf(noKey.eval("return redis.call('SET', 'k', '1')", 0)), "NOPERM");
});

Deno.test("refusals: full memory is OOM", async () => {
  const client = redis().client();
  await client.config("SET", "maxmemory", "1");
  const codes = await codesOfWrites(client);
  await client.config("SET", "maxmemory", "0");
  assert.deepEqual(codes, ["OOM", "OOM", "OOM"]);
});

Deno.test("refusals: a replica is READONLY, and MASTERDOWN if it may not answer", async () => {
  const client = redis().client();
  await client.replicaof("127.0.0.1", 1);
  const codes = await codesOfWrites(client);
  await client.config("SET", "replica-serve-stale-data", "no");
  const down = [await codeOf(client.get("k")), await codeOf(client.eval("return 1", 1, "k"))];
  await client.config("SET", "replica-serve-stale-data", "yes");
  await client.replicaof("NO", "ONE");
  assert.deepEqual([codes, down], [["READONLY", "READONLY", "READONLY"], ["MASTERDOWN", "MASTERDOWN"]]);
});

Deno.test("refusals: missing replicas are NOREPLICAS", async () => {
  const client = redis().client();
  await client.config("SET", "min-replicas-to-write", "1");
  const codes = await codesOfWrites(client);
  await client.config("SET", "min-replicas-to-write", "0");
  // Redis 6.0 lets a script write.
  assert.deepEqual(codes, ["NOREPLICAS", serverHas("7.0") ? "NOREPLICAS" : "accepted", "NOREPLICAS"]);
});

Deno.test("refusals: a failed snapshot is MISCONF", async () => {
  const server = await startRedis({ config: ["save 3600 1000000"] });
  try {
    const client = server.client();
    await Deno.mkdir(`${server.dir}/dump.rdb`);
    await client.bgsave();
    const failed = async () => (await client.info("persistence")).includes("rdb_last_bgsave_status:err");
    await waitUntil(failed, { what: "the snapshot fails" });
    assert.deepEqual(await codesOfWrites(client), ["MISCONF", "MISCONF", "MISCONF"]);
  } finally {
    await server.stop();
  }
});

Deno.test("refusals: a script that goes on is BUSY, and an unknown one NOSCRIPT", async () => {
  const client = redis().client(), other = redis().client();
  assert.equal(await codeOf(client.evalsha("f".repeat(40), 0)), "NOSCRIPT");
  await client.config("SET", "lua-time-limit", "20");
  const looping = other.eval("while true do end", 0).catch(() => {});
  await waitUntil(async () => await codeOf(client.get("k")) === "BUSY", { what: "the server is busy" });
  const code = await codeOf(client.eval("return 1", 0));
  await client.script("KILL");
  await looping;
  assert.equal(code, "BUSY");
});

Deno.test("refusals: a key of another type is WRONGTYPE", async () => {
  const client = redis().client();
  await client.set("k", "1");
  assert.equal(await codeOf(client.lpush("k", "1")), "WRONGTYPE");
  assert.equal(await codeOf(client.eval("return redis.call('LPUSH', KEYS[1], '1')", 1, "k")), "WRONGTYPE");
});

Deno.test("refusals: no password is NOAUTH, and a wrong one WRONGPASS", async () => {
  const server = await startRedis({ config: ["requirepass p"] });
  try {
    const options = { enableReadyCheck: false, disableClientInfo: true, protocol: 2 as const };
    const client = server.client(options);
    assert.equal(await codeOf(client.get("k")), "NOAUTH");
    assert.equal(await codeOf(client.eval("return 1", 0)), "NOAUTH");
    assert.equal(await codeOf(client.call("HELLO", "3")), "NOAUTH");
    for (const login of [["AUTH", "wrong"], ["AUTH", "nobody", "wrong"], ["HELLO", "3", "AUTH", "default", "wrong"]]) {
      assert.equal(await codeOf(client.call(...login as [string])), "WRONGPASS", login.join(" "));
    }
  } finally {
    await server.stop();
  }
});

Deno.test("refusals: a slot without an owner is CLUSTERDOWN", async () => {
  const server = await startRedis({ config: ["cluster-enabled yes"] });
  try {
    assert.deepEqual(await codesOfWrites(server.client()), ["CLUSTERDOWN", "CLUSTERDOWN", "CLUSTERDOWN"]);
  } finally {
    await server.stop();
  }
});
