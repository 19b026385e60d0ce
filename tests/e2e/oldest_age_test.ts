/** How long the oldest dead letter has waited, as the service tells it: in metrics, health and the objective. */
import assert from "node:assert/strict";
import { stateKey } from "../../src/redis/keys.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter";

/** Measures, and moves nothing. */
function start(redis: TestRedis): Service {
  return startService({
    env: { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_ENABLED: "false" },
  });
}

function message(timestamp: string | number, id = 1): string {
  return JSON.stringify({ timestamp, hostname: `h${id}`, message: "m" });
}

interface Told {
  /** Seconds; `null`: no series. */
  readonly age: number | null;
  readonly eventAge: number | null;
  readonly oldest: { readonly waitingSince: string; readonly eventTime: string | null } | null;
}

async function tell(service: Service): Promise<Told> {
  const { metrics, health } = await service.ports();
  const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
  const { sources: [source] } = await response.json();
  // Set together with what health tells, so asked after it.
  const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  const series = (name: string) => {
    const [, value] = new RegExp(`^mutt_remediation_${name}\\{source="alerter"\\} (.*)$`, "m").exec(text) ?? [];
    return value === undefined ? null : Number(value);
  };
  return { age: series("oldest_age_seconds"), eventAge: series("oldest_event_age_seconds"), oldest: source.oldest };
}

/** Waits until the service tells what is wanted of it. */
async function waitFor(service: Service, isIt: (told: Told) => boolean, what: string): Promise<Told> {
  return await waitUntil(async () => {
    const told = await tell(service);
    return isIt(told) ? told : null;
  }, { what, timeoutMs: 60_000 });
}

/** The year of a syslog date is the one that makes it nearest to now. */
function ofSyslog(month: number, day: number): number {
  const year = new Date().getUTCFullYear();
  const all = [year - 1, year, year + 1].map((one) => Date.UTC(one, month - 1, day, 0, 9, 8));
  return all.sort((a, b) => Math.abs(a - Date.now()) - Math.abs(b - Date.now()))[0]!;
}

const times: [timestamp: string | number, eventMs: number | null][] = [
  ["Nov 29 00:09:08", ofSyslog(11, 29)],
  ["7", null],
  ["2019-05-06 07:08:09", Date.UTC(2019, 4, 6, 7, 8, 9)],
  [1557126489, Date.UTC(2019, 4, 6, 7, 8, 9)],
];

for (const [timestamp, eventMs] of times) {
  withRedis(
    `oldest age: counts from when it was seen when the timestamp is ${JSON.stringify(timestamp)}`,
    async (redis) => {
      const beganMs = Date.now();
      await redis.seedList(DLQ, [message(timestamp)]);
      await using service = start(redis);
      const { age, eventAge, oldest } = await waitFor(service, (told) => told.oldest !== null, "it was seen");
      const livedSeconds = (Date.now() - beganMs) / 1_000;
      assert.ok(age! <= livedSeconds, `${age} s`);
      assert.equal(oldest!.eventTime, eventMs === null ? null : new Date(eventMs).toISOString());
      if (eventMs === null) assert.equal(eventAge, null);
      else assert.ok(Math.abs(eventAge! - (Date.now() - eventMs) / 1_000) <= livedSeconds, `${eventAge} s`);
    },
  );
}

withRedis(
  "oldest age: goes on after a restart and on another instance, and ends with a message that others take",
  async (redis) => {
    const client = redis.client();
    await redis.seedList(DLQ, [message("2026-01-01T00:00:00Z")]);
    let seenAtMs: number;
    {
      await using first = start(redis);
      const { oldest } = await waitFor(first, (told) => told.oldest !== null, "it was seen");
      seenAtMs = Date.parse(oldest!.waitingSince);
      // Seen as the second one, some seconds later.
      await client.lpush(DLQ, message("2026-01-02T00:00:00Z", 2));
      const marks = await client.get(`${stateKey(DLQ)}:waiting`);
      await waitUntil(async () => await client.get(`${stateKey(DLQ)}:waiting`) !== marks, {
        what: "the second one was seen",
        timeoutMs: 60_000,
      });
    }
    await using second = start(redis);
    const after = await waitFor(second, (told) => told.oldest !== null, "it was seen again");
    // Both clocks are this machine's; what is between them is the time of a reply.
    assert.ok(Math.abs(Date.parse(after.oldest!.waitingSince) - seenAtMs) < 1_000, after.oldest!.waitingSince);
    await client.rpop(DLQ);
    const next = await waitFor(
      second,
      (told) => told.oldest?.eventTime === "2026-01-02T00:00:00.000Z",
      "it is forgotten",
    );
    assert.ok(Date.parse(next.oldest!.waitingSince) > seenAtMs + 1_000, next.oldest!.waitingSince);
    await client.del(DLQ);
    const none = await waitFor(second, (told) => told.oldest === null, "there is none");
    assert.deepEqual(none, { age: 0, eventAge: null, oldest: null });
  },
);
