import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type Drill, parseDrill } from "../../../src/drill/drill.ts";
import { describeReport, type DrillEnd, hasFault, makeReport } from "../../../src/drill/report.ts";

const DRILL = parseDrill({
  ...{ id: "d_0123456789abcdef", phase: "cleaning", target: "mock", gate: "downstream", by: "ann", reason: "weekly" },
  ...{ messages: "100", seeded: "100", startedAtMs: "1000", heldUntilMs: "61000", healUntilMs: "99000" },
  ...{ noticedAtMs: "3000", outcome: "healed", decidedAtMs: "70000" },
})!;
const END: DrillEnd = {
  ...{ source: "alerter", endedAtMs: 71_000, takenAtMs: 66_000, incidentAtMs: null, notices: null },
  count: { arrived: 100, returned: 0, lost: 0, doubled: 0, left: 0 },
};
const report = (drill: Partial<Drill> = {}, end: Partial<DrillEnd> = {}) =>
  makeReport({ ...DRILL, ...drill }, { ...END, ...end });

Deno.test("makeReport: counts from the beginning of the outage to the notice, and from its end to the last message", () => {
  const { outageMs, noticeMs, healMs, incidentMs, startedAt, endedAt } = report();
  deepStrictEqual({ outageMs, noticeMs, healMs, incidentMs, startedAt, endedAt }, {
    ...{ outageMs: 60_000, noticeMs: 2_000, healMs: 5_000, incidentMs: null },
    ...{ startedAt: "1970-01-01T00:00:01.000Z", endedAt: "1970-01-01T00:01:11.000Z" },
  });
});

Deno.test("makeReport: a drill that was not healed has no time to heal, and a cancelled one had a shorter outage", () => {
  strictEqual(report({ outcome: "timed_out" }).healMs, null);
  const { outageMs, healMs } = report({ outcome: "cancelled", decidedAtMs: 21_000 });
  deepStrictEqual({ outageMs, healMs }, { outageMs: 20_000, healMs: null });
});

Deno.test("describeReport: says what is known, and no more", () => {
  strictEqual(
    describeReport(report()),
    "100 of 100 messages arrived, 0 lost, 0 doubled; noticed after 2 s; healed after 5 s; notifications are not configured",
  );
  const count = { arrived: 90, returned: 0, lost: 4, doubled: 1, left: 6 }, notices = [{ receiver: "ops", sent: 2 }];
  strictEqual(
    describeReport(report({ outcome: "timed_out", noticedAtMs: null }, { count, notices })),
    "90 of 100 messages arrived, 4 lost, 1 doubled; 6 still in the DLQ, which can never reach the target; " +
      "the outage was not noticed; 2 notices sent",
  );
});

Deno.test("hasFault: a message that is lost or there twice is one", () => {
  const faults = [[0, 0], [1, 0], [0, 1]].map(([lost, doubled]) => hasFault({ lost: lost!, doubled: doubled! }));
  deepStrictEqual(faults, [false, true, true]);
});
