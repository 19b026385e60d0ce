import assert from "node:assert/strict";
import { SLOTS } from "../../../src/config/objective_limits.ts";
import { FIELDS } from "../../../src/config/fields.ts";
import {
  addEvents,
  addToSlots,
  chooseSlots,
  COARSE_MS,
  countWindow,
  fineSlotMs,
  MOST_COARSE,
  MOST_FINE,
  NO_COUNTS,
  parseSlot,
  type Slot,
} from "../../../src/slo/slots.ts";
import { SLO_NAMES } from "../../../src/slo/objectives.ts";
import { formatSlot } from "../../../testkit/objective_store.ts";

const slot = (fromMs: number, untilMs: number, events = 1): Slot => ({
  ...{ fromMs, untilMs, counts: addEvents(NO_COUNTS, "oldest_age", { events, bad: 1 }) },
});
const spans = (slots: readonly Slot[]) => slots.map(({ fromMs, untilMs, counts }) => [fromMs, untilMs, counts[2]]);

Deno.test("slots: every legal window is covered by fine slots, and the longest by coarse ones", () => {
  const { parse } = FIELDS.sloWindowMs;
  assert.deepEqual([parse("0.0009"), parse("720.1")], [undefined, undefined]);
  for (const hours of ["0.001", "0.1", "1", "24", "168", "720"]) {
    const windowMs = parse(hours)!, slotMs = fineSlotMs(windowMs);
    assert.ok(slotMs * SLOTS >= windowMs && slotMs < windowMs / SLOTS + 1, `${hours} h`);
  }
  assert.ok(MOST_FINE > SLOTS + 1);
  assert.equal(COARSE_MS, parse("720")! / SLOTS);
  assert.ok(MOST_COARSE * COARSE_MS > parse("720")! + COARSE_MS);
});

Deno.test("addToSlots: the last slot takes events until its time is up; the next one begins where it ended", () => {
  let slots: readonly Slot[] = [];
  const add = (fromMs: number, untilMs: number) =>
    slots = addToSlots(slots, slot(fromMs, untilMs), { slotMs: 100, most: 3 });
  add(1_000, 1_005);
  add(1_004, 1_010);
  add(1_099, 1_104);
  assert.deepEqual(spans(slots), [[1_000, 1_104, 3]]);
  add(1_103, 1_108);
  assert.deepEqual(spans(slots), [[1_000, 1_104, 3], [1_104, 1_108, 1]]);
  add(1_500, 1_505);
  assert.deepEqual(spans(slots).at(-1), [1_500, 1_505, 1], "a gap stays a gap");
  add(1_900, 1_905);
  assert.deepEqual(spans(slots).map(([fromMs]) => fromMs), [1_104, 1_500, 1_900], "the oldest goes");
});

Deno.test("addToSlots: a clock that was set back begins a slot, and one longer than a slot takes nothing", () => {
  const options = { slotMs: 100, most: 9 };
  const back = addToSlots([slot(1_000, 1_050)], slot(500, 505), options);
  assert.deepEqual(spans(back), [[1_000, 1_050, 1], [500, 505, 1]]);
  assert.deepEqual(spans(addToSlots(back, slot(505, 510), options)), [[1_000, 1_050, 1], [500, 510, 2]]);
  assert.deepEqual(spans(addToSlots([slot(0, 5_000)], slot(50, 60), options)), [[0, 5_000, 1], [50, 60, 1]]);
});

Deno.test("countWindow: a slot counts if a part of it is in the window, and not before its time", () => {
  const slots = [slot(0, 10, 1), slot(10, 20, 2), slot(20, 30, 4), slot(40, 50, 8)];
  const over = (nowMs: number, windowMs: number) => countWindow(slots, { nowMs, windowMs }).of.oldest_age.events;
  assert.deepEqual([over(45, 100), over(45, 35), over(45, 34), over(45, 15), over(39, 100), over(60, 10)], [
    ...[15, 14, 14, 8, 7, 0],
  ]);
  assert.deepEqual(countWindow([], { nowMs: 10, windowMs: 10 }), {
    of: Object.fromEntries(SLO_NAMES.map((slo) => [slo, { events: 0, bad: 0 }])),
    ...{ observedMs: 0, sinceMs: null },
  });
});

Deno.test("countWindow: observed is what slots cover, with gaps shorter than a slot, also where they overlap", () => {
  const of = (slots: readonly Slot[]) => {
    const { observedMs, sinceMs } = countWindow(slots, { nowMs: 24_000, windowMs: 24_000 });
    return [observedMs, sinceMs];
  };
  assert.deepEqual(of([slot(-50, 23_950)]), [24_000, 0]);
  assert.deepEqual(of([slot(10_000, 12_000), slot(12_099, 23_950)]), [14_000, 10_000]);
  assert.deepEqual(of([slot(10_000, 12_000), slot(14_000, 24_000)]), [12_000, 10_000]);
  assert.deepEqual(of([slot(10_000, 20_000), slot(14_000, 24_000), slot(11_000, 12_000)]), [14_000, 10_000]);
  assert.deepEqual(of([slot(23_950, 23_950)]), [50, 23_950]);
});

Deno.test("chooseSlots: the coarse ones only where the fine ones do not reach back far enough", () => {
  const fine = [slot(800, 850), slot(850, 900)], coarse = [slot(100, 500), slot(500, 900)];
  const choose = (windowMs: number, given: { fine: readonly Slot[]; coarse: readonly Slot[] }) =>
    chooseSlots(given, { nowMs: 1_000, windowMs });
  assert.equal(choose(200, { fine, coarse }), fine);
  assert.equal(choose(201, { fine, coarse }), coarse);
  assert.equal(choose(10_000, { fine, coarse: [slot(800, 900)] }), fine, "all there is");
  assert.deepEqual(choose(10_000, { fine: [], coarse: [] }), []);
});

Deno.test("parseSlot: reads what was written, and nothing else", () => {
  const written = { number: 1_795_000_000, ...slot(1_795_000_000_000, 1_795_000_360_000, 72) };
  assert.deepEqual(parseSlot(formatSlot(written)), written);
  assert.deepEqual(parseSlot(`${formatSlot(written)} 7 8`), written, "a later version counts more");
  const others = [
    ...["", "7 1 2", "{}", "7 1 2 3 4 5 6 7 8 9", "-7 1 2 1 1 1 1 1 1 1 1", "7 1 2 1 1 1 1 1 1 1 1.5"],
    ...[" 7 1 2 1 1 1 1 1 1 1 1", "7 1 2 1 1 1 1 1 1 1 1\n", "7 1  2 1 1 1 1 1 1 1 1", "7 1 2 1 1 1 1 1 1 1 1e3"],
    ...[`7 1 2 ${"1 ".repeat(500)}1`, "7 1 2678400001 1 1 1 1 1 1 1 1", "7 1 2 1 1 1 1 1 1 1 1234567890123456"],
  ];
  for (const text of others) assert.equal(parseSlot(text), null, text);
});
