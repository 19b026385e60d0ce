import assert from "node:assert/strict";
import fc from "fast-check";
import { INCIDENT_KINDS, type Route, type Severity } from "../../../src/config/notify.ts";
import {
  countWaiting,
  createMemory,
  type DeliveryOptions,
  mergeMemories,
  nextNotice,
  noteTold,
  noticeId,
  type ReceiverMemory,
} from "../../../src/notify/delivery.ts";
import { parseReceiver } from "../../../src/notify/saved.ts";
import type { TrackedIncident } from "../../../src/notify/tracker.ts";

const MINUTE = 60_000;
const ALL: Route = { sources: null, kinds: INCIDENT_KINDS, severity: "info", receivers: ["ops"] };
const EMPTY = createMemory([], 0);

function incident(id: number, more: Partial<TrackedIncident> = {}): TrackedIncident {
  return {
    ...{ id: `i_0000000${id}`, kind: "dead", cause: "poison", severity: "warning", sources: ["alerter"], groups: [] },
    ...{
      beganMs: id * MINUTE,
      endedMs: null,
      untilMs: 0,
      detail: "",
      revision: 1,
      journalled: { revision: 1, atMs: 0 },
    },
    ...more,
  };
}

/** Tells everything that is due at a minute, and returns it. */
function tell(
  memory: ReceiverMemory,
  incidents: readonly TrackedIncident[],
  minute: number,
  more: Partial<DeliveryOptions> = {},
): { said: readonly string[]; memory: ReceiverMemory } {
  const options: DeliveryOptions = {
    ...{ receiver: "ops", routes: [ALL], updateMs: 10 * MINUTE, repeatMs: null, isQuiet: () => false },
    nowMs: minute * MINUTE,
    ...more,
  };
  const said: string[] = [];
  for (let due = nextNotice(memory, incidents, options); due; due = nextNotice(memory, incidents, options)) {
    said.push(`${due.event}${due.isRepeat ? " again" : ""} ${noticeId(memory, due)}`);
    memory = parseReceiver(JSON.stringify(noteTold(memory, due, { nowMs: options.nowMs, kept: incidents })))!;
    assert.ok(said.length < 50);
  }
  assert.equal(countWaiting(memory, incidents, options), 0);
  return { said, memory };
}

Deno.test("nextNotice: tells each incident when it begins, changes and ends", () => {
  let memory = EMPTY;
  const at = (minute: number, incidents: readonly TrackedIncident[]) => {
    const told = tell(memory, incidents, minute);
    memory = told.memory;
    return told.said;
  };
  assert.deepEqual(at(3, [incident(2), incident(1)]), ["began n_00000001_1", "began n_00000002_1"], "the older first");
  assert.deepEqual(at(4, [incident(1), incident(2, { revision: 2 })]), [], "too soon for an update");
  assert.deepEqual(at(13, [incident(1), incident(2, { revision: 3 })]), ["updated n_00000002_2"]);
  assert.deepEqual(at(14, [incident(1, { endedMs: 1, revision: 2 }), incident(2)]), ["ended n_00000001_2"]);
  assert.deepEqual(at(99, [incident(1, { endedMs: 1, revision: 2 }), incident(2)]), []);
  assert.deepEqual([memory.sent, memory.dropped, memory.lastSentMs], [4, 0, 14 * MINUTE]);
});

Deno.test("nextNotice: one notice for what began and ended while nothing could be told", () => {
  const ended = incident(1, { endedMs: 5 * MINUTE, revision: 7 });
  assert.deepEqual(tell(EMPTY, [ended], 60).said, ["ended n_00000001_1"]);
  const job = incident(2, { kind: "job_failed", endedMs: 2 * MINUTE });
  assert.deepEqual(tell(EMPTY, [job], 60).said, ["happened n_00000002_1"]);
});

Deno.test("createMemory: a new receiver is told what is open, and nothing of what was over", () => {
  const incidents = [incident(1, { endedMs: 5 }), incident(2)];
  assert.deepEqual(tell(createMemory(incidents, 9), incidents, 60).said, ["began n_00000002_1"]);
});

Deno.test("nextNotice: follows the routes", () => {
  const cases: readonly (readonly [Partial<Route>, Partial<TrackedIncident>, boolean])[] = [
    [{}, {}, true],
    [{ receivers: ["other"] }, {}, false],
    [{ kinds: ["gate_closed"] }, {}, false],
    [{ severity: "critical" }, {}, false],
    [{ severity: "warning" }, { severity: "critical" }, true],
    [{ sources: ["moog"] }, {}, false],
    [{ sources: ["moog"] }, { sources: ["alerter", "moog"] }, true],
    [{ sources: ["moog"] }, { sources: [] }, false],
    [{ sources: null }, { sources: [] }, true],
  ];
  for (const [route, of, isTold] of cases) {
    const { said } = tell(EMPTY, [incident(1, of)], 60, { routes: [{ ...ALL, kinds: ["dead"], ...route }] });
    assert.equal(said.length > 0, isTold, JSON.stringify([route, of]));
  }
  assert.equal(tell(EMPTY, [incident(1)], 60, { routes: [ALL, ALL] }).said.length, 1, "once, though two routes fit");
});

