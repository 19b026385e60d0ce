/** Each way into the net, with a secret on it: one that caught nothing would let every leak of the suite through. */
import assert from "node:assert/strict";
import { Secret } from "../../../src/runtime/secret.ts";
import { createHealthHandler } from "../../../src/api/health.ts";
import { createMetricsHandler } from "../../../src/api/metrics.ts";
import { stateKey } from "../../../src/redis/keys.ts";
import { ROOT } from "../../../scripts/child.ts";
import { createEngine, DLQ, eventText } from "../../../testkit/engine.ts";
import { startHttpStub } from "../../../testkit/http_stub.ts";
import { NO_OBJECTIVES, startPort } from "../../../testkit/listeners.ts";
import { PLANTED } from "../../../testkit/planted_secrets.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { startRedis, withRedis } from "../../../testkit/redis.ts";
import { takeLeaks, watchOutput } from "../../../testkit/secrets_net.ts";
import { startService } from "../../../testkit/service.ts";

/** What went by, without what stood around it. */
function caught(): string[] {
  return takeLeaks().map((leak) => leak.replace(/ in ".*$/s, "").replace(/:\d+/, ":0"));
}

Deno.test("secrets net: catches what goes by, once, and nothing else", () => {
  watchOutput("here", "nothing");
  watchOutput("there", `a ${PLANTED.sentinelPassword} b`);
  assert.deepEqual(caught(), ["there: sentinel-password (plain)"]);
  assert.deepEqual(caught(), []);
});

Deno.test("secrets net: catches log lines that a test records: text, fields, errors", () => {
  const { log } = recordLog();
  log.info("event", "nothing", { secret: new Secret(PLANTED.redisPassword) });
  assert.deepEqual(caught(), []);
  log.debug("event", `login with ${PLANTED.redisPassword}`);
  assert.deepEqual(caught(), ["log (json): redis-password (plain)", "log (text): redis-password (plain)"]);
  log.child("part").warning("event", "text", { deep: { key: btoa(PLANTED.moogApiKey) } });
  assert.deepEqual(caught(), ["log (json): moog-api-key (base64)", "log (text): moog-api-key (base64)"]);
  log.error("event", "text", { error: new Error(PLANTED.messageApiKey) });
  assert.deepEqual(caught(), ["log (json): message-api-key (plain)", "log (text): message-api-key (plain)"]);
});

Deno.test("secrets net: catches what the service answers on either port, and no answer of others", async () => {
  const check = { ok: true, reason: "" };
  const health = startPort({
    handler: createHealthHandler({
      health: () => ({ live: check, ready: check, details: { redis: PLANTED.redisPassword } }),
      ...{ slo: () => NO_OBJECTIVES, version: "v", podName: "p" },
    }),
  });
  const metrics = startPort({
    handler: createMetricsHandler({ render: () => Promise.resolve(PLANTED.messageApiKey) }),
  });
  const stub = await startHttpStub();
  stub.answer({ status: 200, body: PLANTED.moogApiKey });
  try {
    const ask = async (url: string) => await (await fetch(url, { headers: { accept: "application/json" } })).text();
    assert.match(await ask(`http://127.0.0.1:${health.port}/health`), /^\{"status":"healthy"/);
    assert.deepEqual(caught(), ["page http://127.0.0.1:0/health: redis-password (plain)"]);
    assert.equal(await ask(`http://127.0.0.1:${metrics.port}/metrics`), PLANTED.messageApiKey);
    assert.deepEqual(caught(), ["page http://127.0.0.1:0/metrics: message-api-key (plain)"]);
    assert.equal(await ask(stub.url), PLANTED.moogApiKey);
    assert.deepEqual(caught(), []);
  } finally {
    await Promise.all([health.stop(), metrics.stop(), stub.stop()]);
  }
});

Deno.test("secrets net: catches both streams of a started service", async () => {
  const name = `planted-${PLANTED.misplaced}`;
  {
    await using service = startService({ args: ["config"], env: { POD_NAME: name } });
    assert.equal((await service.exit).code, 0);
  }
  assert.deepEqual(caught(), ["stdout of the service: misplaced (plain)"]);
  {
    await using service = startService({
      args: ["once"],
      env: { POD_NAME: name, REDIS_HOST: "127.0.0.1", REDIS_PORT: "9" },
    });
    assert.equal((await service.exit).code, 1);
  }
  assert.ok(caught().includes("stderr of the service: misplaced (plain)"));
});

withRedis("secrets net: catches names of connections, and what an engine counts", async (redis) => {
  await redis.client({ connectionName: PLANTED.misplaced }).ping();
  await redis.clientConnections();
  assert.deepEqual(caught(), ["name of a connection: misplaced (plain)"]);
  {
    await using engine = createEngine(redis);
    engine.metrics.dead.inc({ source: "alerter", reason: PLANTED.misplaced });
  }
  assert.deepEqual(caught(), ["metrics of an engine: misplaced (plain)"]);
});

Deno.test("secrets net: catches what the service keeps in Redis, when the server stops, but no message", async () => {
  const redis = await startRedis();
  await redis.client().hset(stateKey(DLQ), "leaderName", PLANTED.misplaced);
  await redis.client().set(`${stateKey(DLQ)}:receipt:x`, btoa(PLANTED.redisPassword));
  await redis.seedList(DLQ, [eventText(1)]);
  await redis.stop();
  assert.deepEqual(caught().sort(), ["record in Redis: misplaced (plain)", "record in Redis: redis-password (base64)"]);
});

Deno.test("secrets net: fails the test in which a secret went by, or the file, though all it asserts is true", async () => {
  const dir = await Deno.makeTempDir();
  const run = async (code: string) => {
    const net = `import { watchOutput } from "${ROOT}testkit/secrets_net.ts";`;
    await Deno.writeTextFile(`${dir}/leaking_test.ts`, `${net}\n${code}`);
    const { code: exitCode, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", `--config=${ROOT}deno.json`, `${dir}/leaking_test.ts`],
      env: { NO_COLOR: "1" },
      stderr: "null",
    }).output();
    return { exitCode, text: new TextDecoder().decode(stdout) };
  };
  const leak = `watchOutput("here", ${JSON.stringify(PLANTED.messageApiKey)});`;
  try {
    assert.equal((await run(`Deno.test("a", () => {});`)).exitCode, 0);
    const inTest = await run(`Deno.test("a", () => { ${leak} });\nDeno.test("b", () => {});`);
    assert.equal(inTest.exitCode, 1, inTest.text);
    assert.match(inTest.text, /Secrets went by:\n\s+here: message-api-key \(plain\)[\s\S]*1 passed \| 1 failed/);
    const afterwards = await run(`Deno.test.afterAll(() => { ${leak} });\nDeno.test("a", () => {});`);
    assert.equal(afterwards.exitCode, 1, afterwards.text);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
