/** What failed is counted once for all who look, and never while they wait. */
import assert from "node:assert/strict";
import { FailureCounts } from "../../../src/console/failure_counts.ts";
import type { Reader } from "../../../src/console/page.ts";
import type { CountedFailures } from "../../../src/console/readings.ts";
import type { GroupsItem } from "../../../src/operations/groups.ts";
import { waitUntil } from "../../../testkit/wait.ts";

const END: GroupsItem = {
  ...{ kind: "end", scanned: 3, matched: 3, groups: 1, ungrouped: 0, sampled: false, movedOn: false },
  ...{ countedAt: "2026-11-29T10:00:00.000Z", isComplete: true },
};
const GROUP: GroupsItem = {
  ...{ kind: "group", group: "a91f", reason: "poison", text: "timeout after •", count: 3, share: 1 },
  ...{ firstSeen: null, lastSeen: null, trend: [3], sample: { id: "m_0", place: 1, shown: {} } },
};

/** Counts that end when the test says so. */
function start(items: readonly GroupsItem[] = [GROUP, END]) {
  const time = { ms: 0 }, asked: string[] = [], ends: (() => void)[] = [];
  const reader = {
    async *stream(_: unknown, { source }: { source: string }, signal: AbortSignal) {
      asked.push(source);
      await new Promise<void>((resolve) => {
        ends.push(resolve);
        signal.addEventListener("abort", () => resolve());
      });
      if (items.length === 0) throw new Error("Redis is not connected");
      yield* signal.aborted ? [{ ...END, isComplete: false }] : items;
    },
  } as unknown as Reader;
  const counts = new FailureCounts({ reader, clock: { monotonicMs: () => time.ms } });
  return { counts, time, asked, end: () => ends.shift()!() };
}

Deno.test("FailureCounts: one count at a time, however many look; the last one is shown meanwhile", async () => {
  const { counts, time, asked, end } = start();
  assert.deepEqual([counts.latest("alerter"), counts.latest("alerter"), counts.latest("moog")], [null, null, null]);
  assert.deepEqual(asked, ["alerter"]);
  time.ms = 1_000;
  end();
  await waitUntil(() => counts.latest("alerter") !== null, { what: "the count has ended" });
  const { groups, matched } = counts.latest("alerter") as CountedFailures;
  assert.deepEqual(groups.map(({ text, source, list }) => [text, source, list]), [[
    "timeout after •",
    "alerter",
    "dlq",
  ]]);
  assert.equal(matched, 3);
  assert.deepEqual(asked, ["alerter"], "the next count of a source rests");
  counts.latest("moog");
  assert.deepEqual(asked, ["alerter", "moog"]);
  await counts.stop();
});

Deno.test("FailureCounts: rests for a multiple of what a count took", async () => {
  const { counts, time, asked, end } = start();
  counts.latest("alerter");
  time.ms = 6_000;
  end();
  await waitUntil(() => counts.latest("alerter") !== null, { what: "the count has ended" });
  time.ms = 185_999;
  counts.latest("alerter");
  assert.equal(asked.length, 1);
  time.ms = 186_000;
  assert.notEqual(counts.latest("alerter"), null);
  assert.equal(asked.length, 2);
  await counts.stop();
});

Deno.test("FailureCounts: says why it cannot count, and nothing begins after the stop", async () => {
  const { counts, asked, end } = start([]);
  counts.latest("alerter");
  end();
  await waitUntil(() => counts.latest("alerter") !== null, { what: "the count has failed" });
  assert.match(String(counts.latest("alerter")), /Redis is not connected/);
  await counts.stop();
  counts.latest("moog");
  assert.deepEqual(asked, ["alerter"]);
});
