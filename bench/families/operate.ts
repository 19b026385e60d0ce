/** What looking at a long list costs: pages at its head, middle and tail, a walk over all of it, and counts by query and group. */
import { Buffer } from "node:buffer";
import { type Cursor, type Direction, ListReader } from "../../src/redis/list_reader.ts";
import { groups } from "../../src/operations/groups.ts";
import type { LookContext } from "../../src/operations/context.ts";
import { search } from "../../src/operations/search.ts";
import { messageId } from "../../src/message/message_id.ts";
import { createEngine, DEAD, DLQ, TARGET } from "../../testkit/engine.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import type { Family, Figures, Scale, Table } from "../harness/family.ts";
import { readPeakMib, readResidentMib, resetPeak } from "../harness/process_memory.ts";
import { alternate, mediansOf } from "../harness/rounds.ts";

/** A list, and how many pages of it are read. */
interface Load {
  readonly count: number;
  readonly pages: number;
}

const LOADS: Readonly<Record<Scale, Load>> = {
  short: { count: 2_000, pages: 5 },
  full: { count: 1_000_000, pages: 500 },
};
const BYTES = 400, PAGE = 100, MAX_MESSAGE_BYTES = 4_194_304;
/** A page may take this long, and a call of Redis, each at the 99th percentile; in milliseconds. */
const MOST_PAGE_MS = 10, MOST_CALL_MS = 1;
const POLICY = {
  name: "bench",
  push: "LPUSH" as const,
  dlq: DLQ,
  target: TARGET,
  dead: DEAD,
  counter: null,
  cutOnReplay: [],
  required: [],
};

/** Counting and grouping all may take this long, and use this much more memory. */
const MOST_COUNT_SECONDS = 2, MOST_GROUP_SECONDS = 6, MOST_MORE_MIB = 64;
const SOURCE = "alerter";

const PAGE_P99 = "p99 ms", CALL_P99 = "script p99 ms", WALK = "walk over all";
/** Resident memory at its peak, above that before; 0 if it was higher before. */
const MORE_MIB = "more MiB at the peak";

/** The family. */
export const OPERATE: Family = {
  name: "operate",
  about: "pages, walks and searches in a list of a million messages, and what they cost Redis",
  async run(bench) {
    await using redis = await BenchRedis.start();
    const load = LOADS[bench.scale];
    bench.tell(`${load.count} messages of ${BYTES} bytes`);
    await redis.seed({ count: load.count, bytes: BYTES });
    await redis.load(load.count);
    return [await lookAt(redis, { load, bench }), await findIn(redis, { load, bench })];
  },
};

async function lookAt(
  redis: BenchRedis,
  { load: { count, pages }, bench }: { load: Load; bench: Parameters<Family["run"]>[0] },
): Promise<Table> {
  const client = redis.client();
  const reader = new ListReader(client, POLICY, {
    maxMessageBytes: MAX_MESSAGE_BYTES,
    openForWalk: () => {
      const walker = redis.client();
      return { redis: walker, release: () => walker.disconnect() };
    },
  });
  const places = { head: count, middle: Math.floor(count / 2), tail: 1 };
  const contenders = Object.entries(places).map(([name, place]) => ({
    name: `page of ${PAGE} at the ${name}`,
    run: async () => {
      const message = await client.lindexBuffer(DLQ, -place), id = messageId(message ?? Buffer.of());
      const direction: Direction = place > PAGE ? "older" : "newer";
      return await measurePages(redis, { reader, pages, cursor: { place, id }, direction });
    },
  }));
  const walk = { name: WALK, run: () => measureWalk(redis, { reader, count }) };
  const rounds = await alternate([...contenders, walk], bench);
  const pageNames = contenders.map(({ name }) => name);
  return {
    title: `Looking at ${count.toLocaleString("en")} messages of ${BYTES} bytes`,
    rows: [...rounds].map(([name, runs]) => ({ name, figures: mediansOf(runs) })),
    notes: [
      `A page is read behind a cursor, so one more message is read and compared. The walk looks into no message.`,
    ],
    targets: [
      ...pageNames.map((name) => ({
        ...{ what: `${name}, p99`, bound: "at most" as const, limit: MOST_PAGE_MS, unit: "ms" },
        value: mediansOf(rounds.get(name)!)[PAGE_P99] ?? null,
      })),
      ...[...rounds].map(([name, runs]) => ({
        ...{ what: `call of Redis, ${name}, p99`, bound: "at most" as const, limit: MOST_CALL_MS, unit: "ms" },
        value: mediansOf(runs)[CALL_P99] ?? null,
      })),
    ],
  };
}

