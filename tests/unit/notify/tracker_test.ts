import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_RULES, type IncidentRules } from "../../../src/config/notify.ts";
import type { ObservedEntry, ObservedSample, ObservedSource } from "../../../src/notify/observation.ts";
import { formatTracking, MOST_TRACKING_BYTES, parseTracking } from "../../../src/notify/saved.ts";
import {
  type Change,
  NOTHING_TRACKED,
  track,
  type TrackedIncident,
  type Tracking,
} from "../../../src/notify/tracker.ts";

const MINUTE = 60_000, START = Date.parse("2026-11-30T12:00:00Z");

/** A service that is observed step by step, and what the tracker said at each. */
class Watched {
  #tracking: Tracking = NOTHING_TRACKED;
  #ids = 0;
  readonly told: string[] = [];

  constructor(readonly rules: IncidentRules = DEFAULT_RULES, readonly updateMs = 30 * MINUTE) {}

  get tracking(): Tracking {
    return this.#tracking;
  }

  /** Observes at a minute. Between any two observations what is tracked goes through its text in Redis. */
  at(
    minute: number,
    sources: readonly ObservedSource[],
    entries: readonly ObservedEntry[] = [],
    instances: readonly string[] | null = null,
  ): readonly Change[] {
    const { tracking, changes } = track(
      this.#tracking,
      { nowMs: START + minute * MINUTE, watchingSinceMs: START, sources, entries, instances },
      { rules: this.rules, updateMs: this.updateMs, createId: () => `i_${String(++this.#ids).padStart(8, "0")}` },
    );
    this.#tracking = parseTracking(JSON.stringify({ cursor: "", tracking }))!.tracking;
    for (const { event, incident: { kind, cause, sources, detail } } of changes) {
      this.told.push(`${minute} ${event} ${kind}/${cause} [${sources}] ${detail}`);
    }
    return changes;
  }
}

const at = (minute: number) => START + minute * MINUTE;
const sample = (minute: number, more: Partial<ObservedSample> = {}): ObservedSample => ({
  ...{ atMs: at(minute), depth: 0, moved: 0, heldBy: [], ...more },
});
const source = (
  name: string,
  samples: readonly ObservedSample[],
  oldestAgeMs: number | null = null,
): ObservedSource => ({
  ...{ name, samples, oldestAgeMs },
});
const deaths = (name: string, minute: number, dead: Record<string, number>): ObservedEntry => ({
  ...{ what: "deaths", source: name, atMs: at(minute), dead },
});
const closed = (name: string, detail = "503") => ({ heldBy: [{ name, reason: "unhealthy", detail }] });

Deno.test("track: a burst of poison is one incident, which ends when there was none for a while", () => {
  const watched = new Watched();
  watched.at(0, [source("alerter", [sample(0)])]);
  for (let i = 1; i <= 5; i++) {
    watched.at(i, [source("alerter", [sample(i)])], [deaths("alerter", i, { poison: 2_000 })]);
  }
  for (let i = 6; i <= 20; i++) watched.at(i, [source("alerter", [sample(i)])]);
  assert.deepEqual(watched.told, [
    "1 began dead/poison [alerter] 2000 messages moved to the dead list as poison",
    "15 ended dead/poison [alerter] 10000 messages moved to the dead list as poison",
  ]);
  const [incident] = watched.tracking.incidents;
  assert.deepEqual([incident!.beganMs, incident!.endedMs], [at(1), at(5)], "it lasted as long as messages died");
});

Deno.test("track: deaths of several sources and reasons are one incident a reason", () => {
  const watched = new Watched();
  const both = (i: number) => [source("alerter", [sample(i)]), source("moog", [sample(i)])];
  watched.at(1, both(1), [deaths("alerter", 1, { poison: 3, malformed: 1 })]);
  watched.at(2, both(2), [deaths("moog", 2, { poison: 4 }), deaths("moog", 2, { buried: 9, drill: 100 })]);
  for (let i = 3; i < 40; i++) watched.at(i, both(i), i === 10 ? [deaths("alerter", i, { poison: 1 })] : []);
  assert.deepEqual(watched.told, [
    "1 began dead/poison [alerter] 3 messages moved to the dead list as poison",
    "1 began dead/malformed [alerter] 1 message moved to the dead list as malformed",
    "11 ended dead/malformed [alerter] 1 message moved to the dead list as malformed",
    "20 ended dead/poison [alerter,moog] 8 messages moved to the dead list as poison",
  ]);
  assert.deepEqual(
    watched.tracking.incidents.find(({ cause }) => cause === "poison")!.groups.map((
      { source, count },
    ) => [source, count]),
    [
      ["alerter", 4],
      ["moog", 4],
    ],
  );
});

