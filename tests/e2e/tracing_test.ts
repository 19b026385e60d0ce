/** Tracing as an operator switches it on: by variables, at run time, in the binary too; and what it must never do. */
import assert from "node:assert/strict";
import { startHttpStub } from "../../testkit/http_stub.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "../../testkit/otlp_receiver.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { inTime, waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue", DEAD = "mutt:dlq:dead";
const MESSAGE = `{"api_key": ${
  JSON.stringify(PLANTED.messageApiKey)
}, "hostname": "h", "timestamp": "2026-11-20T10:00:00Z", "message": "m"}`;
/** A collector's exit is waited for at most half a second; without this bound it would be minutes. */
const LONG_MS = 600_000;

function envFor(redis: { port: number }, more: Record<string, string> = {}): Record<string, string> {
  return {
    ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_INTERVAL: "1", REMEDIATION_SETTLE: "0" },
    ...{ REMEDIATION_BATCH_SIZE: "0", REMEDIATION_MAX_PER_SECOND: "0", OTEL_BSP_SCHEDULE_DELAY: "50" },
    ...more,
  };
}

function traced(otlp: Pick<OtlpReceiver, "url">): Record<string, string> {
  return { OTEL_ENABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url };
}

async function stop(service: Service): Promise<void> {
  service.signal("SIGTERM");
  assert.deepEqual(await service.exit, { code: 0, signal: null });
}

function named(otlp: OtlpReceiver, name: string): ReceivedSpan[] {
  return otlp.spans.filter((span) => span.name === name);
}

async function drained(redis: TestRedis): Promise<void> {
  const client = redis.client();
  await waitUntil(async () => await client.llen(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 20_000 });
}

for (const protocol of ["http/protobuf", "http/json"]) {
  withRedis(
    `tracing: a drain is a trace of cycle and commit, and the log lines name it (${protocol})`,
    async (redis) => {
      await using otlp = await startOtlpReceiver();
      await redis.seedList(DLQ, [MESSAGE, MESSAGE, "not json"]);
      const env = envFor(redis, {
        ...{ ...traced(otlp), OTEL_EXPORTER_OTLP_PROTOCOL: protocol, POD_NAME: "pod-7" },
        OTEL_EXPORTER_OTLP_HEADERS: `x-key=${encodeURIComponent(PLANTED.otlpKey)}`,
        ...{ OTEL_RESOURCE_ATTRIBUTES: "team=noc,service.name=other", OTEL_SERVICE_NAME: "remediation-eu" },
      });
      await using service = startService({ env });
      await waitUntil(() => named(otlp, `cycle ${DLQ}`).length > 0, { what: "the cycle's span", timeoutMs: 20_000 });
      const [cycle] = named(otlp, `cycle ${DLQ}`), [commit] = named(otlp, `commit ${TARGET}`);
      assert.deepEqual([commit!.traceId, commit!.parentSpanId], [cycle!.traceId, cycle!.spanId]);
      assert.deepEqual([cycle!.parentSpanId, cycle!.status, commit!.status], ["", 0, 0]);
      assert.deepEqual(commit!.attributes, {
        "messaging.system": "redis",
        "messaging.operation.name": "commit",
        "messaging.operation.type": "send",
        "messaging.destination.name": TARGET,
        "messaging.batch.message_count": 3,
        "mutt.remediation.source": "alerter",
        "mutt.remediation.dlq": DLQ,
        "mutt.remediation.replayed": 2,
        "mutt.remediation.dead": 1,
        "mutt.remediation.bytes": 2 * MESSAGE.length + "not json".length,
        "mutt.remediation.result": "ok",
      });
      assert.deepEqual(cycle!.attributes, {
        "messaging.system": "redis",
        "messaging.operation.name": "cycle",
        "messaging.operation.type": "process",
        "messaging.destination.name": DLQ,
        "messaging.batch.message_count": 3,
        "mutt.remediation.source": "alerter",
        "mutt.remediation.cycle": 1,
        "mutt.remediation.depth": 3,
        "mutt.remediation.replayed": 2,
        "mutt.remediation.dead": 1,
        "mutt.remediation.conflicts": 0,
        "mutt.remediation.stopped_by": "empty",
      });
      const { "service.name": name, "service.instance.id": instance, team, "deployment.environment": environment } =
        cycle!.resource;
      assert.deepEqual([name, instance, team, environment], ["remediation-eu", "pod-7", "noc", "production"]);
      for (const event of ["cycle", "replayed", "dead"]) {
        const [line] = service.events(event);
        assert.deepEqual([line!.trace_id, line!.span_id], [cycle!.traceId, cycle!.spanId], event);
      }
      for (const event of ["listening", "redis_ready"]) assert.ok(!("trace_id" in service.events(event)[0]!), event);
      assert.ok(
        otlp.requests.every(({ path, headers }) => path === "/v1/traces" && headers["x-key"] === PLANTED.otlpKey),
      );
      // Cycles over an empty queue are no news.
      await waitUntil(async () => Number(await redis.client().hget(`mutt:remediation:{${DLQ}}:state`, "cycle")) >= 3, {
        ...{ what: "two cycles found nothing", timeoutMs: 20_000 },
      });
      await stop(service);
      assert.deepEqual(otlp.spans.map((span) => span.name), [`commit ${TARGET}`, `cycle ${DLQ}`]);
    },
  );
}

