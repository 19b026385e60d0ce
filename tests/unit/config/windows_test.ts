/** Windows of the sources file: what the parser takes and refuses, and what they say of an instant. */
import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { parseSources } from "../../../src/config/sources_file.ts";
import type { ReplayWindow } from "../../../src/config/window.ts";
import { WindowSchedule } from "../../../src/config/window_schedule.ts";
import { createSources } from "../../../src/mutt/built_in_sources.ts";

const NIGHT = { from: "0 22 * * *", to: "0 6 * * *", reason: "night" };
const HOLIDAY = { from: "2026-12-24T18:00", to: "2026-12-27T06:00", timeZone: "Europe/Berlin", reason: "holidays" };
const ORDERS = { dlq: "o:dlq", target: "o", dead: "o:dead" };

const WRONG: readonly [what: string, window: unknown, problems: readonly string[]][] = [
  ["no object", "22:00", ['windows[0] "22:00" is not an object with from, to and reason']],
  ["nothing", {}, [
    'windows[0].from is missing: a cron expression of five fields ("0 22 * * FRI") or a local time ("2026-12-24T18:00")',
    'windows[0].to is missing: a cron expression of five fields ("0 22 * * FRI") or a local time ("2026-12-24T18:00")',
    "windows[0].reason is missing: one line of 1 to 200 characters, not all blank",
  ]],
  ["a member in wrong letters", { ...NIGHT, timezone: "UTC" }, [
    "windows[0].timezone is unknown: use one of from, to, timeZone, replay, reason",
  ]],
  ["several bad members", { from: "22:00", to: 6, timeZone: "Mars/X", replay: "maybe", reason: " " }, [
    'windows[0].from "22:00" is not a cron expression of five fields',
    "windows[0].to 6 is not a cron expression of five fields",
    'windows[0].timeZone "Mars/X" is not an IANA time zone such as Europe/Berlin or UTC',
    'windows[0].replay "maybe" is not one of never, only',
    'windows[0].reason " " is not one line of 1 to 200 characters',
  ]],
  ["a date that repeats at its end", { ...NIGHT, from: "2026-12-24T18:00" }, [
    'windows[0].to "0 6 * * *" is not a local time, as from is',
  ]],
  ["a repetition that ends at a date", { ...NIGHT, to: "2026-12-24T18:00" }, [
    'windows[0].to "2026-12-24T18:00" is not a cron expression, as from is',
  ]],
  ["an end before the start", { ...HOLIDAY, to: "2026-12-24T17:59:59" }, [
    'windows[0].to "2026-12-24T17:59:59" is not after from',
  ]],
  ["an end at the start", { ...NIGHT, to: NIGHT.from }, [
    'windows[0].to "0 22 * * *" is not at another time than from',
  ]],
  ["an end at the start in other words", { ...NIGHT, to: "00 22 */1 * *" }, [
    'windows[0].to "00 22 */1 * *" is not at another time than from',
  ]],
];

for (const [what, window, problems] of WRONG) {
  Deno.test(`parseSources: refuses a window with ${what}, at every place`, () => {
    for (
      const [file, place] of [[{ windows: [window] }, ""], [
        { sources: { orders: { ...ORDERS, windows: [window] } } },
        "sources.orders.",
      ]] as const
    ) {
      const parsed = parseSources(JSON.stringify(file), DEFAULT_SETTINGS);
      assert.ok(!parsed.ok);
      assert.equal(parsed.problems.length, problems.length, parsed.problems.join("\n"));
      problems.forEach((start, at) => assert.ok(parsed.problems[at]!.startsWith(place + start), parsed.problems[at]));
    }
  });
}