Deno.test("track: fewer deaths than the rule's count are no incident, unless they come together", () => {
  const rules = { ...DEFAULT_RULES, dead: { count: 3, withinSeconds: 120, quietSeconds: 600 } };
  const watched = new Watched(rules);
  for (const minute of [0, 5, 10, 11, 12]) {
    watched.at(minute, [source("alerter", [sample(minute)])], [deaths("alerter", minute, { poison: 1 })]);
  }
  assert.deepEqual(watched.told, ["12 began dead/poison [alerter] 3 messages moved to the dead list as poison"]);
});

Deno.test("track: deaths that the journal tells late are told all the same", () => {
  const watched = new Watched();
  watched.at(60, [source("alerter", [sample(60)])], [deaths("alerter", 1, { poison: 5 })]);
  assert.deepEqual(watched.told, ["60 began dead/poison [alerter] 5 messages moved to the dead list as poison"]);
  assert.equal(watched.tracking.incidents[0]!.beganMs, at(1));
});

Deno.test("track: a gate that stays closed is one incident for all its sources", () => {
  const watched = new Watched();
  for (let i = 0; i <= 12; i++) {
    const isDown = i >= 1 && i < 10;
    watched.at(i, [
      source("alerter", [sample(i, isDown ? closed("downstream", i === 1 ? "503" : "") : {})]),
      source("moog", [sample(i, isDown && i > 2 ? closed("downstream", "503") : {})]),
    ]);
  }
  assert.deepEqual(watched.told, [
    "6 began gate_closed/downstream [alerter] Gate downstream is closed: 503",
    "10 ended gate_closed/downstream [alerter,moog] Gate downstream is closed: 503",
  ]);
  assert.equal(watched.tracking.incidents[0]!.beganMs, at(1));
});

Deno.test("track: a gate that opens in between begins anew, and one that people close is left out", () => {
  const watched = new Watched();
  for (let i = 0; i <= 30; i++) {
    const heldBy = [...(i % 4 === 0 ? [] : closed("downstream").heldBy), ...closed("pause").heldBy];
    watched.at(i, [source("alerter", [sample(i, { heldBy })])]);
  }
  assert.deepEqual(watched.told, []);
});

Deno.test("track: changes are told at most once an interval", () => {
  const watched = new Watched(DEFAULT_RULES, 10 * MINUTE);
  for (let i = 0; i <= 25; i++) watched.at(i, [source("a", [sample(i, { depth: 20_000 + i, moved: 1 })])]);
  assert.deepEqual(watched.told.map((line) => line.split(" ").slice(0, 2).join(" ")), [
    ...["0 began", "10 updated", "20 updated"],
  ]);
});

Deno.test("track: a depth is no incident while a gate explains it or it shrinks, and ends well below the limit", () => {
  const watched = new Watched();
  const depths: [depth: number, isHeld: boolean][] = [
    ...[[20_000, true], [20_000, true], [20_000, false], [15_000, false], [12_000, false]] as [number, boolean][],
    // It stays: after five minutes it is not shrinking any more.
    ...Array.from({ length: 7 }, (): [number, boolean] => [12_000, false]),
    ...[[9_000, false], [7_900, false]] as [number, boolean][],
  ];
  depths.forEach(([depth, isHeld], i) =>
    watched.at(i, [source("a", [sample(i, { depth, moved: 1, ...(isHeld ? closed("downstream") : {}) })])])
  );
  assert.deepEqual(watched.told, [
    "9 began depth/depth [a] 12000 messages wait, more than 10000 in one DLQ",
    "13 ended depth/depth [a] 9000 messages wait, more than 10000 in one DLQ",
  ]);
});

