import { deepEqual, equal, ok } from "node:assert/strict";
import { makePast } from "../../../demo/past.ts";
import { parseSample } from "../../../src/history/sample.ts";

const NOW_MS = Date.parse("2026-11-30T12:00:00Z"), HOUR_MS = 3_600_000;
const { letters, samples } = makePast({ seed: 1, nowMs: NOW_MS });
const parsed = samples.map(({ atMs, fields }) => {
  const texts = Object.entries(fields).map(([name, value]) => [name, String(value)] as const);
  return parseSample({ id: `${atMs}-0`, fields: new Map(texts) })!;
});

Deno.test("makePast: the service reads every sample of the hour", () => {
  equal(parsed.length, samples.length);
  ok(parsed.every((sample) => sample !== null));
  equal(parsed[0]!.atMs, NOW_MS - HOUR_MS);
  ok(parsed.at(-1)!.atMs < NOW_MS, "the service's own samples come later");
});

Deno.test("makePast: depths are what arrived less what was replayed, and nothing is replayed while the source is held", () => {
  let depth = 0;
  for (const { arrived, replayed, heldBy, depth: found } of parsed) {
    depth += arrived! - replayed;
    equal(found, depth);
    if (heldBy.length > 0) equal(replayed, 0);
  }
});

Deno.test("makePast: the newest sample says what waits, and why", () => {
  const { depth, heldBy } = parsed.at(-1)!;
  equal(letters.length, depth);
  deepEqual(heldBy.map(({ name, reason }) => `${name} ${reason}`), ["downstream unhealthy"]);
});