Deno.test("parseSources: takes a file with windows only, and gives them to every source before its own", () => {
  const only = parseSources(JSON.stringify({ windows: [NIGHT] }), DEFAULT_SETTINGS);
  assert.ok(only.ok);
  assert.deepEqual(createSources(DEFAULT_SETTINGS, only.file).map(({ windows }) => windows), [
    [{ ...NIGHT, timeZone: "UTC", replay: "never" }],
  ]);
  const own = { ...HOLIDAY, replay: "only" },
    text = JSON.stringify({
      ...{ windows: [NIGHT], sources: { alerter: { windows: [own] }, orders: ORDERS } },
    });
  const both = parseSources(text, DEFAULT_SETTINGS);
  assert.ok(both.ok);
  const [alerter, orders] = createSources(DEFAULT_SETTINGS, both.file);
  assert.deepEqual(alerter!.windows.map(({ reason, replay }) => `${reason} ${replay}`), [
    "night never",
    "holidays only",
  ]);
  assert.deepEqual(orders!.windows.map(({ reason }) => reason), ["night"]);
});

Deno.test("parseSources: refuses a file with windows only if no source is left", () => {
  const parsed = parseSources(JSON.stringify({ windows: [NIGHT] }), { ...DEFAULT_SETTINGS, sources: [] });
  assert.ok(!parsed.ok);
  assert.match(parsed.problems.join(), /^sources names no source of its own, and REMEDIATION_SOURCES is none/);
});

Deno.test("parseSources: warns of windows that are over, and of none before", () => {
  const text = JSON.stringify({
    windows: [NIGHT, HOLIDAY],
    sources: { orders: { ...ORDERS, windows: [{ ...HOLIDAY, replay: "only" }] } },
  });
  const warningsAt = (at: string) => {
    const parsed = parseSources(text, DEFAULT_SETTINGS, { nowMs: Date.parse(at) });
    assert.ok(parsed.ok);
    return parsed.warnings;
  };
  assert.deepEqual(warningsAt("2026-12-27T04:59:59Z"), []);
  assert.deepEqual(warningsAt("2026-12-27T05:00:00Z"), [
    "windows[1] is over since 2026-12-27T06:00 (Europe/Berlin): it has no effect",
    "sources.orders.windows[0] is over since 2026-12-27T06:00 (Europe/Berlin): it lets nothing be replayed any more",
  ]);
});

const window = (from: string, to: string, more: Partial<ReplayWindow> = {}): ReplayWindow => ({
  ...{ from, to, timeZone: "UTC", replay: "never", reason: `${from} to ${to}`, ...more },
});
const NEVER = window("0 22 * * *", "0 6 * * *", { reason: "a" });
const LATER = window("0 5 * * *", "0 8 * * *", { reason: "b" });
const ONLY = window("0 7 * * *", "0 12 * * *", { reason: "c", replay: "only" });
const OTHER = window("0 14 * * *", "0 16 * * *", { reason: "d", replay: "only" });
const OVER = window("2026-01-01T00:00", "2026-01-02T00:00", { reason: "e", replay: "only" });
/** It never stops: another begins before one ends. */
const ALWAYS = [window("0 0 * * *", "0 13 * * *", { reason: "f" }), window("0 12 * * *", "0 1 * * *", { reason: "g" })];

const SCHEDULES: readonly [windows: readonly ReplayWindow[], at: string, said: string][] = [
  [[], "2026-06-01T00:00", "open for ever"],
  [[NEVER], "2026-06-01T21:59", "open until 2026-06-01T22:00"],
  [[NEVER], "2026-06-01T22:00", "a until 2026-06-02T06:00"],
  // One window ends while the next one lasts: replay is allowed when both are over.
  [[NEVER, LATER], "2026-06-01T23:00", "a until 2026-06-02T08:00"],
  [[NEVER, LATER], "2026-06-02T06:00", "b until 2026-06-02T08:00"],
  // Several `only` windows: inside any of them.
  [[ONLY, OTHER], "2026-06-01T08:00", "open until 2026-06-01T12:00"],
  [[ONLY, OTHER], "2026-06-01T12:00", "d until 2026-06-01T14:00"],
  [[ONLY, OTHER], "2026-06-01T16:00", "c until 2026-06-02T07:00"],
  // Both kinds: inside an `only` window and outside every `never` window.
  [[ONLY, LATER], "2026-06-01T06:00", "b until 2026-06-01T08:00"],
  [[ONLY, LATER], "2026-06-01T08:00", "open until 2026-06-01T12:00"],
  [[ONLY, LATER], "2026-06-01T12:00", "c until 2026-06-02T08:00"],
  // An `only` window that is over never opens again.
  [[OVER], "2026-06-01T00:00", "e for ever"],
  [[OVER, ONLY], "2026-06-01T00:00", "c until 2026-06-01T07:00"],
  [ALWAYS, "2026-06-01T00:30", "f for ever"],
];