Deno.test("track: an old message is an incident", () => {
  const watched = new Watched();
  [10, 61, 62, 1].forEach((age, i) => watched.at(i, [source("a", [sample(i, { depth: 5, moved: 1 })], age * MINUTE)]));
  assert.deepEqual(watched.told.map((line) => line.split(" ").slice(0, 3).join(" ")), [
    "1 began age/age",
    "3 ended age/age",
  ]);
});

Deno.test("track: nothing moves though no gate holds it", () => {
  const watched = new Watched();
  for (let i = 0; i <= 14; i++) watched.at(i, [source("a", [sample(i, { depth: 5, moved: i === 13 ? 1 : 0 })])]);
  assert.deepEqual(watched.told.map((line) => line.split(" ").slice(0, 3).join(" ")), [
    ...["10 began stalled/stalled", "13 ended stalled/stalled"],
  ]);
});

Deno.test("track: no sample for long means no leader, but not right after the watch began", () => {
  const watched = new Watched();
  for (let i = 0; i <= 5; i++) {
    watched.at(i, [source("a", i === 5 ? [sample(5)] : [sample(-60, closed("downstream"))])]);
  }
  assert.deepEqual(watched.told.map((line) => line.split(" ").slice(0, 3).join(" ")), [
    ...["2 began no_leader/no_leader", "5 ended no_leader/no_leader"],
  ]);
});

Deno.test("track: jobs that ended happen once; a rejected configuration lasts until one is taken", () => {
  const watched = new Watched();
  const job = (id: string, hasFailed: boolean): ObservedEntry => ({
    ...{ what: "job", source: "a", atMs: at(1), job: id, hasFailed, detail: `Job ${id}` },
  });
  const config = (isRejected: boolean): ObservedEntry => ({
    ...{ what: "config", origin: "sources_file", instance: "pod-1", atMs: at(1), isRejected },
    detail: "sources.a is not an object",
  });
  // The journal may tell of a job twice.
  const jobs = [job("j_1", true), job("j_2", false), job("j_1", true)];
  watched.at(1, [source("a", [sample(1)])], [...jobs, config(true)]);
  watched.at(2, [source("a", [sample(2)])]);
  watched.at(3, [source("a", [sample(3)])], [config(false)]);
  assert.deepEqual(watched.told, [
    "1 began config_rejected/sources_file [] sources.a is not an object",
    "1 happened job_failed/j_1 [a] Job j_1",
    "1 happened job_finished/j_2 [a] Job j_2",
    "3 ended config_rejected/sources_file [] sources.a is not an object",
  ]);
});

Deno.test("track: a rejected configuration lasts until every instance has taken one, or is gone", () => {
  const watched = new Watched(), both = ["pod-1", "pod-2"];
  const config = (instance: string, isRejected: boolean, minute: number): ObservedEntry => ({
    ...{
      what: "config",
      origin: "notify_file",
      instance,
      atMs: at(minute),
      isRejected,
      detail: "receivers is missing",
    },
  });
  watched.at(1, [], [config("pod-1", true, 1), config("pod-2", true, 1)], both);
  watched.at(2, [], [config("pod-1", false, 2)], both);
  watched.at(3, [], [], null);
  assert.equal(watched.told.length, 1, "pod-2 still has the old one");
  watched.at(4, [], [], ["pod-1", "pod-3"]);
  assert.deepEqual(watched.told, [
    "1 began config_rejected/notify_file [] receivers is missing",
    "4 ended config_rejected/notify_file [] receivers is missing",
  ]);
});

Deno.test("track: many jobs do not push out an incident that has ended", () => {
  const watched = new Watched();
  watched.at(1, [source("a", [sample(1)])], [deaths("a", 1, { poison: 1 })]);
  watched.at(20, [source("a", [sample(20)])]);
  const jobs = Array.from({ length: 150 }, (_, i): ObservedEntry => ({
    ...{ what: "job", source: "a", atMs: at(21), job: `j_${i}`, hasFailed: false, detail: "" },
  }));
  watched.at(21, [source("a", [sample(21)])], jobs);
  assert.deepEqual(watched.tracking.incidents.map(({ kind }) => kind).filter((kind) => kind === "dead"), ["dead"]);
  assert.equal(watched.tracking.incidents.length, 101);
});

