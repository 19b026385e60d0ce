import assert from "node:assert/strict";
import { HISTORY_MS, HistoryReader } from "../../../src/history/reader.ts";
import { type RawSample } from "../../../src/redis/history_store.ts";
import { StoreError } from "../../../src/redis/errors.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const FIELDS = new Map(
  Object.entries({ depth: "1", dead: "0", target: "0", arrived: "0", counted: "[0,0,0,null,null,[]]" }),
);

function setup({ shiftMs = 0 } = {}) {
  const clock = new TestClock();
  const state = { isReady: true, error: null as Error | null, kept: [] as RawSample[] };
  const reads: string[] = [];
  const serverMs = () => clock.nowMs() + shiftMs;
  const reader = new HistoryReader({
    clock,
    isReady: () => state.isReady,
    store: {
      read: ({ from, count }) => {
        reads.push(from);
        if (state.error) return Promise.reject(state.error);
        const [ms, sequence] = from === "-" ? [0, 0] : from.split("-").map(Number);
        const isNew = ({ id }: RawSample) => {
          const [own, ownSequence] = id.split("-").map(Number);
          return own! > ms! || (own === ms && ownSequence! >= sequence!);
        };
        return Promise.resolve({ nowMs: serverMs(), samples: state.kept.filter(isNew).slice(0, count) });
      },
    },
  });
  const keep = (agoMs: number, fields: RawSample["fields"] = FIELDS) =>
    state.kept.push({ id: `${serverMs() - agoMs}-0`, fields });
  return { clock, state, reads, reader, keep, serverMs };
}

Deno.test("HistoryReader: reads only what is new, and once for all who ask within a second", async () => {
  const { clock, reads, reader, keep, serverMs } = setup({ shiftMs: 3_600_000 });
  keep(30_000);
  const [one, other] = await Promise.all([reader.read(), reader.read()]);
  assert.equal(one.samples, other.samples);
  await reader.read();
  assert.deepEqual(reads, ["-"]);
  await clock.advance(10_000);
  keep(0);
  const { samples, nowMs, staleSinceMs } = await reader.read();
  assert.equal(samples.length, 2);
  assert.deepEqual(reads, ["-", `${samples[0]!.atMs}-1`]);
  assert.deepEqual([nowMs, staleSinceMs], [serverMs(), null]);
});

Deno.test("HistoryReader: reads a long history in pages, and forgets what is older than a day", async () => {
  const { clock, reads, reader, keep } = setup();
  for (let i = 1_400; i > 0; i--) keep(i * 1_000);
  assert.equal((await reader.read()).samples.length, 1_400);
  assert.equal(reads.length, 8);
  await clock.advance(HISTORY_MS - 700_000);
  assert.equal((await reader.read()).samples.length, 700);
});

Deno.test("HistoryReader: without Redis it returns what it knows, and since when", async () => {
  const { clock, state, reads, reader, keep, serverMs } = setup();
  keep(0);
  await reader.read();
  const readMs = clock.nowMs();
  await clock.advance(60_000);
  state.isReady = false;
  const away = await reader.read();
  assert.deepEqual([away.samples.length, away.staleSinceMs, away.nowMs], [1, readMs, serverMs()]);
  assert.equal(reads.length, 1);
  state.isReady = true;
  state.error = new StoreError("slow", { code: "TIMEOUT", isCertain: false });
  assert.equal((await reader.read()).staleSinceMs, readMs);
  state.error = null;
  assert.equal((await reader.read()).staleSinceMs, null);
});

Deno.test("HistoryReader: what was never read is stale since it was first asked for; a bug is not hidden", async () => {
  const { clock, state, reader } = setup();
  state.isReady = false;
  const askedMs = clock.nowMs();
  await reader.read();
  await clock.advance(5_000);
  assert.deepEqual(await reader.read(), { samples: [], nowMs: clock.nowMs(), staleSinceMs: askedMs });
  state.isReady = true;
  state.error = new TypeError("bug");
  await assert.rejects(reader.read(), TypeError);
});

Deno.test("HistoryReader: passes over what this program did not write", async () => {
  const { reader, keep, clock } = setup();
  keep(2, new Map([["x", "y"]]));
  keep(1);
  assert.equal((await reader.read()).samples.length, 1);
  await clock.advance(2_000);
  assert.equal((await reader.read()).samples.length, 1);
});
