/** The console's parts with many sources: what matters is in sight, and the rest is named in short. */
import assert from "node:assert/strict";
import { DepthCard } from "../../../src/console/depth_card.tsx";
import { FailuresCard } from "../../../src/console/failures_card.tsx";
import type { ShownSource } from "../../../src/console/figures.tsx";
import { few } from "../../../src/console/format.ts";
import type { PageVisit } from "../../../src/console/page.ts";
import { objectives } from "../../../src/console/pages/objectives.tsx";
import type { Recorded } from "../../../src/console/readings.ts";
import { Tracks } from "../../../src/console/tracks.tsx";
import { SLO_NAMES, type SloName } from "../../../src/slo/objectives.ts";

const names = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`);

/** The history of a source whose DLQ had these depths. */
function recorded(source: string, depths: readonly (number | null)[]): Recorded {
  const at = (i: number) => new Date(i * 30_000).toISOString();
  return {
    ...{
      source,
      from: at(0),
      to: at(depths.length),
      stepSeconds: 30,
      staleSince: null,
      changes: [],
      lastReplayAt: null,
    },
    steps: depths.map((depth, i) => ({ at: at(i), depth, heldBy: [] })),
  } as unknown as Recorded;
}

function shown(source: string, activity: "idle" | "waiting"): ShownSource {
  const explained = { source, activity, sentence: "", depth: 0, gates: [], pause: null, estimate: { seconds: null } };
  return { explained, status: { dlq: `${source}:dlq`, oldest: null }, drawn: null } as unknown as ShownSource;
}

Deno.test("few: the first names of many, and never only one more", () => {
  assert.deepEqual([0, 1, 4, 5, 50].map((count) => few(names(count))), [
    ...["", "s0", "s0, s1, s2, s3", "s0, s1, s2 and 2 more", "s0, s1, s2 and 47 more"],
  ]);
});

Deno.test("Tracks: many sources with nothing to do share a card, a few have one each", () => {
  const cards = (idle: number) => {
    const sources = [...names(idle).map((name) => shown(name, "idle")), shown("held", "waiting")];
    const html = String(Tracks({ sources, role: "viewer", nowMs: 0 }));
    for (const name of [...names(idle), "held"]) assert.ok(html.includes(`href="/sources/${name}"`), name);
    return [html.match(/<article/g)?.length, html.includes(`${idle} sources have nothing to do`)];
  };
  assert.deepEqual([cards(8), cards(9), cards(50)], [[9, false], [1, true], [1, true]]);
});

Deno.test("DepthCard: draws the sources with the longest DLQs, and says of how many", () => {
  const sources = names(50).map((name, i) => ({
    depth: null,
    recorded: recorded(name, [0, i % 9 === 4 ? i : 0, null]),
  }));
  const html = String(DepthCard({ title: "Depth", sources }));
  const legend = [...html.matchAll(/<li class="s\d">(\w+) /g)].map(([, name]) => name);
  assert.deepEqual(legend, ["s4", "s13", "s22", "s31", "s40", "s49"]);
  assert.match(html, /Of 50 sources, the 6 with the longest DLQs/);
  assert.ok(!String(DepthCard({ title: "Depth", sources: sources.slice(0, 6) })).includes("longest"));
});

Deno.test("FailuresCard: names a few of those that are being counted", () => {
  const sources = names(20).map((source) => ({ source, depth: 5, recorded: recorded(source, [5]) }));
  const text = (count: number) =>
    String(FailuresCard({ sources: sources.slice(0, count), failures: { latest: () => null } as never, nowMs: 0 }));
  assert.match(text(1), /Counting 5 messages of s0…/);
  assert.match(text(20), /Counting the messages of s0, s1, s2 and 17 more…/);
});

Deno.test("objectives: many sources without a missed one are rows that unfold; a missed one is in sight", async () => {
  const page = async (count: number) => {
    const numbers = { target: 0.9, availability: 1, error_budget_remaining: 1, burn_rate: 0, recent_burn_rate: 0 };
    const counts = { events: 9, bad_events: 0, events_needed: 10, observed_hours: 24, window_hours: 24 };
    const stateOf = (source: string, slo: SloName) =>
      source === "s2" && slo === "oldest_age" ? "critical" : slo === "time_to_drain" ? "ok" : "insufficient_data";
    const components = Object.fromEntries(
      names(count).flatMap((source) =>
        SLO_NAMES.map((
          slo,
        ) => [`${source}.${slo}`, { source, slo, state: stateOf(source, slo), ...numbers, ...counts }])
      ),
    );
    const report = { components, window_hours: 24, pod: "pod-1", since: "2026-01-01T00:00:00.000Z" };
    const visit = { reader: { read: () => Promise.resolve(report) }, live: (_: string, html: unknown) => html };
    return String(await objectives.render(visit as unknown as PageVisit));
  };
  const [few, many] = [await page(3), await page(50)];
  assert.equal(few.match(/<details>/g), null);
  assert.equal(many.match(/<details>/g)?.length, 49);
  assert.match(many, /No objective of 49 sources is missed or at risk/);
  assert.match(many, /<b>s0<\/b><span class="k">1 kept, 3 with too few events<\/span>/);
  assert.ok(many.indexOf("s2") < many.indexOf("<details>"));
});
