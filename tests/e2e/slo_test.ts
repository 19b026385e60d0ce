/** The objectives of a service that runs, through good, bad and recovered, on the page and by the command. */
import assert from "node:assert/strict";
import type { SloComponent, SloReport } from "../../src/slo/monitor.ts";
import type { SloName, SloState } from "../../src/slo/objectives.ts";
import { startHttpStub } from "../../testkit/http_stub.ts";
import { PLANTED, withCredentials } from "../../testkit/planted_secrets.ts";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { countsKey } from "../../src/redis/keys.ts";
import { parseSlot } from "../../src/slo/slots.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue";

/** A window of 9 s, and half of everything may be bad: two events are enough to tell. */
const SHORT = {
  REMEDIATION_SLO_WINDOW_HOURS: "0.0025",
  REMEDIATION_SLO_TIME_TO_DRAIN_TARGET: "0.6",
  REMEDIATION_SLO_OLDEST_AGE_TARGET: "0.6",
  REMEDIATION_SLO_REDRIVE_SUCCESS_TARGET: "0.6",
  REMEDIATION_SLO_DOWNSTREAM_AVAILABILITY_TARGET: "0.6",
};

function envFor(redis: { port: number }, more: Record<string, string> = {}): Record<string, string> {
  return {
    ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), POD_NAME: "pod-7" },
    ...{ REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "0", REMEDIATION_MAX_PER_SECOND: "0" },
    ...SHORT,
    ...more,
  };
}

function message(id: number, timestamp: string): string {
  return JSON.stringify({ api_key: PLANTED.messageApiKey, timestamp, hostname: `h${id}`, message: "m" });
}

async function reportOf(service: Service): Promise<SloReport> {
  const { health } = await service.ports();
  const response = await fetch(`http://127.0.0.1:${health}/api/v1/slo`);
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/json"]);
  return await response.json();
}

/** Waits until an objective of the source is in that state. */
function waitFor(service: Service, slo: SloName, state: SloState): Promise<SloComponent> {
  return waitUntil(async () => {
    const component = (await reportOf(service)).components[`alerter.${slo}`]!;
    return component.state === state ? component : null;
  }, { what: `${slo} is ${state}`, timeoutMs: 60_000 });
}

/** `mutt-remediation slo` on this machine: how it ended, and what it said. */
async function runCommand(port: number, ...flags: string[]) {
  await using command = startService({ args: ["slo", ...flags], env: { HEALTH_PORT_REMEDIATION: String(port) } });
  const { code } = await command.exit;
  return { code, out: command.stdout.join("\n"), err: command.stderr.join("\n") };
}

/** What the alerter does when it cannot: whatever comes goes back to its dead letters. */
async function giveBackUntil(signal: AbortSignal, redis: TestRedis): Promise<void> {
  const client = redis.client();
  while (!signal.aborted) await client.brpoplpush(TARGET, DLQ, 1);
}

withRedis("slo: downstream goes from ok to critical and back, and the command's exit code with it", async (redis) => {
  const moog = await startHttpStub();
  try {
    const url = withCredentials(`${moog.url}/hook?token=${PLANTED.webhookToken}`, {
      password: PLANTED.webhookPassword,
    });
    await using service = startService({
      env: envFor(redis, { MOOG_WEBHOOK_URL: url, MOOG_HEALTH_CACHE_SECONDS: "1" }),
    });
    const { health } = await service.ports();
    await waitFor(service, "downstream_availability", "ok");
    const good = await runCommand(health);
    assert.equal(good.code, 0, good.err);
    assert.match(good.out, /^ok +alerter\.downstream_availability +60 % +100 % +0x +0x +100 % +0 bad of \d+$/m);

    moog.answer({ status: 503 });
    const bad = await waitFor(service, "downstream_availability", "critical");
    assert.ok(bad.burn_rate! > 2 && bad.availability! < 0.2 && bad.error_budget_remaining! < -1, JSON.stringify(bad));
    const { code, out } = await runCommand(health, "--json");
    assert.deepEqual([code, JSON.parse(out).state], [1, "critical"]);
    const plain = await runCommand(health);
    assert.equal(plain.code, 1);
    assert.match(plain.out, /^critical: the last 0\.0025 h, counted since 20\S+Z; pod-7 answered$/m);

    moog.answer({ status: 200 });
    const recovering = await waitUntil(async () => {
      const component = (await reportOf(service)).components["alerter.downstream_availability"]!;
      return component.recent_burn_rate === 0 ? component : null;
    }, { what: "it burns no more", timeoutMs: 30_000 });
    assert.ok(recovering.bad_events > 0, "the window still holds what was bad");
    const recovered = await waitFor(service, "downstream_availability", "ok");
    assert.ok(recovered.burn_rate! <= 1);
    assert.equal((await runCommand(health)).code, 0);
  } finally {
    await moog.stop();
  }
});