Deno.test("nextNotice: holds notices in quiet hours, and tells the state after them", () => {
  const isQuiet = (severity: Severity) => severity !== "critical";
  const incidents = [incident(1), incident(2, { severity: "critical" }), incident(3, { endedMs: 5 * MINUTE })];
  const quiet: DeliveryOptions = {
    ...{ receiver: "ops", routes: [ALL], updateMs: MINUTE, repeatMs: null, isQuiet, nowMs: 60 * MINUTE },
  };
  const due = nextNotice(EMPTY, incidents, quiet)!;
  assert.equal(due.incident.id, "i_00000002");
  const memory = noteTold(EMPTY, due, { nowMs: quiet.nowMs, kept: incidents });
  assert.equal(nextNotice(memory, incidents, quiet), null);
  assert.equal(countWaiting(memory, incidents, quiet), 2);
  assert.deepEqual(tell(memory, incidents, 61).said, ["began n_00000001_1", "ended n_00000003_1"]);
});

Deno.test("nextNotice: repeats an open incident for a receiver that forgets, with the same id", () => {
  const options = { repeatMs: MINUTE };
  const first = tell(EMPTY, [incident(1)], 1, options);
  assert.deepEqual(first.said, ["began n_00000001_1"]);
  const second = tell(first.memory, [incident(1)], 2, options);
  assert.deepEqual(second.said, ["began again n_00000001_1"]);
  assert.equal(second.memory.sent, 1);
  assert.deepEqual(tell(second.memory, [incident(1, { endedMs: 9, revision: 2 })], 3, options).said, [
    "ended n_00000001_2",
  ]);
});

Deno.test("nextNotice: repeats in quiet hours too, or the receiver would take the incident for ended", () => {
  const options = { repeatMs: MINUTE }, { memory } = tell(EMPTY, [incident(1)], 1, options);
  const quiet = { ...options, isQuiet: () => true };
  const held = { receiver: "ops", routes: [ALL], updateMs: MINUTE, nowMs: 3 * MINUTE, ...quiet };
  assert.equal(nextNotice(memory, [incident(1)], held)?.isRepeat, true);
  assert.equal(nextNotice(memory, [incident(1, { revision: 2 })], held)?.isRepeat, true, "in place of the update");
  assert.equal(nextNotice(memory, [incident(1, { endedMs: 9, revision: 2 })], held), null, "the end waits");
  assert.equal(nextNotice(memory, [incident(2)], held), null, "a new one waits");
});

Deno.test("noteTold: forgets incidents that are not kept any more, and counts what was given up", () => {
  const { memory } = tell(EMPTY, [incident(1)], 1);
  const due = { event: "began", incident: incident(2), isRepeat: false } as const;
  const next = noteTold(memory, due, { nowMs: 5, kept: [incident(2)], isDropped: true });
  assert.deepEqual([Object.keys(next.told), next.sent, next.dropped, next.lastSentMs], [["i_00000002"], 1, 1, MINUTE]);
});

Deno.test("mergeMemories: the later word on each incident wins", () => {
  const saved = tell(EMPTY, [incident(1), incident(2)], 1).memory;
  const own = tell(saved, [incident(1, { endedMs: 3, revision: 2 }), incident(2)], 3).memory;
  const merged = mergeMemories(saved, own);
  assert.deepEqual([merged.told.i_00000001!.event, merged.told.i_00000002!.event, merged.sent], ["ended", "began", 3]);
  assert.deepEqual(mergeMemories(own, saved), own);
});

Deno.test("nextNotice: whatever happens, a receiver hears of a begin once and of an end once", () => {
  const step = fc.record({
    minutes: fc.integer({ min: 0, max: 30 }),
    ends: fc.boolean(),
    changes: fc.boolean(),
    isQuiet: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    let now = incident(1), memory = EMPTY, minute = 1;
    const events: string[] = [], ids = new Set<string>();
    for (const { minutes, ends, changes, isQuiet } of steps) {
      minute += minutes;
      if (changes && now.endedMs === null) now = { ...now, revision: now.revision + 1 };
      if (ends && now.endedMs === null) now = { ...now, endedMs: minute * MINUTE, revision: now.revision + 1 };
      const options = { receiver: "ops", routes: [ALL], updateMs: 10 * MINUTE, repeatMs: null, nowMs: minute * MINUTE };
      const due = nextNotice(memory, [now], { ...options, isQuiet: () => isQuiet });
      if (!due) continue;
      events.push(due.event);
      ids.add(noticeId(memory, due));
      memory = noteTold(memory, due, { nowMs: minute * MINUTE, kept: [now] });
    }
    assert.match(events.join(" "), /^(|ended|began( updated)*( ended)?)$/);
    assert.equal(ids.size, events.length);
  }));
});