withRedis(
  "tracing: the probe carries its span's traceparent, and shows neither credentials nor query",
  async (redis) => {
    await using otlp = await startOtlpReceiver();
    const moog = await startHttpStub();
    try {
      moog.answer({ status: 503 }, { status: 200 });
      const webhook = `http://svc:${encodeURIComponent(PLANTED.webhookPassword)}@127.0.0.1:${moog.port}/hook?token=${
        encodeURIComponent(PLANTED.webhookToken)
      }`;
      const env = envFor(redis, { ...traced(otlp), MOOG_WEBHOOK_URL: webhook, MOOG_HEALTH_CACHE_SECONDS: "1" });
      await using service = startService({ env });
      await waitUntil(() => named(otlp, "POST").length >= 2, { what: "two probes were traced", timeoutMs: 20_000 });
      await stop(service);
      const [bad, good] = named(otlp, "POST");
      const { "http.response.status_code": status, "error.type": error, ...attributes } = bad!.attributes;
      assert.deepEqual([status, error, bad!.status, bad!.kind, bad!.parentSpanId], [503, "503", 2, 3, ""]);
      assert.deepEqual(attributes, {
        "http.request.method": "POST",
        "url.full": `http://127.0.0.1:${moog.port}/hook`,
        "server.address": "127.0.0.1",
        "server.port": moog.port,
      });
      assert.deepEqual([good!.attributes["http.response.status_code"], good!.status], [200, 0]);
      assert.ok(good!.traceId !== bad!.traceId);
      for (const [at, span] of [bad!, good!].entries()) {
        assert.equal(moog.requests[at]!.headers.traceparent, `00-${span.traceId}-${span.spanId}-01`);
        assert.equal(JSON.parse(moog.requests[at]!.body).source, "MUTT_HEALTH_CHECK");
      }
    } finally {
      await moog.stop();
    }
  },
);

withRedis(
  "tracing: a commit that is refused tells its result, and the cycle that it ended is marked",
  async (redis) => {
    await using otlp = await startOtlpReceiver();
    await redis.client().set(DEAD, PLANTED.misplaced); // no list
    await redis.seedList(DLQ, ["not json"]);
    await using service = startService({ env: envFor(redis, traced(otlp)) });
    await waitUntil(() => named(otlp, `cycle ${DLQ}`).length > 0, { what: "the cycle's span", timeoutMs: 20_000 });
    await stop(service);
    const [cycle] = named(otlp, `cycle ${DLQ}`), [commit] = named(otlp, `commit ${DEAD}`);
    assert.deepEqual([cycle!.status, cycle!.attributes["error.type"]], [2, "WRONGTYPE"]);
    assert.equal(cycle!.attributes["mutt.remediation.stopped_by"], "error");
    assert.deepEqual([commit!.parentSpanId, commit!.attributes["mutt.remediation.result"]], [
      cycle!.spanId,
      "wrong_type",
    ]);
    assert.deepEqual(await redis.readTexts(DLQ), ["not json"]);
  },
);

