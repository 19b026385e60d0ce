import { deepStrictEqual } from "node:assert/strict";
import { OutageLog } from "../../../src/lifecycle/outage_log.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

Deno.test("OutageLog: logs changes only, and an outage's length, when states repeat", async () => {
  const clock = new TestClock();
  const { log, lines } = recordLog();
  const outages = new OutageLog({ clock, log, event: "moog_health", subject: "moog health" });
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
    outages.note({ ok, reason, detail: "d" });
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