withRedis("slo: what comes back burns the redrive's budget, and what stays away does not", async (redis) => {
  await using service = startService({ env: envFor(redis) });
  await service.ports();
  const nothing = await reportOf(service);
  assert.deepEqual([nothing.state, Object.values(nothing.components).map(({ slo }) => slo)], ["insufficient_data", [
    "time_to_drain",
    "oldest_age",
    "redrive_success",
    "downstream_availability",
  ]]);
  await redis.seedList(DLQ, Array.from({ length: 20 }, (_, i) => message(i, new Date().toISOString())));
  const good = await waitFor(service, "redrive_success", "ok");
  assert.deepEqual([good.events, good.bad_events, good.role], [20, 0, "leader"]);

  const alerter = new AbortController();
  const working = giveBackUntil(alerter.signal, redis);
  try {
    await redis.seedList(DLQ, Array.from({ length: 40 }, (_, i) => message(100 + i, new Date().toISOString())));
    const bad = await waitFor(service, "redrive_success", "critical");
    assert.ok(bad.bad_events > 0.8 * bad.events, JSON.stringify(bad));
  } finally {
    alerter.abort();
    await working;
  }
  await waitUntil(async () => {
    if (await redis.client().llen(DLQ) === 0) await redis.seedList(DLQ, [message(1_000, new Date().toISOString())]);
    return (await reportOf(service)).components["alerter.redrive_success"]!.state === "ok";
  }, { what: "enough stays away", timeoutMs: 60_000 });
});

withRedis("slo: an old message and a backlog that does not drain are told, and that both are gone", async (redis) => {
  const client = redis.client();
  // A full target: nothing may go, and nobody is down.
  await redis.seedList(TARGET, Array.from({ length: 10 }, () => "{}"));
  await redis.seedList(DLQ, [message(1, "2020-01-01T00:00:00Z")]);
  await using service = startService({
    env: envFor(redis, {
      ...{ REMEDIATION_TARGET_MAX_DEPTH: "10", REMEDIATION_SLO_TIME_TO_DRAIN: "1" },
      REMEDIATION_SLO_OLDEST_AGE: "1",
    }),
  });
  const { health } = await service.ports();
  assert.equal((await waitFor(service, "oldest_age", "critical")).threshold_seconds, 1);
  const late = await waitFor(service, "time_to_drain", "critical");
  assert.equal(late.threshold_seconds, 1);
  assert.equal((await runCommand(health)).code, 1);
  await client.del(TARGET);
  await waitFor(service, "oldest_age", "ok");
  await waitFor(service, "time_to_drain", "ok");
  assert.equal(await client.llen(DLQ), 0);
  assert.equal((await runCommand(health)).code, 0);
});

withRedis("slo: an event of long ago that has just died spends nothing", async (redis) => {
  await redis.seedList(TARGET, Array.from({ length: 10 }, () => "{}"));
  await redis.seedList(DLQ, [message(1, "2019-01-01T00:00:00Z")]);
  await using service = startService({ env: envFor(redis, { REMEDIATION_TARGET_MAX_DEPTH: "10" }) });
  const { bad_events } = await waitFor(service, "oldest_age", "ok");
  assert.equal(bad_events, 0);
  assert.equal(await redis.client().llen(DLQ), 1);
});

/** Events and bad events of each objective. */
async function countsOf(service: Service) {
  const { components } = await reportOf(service);
  return Object.values(components).map(({ slo, events, bad_events }) => [slo, events, bad_events]);
}

const A_DAY = { REMEDIATION_SLO_WINDOW_HOURS: "24" };

