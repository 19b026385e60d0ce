/** The simulator's stand-ins on a real Redis against the contract's facts, and one short incident from end to end. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { startAlerter } from "../../testkit/mutt/alerter.ts";
import { CircuitBreaker } from "../../testkit/mutt/breaker.ts";
import { createOriginal, createOurs } from "../../demo/simulator/contenders.ts";
import { startForwarder } from "../../testkit/mutt/forwarder.ts";
import type { MoogAnswer } from "../../testkit/mutt/forwarder_rules.ts";
import type { Incident } from "../../demo/simulator/incidents.ts";
import { KEYS } from "../../testkit/mutt/keys.ts";
import { isExact, Ledger, type Leftovers } from "../../demo/simulator/ledger.ts";
import { replay } from "../../testkit/mutt/original.ts";
import { playIncident } from "../../demo/simulator/simulate.ts";
import { DEFAULT_FACTOR, SimClock } from "../../testkit/mutt/sim_clock.ts";
import { type Column, isDoubtful } from "../../demo/simulator/report.ts";
import { generateTraffic, type Stream } from "../../testkit/mutt/traffic.ts";
import { shareRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const server = shareRedis();

/** A simulated minute takes a fifth of a second. */
const QUICK = 300;
const NOTHING_LEFT: Leftovers = { queued: [], wedged: [], dlqAlerter: [], dlqMoog: [], dead: [] };
const minute = (kind: Stream["kind"], perMinute: number) => ({ fromMinute: 0, toMinute: 1, perMinute, kind });

/** A clock, and a ledger that knows these events. */
function openBooks(...streams: Stream[]) {
  const clock = new SimClock(QUICK);
  const ledger = new Ledger({ elapsedMs: () => clock.elapsedMs(), rateWindowMs: 10_000 });
  const events = generateTraffic(streams, 1);
  for (const event of events) ledger.entered(event);
  return { clock, ledger, events, texts: events.map(({ text }) => text) };
}

/** A Moogsoft that answers so, and the payloads that came. */
function moogsoft(answer: (count: number) => MoogAnswer) {
  const posted: string[] = [];
  return { posted, moogLatencyMs: () => 0, post: (text: string) => Promise.resolve(answer(posted.push(text))) };
}

const WIDE = { limit: 1_000, periodSeconds: 60 };
const alertText = (id: string) => `{"hostname": "h", "_correlation_id": "${id}"}`;

Deno.test("forwarder: of a burst of 200 at a limit of 50, 50 are sent and 150 are gone from every list", async () => {
  const { clock, ledger, events } = openBooks(minute("healthy", 200));
  await server().seedList(KEYS.alerts, events.map(({ id }) => alertText(id)));
  const moog = moogsoft(() => 200);
  const rate = { limit: 50, periodSeconds: 3_000_000 };
  await using forwarder = startForwarder({ redisUrl: server().url, clock, observer: ledger, rate, pod: "a", ...moog });
  await waitUntil(async () => await server().depth(KEYS.alerts) === 0, { what: "the queue is empty" });
  await forwarder.stop();
  equal(moog.posted.length, 50);
  const { fates, unaccounted } = ledger.close(NOTHING_LEFT);
  deepEqual([fates.destroyed, unaccounted], [150, 50]);
  equal(await server().client().zcard(KEYS.rate), 50);
  // MUTT's own bug: EXPIRE is given the window in milliseconds.
  ok(await server().client().ttl(KEYS.rate) > 9_000);
  deepEqual(await server().client().keys("mutt:processing:*"), []);
});

Deno.test("forwarder: an alert that always fails is sent six times in 63 s and dead-lettered with a count of 6", async () => {
  const { clock, ledger, events: [event] } = openBooks(minute("healthy", 1));
  await server().seedList(KEYS.alerts, [alertText(event!.id)]);
  const moog = moogsoft(() => 503);
  clock.restart();
  await using forwarder = startForwarder({
    redisUrl: server().url,
    clock,
    observer: ledger,
    rate: WIDE,
    pod: "a",
    ...moog,
  });
  const letters = await waitUntil(async () => {
    const found = await server().readTexts(KEYS.dlqMoog);
    return found.length > 0 && found;
  }, { what: "the alert is dead-lettered" });
  const tookSeconds = clock.elapsedMs() / 1_000;
  await forwarder.stop();
  equal(moog.posted.length, 6);
  deepEqual(letters, [`${alertText(event!.id).slice(0, -1)}, "_moog_retry_count": 6}`]);
  ok(tookSeconds >= 60, `${tookSeconds} s`);
});

