import assert from "node:assert/strict";
import { Figures, type ShownSource } from "../../../src/console/figures.tsx";

/** What the figures read of a source. */
function source(name: string, depth: number | null): ShownSource {
  return {
    explained: {
      source: name,
      depth,
      activity: depth === 0 ? "idle" : "unknown",
      gates: [],
      estimate: { seconds: null, reason: "" },
    },
    status: { oldest: null },
    recorded: { totals: { replayed: 0, cameBack: 0 } },
    drawn: { arrivedPerSecond: null, replayedPerSecond: null },
    deadToday: 0,
  } as unknown as ShownSource;
}

function figures(...sources: ShownSource[]): Map<string, string> {
  const html = String(Figures({ sources, objectives: { components: {} } as never, nowMs: 0 }));
  return new Map([...html.matchAll(/<dt>(.*?)<\/dt><dd>(.*?)<\/dd><dd class="sub">(.*?)<\/dd>/g)].map((
    [, name, value, sub],
  ) => [name!, `${value}: ${sub}`]));
}

Deno.test("Figures: what has not been read is not called empty", () => {
  const unread = figures(source("alerter", null));
  assert.equal(unread.get("Waiting"), "not known: the sources have not been read yet");
  assert.equal(unread.get("Drains in"), "not known: the sources have not been read yet");
  assert.equal(unread.get("Oldest"), "not known: not measured yet");
  assert.equal(figures(source("alerter", 7), source("moog", null)).get("Waiting"), "7: without moog, not read yet");
});

Deno.test("Figures: while Redis is away, what waits is as last read", () => {
  const one = source("alerter", 7);
  const away = {
    ...one,
    explained: { ...one.explained, gates: [{ name: "redis", open: false }] },
  } as unknown as ShownSource;
  assert.match(figures(away).get("Waiting")!, /^7: as last read/);
});

Deno.test("Figures: empty lists are called empty", () => {
  const empty = figures(source("alerter", 0));
  assert.equal(empty.get("Waiting"), "0: every DLQ is empty");
  assert.equal(empty.get("Oldest"), "none: no dead letter waits");
});
