import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { DEAD_REASONS } from "../../src/message/source_policy.ts";
import { createMetricsHandler } from "../../src/api/metrics.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { COMMIT_RESULTS } from "../../src/cycle/chunk.ts";
import { REDIS_ERROR_CODES } from "../../src/redis/errors.ts";
import { readProcessUsage } from "../../src/runtime/process.ts";
import { startPort } from "../../testkit/listeners.ts";
import { withProgram } from "../../testkit/prometheus.ts";
import { recordLog } from "../../testkit/recorded_log.ts";

/** What Prometheus 2.42 sends with each scrape. */
const PROMETHEUS_ACCEPT =
  "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4," +
  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

function createMetrics() {
  const metrics = new Metrics({
    sources: [{
      name: "alerter",
      gates: ["redis", "downstream"],
      queues: [{ name: "mutt:dlq:alerter", role: "dlq" }],
    }],
    commitResults: [...COMMIT_RESULTS, "error"],
    redisErrorCodes: REDIS_ERROR_CODES,
    version: "1.2.3",
    commit: "unknown",
    readProcessUsage,
  });
  metrics.loopDuration.observe(0.2);
  return metrics;
}

async function withServer(
  metrics: { render(): Promise<string> },
  use: (ask: (path: string, init?: RequestInit) => Promise<Response>, lines: { event: string }[]) => Promise<void>,
): Promise<void> {
  const { log, lines } = recordLog();
  const server = startPort({ handler: createMetricsHandler(metrics), log });
  try {
    await use((path, init) => fetch(`http://127.0.0.1:${server.port}${path}`, init), lines);
  } finally {
    await server.stop();
  }
}

Deno.test("metrics server: keeps _total and text/plain when Prometheus scrapes twice", async () => {
  await withServer(createMetrics(), async (ask) => {
    for (let scrape = 0; scrape < 2; scrape++) {
      const response = await ask("/metrics", { headers: { accept: PROMETHEUS_ACCEPT } });
      strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
      const text = await response.text();
      ok(text.includes("\nmutt_remediation_loops_total 0\n"), text);
      ok(text.includes("# TYPE mutt_remediation_loops_total counter\n"));
      ok(!text.includes("# EOF"));
    }
  });
});

Deno.test("metrics server: answers /health with OK, HEAD, and an index, when asked", async () => {
  await withServer(createMetrics(), async (ask) => {
    const health = await ask("/health?x=1");
    deepStrictEqual([health.status, await health.text()], [200, "OK"]);
    const head = await ask("/metrics", { method: "HEAD" });
    deepStrictEqual([head.status, await head.text()], [200, ""]);
    ok((await (await ask("/")).text()).includes("/metrics  "));
    const post = await ask("/metrics", { method: "POST" });
    strictEqual(post.status, 405);
    await post.text();
  });
});

Deno.test("metrics server: answers 500 without internals when rendering fails", async () => {
  await withServer({ render: () => Promise.reject(new Error("inside")) }, async (ask, lines) => {
    const response = await ask("/metrics");
    deepStrictEqual([response.status, await response.text()], [500, "Internal error; see the log\n"]);
    deepStrictEqual(lines.map(({ event }) => event), ["http_error"]);
  });
});

Deno.test("readProcessUsage: tells believable numbers when asked", () => {
  const { residentBytes, cpuSeconds, startedAtSeconds } = readProcessUsage();
  ok(residentBytes > 10e6 && residentBytes < 4e9, `${residentBytes}`);
  ok(cpuSeconds > 0 && cpuSeconds < 1e5, `${cpuSeconds}`);
  ok(startedAtSeconds <= Date.now() / 1000 && startedAtSeconds > Date.now() / 1000 - 86_400, `${startedAtSeconds}`);
});

Deno.test("Metrics: have every dead reason and Redis code when rendered", async () => {
  const text = await createMetrics().render();
  for (const reason of DEAD_REASONS) ok(text.includes(`dead_total{source="alerter",reason="${reason}"} 0`), reason);
  for (const code of REDIS_ERROR_CODES) ok(text.includes(`redis_errors_total{code="${code}"} 0`), code);
});

async function runPromtool(text: string): Promise<{ code: number; output: string }> {
  const child = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

withProgram("promtool", "Metrics: pass promtool check metrics when rendered", async () => {
  deepStrictEqual(await runPromtool(await createMetrics().render()), { code: 0, output: "" });
});
