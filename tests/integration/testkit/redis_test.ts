import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { findRedisServer, readServerVersion } from "../../../scripts/redis_server.ts";
import { shareRedis, startRedis, withRedis } from "../../../testkit/redis.ts";
import { needs } from "../../../testkit/redis_version.ts";
import { waitUntil } from "../../../testkit/wait.ts";

withRedis("withRedis: gives lists back oldest first, byte for byte", async (redis) => {
  const binary = new Uint8Array([0, 255, 10, 13]);
  await redis.seedList("list", ["oldest", binary, ""]);
  await redis.seedList("list", ["newest"]);
  assert.deepEqual(
    await redis.readList("list"),
    ["oldest", binary, "", "newest"].map((one) => Buffer.from(one as string)),
  );
  assert.equal(await redis.client().lindex("list", -1), "oldest");
  assert.deepEqual(await redis.readTexts("nothing"), []);
});

withRedis("startRedis: obeys lines of configuration", { config: ["maxmemory 20mb"] }, async (redis) => {
  assert.deepEqual(await redis.client().config("GET", "maxmemory"), ["maxmemory", String(20 * 1024 * 1024)]);
});

withRedis("clientConnections: shows the service's connections and not the tests' own", async (redis) => {
  redis.client();
  assert.deepEqual(await redis.clientConnections(), []);
  const leak = redis.client({ connectionName: "leak" });
  await leak.ping();
  assert.deepEqual((await redis.clientConnections()).map(({ name }) => name), ["leak"]);
});

withRedis("kill and restart: same port and files, and clients come back", {
  config: ["appendonly yes", "appendfsync always"],
}, async (redis) => {
  const client = redis.client();
  await client.set("key", "kept");
  const before = redis.pid;
  await redis.kill("SIGKILL");
  await redis.restart();
  assert.notEqual(redis.pid, before);
  assert.equal(await client.get("key"), "kept");
});

withRedis("kill: a stopped server answers again when it is continued", async (redis) => {
  const client = redis.client({ commandTimeout: 100 });
  await waitUntil(() => client.ping().catch(() => ""), { what: "it is connected" });
  await redis.kill("SIGSTOP");
  await assert.rejects(client.ping(), /timed out/i);
  await redis.kill("SIGCONT");
  await waitUntil(() => client.ping().catch(() => ""), { what: "the server answers" });
});

withRedis("stop: leaves nothing of clients whose server is gone", async (redis) => {
  await redis.client().ping();
  await redis.kill("SIGKILL");
});

Deno.test("stop: leaves neither process nor folder, and may be called twice", async () => {
  const redis = await startRedis();
  await redis.kill("SIGSTOP");
  await redis.stop();
  await redis.stop();
  await assert.rejects(Deno.stat(redis.dir), Deno.errors.NotFound);
  assert.throws(() => Deno.kill(redis.pid, "SIGCONT"), Deno.errors.NotFound);
});

Deno.test("startRedis: shows the log when the server refuses its configuration", async () => {
  await assert.rejects(startRedis({ config: ["maxmemory much"] }), /Redis did not start.*maxmemory/s);
});

Deno.test("startRedis: does not take another server on its port for its own", async () => {
  const first = await startRedis();
  try {
    await assert.rejects(startRedis({ port: first.port }), /Address already in use/);
    assert.equal(await first.client().ping(), "PONG");
  } finally {
    await first.stop();
  }
});

Deno.test("startRedis: the server ends when its parent is killed", async () => {
  const module = new URL("../../../scripts/redis_server.ts", import.meta.url).href;
  const code = `const { startRedisServer } = await import("${module}");
    const { pid, dir } = await startRedisServer();
    console.log(JSON.stringify({ pid, dir }));
    await new Promise((resolve) => setTimeout(resolve, 60_000));`;
  const parent = new Deno.Command(Deno.execPath(), { args: ["eval", code], stdout: "piped" }).spawn();
  const reader = parent.stdout.getReader();
  const { value } = await reader.read();
  const { pid, dir } = JSON.parse(new TextDecoder().decode(value));
  parent.kill("SIGKILL");
  await parent.status;
  await reader.cancel();
  await waitUntil(() => isGone(pid, dir), { what: "server and folder are gone" });
});

Deno.test("readServerVersion: tells a server's name and version, and what is none", async () => {
  const { name, version } = readServerVersion(await findRedisServer());
  assert.match(`${name} ${version}`, /^(Redis|Valkey) \d+\.\d+\.\d+$/);
  assert.throws(() => readServerVersion("/bin/echo"), /\/bin\/echo is not a Redis server: --version says/);
  assert.throws(() => readServerVersion("/no/such"), /\/no\/such is not a Redis server: --version says/);
});

Deno.test("needs: ignores a test of a later version, and its name says why", () => {
  assert.deepEqual(needs("6.0", "a test"), { name: "a test", ignore: false });
  assert.deepEqual(needs("99.1", "a test"), { name: "a test (needs Redis 99.1)", ignore: true });
});

function isGone(pid: number, dir: string): boolean {
  try {
    Deno.statSync(dir);
    return false;
  } catch {
    try {
      Deno.kill(pid, "SIGCONT");
      return false;
    } catch {
      return true;
    }
  }
}

const shared = shareRedis();
for (const turn of ["first", "second"]) {
  Deno.test(`shareRedis: the ${turn} test finds it empty`, async () => {
    assert.deepEqual(await shared().readList("list"), []);
    await shared().seedList("list", ["one"]);
  });
}
