/** What the family `healed` plays and promises; the play itself is tests/long/bench_test.ts. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { boundSeconds, CASES, incidentOf, OUTAGES } from "../../../bench/families/healed.ts";
import { SHED_THRESHOLD } from "../../../testkit/mutt/alerter_rules.ts";
import { BREAKER_TIMEOUT_SECONDS } from "../../../testkit/mutt/breaker.ts";

const { full } = OUTAGES;

Deno.test("boundSeconds: is 1.25 times what the limit takes beside live traffic, and a minute", () => {
  equal(boundSeconds(9_000, full), 1.25 * 9_000 / 45 + 60);
});

Deno.test("incidentOf: in full, plays MUTT's defaults in real time, and 10,000 wait when Moogsoft returns", () => {
  deepEqual([full.factor, full.rate, full.queued, full.backlog], [
    ...[1, { limit: 50, periodSeconds: 1 }, SHED_THRESHOLD, 10_000],
  ]);
  for (const one of CASES) {
    const { streams, faultEndsAtMinute, endsAtMinute, changes } = incidentOf(one, full);
    const [live, more] = streams.map(({ perMinute }) => perMinute);
    const perSecond = (live! + more!) / 60;
    ok(Math.abs(perSecond * full.downSeconds - 10_000 - (one.fillsQueue ? SHED_THRESHOLD : 0)) < 1);
    ok(perSecond < 50, "the limiter destroys nothing in the outage");
    deepEqual(changes.map(({ world }) => world.moogStatus), [one.moogStatus, 200]);
    ok(endsAtMinute - faultEndsAtMinute >= boundSeconds(10_000, full) / 60);
  }
  ok(full.downSeconds >= BREAKER_TIMEOUT_SECONDS, "so the breaker half opens at about the return");
});