withRedis("slo: a service that was killed reports the same window when it is back", async (redis) => {
  const first = startService({ env: envFor(redis, A_DAY) });
  await first.ports();
  await redis.seedList(DLQ, Array.from({ length: 30 }, (_, i) => message(i, new Date().toISOString())));
  const written = await waitUntil(async () => {
    const slot = parseSlot(await redis.client().lindex(countsKey(DLQ), 0) ?? "");
    return slot && slot.counts[2]! > 0 && slot.counts[4] === 30 ? slot : null;
  }, { what: "samples and replays are written", timeoutMs: 30_000 });
  first.signal("SIGKILL");
  await first.exit;
  await using again = startService({ env: envFor(redis, A_DAY) });
  const after = await waitUntil(async () => {
    const report = await reportOf(again);
    return report.components["alerter.redrive_success"]!.stale_since === null ? report : null;
  }, { what: "the counts are read", timeoutMs: 30_000 });
  const { events, bad_events, availability } = after.components["alerter.redrive_success"]!;
  assert.deepEqual([events, bad_events, availability], [30, 0, 1]);
  assert.equal(after.since, new Date(written.fromMs).toISOString());
  const age = after.components["alerter.oldest_age"]!;
  assert.ok(age.events >= written.counts[2]!, `${age.events} samples of ${written.counts[2]}`);
});

withRedis("slo: a standby says so, and reports what the leader counts", async (redis) => {
  await using leader = startService({ env: envFor(redis) });
  await leader.waitForLine(/"redis_ready"/);
  await waitFor(leader, "time_to_drain", "ok");
  await using standby = startService({ env: envFor(redis) });
  const age = await waitFor(standby, "oldest_age", "ok");
  const drain = await waitFor(standby, "time_to_drain", "ok");
  assert.deepEqual([age.role, drain.role, drain.stale_since], ["standby", "standby", null]);
  const { health } = await standby.ports();
  const { code, out } = await runCommand(health);
  assert.equal(code, 0);
  assert.match(out, /^ok +alerter\.time_to_drain .* 0 bad of \d+$/m);
});

withRedis("slo: three instances report the same replays, none twice", async (redis) => {
  await using one = startService({ env: envFor(redis, A_DAY) });
  await using other = startService({ env: envFor(redis, A_DAY) });
  await using third = startService({ env: envFor(redis, A_DAY) });
  const services = [one, other, third];
  for (const service of services) await service.ports();
  await redis.seedList(DLQ, Array.from({ length: 25 }, (_, i) => message(i, new Date().toISOString())));
  await waitUntil(async () => {
    const counts = (await Promise.all(services.map(countsOf))).map((rows) => rows[2]);
    return counts.every((row) => JSON.stringify(row) === JSON.stringify(["redrive_success", 25, 0]));
  }, { what: "all report 25", timeoutMs: 30_000 });
});

withRedis("slo: the page takes GET and HEAD only, and the metrics hold the same counts", async (redis) => {
  await using service = startService({ env: envFor(redis) });
  const { health, metrics } = await service.ports();
  const url = `http://127.0.0.1:${health}/api/v1/slo`;
  const post = await fetch(url, { method: "POST", body: "{}" });
  assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  const head = await fetch(url, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  await redis.seedList(DLQ, Array.from({ length: 7 }, (_, i) => message(i, new Date().toISOString())));
  await waitUntil(async () => (await reportOf(service)).components["alerter.redrive_success"]!.events === 7, {
    what: "seven are replayed",
    timeoutMs: 20_000,
  });
  const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  const labels = '{source="alerter",slo="redrive_success"}';
  assert.ok(text.includes(`mutt_remediation_slo_events_total${labels} 7\n`), text);
  assert.ok(text.includes(`mutt_remediation_slo_bad_events_total${labels} 0\n`));
  assert.ok(text.includes(`mutt_remediation_slo_target${labels} 0.6\n`));
});

Deno.test("slo: exit 69 where nobody answers, where a stranger does, and where the page is not known", async () => {
  const stub = await startHttpStub(), { port } = stub;
  try {
    for (
      const [answer, says] of [
        [{ status: 200, body: `${PLANTED.misplaced}` }, /^The service answered 200 without its objectives$/],
        [{ status: 200, body: '{"state": "ok"}' }, /answered 200/],
        [{ status: 200, body: "null" }, /answered 200/],
        [{ status: 404, body: "Not found" }, /answered 404/],
        [{ fault: "reset" }, /^Cannot ask http:\/\/127\.0\.0\.1:\d+\/api\/v1\/slo: /],
      ] as const
    ) {
      stub.answer(answer);
      const { code, out, err } = await runCommand(port);
      assert.deepEqual([code, out], [69, ""], err);
      assert.match(err, says);
    }
  } finally {
    await stub.stop();
  }
  const { code, err } = await runCommand(port, "--json");
  assert.equal(code, 69);
  assert.match(err, /nothing listens there \(HEALTH_PORT_REMEDIATION, REMEDIATION_BIND_ADDRESS\)$/);
});
