/** What the notifier sees in a real Redis. */
import assert from "node:assert/strict";
import { createObserver } from "../../src/app/observer.ts";
import type { RunningSource } from "../../src/app/running_sources.ts";
import { Journal } from "../../src/journal/journal.ts";
import { parseCursor } from "../../src/journal/query.ts";
import { NO_MEMORY } from "../../src/notify/conditions.ts";
import { JournalStore } from "../../src/redis/journal_store.ts";
import { journalHeadKey, journalKey } from "../../src/redis/keys.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();

function setup(instance: string, instances: readonly string[] | null = null) {
  const client = server().client();
  const journal = new Journal({
    ...{ instance, isReady: () => true, clock: SYSTEM_CLOCK, log: recordLog().log },
    store: new JournalStore({ reader: client, committer: client }),
  });
  const sources = (): readonly RunningSource[] => [];
  const observe = createObserver({
    journal,
    sources,
    clock: SYSTEM_CLOCK,
    instances: () => Promise.resolve(instances),
  });
  return { client, journal, observe };
}

Deno.test("createObserver: the first look finds what happened a moment before it, and no older history", async () => {
  const { client, journal, observe } = setup("pod-1", ["pod-1"]);
  await client.del(journalKey("audit"), journalHeadKey("audit"));
  const old = { kind: "config", origin: "notify_file", result: "rejected", detail: "old", at: "", instance: "pod-1" };
  const entry = ["number", "1", "previous", "", "entry", JSON.stringify(old)];
  await client.xadd(journalKey("audit"), `${Date.now() - 3_600_000}-0`, ...entry);
  await journal.record({ kind: "config", origin: "notify_file", result: "rejected", detail: "new" });
  const first = await observe("", NO_MEMORY);
  const details = first!.observation.entries.map((one) => one.what === "config" && [one.detail, one.instance]);
  assert.deepEqual(details, [["new", "pod-1"]]);
  assert.deepEqual([first!.observation.instances, first!.isComplete], [["pod-1"], true]);
  const second = await observe(first!.cursor, NO_MEMORY);
  assert.deepEqual([second!.observation.entries, second!.observation.instances], [[], null]);
  assert.equal(second!.cursor, first!.cursor);
});

Deno.test("createObserver: a look reads a bounded number of entries, and says that there are more", async () => {
  const { client, observe } = setup("pod-1");
  const text = JSON.stringify({ kind: "service", event: "started", version: "1", at: "", instance: "pod-1" });
  const entries = client.pipeline();
  for (let i = 0; i < 2_100; i++) entries.xadd(journalKey("audit"), "*", "number", "1", "previous", "", "entry", text);
  await entries.exec();
  const first = await observe("", NO_MEMORY);
  assert.equal(first!.isComplete, false);
  const second = await observe(first!.cursor, NO_MEMORY);
  assert.equal(second!.isComplete, true);
  assert.notEqual(parseCursor(first!.cursor)!.audit, parseCursor(second!.cursor)!.audit);
});
