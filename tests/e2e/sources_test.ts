/** The worked example of docs/sources.md, as an operator runs it, and what happens when the file is wrong. */
import { withoutInstants } from "../../testkit/engine.ts";
import assert from "node:assert/strict";
import { ROOT } from "../../scripts/child.ts";
import { withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const PAGE = Deno.readTextFileSync(`${ROOT}docs/sources.md`);
/** The page's blocks of code of a language, in order. */
const blocks = (language: string) =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map(([, text]) => text!);

const EXAMPLE = blocks("json")[0]!;
const [ORDERS, REPLAYED] = blocks("text").map((text) => text.trimEnd().split("\n"));

/** A folder with a sources file, gone at the end. */
function writeSources(text: string) {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/sources.json`;
  Deno.writeTextFileSync(path, text);
  return {
    path,
    write: (changed: string) => {
      // As an operator's tools do it: never a half-written file.
      Deno.writeTextFileSync(`${path}.new`, changed);
      Deno.renameSync(`${path}.new`, path);
    },
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

function envFor(redis: { port: number }, more: Record<string, string> = {}): Record<string, string> {
  return { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_INTERVAL: "1", ...more };
}

function reasonOf(text: string): string {
  return JSON.parse(text)._remediation.reason;
}

withRedis("once: does with the orders of docs/sources.md what the page says", async (redis) => {
  using file = writeSources(EXAMPLE);
  await redis.seedList("orders:dlq", ORDERS!);
  await using service = startService({
    args: ["once", "--source", "orders"],
    env: envFor(redis, { REMEDIATION_SOURCES_PATH: file.path }),
  });
  assert.equal((await service.exit).code, 0);
  assert.ok(PAGE.includes(`\n${service.stdout[0]}\n`), service.stdout.join("\n"));
  assert.deepEqual((await redis.readTexts("orders")).map(withoutInstants), REPLAYED!.map(withoutInstants));
  const dead = await redis.readTexts("orders:dead");
  assert.deepEqual(dead.map(reasonOf), ["poison", "malformed", "unreadable"]);
  assert.equal(JSON.parse(dead[2]!).payload, "not an order");
  assert.deepEqual(await redis.readTexts("orders:dlq"), []);
});

withRedis("run: drains a declared source beside a built-in one, and tells it in health and metrics", async (redis) => {
  using file = writeSources(EXAMPLE.replace(`"sources": {`, `"sources": { "alerter": { "dlq": "other:dlq" },`));
  await redis.seedList("orders:dlq", ORDERS!);
  await redis.seedList("other:dlq", [`{"timestamp": 1, "hostname": "h", "message": "m"}`]);
  await using service = startService({ env: envFor(redis, { REMEDIATION_SOURCES_PATH: file.path }) });
  await waitUntil(async () => await redis.depth("orders:dead") === 3, { what: "the orders are judged" });
  await waitUntil(async () => await redis.depth("mutt:ingest_queue") === 1, { what: "the alert is replayed" });
  const text = await service.waitForMetrics(/^mutt_remediation_replayed_total\{source="orders"\} 1$/m);
  assert.match(text, /^mutt_remediation_dead_total\{source="orders",reason="malformed"\} 1$/m);
  assert.match(text, /^mutt_remediation_queue_depth\{source="orders",queue="orders:dead",role="dead"\} \d$/m);
  assert.doesNotMatch(text, /gate_open\{source="orders",gate="(downstream|breaker|consumer)"/);
  const { health } = await service.ports();
  const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
  assert.equal(response.status, 200);
  await response.body?.cancel();
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
});

withRedis(
  "run: serves only declared sources under REMEDIATION_SOURCES=none, and refuses to serve none at all",
  async (redis) => {
    using file = writeSources(EXAMPLE);
    await redis.seedList("orders:dlq", ORDERS!);
    await redis.seedList("mutt:dlq:alerter", [`{"timestamp": 1, "hostname": "h", "message": "m"}`]);
    const env = envFor(redis, { REMEDIATION_SOURCES: "none", MOOG_WEBHOOK_URL: "http://127.0.0.1:9/" });
    await using service = startService({ env: { ...env, REMEDIATION_SOURCES_PATH: file.path } });
    await waitUntil(async () => await redis.depth("orders:dead") === 3, { what: "the orders are judged" });
    assert.doesNotMatch(await service.waitForMetrics(/^mutt_remediation_moog_health 1$/m), /source="(alerter|moog)"/);
    assert.equal(await redis.depth("mutt:dlq:alerter"), 1);
    // Nor does a reload leave it without any.
    file.write(`{"sources": {"alerter": {}}}`);
    service.signal("SIGHUP");
    await service.waitForLine(/no source would be left.*"sources_rejected"/);
    service.signal("SIGTERM");
    assert.equal((await service.exit).code, 0);
    await using bare = startService({ env });
    assert.equal((await bare.exit).code, 78);
    assert.match(bare.stderr.join("\n"), /REMEDIATION_SOURCES is none and REMEDIATION_SOURCES_PATH is not set/);
  },
);

withRedis("run: holds a declared source while its health URL does not answer 200", async (redis) => {
  let status = 503;
  await using consumer = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response(null, { status }),
  );
  const healthUrl = `"healthUrl": "http://127.0.0.1:${consumer.addr.port}/health",`;
  using file = writeSources(EXAMPLE.replace(`"required"`, `${healthUrl} "required"`));
  await redis.seedList("orders:dlq", ORDERS!);
  await using service = startService({ env: envFor(redis, { REMEDIATION_SOURCES_PATH: file.path }) });
  const line = await service.waitForLine(/"gate_closed".*health_url_failed/);
  assert.match(line, /sources\.orders\.healthUrl/);
  assert.equal(await redis.depth("orders:dlq"), 4);
  status = 200;
  await waitUntil(async () => await redis.depth("orders:dlq") === 0, { what: "it goes on", timeoutMs: 30_000 });
});

Deno.test("run: starts nothing under a sources file that is wrong, and tells every problem", async () => {
  using file = writeSources(`{"sources": {"orders": {"dlq": "mutt:dlq:alerter", "target": 5, "dead": "d", "x": 1}}}`);
  await using service = startService({ env: { REMEDIATION_SOURCES_PATH: file.path, REMEDIATION_INTERVAL: "never" } });
  assert.equal((await service.exit).code, 78);
  const told = service.stderr.join("\n");
  for (const part of ["REMEDIATION_INTERVAL", "orders.target 5 is not", "orders.x is unknown", "orders.dlq"]) {
    assert.ok(told.includes(part), told);
  }
  assert.deepEqual(service.events("listening"), []);
});

withRedis(
  "run: takes a changed sources file over on SIGHUP and by itself, and stays as it was under a bad one",
  async (redis) => {
    using file = writeSources(EXAMPLE);
    await using service = startService({ env: envFor(redis, { REMEDIATION_SOURCES_PATH: file.path }) });
    await service.waitForLine(/"redis_ready"/);
    const depth = (key: string) => redis.depth(key);
    await redis.seedList("orders:dlq", ORDERS!);
    await waitUntil(async () => await depth("orders:dlq") === 0, { what: "orders are drained" });

    // A source of another name takes the lists over.
    file.write(EXAMPLE.replace(`"orders": {`, `"renamed": {`));
    service.signal("SIGHUP");
    await service.waitForLine(/added: renamed; removed: orders.*"sources_applied"/);
    await redis.seedList("orders:dlq", [`{"id": 9}`]);
    await waitUntil(async () => await depth("orders:dlq") === 0, { what: "the new source drains" });
    const text = await service.waitForMetrics(/^mutt_remediation_replayed_total\{source="renamed"\} 1$/m);
    assert.doesNotMatch(text, /source="orders"/);
    assert.match(text, /^mutt_remediation_config_reloads_total\{result="applied"\} 1$/m);

    // A bad one changes nothing; it is found without a signal.
    file.write(EXAMPLE.replace(`"orders:dlq"`, `5`));
    await service.waitForLine(/sources\.orders\.dlq 5 is not.*"sources_rejected"/);
    await redis.seedList("orders:dlq", [`{"id": 10}`]);
    await waitUntil(async () => await depth("orders:dlq") === 0, { what: "the old sources go on" });
    await service.waitForMetrics(/^mutt_remediation_config_reloads_total\{result="rejected"\} 1$/m);
    assert.equal(service.events("sources_rejected").length, 1);
    service.signal("SIGTERM");
    assert.deepEqual(await service.exit, { code: 0, signal: null });
  },
);

withRedis("run: goes on after SIGHUP when there is no sources file", async (redis) => {
  await using service = startService({ env: envFor(redis) });
  await service.waitForLine(/"redis_ready"/);
  service.signal("SIGHUP");
  await service.waitForLine(/"nothing_to_reload"/);
  await redis.seedList("mutt:dlq:alerter", [`{"timestamp": 1, "hostname": "h", "message": "m"}`]);
  await waitUntil(async () => await redis.depth("mutt:ingest_queue") === 1, { what: "it replays" });
  service.signal("SIGTERM");
  assert.deepEqual(await service.exit, { code: 0, signal: null });
});
