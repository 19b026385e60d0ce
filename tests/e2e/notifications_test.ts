/** Notifications of the program as a user runs it: to real servers, through an outage, a burst, and kills. */
import assert from "node:assert/strict";
import { RECEIVER_TYPES } from "../../src/config/notify.ts";
import { startMockMoog } from "../../testkit/mutt/mock_moog.ts";
import { type Inbox, startInbox } from "../../testkit/inbox.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter";
/** Short times. What ends an incident waits longer than any pause of a busy machine between two bursts. */
const INCIDENTS = {
  dead: { count: 1, withinSeconds: 60, quietSeconds: 15 },
  gate_closed: { afterSeconds: 1 },
  ...{ depth: "off", age: "off", stalled: "off", no_leader: "off" },
};

function envOf(redis: TestRedis, inbox: Inbox, more: Record<string, string> = {}): Record<string, string> {
  return {
    ...{ REDIS_URL: redis.url, REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "0", REMEDIATION_SOURCES: "alerter" },
    ...{ REMEDIATION_MAX_PER_SECOND: "0", REMEDIATION_TARGET_MAX_DEPTH: "0", REMEDIATION_CONSUMER_GATE: "off" },
    ...{ REMEDIATION_LEASE_DURATION: "2", REMEDIATION_NOTIFY_PATH: inbox.path, ...more },
  };
}

async function inFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "notices-" });
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Texts that no consumer can read. */
const unreadable = (count: number) => Array.from({ length: count }, (_, i) => `not JSON ${i}`);

withRedis("notifications: a burst of 10,000 is one notice and one all-clear at each receiver", async (redis) => {
  await inFolder(async (dir) => {
    await using inbox = await startInbox({ dir, incidents: INCIDENTS, consoleUrl: "https://console.example" });
    await using service = startService({ env: envOf(redis, inbox) });
    await service.ports();
    await waitUntil(() => redis.client().exists("mutt:remediation:{journal}:notices"), { what: "it watches" });
    for (let i = 0; i < 10; i++) await redis.seedList(DLQ, unreadable(1_000));
    await expectAllClear(inbox);
    for (const type of RECEIVER_TYPES) {
      const titles = inbox.titles(type);
      assert.equal(titles.length, 2, `${type}: ${titles.join("; ")}`);
      assert.match(titles[0]!, /^Unreadable messages in alerter: [\d,]+ since \d\d:\d\d UTC$/, type);
      if (type !== "pagerduty") assert.match(titles[1]!, /^Over: unreadable messages in alerter, for /, type);
    }
    const { entries } = await journalOf(redis);
    assert.deepEqual(entries.map(({ event }) => event), ["began", "ended"]);
    assert.match(entries[1]!.detail, /^10000 messages moved to the dead list as unreadable; over after /);
  });
});

withRedis("notifications: what dies in the first moments of a new service is notified", async (redis) => {
  await inFolder(async (dir) => {
    await using inbox = await startInbox({ dir, incidents: INCIDENTS, types: ["slack"] });
    await redis.seedList(DLQ, unreadable(500));
    await using service = startService({ env: envOf(redis, inbox) });
    await service.ports();
    await waitUntil(() => inbox.titles("slack").length === 1, { what: "the first notice", timeoutMs: 60_000 });
    assert.match(inbox.titles("slack")[0]!, /^Unreadable messages in alerter: [\d,]+ since /);
  });
});

withRedis("notifications: a closed gate is told with its cause, and its end with its length", async (redis) => {
  await inFolder(async (dir) => {
    await using inbox = await startInbox({ dir, incidents: INCIDENTS });
    const moog = startMockMoog();
    try {
      moog.answerWith(503);
      await using service = startService({
        env: envOf(redis, inbox, { MOOG_WEBHOOK_URL: moog.url, MOOG_HEALTH_CACHE_SECONDS: "1" }),
      });
      await service.ports();
      await waitUntil(() => inbox.titles("slack").length === 1, { what: "the outage is told" });
      moog.answerWith(200);
      await expectAllClear(inbox);
      assert.match(
        inbox.titles("slack").join("; "),
        /^Gate downstream closed in alerter since .*; Over: gate downstream closed in alerter, for /,
      );
    } finally {
      await moog.stop();
    }
  });
});

withRedis(
  "notifications: kill -9 at any moment loses no incident, and repeats no notice but by its id",
  async (redis) => {
    await inFolder(async (dir) => {
      await using inbox = await startInbox({ dir, incidents: INCIDENTS, types: ["webhook"] });
      const env = envOf(redis, inbox);
      await redis.seedList(DLQ, unreadable(1));
      let service: Service = startService({ env });
      try {
        await waitUntil(() => redis.client().llen("mutt:dlq:dead"), { what: "the first message is dead" });
        for (let round = 0; round < 6; round++) {
          await redis.seedList(DLQ, unreadable(20));
          await new Promise((resolve) => setTimeout(resolve, 200 + round * 300));
          service.signal("SIGKILL");
          await service.exit;
          service = startService({ env });
        }
        const isOver = () => inbox.notices().some((notice) => notice.isOver);
        await waitUntil(isOver, { what: "the all-clear", timeoutMs: 180_000 });
        // The lease of a killed instance must run out each time, so the whole may be one incident or a few: each is whole.
        const { entries } = await journalOf(redis);
        const ids = [...new Set(entries.map(({ incident }) => incident))];
        for (const id of ids) {
          const events = entries.filter(({ incident }) => incident === id).map(({ event }) => event);
          assert.deepEqual(events.filter((event) => event !== "updated"), ["began", "ended"], id);
        }
        const counts = entries.filter(({ event }) => event === "ended").map(({ detail }) => Number.parseInt(detail));
        assert.equal(counts.reduce((sum, count) => sum + count, 0), 121, "every dead message is counted once");
        await waitUntil(() => new Set(inbox.notices().map(({ id }) => id)).size === 2 * ids.length, {
          what: "each incident was told with two notices",
        });
      } finally {
        await service[Symbol.asyncDispose]();
      }
    });
  },
);

async function expectAllClear(inbox: Inbox): Promise<void> {
  const isOver = () =>
    RECEIVER_TYPES.every((type) => inbox.notices().some((one) => one.receiver === type && one.isOver));
  await waitUntil(isOver, { what: "every receiver has the all-clear", timeoutMs: 120_000 });
}

async function journalOf(redis: TestRedis) {
  const found = await redis.client().xrange("mutt:remediation:{journal}:incidents", "-", "+");
  const entries = found.map(([, fields]) => JSON.parse(fields[fields.indexOf("entry") + 1]!));
  return { entries: entries as { event: string; incident: string; detail: string }[] };
}
