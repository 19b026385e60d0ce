/** The gate `window` against an oracle that walks through every minute of the wall clock. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ReplayWindow } from "../../src/config/window.ts";
import { NEW_CYCLE_STATE } from "../../src/cycle/cycle_state.ts";
import { createWindowGate } from "../../src/gates/window.ts";
import { propertyRuns } from "../../testkit/payloads.ts";

const MINUTE_MS = 60_000, DAY_MINUTES = 1_440;
/** Longer than the time between two starts or ends of any window here. */
const WALK_MINUTES = 9 * DAY_MINUTES;
/** Offsets of time zones change only between blocks of this length. */
const BLOCK_MS = 15 * MINUTE_MS;

const ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"];

/** An end of a span that repeats. */
interface Times {
  readonly minute: number;
  readonly hours: readonly number[];
  /** 0: Sunday. Empty: every day. */
  readonly days: readonly number[];
}

/** A window as the oracle sees it. */
interface Spec {
  readonly from: Times;
  readonly to: Times;
  readonly timeZone: string;
  readonly replay: "never" | "only";
}

const cronOf = ({ minute, hours, days }: Times) =>
  `${minute} ${hours.join()} * * ${days.length === 0 ? "*" : days.join()}`;

const toWindow = ({ from, to, timeZone, replay }: Spec): ReplayWindow => ({
  ...{ from: cronOf(from), to: cronOf(to), timeZone, replay, reason: "r" },
});

const offsets = new Map<string, Map<number, number>>();

const formats = Object.fromEntries(
  ZONES.map((
    timeZone,
  ) => [timeZone, new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" })]),
);

/** Minutes that the wall clock of a zone is ahead of UTC. */
function offsetMinutes(timeZone: string, atMs: number): number {
  const blockMs = Math.floor(atMs / BLOCK_MS) * BLOCK_MS, ofZone = offsets.get(timeZone) ?? new Map<number, number>();
  offsets.set(timeZone, ofZone);
  const known = ofZone.get(blockMs);
  if (known !== undefined) return known;
  const format = formats[timeZone]!;
  const offset = (Date.parse(`${format.format(blockMs).replace(" ", "T")}Z`) - blockMs) / MINUTE_MS;
  ofZone.set(blockMs, offset);
  return offset;
}

function matches({ minute, hours, days }: Times, localMinute: number): boolean {
  const inDay = localMinute % DAY_MINUTES, day = (Math.floor(localMinute / DAY_MINUTES) + 4) % 7;
  return inDay % 60 === minute && hours.includes(Math.floor(inDay / 60)) && (days.length === 0 || days.includes(day));
}

/**
 * Walks through the minutes up to an instant. What the wall clock skips happens when it has skipped it; what it shows again does not
 * happen again.
 */
function isInside({ from, to, timeZone }: Spec, nowMs: number): boolean {
  const now = Math.floor(nowMs / MINUTE_MS);
  let inside = false, shown = now - WALK_MINUTES + offsetMinutes(timeZone, (now - WALK_MINUTES) * MINUTE_MS);
  for (let minute = now - WALK_MINUTES + 1; minute <= now; minute++) {
    const local = minute + offsetMinutes(timeZone, minute * MINUTE_MS);
    let starts = false, ends = false;
    for (; shown < local; shown++) {
      starts ||= matches(from, shown + 1);
      ends ||= matches(to, shown + 1);
    }
    if (ends) inside = false;
    else if (starts) inside = true;
  }
  return inside;
}

function isClosed(specs: readonly Spec[], nowMs: number): boolean {
  const only = specs.filter(({ replay }) => replay === "only");
  return specs.some((spec) => spec.replay === "never" && isInside(spec, nowMs)) ||
    (only.length > 0 && !only.some((spec) => isInside(spec, nowMs)));
}

/** The changes of their clocks in 2026. */
const CHANGES = [
  ...["2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-03-08T07:00Z", "2026-11-01T06:00Z"],
  ...["2026-04-04T15:00Z", "2026-10-03T15:30Z", "2026-03-08T05:30Z"],
].map((text) => Date.parse(text));

/** Hours around the changes are as likely as all others. */
const HOUR = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 23 }));
const TIMES: fc.Arbitrary<Times> = fc.record({
  minute: fc.oneof(fc.constantFrom(0, 15, 30), fc.integer({ min: 0, max: 59 })),
  hours: fc.uniqueArray(HOUR, { minLength: 1, maxLength: 2 }),
  days: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
});
const SPEC: fc.Arbitrary<Spec> = fc.record({
  ...{ from: TIMES, to: TIMES },
  timeZone: fc.constantFrom(...ZONES),
  replay: fc.constantFrom("never" as const, "only" as const),
});
const INSTANT = fc.oneof(
  fc.tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -36 * 60, max: 36 * 60 })).map(([atMs, minutes]) =>
    atMs + minutes * MINUTE_MS
  ),
  fc.integer({ min: Date.parse("2026-01-01T00:00Z"), max: Date.parse("2027-01-01T00:00Z") }),
);

Deno.test("createWindowGate: is closed exactly when a walk through every minute of the wall clock says so", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(SPEC, { minLength: 1, maxLength: 3 }), INSTANT, async (specs, nowMs) => {
      const at = { nowMs }, windows = specs.map(toWindow);
      const gate = createWindowGate({
        windows: () => windows,
        snapshot: () => ({ record: NEW_CYCLE_STATE, nowMs: at.nowMs }),
      });
      const { open, retryInMs } = await gate.ask();
      assert.equal(open, !isClosed(specs, nowMs), new Date(nowMs).toISOString());
      if (retryInMs === undefined) return;
      // It says when that changes: until then it does not, and then it does.
      assert.ok(retryInMs > 0);
      const flipsAtMs = nowMs + retryInMs;
      for (const [instantMs, isOpen] of [[flipsAtMs - 1, open], [flipsAtMs, !open]] as const) {
        at.nowMs = instantMs;
        assert.equal((await gate.ask()).open, isOpen);
        assert.equal(isClosed(specs, instantMs), !isOpen, new Date(instantMs).toISOString());
      }
    }),
    propertyRuns(150),
  );
});