Deno.test("WindowSchedule.at: says which window holds replay, and until when", () => {
  for (const [windows, at, said] of SCHEDULES) {
    const { heldBy, flipsAtMs } = new WindowSchedule(windows).at(Date.parse(`${at}Z`));
    const until = flipsAtMs === null ? "for ever" : `until ${new Date(flipsAtMs).toISOString().slice(0, 16)}`;
    assert.equal(`${heldBy?.reason ?? "open"} ${until}`, said, `${windows.map(({ reason }) => reason)} at ${at}`);
  }
});

Deno.test("WindowSchedule.at: finds the end of a long window behind very many changes of others", () => {
  const hourly = window("0 * * * *", "30 * * * *", { replay: "only" });
  const year = window("2026-01-01T00:00", "2026-12-01T00:00", { reason: "year" });
  const { heldBy, flipsAtMs } = new WindowSchedule([hourly, year]).at(Date.parse("2026-01-02T00:00Z"));
  assert.deepEqual([heldBy, flipsAtMs], [year, Date.parse("2026-12-01T00:00Z")]);
});

Deno.test("WindowSchedule.at: says how far it has looked if it finds no end", () => {
  const nowMs = Date.parse("2026-06-01T00:30Z"), { flipsAtMs, lookedUntilMs } = new WindowSchedule(ALWAYS).at(nowMs);
  assert.equal(flipsAtMs, null);
  assert.ok(lookedUntilMs > nowMs + 30 * 86_400_000 && lookedUntilMs < Infinity, String(lookedUntilMs));
  assert.equal(new WindowSchedule([OVER]).at(nowMs).lookedUntilMs, Infinity);
});

Deno.test("WindowSchedule.at: looks ahead once, however often single windows change before the next flip", () => {
  const minutes = Array.from({ length: 20 }, () => window("*/2 * * * *", "1-59/2 * * * *", { replay: "only" }));
  const others = minutes.map(({ from, to }) => window(to, from, { replay: "only" }));
  const schedule = new WindowSchedule([...minutes, ...others]), startMs = Date.parse("2026-06-01T00:00Z");
  // One of them is always open. An instant before which nothing flips stays the same until it is reached.
  const { lookedUntilMs } = schedule.at(startMs);
  for (let minute = 1; startMs + minute * 60_000 < lookedUntilMs; minute++) {
    assert.equal(schedule.at(startMs + minute * 60_000).lookedUntilMs, lookedUntilMs);
  }
  assert.ok(lookedUntilMs > startMs + 5 * 60_000);
});

Deno.test("WindowSchedule.at: what it keeps is right when time goes on, and when the clock is set back", () => {
  const kept = new WindowSchedule([NEVER, LATER, ONLY]), minute = 60_000, startMs = Date.parse("2026-06-01T00:00Z");
  const instants = Array.from({ length: 600 }, (_, i) => startMs + i * 7 * minute);
  for (const nowMs of [...instants, ...instants.toReversed()]) {
    assert.deepEqual(kept.at(nowMs), new WindowSchedule([NEVER, LATER, ONLY]).at(nowMs), new Date(nowMs).toISOString());
  }
});
