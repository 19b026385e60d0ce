/** What docs/migration.md promises of a change from MUTT's Python service and back, with the original's algorithm beside the service. */
import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import { judgeEvent } from "../../testkit/mutt/alerter_rules.ts";
import { replay as replayAsOriginal } from "../../testkit/mutt/original.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue", DEAD = "mutt:dlq:dead";

function envFor(redis: TestRedis, more: Record<string, string> = {}): Record<string, string> {
  return {
    ...{
      REDIS_HOST: "127.0.0.1",
      REDIS_PORT: String(redis.port),
      REMEDIATION_INTERVAL: "1",
      REMEDIATION_BATCH_SIZE: "0",
    },
    ...{ REMEDIATION_MAX_PER_SECOND: "0", REMEDIATION_TARGET_MAX_DEPTH: "0", ...more },
  };
}

const event = (id: number, members = ', "_retry_count": 4') =>
  `{"timestamp": "2026-11-20T10:00:00Z", "hostname": "h", "message": "m", "id": ${id}${members}}`;
const events = (count: number, first = 0) => Array.from({ length: count }, (_, i) => event(first + i));
const idsOf = (texts: readonly string[]) => texts.map((text) => JSON.parse(text).id as number).sort((a, b) => a - b);
const range = (count: number) => Array.from({ length: count }, (_, id) => id);

/** All that Redis holds, lists by their items. */
async function everything(redis: TestRedis): Promise<Record<string, unknown>> {
  const client = redis.client();
  const keys = (await client.keys("*")).sort();
  return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await client.dump(key)])));
}

/** The alerter, which dead-letters at first sight, unread, what still carries the count of its own attempts. */
async function alerterRejects(client: Redis): Promise<number> {
  let rejected = 0;
  for (let left = await client.llen(TARGET); left > 0; left--) {
    const message = await client.rpopBuffer(TARGET);
    const isOver = message !== null && judgeEvent(message).action === "dead_letter";
    if (message) await client.lpush(isOver ? DLQ : "delivered", message);
    if (isOver) rejected++;
  }
  return rejected;
}

withRedis(
  "migration: a dry run beside the original, and a service that is switched off, change nothing",
  async (redis) => {
    await redis.seedList(DLQ, [...events(20), "not json"]);
    const before = await everything(redis);
    {
      await using once = startService({ args: ["once", "--dry-run"], env: envFor(redis) });
      assert.equal((await once.exit).code, 0);
      assert.match(once.stdout.join("\n"), /Dry run: nothing was changed.*\nalerter: 20 replayed, dead: 1 unreadable/);
    }
    assert.deepEqual(await everything(redis), before);
    {
      await using shadow = startService({ env: envFor(redis, { REMEDIATION_ENABLED: "false" }) });
      const { metrics } = await shadow.ports();
      const tellsDepth = async () =>
        (await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text())
          .includes('mutt_remediation_dlq_depth{dlq_name="mutt:dlq:alerter"} 21\n');
      await waitUntil(tellsDepth, { what: "the depth is measured", timeoutMs: 10_000 });
      shadow.signal("SIGTERM");
      await shadow.exit;
    }
    const lists = (all: Record<string, unknown>) =>
      Object.entries(all).filter(([key]) => !key.startsWith("mutt:remediation:"));
    assert.deepEqual(lists(await everything(redis)), lists(before));
  },
);

withRedis("migration: original and service on the same DLQ at the same time lose and double nothing", async (redis) => {
  const client = redis.client(), count = 6_000;
  await redis.seedList(DLQ, events(count));
  await using service = startService({ env: envFor(redis, { REMEDIATION_CHUNK_MESSAGES: "20", LOG_LEVEL: "ERROR" }) });
  await waitUntil(async () => await client.llen(TARGET) > 0, { what: "the service drains", timeoutMs: 20_000 });
  // What the original puts back unchanged the alerter rejects, until the service has replayed it.
  let rejected = 0;
  await waitUntil(async () => {
    await replayAsOriginal(client, { batchSize: 10 });
    rejected += await alerterRejects(client);
    return await client.llen("delivered") === count;
  }, { what: "everything is delivered", timeoutMs: 90_000 });
  assert.ok(rejected > 0, "the original had no part in it");
  assert.deepEqual(idsOf(await redis.readTexts("delivered")), range(count));
  assert.deepEqual([await client.llen(DLQ), await client.llen(TARGET), await client.llen(DEAD)], [0, 0, 0]);
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
});

withRedis(
  "migration: the original replays messages that carry our member untouched, and we go on where we were",
  async (redis) => {
    const client = redis.client();
    await redis.seedList(DLQ, events(10));
    const once = async () => {
      await using run = startService({ args: ["once", "--json"], env: envFor(redis) });
      assert.equal((await run.exit).code, 0, run.stderr.join("\n"));
      return JSON.parse(run.stdout[0]!).sources[0];
    };
    assert.equal((await once()).replayed, 10);

    // They fail again; we are rolled back, and what is remembered of us is deleted.
    const failAgain = async () => {
      const failed = (await redis.readTexts(TARGET)).map((text) => text.replace(/\}$/, ', "_retry_count": 4}'));
      await client.del(TARGET);
      await redis.seedList(DLQ, failed);
      return failed;
    };
    const failed = await failAgain();
    assert.ok(failed.every((text) => text.includes('"_remediation": {"failures": 0,')));
    const ours = await client.keys("mutt:remediation:*");
    assert.ok(ours.length > 0);
    await client.unlink(...ours);
    await replayAsOriginal(client, { batchSize: 10 });
    assert.deepEqual(await redis.readTexts(TARGET), failed);

    // Forward again: the count in the messages is the one thing that is needed, and it was not lost.
    await failAgain();
    const brake = { REMEDIATION_BRAKE_ENABLED: "false" };
    await using run = startService({ args: ["once", "--json"], env: envFor(redis, brake) });
    assert.equal((await run.exit).code, 0);
    const texts = await redis.readTexts(TARGET);
    assert.deepEqual(texts.map((text) => JSON.parse(text)._remediation.failures), Array.from({ length: 10 }, () => 1));
    assert.deepEqual(idsOf(texts), range(10));
  },
);
