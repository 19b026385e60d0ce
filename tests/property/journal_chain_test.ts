/** The chain of a journal: any change of an entry, or of their order, is found; trimming and refused entries are none. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type BreakKind, ChainCheck, type ChainHead, hashEntry } from "../../src/journal/chain.ts";
import type { RawEntry } from "../../src/redis/journal_store.ts";

const KEPT = 5;

interface Made {
  readonly entries: readonly RawEntry[];
  readonly head: string;
}

/** Writes these texts as the scripts do; Redis refuses `null`. */
function write(texts: readonly (string | null)[]): Made {
  const entries: RawEntry[] = [];
  let head: ChainHead = { number: 0, hash: "" };
  texts.forEach((text, i) => {
    head = { ...head, number: head.number + 1 };
    if (text === null) return;
    const entry = { id: `${1_000 + i}-0`, number: String(head.number), previous: head.hash, text, isWhole: true };
    entries.push(entry);
    head = { ...head, hash: hashEntry(entry) };
  });
  return { entries, head: texts.length === 0 ? "" : `${head.number} ${head.hash}` };
}

function verify({ entries, head }: Made, copy?: ChainHead) {
  const check = new ChainCheck({ kept: KEPT, ...(copy ? { copy } : {}) });
  for (const entry of entries) check.add(entry);
  return check.finish(head);
}

const texts = fc.array(fc.option(fc.string(), { freq: 8 }), { maxLength: 30 });

Deno.test("ChainCheck: finds a journal intact, and counts what Redis refused", () => {
  fc.assert(fc.property(texts, (given) => {
    const { isIntact, entries, unwritten, trimmed, breaks } = verify(write(given));
    assert.deepEqual(breaks, []);
    const written = given.filter((text) => text !== null).length;
    assert.deepEqual([isIntact, entries, unwritten, trimmed], [true, written, given.length - written, 0]);
  }));
});

Deno.test("ChainCheck: finds a trimmed journal intact while it holds what it keeps, and the anchor says how many are gone", () => {
  fc.assert(fc.property(fc.array(fc.string(), { minLength: KEPT, maxLength: 30 }), fc.nat(), (given, cut) => {
    const { entries, head } = write(given), gone = cut % (entries.length - KEPT + 1);
    const report = verify({ entries: entries.slice(gone), head });
    assert.deepEqual([report.breaks, report.trimmed, report.entries], [[], gone, entries.length - gone]);
  }));
});

/** One thing that another client may do to a journal. `undefined`: it would change nothing. */
const damages: Readonly<Record<string, (made: Made, at: number, text: string) => Made | undefined>> = {
  "changes the text of an entry": ({ entries, head }, at, text) =>
    entries[at]!.text === text ? undefined : { head, entries: entries.with(at, { ...entries[at]!, text }) },
  "changes the time of an entry": ({ entries, head }, at) => ({
    ...{ head, entries: entries.with(at, { ...entries[at]!, id: entries[at]!.id.replace("-0", "-1") }) },
  }),
  "changes the number of an entry": ({ entries, head }, at) => ({
    ...{ head, entries: entries.with(at, { ...entries[at]!, number: String(Number(entries[at]!.number) + 1) }) },
  }),
  "changes the hash in an entry": ({ entries, head }, at) => ({
    ...{ head, entries: entries.with(at, { ...entries[at]!, previous: "a".repeat(40) }) },
  }),
  "removes an entry that is not the oldest": ({ entries, head }, at) =>
    at === 0 ? undefined : { head, entries: entries.toSpliced(at, 1) },
  "removes the oldest of a journal that is not full": ({ entries, head }, at) =>
    entries.length - at - 1 >= KEPT ? undefined : { head, entries: entries.slice(at + 1) },
  "inserts an entry of its own": ({ entries, head }, at, text) => ({
    ...{ head, entries: entries.toSpliced(at, 0, { id: "1-1", number: "", previous: "", text, isWhole: false }) },
  }),
  "inserts a copy of an entry": ({ entries, head }, at) => ({
    head,
    entries: entries.toSpliced(at, 0, { ...entries[at]!, id: entries[at]!.id.replace("-0", "-1") }),
  }),
  "appends an entry that fits": ({ entries, head }, _, text) => {
    const last = entries.at(-1)!, number = String(Number(last.number) + 1);
    return { head, entries: [...entries, { id: "9999-0", number, previous: hashEntry(last), text, isWhole: true }] };
  },
  "swaps two entries": ({ entries, head }, at) =>
    at === 0 ? undefined : { head, entries: entries.with(at - 1, entries[at]!).with(at, entries[at - 1]!) },
  "deletes the head": ({ entries }) => ({ entries, head: "" }),
  "changes the head": ({ entries }) => ({ entries, head: `${entries.length} ${"b".repeat(40)}` }),
  "writes words in the head": ({ entries }) => ({ entries, head: "any words" }),
};