Deno.test("forwarder: refused alerts go to the DLQ as they are, what is no JSON is gone, what is no object stays stuck", async () => {
  const { clock, ledger, events } = openBooks(minute("healthy", 3));
  const [refused, torn, list] = events.map(({ id }) => id) as [string, string, string];
  await server().seedList(KEYS.alerts, [alertText(refused), `{"torn": "${torn}`, `["${list}"]`]);
  const moog = moogsoft(() => 401);
  await using forwarder = startForwarder({
    redisUrl: server().url,
    clock,
    observer: ledger,
    rate: WIDE,
    pod: "a",
    ...moog,
  });
  const stuck = `${KEYS.processingMoog}:a`;
  await waitUntil(async () => (await server().readTexts(stuck)).includes(`["${list}"]`), { what: "one is stuck" });
  await forwarder.stop();
  deepEqual(await server().readTexts(KEYS.dlqMoog), [alertText(refused)]);
  deepEqual(await server().readTexts(stuck), [`["${list}"]`]);
  equal(ledger.close(NOTHING_LEFT).fates.discarded, 1);
  equal(await server().client().get(KEYS.breakerFailures), null, "a refusal does not count for the breaker");
});

Deno.test("breaker: opens at ten failures, half opens when asked after its timeout, closes on one success", async () => {
  const client = server().client();
  const breaker = new CircuitBreaker(client, new SimClock(QUICK));
  equal(await breaker.state(), "CLOSED");
  for (let i = 1; i <= 9; i++) await breaker.failed();
  equal(await breaker.state(), "CLOSED");
  const fromMs = Date.now();
  await breaker.failed();
  equal(await client.get(KEYS.breakerState), "OPEN");
  const openedMs = 1_000 * Number(await client.get(KEYS.breakerOpenTime)), roundedByMs = 10;
  ok(fromMs - roundedByMs <= openedMs && openedMs <= Date.now() + roundedByMs, `${fromMs} ${openedMs}`);
  const becomes = (state: string) =>
    waitUntil(async () => await breaker.state() === state, { what: `the breaker is ${state}` });
  await becomes("HALF_OPEN");
  await breaker.failed();
  equal(await breaker.state(), "OPEN");
  await becomes("HALF_OPEN");
  await breaker.succeeded();
  deepEqual(await client.mget(KEYS.breakerState, KEYS.breakerFailures, KEYS.breakerOpenTime), ["CLOSED", "0", null]);
});

Deno.test("forwarder: an open breaker burns the retries without sending, and half opens without any traffic", async () => {
  const { clock, ledger, events: [event] } = openBooks(minute("healthy", 1));
  const client = server().client();
  const openedHoursAgo = (hours: number) => String(Date.now() / 1_000 - hours * 3_600);
  // Its time-out passes when the test says so.
  await client.mset(KEYS.breakerState, "OPEN", KEYS.breakerOpenTime, openedHoursAgo(-1));
  await server().seedList(KEYS.alerts, [alertText(event!.id)]);
  const moog = moogsoft(() => 200);
  await using forwarder = startForwarder({
    redisUrl: server().url,
    clock,
    observer: ledger,
    rate: WIDE,
    pod: "a",
    ...moog,
  });
  await waitUntil(async () => await client.llen(KEYS.dlqMoog) === 1, { what: "the alert is dead-lettered" });
  equal(moog.posted.length, 0);
  await client.set(KEYS.breakerOpenTime, openedHoursAgo(1));
  await waitUntil(async () => await client.get(KEYS.breakerState) === "HALF_OPEN", { what: "the breaker half opens" });
  await forwarder.stop();
  equal(await client.exists(`${KEYS.heartbeatMoog}:a`), 1);
});

Deno.test("alerter: while the database is down each event is tried four times and dead-lettered with a count of 4", async () => {
  const { clock, ledger, texts } = openBooks(minute("healthy", 3));
  await server().seedList(KEYS.ingest, texts);
  await using alerter = startAlerter({ redisUrl: server().url, clock, observer: ledger, isDatabaseUp: () => false });
  await waitUntil(async () => await server().depth(KEYS.dlqAlerter) === 3, { what: "all are dead-lettered" });
  await alerter.stop();
  const expected = texts.map((text) => `${text.slice(0, -1)}, "_retry_count": 4}`);
  deepEqual(await server().readTexts(KEYS.dlqAlerter), expected);
});

Deno.test("alerter: makes alerts, throws away what it cannot use, stays stuck with what is no object", async () => {
  const { clock, ledger, events, texts } = openBooks(
    ...["healthy", "malformed", "not_json", "non_object"].map((kind) => minute(kind as Stream["kind"], 2)),
  );
  await server().seedList(KEYS.ingest, texts);
  await using alerter = startAlerter({ redisUrl: server().url, clock, observer: ledger, isDatabaseUp: () => true });
  const stuck = `${KEYS.processingAlerter}:sim`;
  await waitUntil(async () => {
    const [queued, held] = [await server().depth(KEYS.ingest), await server().depth(stuck)];
    return queued === 0 && held === 2;
  }, { what: "all are handled" });
  await alerter.stop();
  const ids = (kind: string) => events.filter((event) => event.kind === kind).map(({ id }) => id);
  const alerts = await server().readTexts(KEYS.alerts);
  ok(alerts.length === 2 && ids("healthy").every((id) => alerts.some((alert) => alert.includes(id))));
  equal(ledger.close(NOTHING_LEFT).fates.discarded, 4);
});

