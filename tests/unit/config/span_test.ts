import assert from "node:assert/strict";
import fc from "fast-check";
import { isSpanEnd, isTimeZone, Span, whyNoSpan } from "../../../src/config/span.ts";

const at = (text: string) => Date.parse(text);
const shown = ({ isInside, changesAtMs }: { isInside: boolean; changesAtMs: number | null }) =>
  `${isInside ? "in" : "out"} until ${
    changesAtMs === null ? "ever" : new Date(changesAtMs).toISOString().slice(0, 16)
  }`;

/** A span, an instant, and what it says then. */
const TABLE: readonly (readonly [from: string, to: string, timeZone: string, at: string, said: string])[] = [
  // Every night; the start belongs to it, the end does not.
  ["0 22 * * *", "0 6 * * *", "UTC", "2026-06-01T21:59:59Z", "out until 2026-06-01T22:00"],
  ["0 22 * * *", "0 6 * * *", "UTC", "2026-06-01T22:00:00Z", "in until 2026-06-02T06:00"],
  ["0 22 * * *", "0 6 * * *", "UTC", "2026-06-02T05:59:59Z", "in until 2026-06-02T06:00"],
  ["0 22 * * *", "0 6 * * *", "UTC", "2026-06-02T06:00:00Z", "out until 2026-06-02T22:00"],
  // A weekend.
  ["0 18 * * FRI", "0 6 * * MON", "Europe/Berlin", "2026-06-07T12:00:00Z", "in until 2026-06-08T04:00"],
  ["0 18 * * FRI", "0 6 * * MON", "Europe/Berlin", "2026-06-08T04:00:00Z", "out until 2026-06-12T16:00"],
  // The night in which clocks go forward is 7 hours long, the one in which they go back 9 hours.
  ["0 22 * * *", "0 6 * * *", "Europe/Berlin", "2026-03-28T21:00:00Z", "in until 2026-03-29T04:00"],
  ["0 22 * * *", "0 6 * * *", "Europe/Berlin", "2026-10-24T20:00:00Z", "in until 2026-10-25T05:00"],
  ["0 22 * * *", "0 6 * * *", "America/New_York", "2026-03-08T03:00:00Z", "in until 2026-03-08T10:00"],
  ["0 22 * * *", "0 6 * * *", "America/New_York", "2026-11-01T02:00:00Z", "in until 2026-11-01T11:00"],
  // An end that the clocks skip is where they land.
  ["0 0 * * *", "30 2 * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", "in until 2026-03-29T01:00"],
  ["30 2 * * *", "0 4 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "in until 2026-03-29T02:00"],
  // A span within the skipped hour does not happen in that night.
  ["10 2 * * *", "50 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59Z", "out until 2026-03-30T00:10"],
  ["10 2 * * *", "50 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "out until 2026-03-30T00:10"],
  // Of an hour that happens twice, the first counts.
  ["30 2 * * *", "0 4 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "in until 2026-10-25T03:00"],
  ["0 1 * * *", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "out until 2026-10-26T00:00"],
  // Several starts before an end: the span lasts until the end.
  ["0 22 * * *", "0 6 * * MON-FRI", "UTC", "2026-06-05T23:00:00Z", "in until 2026-06-08T06:00"],
  ["0 22 * * *", "0 6 * * MON-FRI", "UTC", "2026-06-07T12:00:00Z", "in until 2026-06-08T06:00"],
  // Several ends after a start: the first one ends it.
  ["0 22 * * FRI", "0 6 * * *", "UTC", "2026-06-07T12:00:00Z", "out until 2026-06-12T22:00"],
  // A start and an end at one instant: it does not begin.
  ["0 22 * * *", "0 22 * * MON", "UTC", "2026-06-08T22:00:00Z", "out until 2026-06-09T22:00"],
  // Neither for most of the week, and then a whole Sunday.
  ["0 * * * *", "0 * * * MON-SAT", "UTC", "2026-06-08T00:00:00Z", "out until 2026-06-14T00:00"],
  ["0 * * * *", "0 * * * MON-SAT", "UTC", "2026-06-14T00:00:00Z", "in until 2026-06-15T00:00"],
  // Lord Howe's clocks change by half an hour: from 2:00 to 2:30, and back.
  ["0 1 * * *", "0 3 * * *", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", "in until 2026-10-03T16:00"],
  ["0 1 * * *", "0 3 * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "in until 2026-04-04T16:30"],
  ["15 2 * * *", "0 4 * * *", "Australia/Lord_Howe", "2026-10-03T15:29:59Z", "out until 2026-10-03T15:30"],
  // So does each time of a list.
  ["30 2,14 * * *", "0 4,16 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "in until 2026-03-29T02:00"],
  ["0 1 * * *", "30 2,14 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "out until 2026-10-26T00:00"],
  // Once.
  ["2026-12-24T18:00", "2026-12-27T06:00", "Europe/Berlin", "2026-12-01T00:00:00Z", "out until 2026-12-24T17:00"],
  ["2026-12-24T18:00", "2026-12-27T06:00", "Europe/Berlin", "2026-12-25T00:00:00Z", "in until 2026-12-27T05:00"],
  ["2026-12-24T18:00", "2026-12-27T06:00", "Europe/Berlin", "2026-12-27T05:00:00Z", "out until ever"],
];

Deno.test("Span.at: tells whether an instant is inside, and until when", () => {
  for (const [from, to, timeZone, instant, said] of TABLE) {
    assert.equal(
      shown(new Span({ from, to, timeZone }).at(at(instant))),
      said,
      `${from} to ${to}, ${timeZone}: ${instant}`,
    );
  }
});

Deno.test("Span.at: asks for another look if very many starts and ends coincide, and the span begins nevertheless", () => {
  const span = new Span({ from: "*/5 * * * *", to: "*/5 * * * MON-SAT", timeZone: "UTC" });
  let nowMs = at("2026-06-08T00:00:00Z"), reading = span.at(nowMs);
  while (!reading.isInside) {
    assert.ok(reading.changesAtMs !== null && reading.changesAtMs > nowMs);
    [nowMs, reading] = [reading.changesAtMs, span.at(reading.changesAtMs)];
  }
  assert.equal(nowMs, at("2026-06-14T00:00:00Z"));
});

Deno.test("whyNoSpan: refuses ends that always coincide", () => {
  const why = (from: string, to: string) => whyNoSpan({ from, to, timeZone: "Europe/Berlin" });
  assert.equal(why("0 22 * * *", "00 22 * * *"), "at another time than from");
  assert.equal(why("0 22 * * FRI", "* * * * *"), "at another time than from");
  assert.equal(why("0 * * * *", "0 * * * MON-SAT"), null);
});

Deno.test("Span.at: changes exactly when it says, in any zone", () => {
  const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu");
  const hour = fc.integer({ min: 0, max: 23 }), minute = fc.integer({ min: 0, max: 59 });
  const instant = fc.integer({ min: at("2026-01-01T00:00:00Z"), max: at("2027-01-01T00:00:00Z") });
  fc.assert(
    fc.property(zone, hour, minute, hour, minute, instant, (timeZone, h1, m1, h2, m2, nowMs) => {
      fc.pre(h1 !== h2 || m1 !== m2);
      const span = new Span({ from: `${m1} ${h1} * * *`, to: `${m2} ${h2} * * *`, timeZone });
      const { isInside, changesAtMs } = span.at(nowMs);
      assert.ok(changesAtMs !== null && changesAtMs > nowMs);
      assert.equal(span.at(changesAtMs - 1).isInside, isInside);
      assert.equal(span.at(changesAtMs).isInside, !isInside);
    }),
    { numRuns: 300 },
  );
});

Deno.test("isSpanEnd: takes cron expressions that happen, and local times that exist", () => {
  for (const good of ["0 22 * * FRI", "*/5 1-3 1,15 * *", "2026-12-24T18:00", "2026-12-24T18:00:30"]) {
    assert.ok(isSpanEnd(good), good);
  }
  for (
    const bad of [
      ...[
        "",
        "22:00",
        "0 22 * *",
        "0 0 22 * * FRI",
        "61 * * * *",
        "0 0 31 2 *",
        "@daily",
        "2026-12-24",
        "2026-13-01T00:00",
      ],
      ...["2026-02-30T00:00", "2026-02-29T00:00", "2026-12-24T24:00", "2026-12-24T18:00:60"],
      ...["2026-12-24T18:00Z", "0 22 * * FRIDAYS", "x".repeat(300), "* * * * * ; rm"],
    ]
  ) assert.ok(!isSpanEnd(bad), bad);
});

Deno.test("isTimeZone: knows the zones of this runtime", () => {
  assert.deepEqual(["UTC", "Europe/Berlin", "Mars/X", "", "CEST?"].map(isTimeZone), [true, true, false, false, false]);
});