for (const [name, damage] of Object.entries(damages)) {
  Deno.test(`ChainCheck: finds it when another client ${name}`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { minLength: 1, maxLength: 12 }),
        fc.nat(),
        fc.string(),
        (given, place, text) => {
          const made = write(given), damaged = damage(made, place % made.entries.length, text);
          fc.pre(damaged !== undefined);
          assert.equal(verify(damaged).isIntact, false);
        },
      ),
    );
  });
}

const named: readonly {
  name: string;
  made: (made: Made) => Made;
  breaks: readonly (readonly [BreakKind, string | null, string | null])[];
}[] = [
  {
    name: "one in the middle is gone",
    made: ({ entries, head }) => ({ entries: entries.toSpliced(2, 1), head }),
    breaks: [["removed", "1001-0", "1003-0"]],
  },
  {
    name: "one in the middle is changed",
    made: ({ entries, head }) => ({ entries: entries.with(2, { ...entries[2]!, text: "else" }), head }),
    breaks: [["changed", "1002-0", "1003-0"]],
  },
  {
    name: "the newest is gone",
    made: ({ entries, head }) => ({ entries: entries.slice(0, -1), head }),
    breaks: [["newest_removed", "1006-0", null]],
  },
  {
    name: "all are gone",
    made: ({ head }) => ({ entries: [], head }),
    breaks: [["newest_removed", null, null]],
  },
  {
    name: "all but the newest are gone",
    made: ({ entries, head }) => ({ entries: entries.slice(-1), head }),
    breaks: [["oldest_removed", null, "1007-0"]],
  },
  {
    name: "the head was lost, and more came",
    made: ({ entries }) => {
      const again = write(["x", "y"]);
      // The first new entry has another id, so its hash is another one.
      const first = { ...again.entries[0]!, id: "2000-0" },
        second = { ...again.entries[1]!, id: "2001-0", previous: hashEntry(first) };
      return { entries: [...entries, first, second], head: `2 ${hashEntry(second)}` };
    },
    breaks: [["restarted", "1007-0", "2000-0"]],
  },
  {
    name: "the head is gone",
    made: ({ entries }) => ({ entries, head: "" }),
    breaks: [["head_missing", "1007-0", null]],
  },
];

for (const { name, made, breaks } of named) {
  Deno.test(`ChainCheck: says where and what when ${name}`, () => {
    const report = verify(made(write(["a", "b", "c", "d", "e", "f", "g", "h"])));
    assert.deepEqual(report.breaks.map(({ kind, after, before }) => [kind, after, before]), breaks);
  });
}

Deno.test("ChainCheck: finds a journal that was rewritten by a copy of its head", () => {
  const made = write(["a", "b", "c"]), other = write(["a", "B", "c"]);
  const copy = { number: 2, hash: hashEntry(made.entries[1]!) };
  assert.deepEqual(verify(made, copy).breaks, []);
  assert.deepEqual(verify(other).breaks, []);
  assert.deepEqual(verify(other, copy).breaks.map(({ kind }) => kind), ["not_the_copy"]);
  assert.deepEqual(verify(write(["a"]), copy).breaks.map(({ kind }) => kind), ["not_the_copy"]);
});
