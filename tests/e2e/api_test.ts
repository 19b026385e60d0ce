/** The API as a user sets it up: a key of `key new` in a file, asked by HTTP, replaced while the service runs. */
import assert from "node:assert/strict";
import { withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

async function makeKey(role: string): Promise<{ key: string; entry: string }> {
  await using command = startService({ args: ["key", "new", "--name", "ann", "--role", role, "--json"] });
  assert.equal((await command.exit).code, 0, command.stderr.join("\n"));
  return JSON.parse(command.stdout.join("\n"));
}

withRedis("run: a key from the file opens the API until its line is replaced; SIGTERM ends a stream", async (redis) => {
  const file = `${redis.dir}/api-keys`, [first, second] = [await makeKey("viewer"), await makeKey("viewer")];
  await Deno.writeTextFile(file, `# ann\n${first.entry}\n`, { mode: 0o400 });
  await using service = startService({
    env: {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), MOOG_HEALTH_CHECK_ENABLED: "false" },
      ...{ REMEDIATION_API_PORT: "0", REMEDIATION_API_KEYS_FILE: file },
    },
  });
  await service.ports();
  const url = `http://127.0.0.1:${service.events("listening")[0]!.api_port}/api/v1`;
  const ask = (path: string, key: string) => fetch(url + path, { headers: { "x-api-key": key } });
  const status = async (key: string) => {
    const response = await ask("/status", key);
    await response.body?.cancel();
    return response.status;
  };
  assert.deepEqual([await status(first.key), await status(second.key)], [200, 401]);
  const document = await (await fetch(`${url}/openapi.json`)).json();
  assert.equal(document.openapi, "3.1.0");
  await Deno.chmod(file, 0o600);
  await Deno.writeTextFile(file, `${second.entry}\n`);
  await waitUntil(async () => await status(first.key) === 401 && await status(second.key) === 200, {
    what: "the new key counts and the old one does not",
  });
  const events = await ask("/events", second.key);
  assert.equal(events.status, 200);
  service.signal("SIGTERM");
  assert.match(await events.text(), /event: source\n/);
  assert.deepEqual(await service.exit, { code: 0, signal: null });
  const output = [...service.stdout, ...service.stderr].join("\n");
  for (const { key } of [first, second]) assert.ok(!output.includes(key));
});
