/** Standard error that nobody reads, standard output on a full disk. */
import assert from "node:assert/strict";
import { withRedis } from "../../testkit/redis.ts";
import { howToRun } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const DLQ = "mutt:dlq:alerter";

/** Starts the service without reading its standard error. */
function startUnread(env: Readonly<Record<string, string>>): Deno.ChildProcess {
  const { program, prefix, needs } = howToRun();
  return new Deno.Command(program, {
    args: [...prefix, "run"],
    env: { ...needs, REMEDIATION_BIND_ADDRESS: "127.0.0.1", ...env },
    ...{ clearEnv: true, cwd: "/tmp", stdin: "null", stdout: "null", stderr: "piped" },
  }).spawn();
}

async function readMetric(port: number, name: string): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(page.split("\n").find((line) => line.startsWith(`${name} `))?.split(" ")[1]);
}

withRedis(
  "run: a log that nobody reads stops nothing, signals neither; what is dropped is counted and told",
  async (redis) => {
    // Each one dies, which DEBUG tells of one by one: far more than a pipe and the writer hold.
    await redis.seedList(DLQ, Array.from({ length: 20_000 }, (_, at) => `no JSON ${at} ${"x".repeat(80)}`));
    const metricsPort = freePort();
    const child = startUnread({
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), LOG_LEVEL: "DEBUG", LOG_JSON_ENABLED: "true" },
      ...{ METRICS_PORT_REMEDIATION: String(metricsPort), HEALTH_PORT_REMEDIATION: "0" },
      ...{ REMEDIATION_BATCH_SIZE: "0", REMEDIATION_CONSUMER_GATE: "off", REMEDIATION_MAX_PER_SECOND: "0" },
      ...{ REMEDIATION_TARGET_MAX_DEPTH: "0", REMEDIATION_CHUNK_MESSAGES: "1" },
    });
    try {
      await waitUntil(async () => await redis.depth(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 120_000 });
      const dropped = await readMetric(metricsPort, "mutt_remediation_log_lines_dropped_total");
      assert.ok(dropped > 0, `${dropped} lines were dropped`);
      child.kill("SIGTERM");
      assert.equal((await child.status).code, 0);
      assert.match(await new Response(child.stderr).text(), /"event":"listening"/);
    } finally {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    }
  },
);

Deno.test("version: says in a line that standard output is full, and fails", async () => {
  const { program, prefix, needs } = howToRun();
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", 'exec "$0" "$@" >/dev/full', program, ...prefix, "version"],
    ...{ env: needs, clearEnv: true, cwd: "/tmp" },
  }).output();
  assert.equal(code, 1);
  const told = new TextDecoder().decode(stderr);
  assert.match(told, /^mutt-remediation failed: cannot write to standard output: .*\n$/);
});
