import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { describeDuration, HealthLog, OutageLog } from "../../../src/lifecycle/outage_log.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

function setup() {
  const clock = new TestClock();
  const { log, lines } = recordLog();
  const outages = new OutageLog({ clock, log });
  const down = (cause: string) => outages.down(cause, { event: "down", message: `down: ${cause}`, fields: { cause } });
  const up = () =>
    outages.up(({ cause, lasted }) => ({ event: "up", message: `up after ${lasted}`, fields: { last: cause } }));
  return {
    clock,
    outages,
    down,
    up,
    takeLines: () => lines.splice(0).map(({ level, message }) => `${level} ${message}`),
    lines,
  };
}

Deno.test("OutageLog: logs the beginning, each new cause and the end, with the length of the whole outage", async () => {
  const { clock, outages, down, up, takeLines, lines } = setup();
  up();
  for (const cause of ["a", "a", "b", "b"]) {
    down(cause);
    await clock.advance(60_000);
  }
  strictEqual(outages.isDown(), true);
  up();
  up();
  deepStrictEqual(lines.at(-1)!.fields, { last: "b", outage_seconds: 240 });
  deepStrictEqual(takeLines(), ["WARNING down: a", "WARNING down: b", "INFO up after 4 min"]);
  strictEqual(outages.isDown(), false);
  down("b");
  deepStrictEqual(takeLines(), ["WARNING down: b"], "a cause is logged again in the next outage");
});

Deno.test("OutageLog.begin: counts the outage from then on, without a line and without moving a beginning", async () => {
  const { clock, outages, down, up, takeLines, lines } = setup();
  outages.begin();
  await clock.advance(1_500);
  down("a");
  outages.begin();
  await clock.advance(1_000);
  up();
  deepStrictEqual(lines.at(-1)!.fields, { last: "a", outage_seconds: 2.5 });
  deepStrictEqual(takeLines(), ["WARNING down: a", "INFO up after 3 s"]);
});

Deno.test("OutageLog: takes the level that a line names", () => {
  const { outages, takeLines } = setup();
  outages.down("a", { level: "error", event: "down", message: "down" });
  outages.up(() => ({ level: "warning", event: "up", message: "up" }));
  deepStrictEqual(takeLines(), ["ERROR down", "WARNING up"]);
});

Deno.test("HealthLog: logs changes only, and an outage's length, when states repeat", async () => {
  const clock = new TestClock();
  const { log, lines } = recordLog();
  const health = new HealthLog({ clock, log, event: "moog_health", subject: "moog health" });
  const states: [boolean, string][] = [
    [true, "healthy"],
    [true, "healthy"],
    [false, "timeout"],
    [false, "timeout"],
    [false, "unreachable"],
    [true, "healthy"],
    [true, "healthy"],
  ];
  for (const [ok, reason] of states) {
    health.note({ ok, reason, detail: "d" });
    await clock.advance(10_000);
  }
  deepStrictEqual(lines.map(({ level, message }) => `${level} ${message}`), [
    "INFO Remediation: moog health is healthy: d",
    "WARNING Remediation: moog health is down (timeout): d",
    "WARNING Remediation: moog health is down (unreachable): d",
    "INFO Remediation: moog health is healthy again after 30 s: d",
  ]);
  deepStrictEqual(lines[3]!.fields, { reason: "healthy", outage_seconds: 30 });
});

Deno.test("describeDuration: names one unit, from two of it on", () => {
  const durations = [0, 400, 119_499, 120_000, 449_000, 7_199_000, 7_200_000, 172_799_000, 172_800_000, 864_000_000];
  deepStrictEqual(
    durations.map(describeDuration),
    ["0 s", "0 s", "119 s", "2 min", "7 min", "120 min", "2 h", "48 h", "2 d", "10 d"],
  );
});
