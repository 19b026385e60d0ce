import assert from "node:assert/strict";
import { withoutStamps } from "../../src/message/envelope.ts";
import { PLANTED, withCredentials } from "../../testkit/planted_secrets.ts";
import { startRedis, type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { inTime, waitUntil } from "../../testkit/wait.ts";
import { drillsKey } from "../../src/redis/keys.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue", DEAD = "mutt:dlq:dead";

/** No pace and no depth limit: as fast as it goes. */
const UNBOUND = { REMEDIATION_BATCH_SIZE: "0", REMEDIATION_MAX_PER_SECOND: "0", REMEDIATION_TARGET_MAX_DEPTH: "0" };

function envFor(redis: { port: number }, more: Record<string, string> = {}): Record<string, string> {
  return { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_INTERVAL: "1", ...more };
}

function message(id: number, members = ""): string {
  return `{"api_key": ${
    JSON.stringify(PLANTED.messageApiKey)
  }, "timestamp": "2026-11-20T10:00:00Z", "hostname": "h${id}", "message": "m", "n": 9${
    Math.abs(id)
  }12345678901234567890` +
    `${members}, "_retry_count": 4}`;
}

/** Original payloads of a list, stamps and the alerter's counter undone. */
async function originals(redis: TestRedis, key: string): Promise<string[]> {
  return (await redis.readList(key)).map((bytes) => new TextDecoder().decode(withoutStamps(bytes, ["_retry_count"])));
}

function bare(text: string): string {
  return new TextDecoder().decode(withoutStamps(new TextEncoder().encode(text), ["_retry_count"]));
}

async function healthOf(service: Service): Promise<{ status: number; text: string }> {
  const { health } = await service.ports();
  const response = await fetch(`http://127.0.0.1:${health}/health`);
  return { status: response.status, text: await response.text() };
}

async function metric(service: Service, name: string): Promise<number> {
  const { metrics } = await service.ports();
  const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

withRedis("run: drains a queue in order, tells it in metrics, and leaves every byte but the stamps", async (redis) => {
  const sent = Array.from({ length: 500 }, (_, i) => message(i));
  await redis.seedList(DLQ, [...sent, "not json", message(-1).replace('"hostname": "h-1", ', "")]);
  await using service = startService({ env: envFor(redis, UNBOUND) });
  await waitUntil(async () => await redis.depth(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 15_000 });
  await waitUntil(async () => await metric(service, "mutt_remediation_replay_success_total") === 500, {
    what: "counted",
  });
  assert.deepEqual(await originals(redis, TARGET), sent.map(bare));
  assert.equal((await redis.readTexts(DEAD)).length, 2);
  assert.equal(await metric(service, "mutt_remediation_poison_messages_total"), 2);
  assert.deepEqual(await healthOf(service), { status: 200, text: "OK" });
  service.signal("SIGTERM");
  assert.deepEqual(await service.exit, { code: 0, signal: null });
});

withRedis("run: accounts for 100,000 mixed messages, every one", async (redis) => {
  const count = 100_000;
  const sent = Array.from(
    { length: count },
    (_, i) => i % 50 === 0 ? `broken ${i}` : i % 33 === 0 ? `[${i}]` : message(i),
  );
  await redis.seedList(DLQ, sent);
  await using service = startService({ env: envFor(redis, { ...UNBOUND, LOG_LEVEL: "ERROR" }) });
  await waitUntil(async () => await redis.depth(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 120_000 });
  const [target, dead] = [await originals(redis, TARGET), await originals(redis, DEAD)];
  assert.equal(target.length + dead.length, count);
  assert.deepEqual([...target, ...dead].sort(), sent.map((text) => text.startsWith("{") ? bare(text) : text).sort());
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
});

withRedis("run: loses and doubles nothing when it is killed in the middle of a drain", async (redis) => {
  const count = 20_000;
  const sent = Array.from({ length: count }, (_, i) => message(i));
  await redis.seedList(DLQ, sent);
  const quick = { REMEDIATION_CHUNK_MESSAGES: "20", REMEDIATION_LEASE_DURATION: "2" };
  const env = envFor(redis, { ...UNBOUND, ...quick, LOG_LEVEL: "ERROR" });
  for (let kill = 1; kill <= 4; kill++) {
    await using service = startService({ env });
    const before = await redis.depth(DLQ);
    await waitUntil(async () => await redis.depth(DLQ) < before - 500, { what: "it moves", timeoutMs: 20_000 });
    service.signal("SIGKILL");
    await service.exit;
    assert.ok(await redis.depth(DLQ) > 0, "it was killed too late for the test to mean something");
    assert.equal(await redis.depth(DLQ) + await redis.depth(TARGET), count);
  }
  await using last = startService({ env });
  await waitUntil(async () => await redis.depth(DLQ) === 0, { what: "the rest is drained", timeoutMs: 60_000 });
  assert.deepEqual(await originals(redis, TARGET), sent.map(bare));
  assert.deepEqual(await redis.readTexts(DEAD), []);
  last.signal("SIGTERM");
  await last.exit;
});

withRedis("run: ends within its time on SIGTERM while it drains, with everything accounted for", async (redis) => {
  const count = 30_000;
  await redis.seedList(DLQ, Array.from({ length: count }, (_, i) => message(i)));
  await using service = startService({ env: envFor(redis, { ...UNBOUND, LOG_LEVEL: "WARNING" }) });
  await waitUntil(async () => await redis.depth(TARGET) > 1_000, { what: "it moves", timeoutMs: 15_000 });
  service.signal("SIGTERM");
  assert.deepEqual(await service.exit, { code: 0, signal: null });
  assert.ok(await redis.depth(DLQ) > 0, "it drained all before the signal");
  assert.equal(await redis.depth(DLQ) + await redis.depth(TARGET), count);
});

withRedis("run: ends on SIGTERM although Redis hangs and a client keeps its connection open", async (redis) => {
  await using service = startService({ env: envFor(redis, { REMEDIATION_SHUTDOWN_TIMEOUT: "3" }) });
  const { health } = await service.ports();
  using open = await Deno.connect({ hostname: "127.0.0.1", port: health });
  await open.write(new TextEncoder().encode("GET /health HTTP/1.1\r\n"));
  await service.waitForLine(/"redis_ready"/);
  await redis.kill("SIGSTOP");
  try {
    service.signal("SIGTERM");
    assert.equal((await inTime(service.exit, { what: "it has ended", timeoutMs: 3_000 })).code, 0);
  } finally {
    await redis.kill("SIGCONT");
  }
});

withRedis("run: exits at once on a second signal", async (redis) => {
  await using service = startService({ env: envFor(redis, { REMEDIATION_SHUTDOWN_TIMEOUT: "60" }) });
  await service.waitForLine(/"redis_ready"/);
  await redis.kill("SIGSTOP");
  try {
    service.signal("SIGINT");
    await service.waitForLine(/"stopping"/);
    service.signal("SIGINT");
    assert.equal((await service.exit).code, 1);
  } finally {
    await redis.kill("SIGCONT");
  }
});

Deno.test("run: waits for a Redis that is absent at start, and goes on after it was restarted", async () => {
  const first = await startRedis();
  const { port } = first;
  await first.stop();
  await using service = startService({ env: envFor({ port }, UNBOUND) });
  await waitUntil(async () => (await healthOf(service)).status === 503, { what: "it is unhealthy without Redis" });
  const redis = await startRedis({ port, config: ["appendonly yes", "appendfsync always"] });
  try {
    await redis.seedList(DLQ, [message(1)]);
    await waitUntil(async () => await redis.depth(TARGET) === 1, { what: "it drains", timeoutMs: 15_000 });
    await redis.restart();
    await redis.seedList(DLQ, [message(2)]);
    await waitUntil(async () => await redis.depth(TARGET) === 2, { what: "it drains again", timeoutMs: 20_000 });
    await waitUntil(async () => (await healthOf(service)).status === 200, { what: "it is healthy again" });
    assert.ok(await metric(service, "mutt_remediation_redis_reconnects_total") >= 1);
    service.signal("SIGTERM");
    assert.equal((await service.exit).code, 0);
  } finally {
    await redis.stop();
  }
});

Deno.test("run: names every bad value at once, shows no secret, starts nothing and exits 78", async () => {
  await using service = startService({
    env: {
      REMEDIATION_INTERVAL: "0",
      MAX_POISON_RETRIES: "many",
      REDIS_URL: withCredentials("http://redis:6379", { password: PLANTED.redisPassword }),
      MOOG_WEBHOOK_URL: "ftp://moog.example.com",
      REDIS_PASSWORD: PLANTED.redisPassword,
      REMEDIATION_BATCHSIZE: "5",
    },
  });
  assert.equal((await service.exit).code, 78);
  const text = service.stderr.join("\n");
  for (const name of ["REMEDIATION_INTERVAL", "MAX_POISON_RETRIES", "REDIS_URL", "MOOG_WEBHOOK_URL"]) {
    assert.ok(text.includes(name), `${name} is not named:\n${text}`);
  }
  assert.ok(text.includes("REMEDIATION_BATCH_SIZE"), "the misspelt name gets no hint");
  assert.deepEqual(service.stdout, []);
});

/** MUTT's own template, comments behind values included, as systemd and Docker hand it over (contract §3). */
const ORIGINAL_ENVIRONMENT = {
  POD_NAME: "alerter-001  # unique per instance",
  REDIS_TLS_ENABLED: "false",
  REMEDIATION_ENABLED: "true",
  REMEDIATION_INTERVAL: "1          # 5 minutes",
  REMEDIATION_BATCH_SIZE: "10",
  MAX_POISON_RETRIES: "3",
  ALERTER_DLQ_NAME: DLQ,
  DEAD_LETTER_QUEUE: DEAD,
  INGEST_QUEUE_NAME: TARGET,
  MOOG_HEALTH_CHECK_ENABLED: "true",
  MOOG_WEBHOOK_URL: "",
  MOOG_HEALTH_TIMEOUT: "5",
  DYNAMIC_CONFIG_ENABLED: "false",
  LOG_JSON_ENABLED: "true",
  ALERTER_QUEUE_WARN_THRESHOLD: "1000",
  VAULT_ADDR: "https://vault.example.com:8200",
};

withRedis("run: starts unchanged with the original's environment file", async (redis) => {
  await redis.seedList(DLQ, [message(1)]);
  await using service = startService({
    env: { ...ORIGINAL_ENVIRONMENT, ...envFor(redis), REMEDIATION_INTERVAL: "1 # s" },
  });
  await waitUntil(async () => await redis.depth(TARGET) === 1, { what: "it drains", timeoutMs: 15_000 });
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
});

withRedis("run: refuses a Redis that evicts queues, with exit 78 and what to do", {
  config: ["maxmemory-policy allkeys-lru", "maxmemory 100mb"],
}, async (redis) => {
  await redis.seedList(DLQ, [message(1)]);
  await using service = startService({ env: envFor(redis) });
  assert.equal((await service.exit).code, 78);
  assert.match(service.stderr.join("\n"), /allkeys-lru.*noeviction/);
  assert.equal(await redis.depth(DLQ), 1);
});

withRedis("check: tells all that is wrong in Redis at once, the server's settings and the lists'", {
  config: ["maxmemory-policy allkeys-lru", "maxmemory 100mb"],
}, async (redis) => {
  await redis.client().mset(DLQ, "no list", drillsKey(DLQ), "no list");
  await using service = startService({ args: ["check"], env: envFor(redis) });
  assert.equal((await service.exit).code, 78);
  const told = service.stdout.join("\n");
  assert.match(told, /allkeys-lru.*noeviction/);
  assert.match(told, /DLQ mutt:dlq:alerter is a string and must be a list/);
  assert.match(told, /reports of drills \S+ is a string and must be a list/);
  assert.doesNotMatch(told, /list of drills/);
});

withRedis("run: says which variable names a port that is in use", async (redis) => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using service = startService({ env: envFor(redis, { HEALTH_PORT_REMEDIATION: String(taken.addr.port) }) });
  assert.equal((await service.exit).code, 1);
  assert.match(service.stderr.join("\n"), /HEALTH_PORT_REMEDIATION.*in use/);
});

withRedis("run: with REMEDIATION_ENABLED=false stays up and healthy, and moves nothing", async (redis) => {
  await redis.seedList(DLQ, [message(1)]);
  await using service = startService({ env: envFor(redis, { REMEDIATION_ENABLED: "false" }) });
  await waitUntil(async () => await metric(service, 'mutt_remediation_dlq_depth{dlq_name="mutt:dlq:alerter"}') === 1, {
    what: "the depth is measured",
    timeoutMs: 10_000,
  });
  assert.equal((await healthOf(service)).status, 200);
  assert.equal(await metric(service, 'mutt_remediation_gate_open{source="alerter",gate="enabled"}'), 0);
  assert.equal(await redis.depth(DLQ), 1);
});

withRedis("run: follows the dynamic keys", async (redis) => {
  const client = redis.client();
  await client.set("mutt:config:remediation_enabled", "False");
  await redis.seedList(DLQ, [message(1)]);
  await using service = startService({ env: envFor(redis, { DYNAMIC_CONFIG_ENABLED: "true" }) });
  await service.waitForLine((line) => line.includes("gate enabled is closed"));
  assert.equal(await redis.depth(DLQ), 1);
  await client.set("mutt:config:remediation_enabled", "True");
  await client.publish("mutt:config:updates", "remediation_enabled");
  await waitUntil(async () => await redis.depth(TARGET) === 1, { what: "it drains", timeoutMs: 10_000 });
});

withRedis("once: prints the account as JSON and nothing else on standard output", async (redis) => {
  await redis.seedList(DLQ, [message(1), "broken", message(2), message(3)]);
  await using service = startService({ args: ["once", "--json"], env: envFor(redis, { REMEDIATION_BATCH_SIZE: "3" }) });
  assert.equal((await service.exit).code, 0);
  assert.equal(service.stdout.length, 1);
  const { sources, durationMs } = JSON.parse(service.stdout[0]!);
  assert.equal(typeof durationMs, "number");
  assert.deepEqual(sources, [{
    name: "alerter",
    depthBefore: 4,
    depthAfter: 1,
    replayed: 2,
    dead: { unreadable: 1 },
    conflicts: 0,
    stoppedBy: "batch_size",
    brake: { state: "healthy", allowance: null, reason: "none" },
  }]);
});

withRedis("once: says that only a canary group goes, and why, when all came back", async (redis) => {
  await redis.seedList(DLQ, [message(1), message(2)]);
  for (
    const expected of [
      /^alerter: 2 replayed/,
      /1 replayed.*\n {2}canary, at most 1 messages a cycle: replayed messages came back/,
    ]
  ) {
    await using service = startService({ args: ["once"], env: envFor(redis) });
    assert.equal((await service.exit).code, 0);
    assert.match(service.stdout.join("\n"), expected);
    while (await redis.client().rpoplpush(TARGET, DLQ) !== null);
  }
});

withRedis("once: changes nothing with --dry-run, and says what it would do", async (redis) => {
  await redis.seedList(DLQ, [message(1), "broken"]);
  const before = await redis.readTexts(DLQ);
  await using service = startService({ args: ["once", "--json", "--dry-run"], env: envFor(redis) });
  assert.equal((await service.exit).code, 0);
  const { sources: [source], dryRun } = JSON.parse(service.stdout[0]!);
  assert.deepEqual([source.replayed, source.dead, dryRun], [1, { unreadable: 1 }, true]);
  assert.deepEqual(await redis.readTexts(DLQ), before);
  assert.deepEqual(await redis.client().keys("*"), [DLQ]);
});

withRedis("once: exits 3 when messages are there and a gate is closed", async (redis) => {
  await redis.seedList(DLQ, [message(1)]);
  for (
    const [gate, more] of [
      ["enabled", { REMEDIATION_ENABLED: "false" }],
      ["consumer", { REMEDIATION_CONSUMER_GATE: "required" }],
      ["downstream", { MOOG_WEBHOOK_URL: "http://127.0.0.1:9/" }],
    ] as const
  ) {
    await using service = startService({ args: ["once", "--json"], env: envFor(redis, more) });
    assert.equal((await service.exit).code, 3, `gate ${gate}`);
    assert.equal(JSON.parse(service.stdout[0]!).sources[0].stoppedBy, gate);
  }
  assert.equal(await redis.depth(DLQ), 1);
});

withRedis("once: exits 0 when there is nothing to do, 2 for a wrong command line", async (redis) => {
  for (
    const [args, code] of [
      [["once"], 0],
      [["once", "--source", "alerter"], 0],
      [["once", "--source", "nothing"], 2],
      [["once", "--no-such-flag"], 2],
      [["no-such-command"], 2],
      [["--help"], 0],
      [["help", "once"], 0],
      [["version"], 0],
      [["config"], 0],
      [["check"], 0],
    ] as const
  ) {
    await using service = startService({ args, env: envFor(redis) });
    assert.equal((await service.exit).code, code, `${args.join(" ")}: ${service.stderr.join("\n")}`);
  }
});

Deno.test("version: names the commit that a binary was compiled from, and none where it runs from source", async () => {
  await using service = startService({ args: ["version"] });
  assert.equal((await service.exit).code, 0);
  const commit = /^mutt-remediation \d+\.\d+\.\d+ \((.+)\)$/.exec(service.stdout[0] ?? "")?.[1] ?? "";
  const isBinary = Deno.env.get("MUTT_REMEDIATION_BINARY") !== undefined;
  assert.match(commit, isBinary ? /^[0-9a-f]{12}(-dirty)?$/ : /^unknown$/);
});

Deno.test("once: exits 1 when Redis does not answer", async () => {
  await using service = startService({ args: ["once"], env: envFor({ port: 9 }) });
  assert.equal((await service.exit).code, 1);
  assert.match(service.stderr.join("\n"), /Redis did not answer within 5 s/);
});

withRedis("health: exits 0 while the service is healthy, 1 when it is not or is not there", async (redis) => {
  await using service = startService({ env: envFor(redis) });
  const { health } = await service.ports();
  await waitUntil(async () => (await healthOf(service)).status === 200, { what: "it is healthy" });
  const env = { HEALTH_PORT_REMEDIATION: String(health) };
  {
    await using asked = startService({ args: ["health"], env });
    assert.equal((await asked.exit).code, 0);
    assert.equal(asked.stdout[0], "OK");
    assert.match(asked.stdout[1]!, /^alerter: \w/);
    assert.equal(asked.stdout.length, 2);
  }
  await redis.kill("SIGKILL");
  await waitUntil(async () => (await healthOf(service)).status === 503, { what: "it is unhealthy" });
  {
    await using asked = startService({ args: ["health", "--json"], env });
    assert.equal((await asked.exit).code, 1);
    assert.equal(JSON.parse(asked.stdout[0]!).redis, "disconnected");
  }
  service.signal("SIGKILL");
  await service.exit;
  await using asked = startService({ args: ["health"], env });
  assert.equal((await asked.exit).code, 1);
  assert.match(asked.stderr.join("\n"), /nothing listens there/);
});

withRedis("once: touches no other database when the one it is to use cannot be selected", async (redis) => {
  await redis.seedList(DLQ, [message(1)]);
  for (const env of [envFor(redis, { REDIS_DB: "20" }), { REDIS_URL: `redis://127.0.0.1:${redis.port}/20` }]) {
    await using service = startService({ args: ["once"], env });
    assert.equal((await service.exit).code, 1, service.stderr.join("\n"));
  }
  assert.equal(await redis.depth(DLQ), 1);
});

withRedis("run: is not ready while Redis hangs, and is again afterwards", async (redis) => {
  await using service = startService({ env: envFor(redis) });
  await waitUntil(async () => (await healthOf(service)).status === 200, { what: "it is healthy", timeoutMs: 10_000 });
  await redis.kill("SIGSTOP");
  try {
    await waitUntil(async () => (await healthOf(service)).status === 503, {
      what: "it is unhealthy",
      timeoutMs: 30_000,
    });
  } finally {
    await redis.kill("SIGCONT");
  }
  await waitUntil(async () => (await healthOf(service)).status === 200, {
    what: "it is healthy again",
    timeoutMs: 20_000,
  });
});

withRedis("health: asks the service itself, whatever proxy the environment names", async (redis) => {
  await using service = startService({ env: envFor(redis) });
  const { health } = await service.ports();
  await waitUntil(async () => (await healthOf(service)).status === 200, { what: "it is healthy", timeoutMs: 10_000 });
  const env = {
    HEALTH_PORT_REMEDIATION: String(health),
    HTTP_PROXY: "http://127.0.0.1:9",
    http_proxy: "http://127.0.0.1:9",
  };
  await using asked = startService({ args: ["health"], env });
  assert.equal((await asked.exit).code, 0, asked.stderr.join("\n"));
});
