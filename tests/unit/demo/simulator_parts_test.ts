import { deepEqual, equal, ok } from "node:assert/strict";
import { createOurs, environmentOf } from "../../../demo/simulator/contenders.ts";
import { CommandCounter } from "../../../demo/simulator/counting_proxy.ts";
import { INCIDENTS } from "../../../demo/simulator/incidents.ts";
import type { Result } from "../../../demo/simulator/pipeline.ts";
import { formatAccount, formatMarkdown, formatTable, MEASURES } from "../../../demo/simulator/report.ts";
import { SimClock } from "../../../testkit/mutt/sim_clock.ts";
import { knownVariables } from "../../../src/config/fields.ts";
import type { Clock } from "../../../src/runtime/clock.ts";

/** A clock whose sleeps take what they are asked for and so much more. */
function lateClock(lateMs: number): Clock & { nowReal: number; slept: number[] } {
  const clock = {
    nowReal: 0,
    slept: [] as number[],
    nowMs: () => clock.nowReal,
    monotonicMs: () => clock.nowReal,
    sleep(ms: number) {
      clock.slept.push(ms);
      clock.nowReal += ms + lateMs;
      return Promise.resolve();
    },
  };
  return clock;
}

Deno.test("SimClock: a simulated minute takes a second at a factor of 60", async () => {
  const real = lateClock(0);
  const clock = new SimClock(60, real);
  await clock.sleep(60_000);
  deepEqual([real.nowReal, clock.elapsedMs(), clock.realMs(300_000)], [1_000, 60_000, 5_000]);
  clock.restart();
  equal(clock.elapsedMs(), 0);
});

Deno.test("Pacer: makes up for timers that are late, and for a worker that is", async () => {
  const real = lateClock(1);
  const pacer = new SimClock(60, real).pacer();
  for (let i = 0; i < 100; i++) await pacer.sleep(180);
  ok(Math.abs(real.nowReal - 300) < 5, `100 sleeps of 3 ms took ${real.nowReal} ms`);
  const before = real.slept.length;
  await pacer.sleep(-600);
  equal(real.slept.length, before);
  await pacer.sleep(1_200);
  ok(real.slept.at(-1)! < 11);
});

Deno.test("CommandCounter: counts commands however the bytes are cut, whatever the payloads look like", () => {
  const command = (...parts: string[]) =>
    `*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join("")}`;
  const stream = new TextEncoder().encode(
    command("GET", "k") + command("LPUSH", "list", "*3\r\n$3\r\nGET\r\n", "") + command("PING"),
  );
  for (const size of [1, 2, 3, 7, stream.length]) {
    const counter = new CommandCounter();
    for (let at = 0; at < stream.length; at += size) counter.feed(stream.subarray(at, at + size));
    equal(counter.commands, 3, `in pieces of ${size}`);
  }
});

Deno.test("INCIDENTS: each fits its bounds, and its traffic goes on to the end", () => {
  for (const { name, endsAtMinute, faultEndsAtMinute, changes, streams, rate } of INCIDENTS) {
    ok(endsAtMinute <= 100 && faultEndsAtMinute < endsAtMinute, name);
    equal(Math.max(...changes.map(({ atMinute }) => atMinute)), faultEndsAtMinute, name);
    ok(changes.every(({ atMinute }, i) => atMinute >= (changes[i - 1]?.atMinute ?? 0)), name);
    equal(Math.max(...streams.map(({ toMinute }) => toMinute)), endsAtMinute, name);
    ok(rate.periodSeconds % 60 === 0, `${name}: the service counts whole seconds`);
  }
  equal(new Set(INCIDENTS.map(({ name }) => name)).size, 9);
});

Deno.test("environmentOf: every duration is compressed alike, and every name is one that the service reads", () => {
  const setting = {
    ...{ redisUrl: "redis://127.0.0.1:1", moogUrl: "http://127.0.0.1:2/", dir: "/tmp", intervalSeconds: 300 },
    ...{ clock: new SimClock(60, lateClock(0)), rate: { limit: 300, periodSeconds: 60 } },
  };
  const environment = environmentOf(setting, "alerter");
  const known = new Set(knownVariables());
  ok(Object.keys(environment).every((name) => known.has(name)));
  deepEqual([environment.REMEDIATION_INTERVAL, environment.MOOG_RATE_PERIOD, environment.MOOG_RATE_LIMIT], [
    ...["5", "1", "300"],
  ]);
  equal(environment.MOOG_HEALTH_CACHE_SECONDS, "1");
  equal(createOurs("alerter").title, "ours (alerter)");
});

const RESULT: Result = {
  account: {
    entered: 10,
    fates: { delivered: 6, destroyed: 1, discarded: 0, queued: 0, wedged: 0, dlqAlerter: 2, dlqMoog: 0, dead: 1 },
    ...{ unaccounted: 0, doubled: 0, strangers: 0, lostByReplays: 1, lostByPipeline: 0, wronglyDead: 0, bounced: 4 },
  },
  ...{
    healedAfterMinutes: null,
    unhealed: 2,
    watchedMinutes: 30,
    backlog: 2,
    queued: 0,
    emptiedAfterMinutes: null,
    commands: 1_234,
    worstLagMs: 12,
    lateShare: 0,
    liveDelaySeconds: 3,
  },
};

Deno.test("formatAccount: names every fate that occurred, and says so where the sum is wrong", () => {
  equal(
    formatAccount(RESULT),
    "10 entered = 6 delivered + 1 destroyed over the rate limit + 1 dead + 2 in the alerter's DLQ (exact)",
  );
  ok(
    formatAccount({ ...RESULT, account: { ...RESULT.account, doubled: 1 } }).includes(
      "(NOT EXACT: 0 without a fate, 1",
    ),
  );
});

Deno.test("formatTable: shows every measure of every contender, and doubts the times of a slow machine", () => {
  const [incident] = INCIDENTS;
  const healed = { ...RESULT, healedAfterMinutes: 7.25, worstLagMs: 900 };
  const table = formatTable(incident!, [{ title: "original", result: RESULT }, { title: "ours", result: healed }]);
  for (const [label] of MEASURES) ok(table.includes(label), label);
  ok(table.includes("not in 30 min (2 open)") && table.includes("7.3 min") && table.includes("1,234"));
  ok(table.includes("ours: times are doubtful: this machine stalled for up to 900 ms"));
  const rows = formatMarkdown(incident!, [{ title: "ours", result: healed }]);
  equal(rows.split("|").length, MEASURES.length + 4);
});