Deno.test("alerter: sheds over 2,000 alerts, and does no other work meanwhile", async () => {
  const { clock, ledger, texts } = openBooks(minute("healthy", 5), minute("non_object", 1));
  await server().seedList(KEYS.alerts, Array<string>(2_001).fill("{}"));
  await server().seedList(KEYS.ingest, texts);
  await using alerter = startAlerter({ redisUrl: server().url, clock, observer: ledger, isDatabaseUp: () => true });
  await waitUntil(async () => await server().depth(KEYS.dlqAlerter) === 6, { what: "all are shed" });
  await alerter.stop();
  const expected = texts.map((text) =>
    text.startsWith("[") ? text : `${text.slice(0, -1)}, "shedding_reason": "queue_depth_exceeded:2001>2000"}`
  );
  deepEqual(await server().readTexts(KEYS.dlqAlerter), expected);
  equal(await server().depth(KEYS.alerts), 2_001);
});

Deno.test("original: what is no object stops all that is behind it, for ever", async () => {
  const { texts } = openBooks(minute("healthy", 5));
  await server().seedList(KEYS.dlqAlerter, ["[1,2]", ...texts]);
  const client = server().client();
  for (let pass = 0; pass < 3; pass++) await replay(client, { batchSize: 10 });
  deepEqual(await server().readTexts(KEYS.dlqAlerter), ["[1,2]", ...texts]);
  equal(await client.llen(KEYS.ingest), 0);
});

/** The slowest play that is tried takes two minutes. */
const SLOWEST_FACTOR = 4;

/** Seconds long: the forwarder's key is refused, while some of what the alerter gets is poison. */
const SHORT: Incident = {
  ...{ name: "short", title: "A refused key for two minutes" },
  ...{ forwarders: 2, rate: { limit: 300, periodSeconds: 60 } },
  world: { moogStatus: 200, moogLatencyMs: 300, isDatabaseUp: true, failedInserts: 0 },
  streams: [
    { fromMinute: 0, toMinute: 7, perMinute: 20, kind: "healthy" },
    { fromMinute: 0, toMinute: 2, perMinute: 2, kind: "poison" },
  ],
  changes: [
    { atMinute: 0.5, world: { moogStatus: 401 }, says: "Moogsoft answers 401" },
    { atMinute: 2.5, world: { moogStatus: 200 }, says: "the new key is there" },
  ],
  ...{ faultEndsAtMinute: 2.5, endsAtMinute: 7 },
};

/** Plays it, more slowly until the machine keeps up with the time: on a busy one, real time-outs and pauses last long in simulated time. */
async function playInTime(tell: (line: string) => void): Promise<Column[]> {
  for (let factor = DEFAULT_FACTOR;; factor /= 2) {
    const columns = await playIncident(SHORT, {
      contenders: [createOriginal(10), createOurs("alerter,moog")],
      ...{ seed: 1, signal: new AbortController().signal, intervalSeconds: 60, factor, tell },
    });
    const isInTime = !columns.some(({ result }) => isDoubtful(result)) && columns.at(-1)!.result.unhealed === 0;
    if (isInTime || factor < SLOWEST_FACTOR) return columns;
  }
}

Deno.test("simulate: a refused key heals by itself here and not there, and every event has one fate", async () => {
  const lines: string[] = [];
  const [original, ours] = await playInTime((line) => lines.push(line));
  ok(original && ours);
  for (const { title, result } of [original, ours]) {
    ok(isExact(result.account), `${title}: ${JSON.stringify(result.account)}`);
    deepEqual([result.account.wronglyDead, result.account.lostByReplays], [0, 0], title);
  }
  const left = original.result.account.fates.dlqMoog;
  // What entered when the fault was over already, and failed all the same, is left but not counted as unhealed.
  const { unhealed } = original.result;
  ok(unhealed >= 30 && unhealed <= left, JSON.stringify(original.result));
  equal(ours.result.unhealed, 0, JSON.stringify(ours.result));
  equal(ours.result.account.fates.dlqMoog, 0);
  ok(original.result.account.bounced > 0, "poison goes round in circles there");
  ok(ours.result.commands > 0 && original.result.commands > 0);
  ok(lines.some((line) => line.includes("the new key is there")));
});
