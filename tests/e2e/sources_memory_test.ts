/** Many sources with large messages at once: what they hold together is bounded, not only what each does. */
import assert from "node:assert/strict";
import { HAS_PROC, peakResidentBytes } from "../../testkit/process_facts.ts";
import { withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const SOURCES = 20, MESSAGES = 7;
/**
 * Kubernetes' limit (`k8s/base/deployment.yaml`) for the binary; from source V8 is not told to keep its young generation small.
 * Without the common budget it was 374 MiB, from source 436.
 */
const MOST_MIB = Deno.env.get("MUTT_REMEDIATION_BINARY") ? 256 : 350;

withRedis(`memory: at most ${MOST_MIB} MiB while ${SOURCES} sources move messages of 4 MB`, async (redis) => {
  const names = Array.from({ length: SOURCES }, (_, at) => `s${at}`);
  const sources = Object.fromEntries(
    names.map((name) => [name, { dlq: `dlq:${name}`, target: `target:${name}`, dead: `dead:${name}` }]),
  );
  const message = `{"hostname":"h","message":"${"x".repeat(4_190_000)}"}`;
  for (const name of names) await redis.seedList(`dlq:${name}`, Array.from({ length: MESSAGES }, () => message));
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, JSON.stringify({ sources }));
    await using service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_BATCH_SIZE: "0" },
        ...{ REMEDIATION_SOURCES: "none", REMEDIATION_SOURCES_PATH: path, REMEDIATION_TARGET_MAX_DEPTH: "0" },
      },
    });
    const depths = async () => await Promise.all(names.map((name) => redis.depth(`dlq:${name}`)));
    await waitUntil(async () => (await depths()).every((depth) => depth === 0), {
      what: "every DLQ is empty",
      timeoutMs: 120_000,
    });
    const moved = await Promise.all(names.map((name) => redis.depth(`target:${name}`)));
    assert.deepEqual(moved, names.map(() => MESSAGES));
    if (!HAS_PROC) return;
    const most = peakResidentBytes(service.pid) / 2 ** 20;
    assert.ok(most > 10 && most < MOST_MIB, `${most} MiB`);
  } finally {
    await Deno.remove(path);
  }
});