async function measurePages(
  redis: BenchRedis,
  { reader, pages, cursor, direction }: { reader: ListReader; pages: number; cursor: Cursor; direction: Direction },
): Promise<Figures> {
  await redis.resetTimes();
  const times: number[] = [];
  for (let page = 0; page < pages; page++) {
    const startedAtMs = performance.now();
    const { rows } = await reader.page("dlq", { from: cursor, direction, size: PAGE });
    times.push(performance.now() - startedAtMs);
    if (rows.length !== PAGE) throw new Error(`a page has ${rows.length} messages instead of ${PAGE}`);
  }
  times.sort((a, b) => a - b);
  const at = (fraction: number) => times[Math.floor(times.length * fraction)] ?? null;
  const { p50, p99 } = await redis.scriptTimes();
  return { "p50 ms": at(0.5), [PAGE_P99]: at(0.99), "script p50 ms": p50, [CALL_P99]: p99, seconds: null };
}

async function measureWalk(
  redis: BenchRedis,
  { reader, count }: { reader: ListReader; count: number },
): Promise<Figures> {
  await redis.resetTimes();
  const startedAtMs = performance.now();
  let seen = 0;
  for await (const { rows } of reader.walk("dlq")) seen += rows.length;
  const seconds = (performance.now() - startedAtMs) / 1_000;
  if (seen !== count) throw new Error(`the walk saw ${seen} messages instead of ${count}`);
  const { p50, p99 } = await redis.scriptTimes();
  return { "p50 ms": null, [PAGE_P99]: null, "script p50 ms": p50, [CALL_P99]: p99, seconds };
}

/** Counts and groups all messages through the operations. */
async function findIn(
  redis: BenchRedis,
  { load: { count }, bench }: { load: Load; bench: Parameters<Family["run"]>[0] },
): Promise<Table> {
  await using engine = createEngine(redis, { commandTimeoutMs: 60_000 });
  await engine.connections.waitUntilReady(60_000);
  const context: LookContext = {
    actor: { name: "bench", role: "viewer" },
    ...{ clock: SYSTEM_CLOCK, signal: bench.signal, sources: () => [{ parts: engine.source }] },
    ...{ correlationId: null, journal: { record: () => Promise.resolve() } },
  };
  const counting = (query: string) => () => search.run(context, { source: SOURCE, query, limit: 0 });
  const [MEMBER, TEXT, GROUPS] = ["count by a member", "count by a text", "group all"];
  const runs: [name: string, open: () => AsyncIterable<{ readonly kind: string }>][] = [
    [MEMBER, counting("severity:error")],
    [TEXT, counting("fiber OR nothing-like-it")],
    [GROUPS, () => groups.run(context, { source: SOURCE })],
  ];
  const rounds = await alternate(
    runs.map(([name, open]) => ({ name, run: () => measureStream(redis, { open, count }) })),
    bench,
  );
  const median = (name: string, heading: string) => mediansOf(rounds.get(name)!)[heading] ?? null;
  const target = (what: string, limit: number, unit: string, value: number | null) => ({
    ...{ what, bound: "at most" as const, limit, unit, value },
  });
  return {
    title: `Finding among ${count.toLocaleString("en")} messages of ${BYTES} bytes`,
    rows: [...rounds].map(([name, runs]) => ({ name, figures: mediansOf(runs) })),
    targets: [
      target(MEMBER, MOST_COUNT_SECONDS, "s", median(MEMBER, "seconds")),
      target(GROUPS, MOST_GROUP_SECONDS, "s", median(GROUPS, "seconds")),
      ...runs.flatMap(([name]) => [
        target(`call of Redis, ${name}, p99`, MOST_CALL_MS, "ms", median(name, CALL_P99)),
        target(`more memory, ${name}`, MOST_MORE_MIB, "MiB", median(name, MORE_MIB)),
      ]),
    ],
  };
}

async function measureStream(
  redis: BenchRedis,
  { open, count }: { open: () => AsyncIterable<{ readonly kind: string }>; count: number },
): Promise<Figures> {
  await redis.resetTimes();
  await resetPeak(Deno.pid);
  const before = await readResidentMib(Deno.pid), startedAtMs = performance.now();
  let last: unknown = null;
  for await (const item of open()) last = item;
  const seconds = (performance.now() - startedAtMs) / 1_000, { scanned } = last as { scanned: number };
  if (scanned !== count) throw new Error(`${scanned} messages were looked at instead of ${count}`);
  const { p50, p99 } = await redis.scriptTimes(), peak = await readPeakMib(Deno.pid);
  const more = before === null || peak === null ? null : Math.max(0, peak - before);
  return { seconds, "script p50 ms": p50, [CALL_P99]: p99, [MORE_MIB]: more };
}
