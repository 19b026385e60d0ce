/** What the service and the command line write to the journal of what was done. */
import assert from "node:assert/strict";
import { describeEntry, type Entry, parseEntry } from "../../src/journal/entries.ts";
import { JournalStore } from "../../src/redis/journal_store.ts";
import { EXIT } from "../../src/runtime/exit.ts";
import { DLQ, eventTexts } from "../../testkit/engine.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const ENV = { REMEDIATION_CONSUMER_GATE: "off", MOOG_HEALTH_CHECK_ENABLED: "false", REMEDIATION_MAX_PER_SECOND: "0" };

/** Reads the audit, oldest first. */
async function readAudit(redis: TestRedis): Promise<Entry[]> {
  const client = redis.client(), store = new JournalStore({ reader: client, committer: client });
  const { entries } = await store.read("audit", { count: 100 });
  return entries.map(({ text }) => parseEntry(text)).filter((entry) => entry.kind !== "invalid");
}

const shown = (entries: readonly Entry[]) =>
  entries.map((entry) =>
    describeEntry(entry).replace(/^Version \S+ (\w+).*/, "$1").replace(/^\S+ \(\w{8}\) leads/, "leads")
  );

withRedis("run: records its start, its leadership, applied and rejected keys, and its stop", async (redis) => {
  const client = redis.client(), audit = () => readAudit(redis);
  await using service = startService({ env: { REDIS_URL: redis.url, ...ENV, DYNAMIC_CONFIG_ENABLED: "true" } });
  await waitUntil(async () => (await audit()).length >= 2, { what: "it has started and leads" });
  for (const [key, value] of [["max_poison_retries", "5"], ["remediation_enabled", "perhaps"]] as const) {
    const { length } = await audit();
    await client.set(`mutt:config:${key}`, value);
    await client.publish("mutt:config:updates", key);
    await waitUntil(async () => (await audit()).length > length, { what: `${key} is recorded` });
  }
  service.signal("SIGTERM");
  assert.equal((await service.exit).code, 0);
  const told = shown(await audit());
  assert.deepEqual(told.slice(0, 3), ["started", "leads alerter", "Dynamic key applied: max_poison_retries is now 5"]);
  assert.match(told[3]!, /^Dynamic key rejected: .*remediation_enabled/);
  assert.equal(told.at(-1), "stopped");
});

withRedis("once: is recorded with who and what; a dry run and check are not", async (redis) => {
  await redis.seedList(DLQ, eventTexts(3));
  for (const args of [["once", "--dry-run"], ["check"], ["once"]]) {
    await using command = startService({ args, env: { REDIS_URL: redis.url, ...ENV } });
    assert.equal((await command.exit).code, 0, args.join(" "));
  }
  const entries = await readAudit(redis);
  assert.deepEqual(
    entries.map((entry) => entry.kind === "operation" && [entry.actor, entry.role, entry.operation, entry.result]),
    [
      ["cli", "admin", "once", "alerter: 3 replayed, empty"],
    ],
  );
});

withRedis("run: writes nothing to a Redis that may evict queues", async (redis) => {
  const client = redis.client();
  await client.config("SET", "maxmemory", "100mb");
  await client.config("SET", "maxmemory-policy", "allkeys-lru");
  await using service = startService({ env: { REDIS_URL: redis.url, ...ENV } });
  assert.equal((await service.exit).code, EXIT.configuration);
  assert.deepEqual(await client.keys("*"), []);
});
