/** Values that somebody else wrote into Redis, and that no setting of ours could have: they hold nothing up. */
import assert from "node:assert/strict";
import { createCommandContext } from "../../src/app/command_context.ts";
import { check as checkOperation, judgeGates } from "../../src/operations/check.ts";
import { DEFAULT_SETTINGS, MAX_LEASE_MS } from "../../src/config/fields.ts";
import { Heartbeats } from "../../src/gates/heartbeats.ts";
import { stateKey } from "../../src/redis/keys.ts";
import { LeaseStore } from "../../src/redis/lease_store.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../../src/runtime/random.ts";
import { createEngine, DLQ, eventTexts, STATE, waitUntilEmpty } from "../../testkit/engine.ts";
import { HAS_PROC, peakResidentBytes } from "../../testkit/process_facts.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

/** As in tests/e2e/hostile_memory_test.ts; names of 4 MB took 930 MiB when all were asked for at once. */
const MOST_MIB = Deno.env.get("MUTT_REMEDIATION_BINARY") ? 256 : 512;
const server = shareRedis();
const PREFIX = DEFAULT_SETTINGS.alerterHeartbeatPrefix;
const RATE_KEY = DEFAULT_SETTINGS.moogRateLimitKey;

/** A lease as somebody else may write it, by the server's clock. */
async function plantLease({ leftMs, forMs }: { leftMs: number; forMs: number }): Promise<void> {
  const untilMs = Math.min(Date.now() + leftMs, 999_999_999_999_999);
  const lease = { leader: "ghost", leaderName: "ghost", leaderUntilMs: untilMs, leaderForMs: forMs };
  await server().client().hset(STATE, lease);
}

async function check(): Promise<string[]> {
  const { findings } = await checkOperation.run(
    createCommandContext({
      settings: {
        ...DEFAULT_SETTINGS,
        redisHost: "127.0.0.1",
        redisPort: server().port,
        moogHealthCheckEnabled: false,
      },
      ...{ log: recordLog().log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM },
      signal: new AbortController().signal,
    }),
    { probe: false },
  );
  return findings.filter(({ level }) => level !== "ok").map(({ text }) => text);
}

for (
  const [name, lease] of [
    ["in 31,000 years", { leftMs: Infinity, forMs: 999_999_999_999_999 }],
    ["in a day", { leftMs: 86_400_000, forMs: 86_400_000 }],
    ["a second later than the longest may", { leftMs: MAX_LEASE_MS, forMs: MAX_LEASE_MS + 1_000 }],
  ] as const
) {
  Deno.test(`lease: one that ends ${name} is told by check, taken all the same, counted and logged`, async () => {
    await plantLease(lease);
    assert.match((await check()).join(), /holds a lease of \d+ s, longer than the 300 s .* not obeyed/);
    await server().seedList(DLQ, eventTexts(3));
    await using engine = createEngine(server(), { name: "a", settings: { leaderElection: true } });
    await engine.start();
    await waitUntilEmpty(server(), DLQ);
    assert.match(await engine.metrics.render(), /^mutt_remediation_long_leases_total\{source="alerter"\} 1$/m);
    assert.equal(engine.lines.filter(({ event }) => event === "lease_too_long").length, 1);
    assert.deepEqual(await check(), []);
  });
}

Deno.test("LeaseStore: obeys the longest lease that a setting allows", async () => {
  const lease = (token: string) => new LeaseStore(server().client(), stateKey(DLQ), { token, name: token });
  await lease("a").take({ durationMs: MAX_LEASE_MS });
  assert.equal((await lease("b").take({ durationMs: 1_000 })).isOurs, false);
  assert.deepEqual(await check(), []);
});

Deno.test("pace: entries of the future in the forwarder's books are not counted, and check tells of them", async () => {
  const client = server().client();
  for (let i = 0; i < 100; i++) await client.zadd(RATE_KEY, "+inf", `planted ${i}`);
  await client.zadd(RATE_KEY, Date.now() + 3_600_000, "in an hour");
  await server().seedList(DLQ, eventTexts(5));
  assert.match((await check()).join(), /has 101 entries in the future/);
  await using engine = createEngine(server(), { settings: { maxPerSecond: "auto", targetMaxDepth: 0 } });
  await engine.start();
  await waitUntilEmpty(server(), DLQ);
});

Deno.test("Heartbeats: finds a pod's among names of 4 MB, asks for few of them at once, and keeps none", async () => {
  const client = server().client();
  for (let i = 0; i < 64; i++) await client.set(`${PREFIX}:${i}${"x".repeat(4_000_000)}`, "planted");
  await client.setex(`${PREFIX}:pod-1`, 300, "alive");
  for (let i = 0; i < 2_000; i++) await client.set(`other:${i}`, "");
  await using service = startService({
    env: {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(server().port), REMEDIATION_CONSUMER_GATE: "required" },
    },
  });
  const { health } = await service.ports();
  await waitUntil(async () => {
    const page = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
    const { sources: [{ gates }] } = await page.json();
    return gates.find(({ name }: { name: string }) => name === "consumer")?.reason === "alive";
  }, { what: "the pod's heartbeat is found", timeoutMs: 60_000 });
  if (HAS_PROC) {
    const most = peakResidentBytes(service.pid) / 2 ** 20;
    assert.ok(most < MOST_MIB, `${most} MiB`);
  }
});

Deno.test("Heartbeats: takes no name for a pod's that is longer than a pod's may be", async () => {
  const client = server().client();
  const heartbeats = new Heartbeats({ prefix: PREFIX, redis: client, clock: SYSTEM_CLOCK });
  await client.set(`${PREFIX}:${"x".repeat(254)}`, "planted");
  await heartbeats.ask();
  await heartbeats.whenKnown();
  assert.equal(await heartbeats.ask(), "never_seen");
  await heartbeats.stop();

  const others = new Heartbeats({ prefix: PREFIX, redis: client, clock: SYSTEM_CLOCK });
  await client.set(`${PREFIX}:${"x".repeat(253)}`, "alive");
  await others.ask();
  await others.whenKnown();
  assert.equal(await others.ask(), "alive");
  await others.stop();
});

Deno.test("check: tells of gates that the running service has found closed for hours, of no others", () => {
  const nowMs = Date.parse("2026-01-02T12:00:00Z");
  const gate = (name: string, open: boolean, since: string) => ({ name, open, since, detail: "why" });
  const health = JSON.stringify({
    sources: [{
      name: "alerter",
      gates: [
        gate("pace", false, "2026-01-02T09:00:00.000Z"),
        gate("depth", false, "2026-01-02T11:30:00.000Z"),
        gate("redis", true, "2026-01-01T09:00:00.000Z"),
        gate("leader", false, "2026-01-01T09:00:00.000Z"),
      ],
    }],
  });
  assert.deepEqual(judgeGates(health, nowMs), [{
    level: "warning",
    subject: "source alerter",
    text: "gate pace of the running service has been closed since 2026-01-02T09:00:00.000Z: why",
  }]);
  for (
    const other of ["", "OK", "null", "{}", '{"sources": 1}', '{"sources": [null]}', '{"sources": [{"gates": 1}]}']
  ) {
    assert.deepEqual(judgeGates(other, nowMs), [], other);
  }
});
