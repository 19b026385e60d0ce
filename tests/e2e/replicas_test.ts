/** Several instances of the service, as processes: one leads, another takes over, `once` respects the leader. */
import assert from "node:assert/strict";
import { eventTexts, STATE } from "../../testkit/engine.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue";
/** A lease that no test waits for. */
const LONG = "300";

function envFor(redis: TestRedis, more: Record<string, string> = {}): Record<string, string> {
  return {
    ...{ REDIS_URL: redis.url, REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "0", POD_NAME: "pod" },
    ...{ REMEDIATION_MAX_PER_SECOND: "0", REMEDIATION_TARGET_MAX_DEPTH: "0", ...more },
  };
}

async function sourceOf(service: Service): Promise<{ role: string; leader: string | null }> {
  const { health } = await service.ports();
  const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
  const { sources: [{ role, leader }] } = await response.json();
  return { role, leader };
}

async function hasRole(service: Service, role: string): Promise<void> {
  await waitUntil(async () => (await sourceOf(service)).role === role, { what: `its role is ${role}` });
}

async function isDrained(redis: TestRedis): Promise<void> {
  const client = redis.client();
  await waitUntil(async () => await client.llen(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 20_000 });
}

for (
  const [signal, lease, how] of [
    ["SIGKILL", "1", "once the lease of a killed leader is over"],
    ["SIGTERM", LONG, "at once when the leader is stopped"],
  ] as const
) {
  withRedis(`replicas: the standby takes over ${how}, and nothing is lost or doubled`, async (redis) => {
    const env = envFor(redis, { REMEDIATION_LEASE_DURATION: lease, REMEDIATION_CHUNK_MESSAGES: "5" });
    await using first = startService({ env });
    await hasRole(first, "leader");
    await using second = startService({ env });
    await hasRole(second, "standby");
    assert.match((await sourceOf(second)).leader ?? "", /^pod \([0-9a-f]{8}\)$/);
    await redis.seedList(DLQ, eventTexts(3_000));
    const client = redis.client();
    await waitUntil(async () => await client.llen(TARGET) > 0, { what: "the leader works" });
    first.signal(signal);
    await first.exit;
    await isDrained(redis);
    await hasRole(second, "leader");
    const ids = (await redis.readTexts(TARGET)).map((text) => JSON.parse(text).id);
    assert.deepEqual(ids, Array.from({ length: 3_000 }, (_, i) => String(i)));
  });
}

withRedis(
  "once: beside a leader it does nothing and names it, with --force it takes the lead for its run",
  async (redis) => {
    await using service = startService({
      env: envFor(redis, { REMEDIATION_LEASE_DURATION: LONG, REMEDIATION_INTERVAL: "3600" }),
    });
    await hasRole(service, "leader");
    await waitUntil(
      async () => await redis.client().hget(STATE, "cycle") === "1",
      {
        what: "the cycle of the start is over",
      },
    );
    await redis.seedList(DLQ, eventTexts(20));
    const env = envFor(redis);
    {
      await using once = startService({ args: ["once", "--json"], env });
      assert.equal((await once.exit).code, 3);
      assert.match(
        once.stderr.join("\n"),
        /Source alerter is led by pod \([0-9a-f]{8}\); its lease ends in \d+\.\d s/,
      );
      assert.equal(await redis.depth(DLQ), 20);
    }
    {
      await using dry = startService({ args: ["once", "--json", "--dry-run"], env });
      assert.equal((await dry.exit).code, 0);
      assert.equal(JSON.parse(dry.stdout.join("")).sources[0].replayed, 20);
    }
    await using forced = startService({ args: ["once", "--json", "--force"], env });
    assert.equal((await forced.exit).code, 0);
    assert.equal(JSON.parse(forced.stdout.join("")).sources[0].replayed, 20);
    // Given back, or taken again by the service.
    const holder = await redis.client().hmget(STATE, "leader", "leaderName");
    assert.ok(holder[0] === "" || holder[1]?.startsWith("pod ("), `${holder}`);
  },
);