Deno.test("formatTracking: gives up the oldest ended incidents rather than exceed what can be read back", () => {
  const groups = Array.from({ length: 100 }, (_, i) => ({
    ...{ source: `source_${i}`, count: 1, sample: { id: "m_0123456789abcdef", text: "\u{1F4A5}".repeat(100) } },
  }));
  const incidents = Array.from({ length: 101 }, (_, i): TrackedIncident => ({
    ...{
      id: `i_${String(i).padStart(8, "0")}`,
      kind: "dead",
      cause: "poison",
      severity: "warning",
      sources: [],
      groups,
    },
    ...{ beganMs: i, endedMs: i === 0 ? null : i, untilMs: i, detail: "", revision: 1 },
    journalled: { revision: 1, atMs: 1 },
  }));
  const { text, tracking } = formatTracking({ cursor: "c", tracking: { ...NOTHING_TRACKED, incidents } });
  assert.ok(new TextEncoder().encode(text).length <= MOST_TRACKING_BYTES);
  assert.deepEqual(parseTracking(text), { cursor: "c", tracking });
  const ids = tracking.incidents.map(({ beganMs }) => beganMs);
  assert.ok(ids.length > 5 && ids.length < 101);
  assert.deepEqual([ids[0], ids.at(-1)], [0, 100], "the open one, and the latest");
});

Deno.test("track: a rule that is off tells nothing, and ends what was open", () => {
  const off = Object.fromEntries(Object.keys(DEFAULT_RULES).map((kind) => [kind, "off"])) as unknown as IncidentRules;
  const options = { updateMs: MINUTE, createId: () => "i_00000001" };
  const observation = {
    ...{ nowMs: at(9), watchingSinceMs: START, instances: null, entries: [deaths("a", 1, { poison: 1 })] },
    sources: [source("a", [sample(1, { depth: 1e6, ...closed("downstream") })], 1e9)],
  };
  assert.deepEqual(track(NOTHING_TRACKED, observation, { rules: off, ...options }).changes, []);
  const { tracking } = track(NOTHING_TRACKED, observation, { rules: DEFAULT_RULES, ...options });
  const events = track(tracking, { ...observation, entries: [] }, { rules: off, ...options }).changes.map(({ event }) =>
    event
  );
  assert.deepEqual(new Set(events), new Set(["ended"]));
});

Deno.test("track: whatever is seen, every incident begins once and ends once, and what is kept is bounded", () => {
  const sources = ["a", "b", "c"];
  const step = fc.record({
    minutes: fc.integer({ min: 0, max: 20 }),
    held: fc.subarray(["downstream", "breaker", "pause"]),
    depth: fc.constantFrom(0, 5, 20_000),
    moved: fc.constantFrom(0, 1),
    dead: fc.dictionary(fc.constantFrom("poison", "malformed", "buried"), fc.integer({ min: 0, max: 9 }), {
      maxKeys: 2,
    }),
    age: fc.option(fc.integer({ min: 0, max: 1e7 })),
    who: fc.subarray(sources),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const watched = new Watched();
      const phase = new Map<string, string>();
      let minute = 0;
      for (const { minutes, held, depth, moved, dead, age, who } of steps) {
        minute += minutes;
        const one = sample(minute, { depth, moved, heldBy: held.map((name) => ({ name, reason: "x", detail: "" })) });
        const entries = who.map((name) => deaths(name, minute, dead));
        for (
          const { event, incident } of watched.at(
            minute,
            sources.map((name) => source(name, [one], age)),
            entries,
          )
        ) {
          const before = phase.get(incident.id);
          assert.equal(before, event === "began" ? undefined : "open", `${event} of ${incident.id} after ${before}`);
          phase.set(incident.id, event === "ended" ? "ended" : "open");
          assert.ok(incident.endedMs === null || incident.endedMs >= incident.beganMs);
        }
        const open = watched.tracking.incidents.filter(({ endedMs }) => endedMs === null);
        assert.deepEqual(
          new Set(open.map(({ id }) => id)),
          new Set([...phase].filter(([, now]) => now === "open").map(([id]) => id)),
        );
        assert.ok(!open.some(({ cause }) => cause === "pause" || cause === "buried"));
      }
      assert.ok(JSON.stringify(watched.tracking).length < 200_000);
    }),
    { numRuns: 100 },
  );
});
