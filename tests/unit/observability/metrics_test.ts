import { Gauge } from "prom-client";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { DEAD_REASONS } from "../../../src/message/source_policy.ts";
import { Metrics, type MetricsOptions } from "../../../src/observability/metrics.ts";

const usage = { residentBytes: 1000, cpuSeconds: 1.5, startedAtSeconds: 1_700_000_000 };

function createMetrics(options: Partial<MetricsOptions> = {}) {
  return new Metrics({
    sources: [{
      name: "alerter",
      gates: ["enabled", "redis"],
      queues: [
        { name: "mutt:dlq:alerter", role: "dlq" },
        { name: "mutt:ingest_queue", role: "target" },
        { name: "mutt:dlq:dead", role: "dead" },
        { name: "mutt:alert_queue", role: "downstream" },
      ],
    }],
    commitResults: ["ok", "error"],
    ...options,
    redisErrorCodes: ["OOM", "OTHER"],
    version: "1.2.3",
    commit: "abc",
    readProcessUsage: () => usage,
  });
}

/** Sample lines by name and labels. */
async function samples(metrics: Metrics): Promise<Map<string, string>> {
  const lines = (await metrics.render()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]));
}

Deno.test("Metrics: has the original's seven at 0 when nothing happened yet", async () => {
  const all = await samples(createMetrics());
  for (
    const name of [
      "mutt_remediation_loops_total",
      'mutt_remediation_dlq_depth{dlq_name="mutt:dlq:alerter"}',
      "mutt_remediation_replay_success_total",
      'mutt_remediation_replay_fail_total{reason="processing_error"}',
      'mutt_remediation_replay_fail_total{reason="redis_error"}',
      "mutt_remediation_poison_messages_total",
      "mutt_remediation_moog_health",
      "mutt_remediation_loop_duration_seconds_count",
    ]
  ) strictEqual(all.get(name), "0", name);
});

Deno.test("Metrics: has the original's types and buckets when rendered", async () => {
  const metrics = createMetrics();
  metrics.loopDuration.observe(0.3);
  const text = await metrics.render();
  for (
    const line of [
      "# TYPE mutt_remediation_loops_total counter",
      "# TYPE mutt_remediation_dlq_depth gauge",
      "# TYPE mutt_remediation_moog_health gauge",
      "# TYPE mutt_remediation_loop_duration_seconds histogram",
    ]
  ) ok(text.includes(line + "\n"), line);
  const bounds = [...text.matchAll(/loop_duration_seconds_bucket\{le="([^"]+)"/g)].map((match) => match[1]);
  deepStrictEqual(
    bounds,
    "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf".split(" "),
  );
});

Deno.test("Metrics: has every closed label at 0 when nothing happened yet", async () => {
  const all = await samples(createMetrics());
  const names = [
    'replayed_total{source="alerter"}',
    ...DEAD_REASONS.map((reason) => `dead_total{source="alerter",reason="${reason}"}`),
    ...["ok", "error"].map((result) => `commits_total{source="alerter",result="${result}"}`),
    'queue_depth{source="alerter",queue="mutt:dlq:alerter",role="dlq"}',
    'queue_depth{source="alerter",queue="mutt:ingest_queue",role="target"}',
    'queue_depth{source="alerter",queue="mutt:dlq:dead",role="dead"}',
    'queue_depth{source="alerter",queue="mutt:alert_queue",role="downstream"}',
    'oldest_age_seconds{source="alerter"}',
    'gate_open{source="alerter",gate="enabled"}',
    'gate_open{source="alerter",gate="redis"}',
    'moved_bytes_total{source="alerter"}',
    'config_reloads_total{result="applied"}',
    'config_reloads_total{result="rejected"}',
    'http_cut_total{port="health",reason="slow"}',
    'http_cut_total{port="metrics",reason="crowded"}',
    'redis_errors_total{code="OOM"}',
    'redis_errors_total{code="OTHER"}',
    "redis_reconnects_total",
    'spans_dropped_total{reason="queue_full"}',
    'spans_dropped_total{reason="not_sent"}',
  ];
  for (const name of names) strictEqual(all.get(`mutt_remediation_${name}`), "0", name);
  strictEqual(all.get('mutt_remediation_build_info{version="1.2.3",commit="abc"}'), "1");
});

Deno.test("Metrics: hands the registry and each source to the series of other rooms", async () => {
  const told: string[] = [];
  const metrics = createMetrics({
    more: [{
      register: (registry) => void new Gauge({ name: "other_room", help: "h", registers: [registry] }),
      addSource: ({ name }) => void told.push(`add ${name}`),
      removeSource: (source, { keepCounters }) => void told.push(`remove ${source}, keep: ${keepCounters}`),
    }],
  });
  metrics.removeSource({ name: "alerter", gates: [], queues: [] }, { keepCounters: true });
  deepStrictEqual(told, ["add alerter", "remove alerter, keep: true"]);
  strictEqual((await samples(metrics)).get("other_room"), "0");
});

// Original tests 23 to 25 (contract §10): this part of them; the engine's tests hold that it counts.
Deno.test("Metrics: counts when told", async () => {
  const metrics = createMetrics();
  metrics.replaySuccess.inc();
  metrics.poisonMessages.inc();
  metrics.dlqDepth.set({ dlq_name: "mutt:dlq:alerter" }, 42);
  const all = await samples(metrics);
  deepStrictEqual(
    [
      all.get("mutt_remediation_replay_success_total"),
      all.get("mutt_remediation_poison_messages_total"),
      all.get('mutt_remediation_dlq_depth{dlq_name="mutt:dlq:alerter"}'),
    ],
    ["1", "1", "42"],
  );
});

Deno.test("Metrics: reads the process anew when scraped twice", async () => {
  const metrics = createMetrics();
  await metrics.render();
  const all = await samples(metrics);
  deepStrictEqual(
    ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"].map((n) => all.get(n)),
    ["1000", "1.5", "1700000000"],
  );
});

Deno.test("Metrics: asks for the spans that were dropped at each scrape", async () => {
  const metrics = createMetrics();
  let dropped = 3;
  metrics.showDroppedSpans((reason) => reason === "not_sent" ? dropped : 0);
  await metrics.render();
  dropped = 5;
  const all = await samples(metrics);
  deepStrictEqual(
    ["queue_full", "not_sent"].map((reason) => all.get(`mutt_remediation_spans_dropped_total{reason="${reason}"}`)),
    ["0", "5"],
  );
});

Deno.test("Metrics: are their own when there are two instances", async () => {
  const [one, other] = [createMetrics(), createMetrics()];
  one.loops.inc();
  strictEqual((await samples(other)).get("mutt_remediation_loops_total"), "0");
});

Deno.test("Metrics: shows for how long each gate is closed, of sources that are there, and the log lines that were dropped", async () => {
  const metrics = createMetrics();
  let seconds = 7_200;
  metrics.showGates("alerter", () => [["pace", seconds], ["redis", 0]]);
  metrics.showDroppedLines(() => 3);
  const line = (gate: string, value: number) =>
    `mutt_remediation_gate_closed_seconds{source="alerter",gate="${gate}"} ${value}\n`;
  const page = await metrics.render();
  ok(page.includes(line("pace", 7_200)) && page.includes(line("redis", 0)));
  match(page, /^mutt_remediation_log_lines_dropped_total 3$/m);
  seconds = 0;
  ok((await metrics.render()).includes(line("pace", 0)));
});