withRedis("tracing: without OTEL_ENABLED nothing is sent, loaded or told", async (redis) => {
  await using otlp = await startOtlpReceiver();
  const moog = await startHttpStub();
  try {
    await redis.seedList(DLQ, [MESSAGE]);
    const env = envFor(redis, { OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" });
    await using service = startService({ env: { ...env, MOOG_WEBHOOK_URL: moog.url } });
    await drained(redis);
    await waitUntil(() => service.events("replayed").length > 0, { what: "it is told" });
    await stop(service);
    assert.deepEqual([otlp.requests.length, moog.requests[0]!.headers.traceparent], [0, undefined]);
    const lines = service.stderr.join("\n");
    assert.ok(!lines.includes("trace_id") && !/otel|spans/i.test(lines), lines);
  } finally {
    await moog.stop();
  }
});

for (
  const [endpoint, more, instead] of [
    ["http://127.0.0.1:4317", {}, "Set OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"],
    ["127.0.0.1:4317", {}, "Set OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"],
    ["http://127.0.0.1:9", { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"],
  ] as const
) {
  withRedis(
    `tracing: MUTT's way to gRPC (${endpoint}) is told with what to set instead, and replay goes on`,
    async (redis) => {
      await redis.seedList(DLQ, [MESSAGE]);
      const env = envFor(redis, { OTEL_ENABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...more });
      await using service = startService({ env });
      await drained(redis);
      const told = service.events("config_warning").map(({ message }) => String(message));
      assert.equal(told.length, 1, told.join("\n"));
      assert.ok(told[0]!.startsWith("Nothing is traced: ") && told[0]!.includes(instead), told[0]);
      await stop(service);
      assert.ok(!service.stderr.some((line) => line.includes("trace_id")));
    },
  );
}

for (const collector of ["absent", "silent"]) {
  withRedis(`tracing: a collector that is ${collector} delays neither a drain nor the exit`, async (redis) => {
    const stub = await startHttpStub(), { url } = stub;
    stub.answer({ fault: "hang" });
    if (collector === "absent") await stub.stop();
    try {
      const count = 2_000;
      await redis.seedList(DLQ, Array.from({ length: count }, () => MESSAGE));
      const env = envFor(redis, {
        ...{
          ...traced({ url }),
          OTEL_EXPORTER_OTLP_TIMEOUT: String(LONG_MS),
          OTEL_BSP_EXPORT_TIMEOUT: String(LONG_MS),
        },
        ...{ OTEL_BSP_MAX_QUEUE_SIZE: "4", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1", REMEDIATION_CHUNK_MESSAGES: "50" },
        REMEDIATION_TARGET_MAX_DEPTH: "0",
      });
      await using service = startService({ env });
      await drained(redis);
      assert.equal(await redis.client().llen(TARGET), count);
      const { metrics } = await service.ports();
      // 40 commits and a cycle: one is under way for ever, four wait. On a busy machine one more may be sent before.
      await waitUntil(async () => {
        const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
        const dropped = /mutt_remediation_spans_dropped_total\{reason="queue_full"\} (\d+)/.exec(text)?.[1];
        return Number(dropped) >= 30;
      }, { what: "what was too much was counted" });
      // The batch under way would take ten minutes; that the shutdown's own bound was not needed is told below.
      await inTime(stop(service), { what: "it has ended", timeoutMs: 10_000 });
      assert.equal(service.events("stop_late").length, 0);
      assert.equal(service.events("spans_not_sent").length, 1);
    } finally {
      if (collector === "silent") await stub.stop();
    }
  });
}

withRedis("tracing: once is traced too, and sends what is left before it ends", async (redis) => {
  await using otlp = await startOtlpReceiver();
  await redis.seedList(DLQ, [MESSAGE, "not json"]);
  const env = envFor(redis, { ...traced(otlp), OTEL_BSP_SCHEDULE_DELAY: String(LONG_MS) });
  await using service = startService({ args: ["once", "--json"], env });
  assert.equal((await service.exit).code, 0, service.stderr.join("\n"));
  assert.deepEqual(JSON.parse(service.stdout[0]!).sources[0].replayed, 1);
  assert.deepEqual(otlp.spans.map(({ name }) => name), [`commit ${TARGET}`, `cycle ${DLQ}`]);
  assert.deepEqual([await redis.readTexts(DEAD)].length, 1);
});
