import assert from "node:assert/strict";
import { Metrics } from "../../../src/observability/metrics.ts";
import { SloMetrics } from "../../../src/slo/metrics.ts";
import { SLO_NAMES } from "../../../src/slo/objectives.ts";

const ALERTER = { name: "alerter", gates: ["downstream"], queues: [] };

function createMetrics() {
  const slo = new SloMetrics({
    ...{ time_to_drain: 0.95, oldest_age: 0.95, redrive_success: 0.95, downstream_availability: 0.95 },
  });
  const metrics = new Metrics({
    sources: [ALERTER],
    ...{ commitResults: [], redisErrorCodes: [], version: "1.2.3", commit: "abc", more: [slo] },
    readProcessUsage: () => ({ residentBytes: 1000, cpuSeconds: 1.5, startedAtSeconds: 1_700_000_000 }),
  });
  return { metrics, slo };
}

/** Sample lines by name and labels. */
async function samples(metrics: Metrics): Promise<Map<string, string>> {
  const lines = (await metrics.render()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]));
}

Deno.test("SloMetrics: has the events and the target of every objective, and counts what is added", async () => {
  const { metrics, slo: objectives } = createMetrics();
  objectives.counters.add("alerter", "redrive_success", { events: 7, bad: 2 });
  objectives.counters.add("alerter", "redrive_success", { bad: 1 });
  objectives.counters.add("nobody", "redrive_success", { events: 1 });
  await metrics.render(); // a scrape counts nothing
  const all = await samples(metrics);
  for (const slo of SLO_NAMES) {
    const labels = `{source="alerter",slo="${slo}"}`, isCounted = slo === "redrive_success";
    assert.equal(all.get(`mutt_remediation_slo_events_total${labels}`), isCounted ? "7" : "0");
    assert.equal(all.get(`mutt_remediation_slo_bad_events_total${labels}`), isCounted ? "3" : "0");
    assert.equal(all.get(`mutt_remediation_slo_target${labels}`), "0.95");
  }
  assert.equal([...all.keys()].filter((name) => name.includes("nobody")).length, 0);
});

Deno.test("SloMetrics: forgets the objectives of a source that is gone, and keeps the counts of one that comes back", async () => {
  const { metrics, slo: objectives } = createMetrics();
  const shown = async () => [...await samples(metrics)].filter(([name]) => name.includes("_slo_events_total"));
  objectives.counters.add("alerter", "oldest_age", { events: 3 });
  metrics.removeSource(ALERTER, { keepCounters: true });
  metrics.addSource(ALERTER);
  assert.deepEqual((await shown()).map(([, value]) => value), ["0", "3", "0", "0"]);
  metrics.removeSource(ALERTER, { keepCounters: false });
  assert.deepEqual([...(await samples(metrics)).keys()].filter((name) => name.includes("_slo_")), []);
});

Deno.test("SloMetrics: a source that asks no Moogsoft has no series about it, from the moment that its gate is gone", async () => {
  const { metrics, slo: objectives } = createMetrics(), own = { ...ALERTER, gates: ["depth"] };
  const about = async () => [...await samples(metrics)].filter(([name]) => name.includes("downstream_availability"));
  assert.equal((await about()).length, 3);
  metrics.removeSource(ALERTER, { keepCounters: true });
  metrics.addSource(own);
  objectives.counters.add("alerter", "downstream_availability", { events: 1 });
  assert.deepEqual(await about(), []);
});
