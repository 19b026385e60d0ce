/** How rate, cost and stalls grow with the list, the messages and the chunks. */
import type { Settings } from "../../src/config/fields.ts";
import { measureDrain, RATE } from "../drainers/drainer.ts";
import { createOurs } from "../drainers/ours.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench, Family, Figures, Scale, Table } from "../harness/family.ts";
import { alternate, type Contender, medianRatio, mediansOf, type Rounds, worstOf } from "../harness/rounds.ts";

/** What is measured at each scale. */
interface Range {
  readonly lengths: readonly number[];
  readonly sizes: readonly number[];
  /** Messages of a run over sizes and chunks, unless these bytes are less. */
  readonly count: number;
  readonly mostBytes: number;
  /** `REMEDIATION_CHUNK_MESSAGES`, with room for their bytes. */
  readonly chunkMessages: readonly number[];
  /** `REMEDIATION_CHUNK_BYTES`. */
  readonly chunkBytes: readonly number[];
  /** A list shorter than this is drained several times, so that a run has something to measure. */
  readonly repeatedBelow: number;
}

const KIB = 1 << 10, MIB = 1 << 20;
const RANGES: Readonly<Record<Scale, Range>> = {
  short: {
    ...{ lengths: [500, 1_000], sizes: [300], count: 300, mostBytes: MIB },
    ...{ chunkMessages: [400], chunkBytes: [200 * KIB], repeatedBelow: 0 },
  },
  full: {
    lengths: [1_000, 10_000, 100_000, 1_000_000],
    sizes: [300, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB],
    ...{ count: 100_000, mostBytes: 256 * MIB },
    chunkMessages: [10, 50, 100, 200, 400, 1_000],
    chunkBytes: [100 * KIB, 200 * KIB, 400 * KIB, MIB],
    repeatedBelow: 20_000,
  },
};
const BYTES = 300, LARGE_BYTES = 64 * KIB;
const MOST_REPEATS = 5;

const SCRIPT_MAX = "script max ms";

/** The family. */
export const SCALING: Family = {
  name: "scaling",
  about: "rate, cost and stalls over the length of the list, the size of messages and of chunks",
  async run(bench) {
    await using redis = await BenchRedis.start();
    const place = { redis, bench, range: RANGES[bench.scale] };
    return [await overLengths(place), await overSizes(place), await overChunks(place), await overChunkBytes(place)];
  },
};

interface Place {
  readonly redis: BenchRedis;
  readonly bench: Bench;
  readonly range: Range;
}

async function overLengths(place: Place): Promise<Table> {
  const { redis, bench, range: { lengths } } = place;
  bench.tell("length of the list");
  await redis.seed({ count: lengths.at(-1)!, bytes: BYTES });
  const contenders = lengths.map((length) => drained(place, { name: nameOf(length, "messages"), count: length }));
  const rounds = await alternate(contenders, bench);
  const [of, to] = [nameOf(lengths.at(-1)!, "messages"), nameOf(lengths.at(1)!, "messages")];
  return {
    ...tableOf(`Length of the list, ${BYTES} bytes a message`, rounds),
    targets: [{
      ...{ what: `rate with ${of}, times that with ${to}`, bound: "at least", limit: 0.9, unit: "×" },
      value: medianRatio(rounds, { of, to, heading: RATE }),
    }],
  };
}

async function overSizes(place: Place): Promise<Table> {
  const { redis, bench, range } = place;
  const rounds = new Map<string, readonly Figures[]>();
  for (const bytes of range.sizes) {
    const name = nameOf(bytes, "bytes"), count = countOf(bytes, range);
    bench.tell(`messages of ${name}`);
    await redis.seed({ count, bytes });
    const one = await alternate([drained(place, { name, count })], bench);
    for (const [key, runs] of one) rounds.set(key, runs);
  }
  return tableOf("Size of the messages", rounds);
}

async function overChunks(place: Place): Promise<Table> {
  const { redis, bench, range } = place, { count } = range;
  bench.tell("messages of a chunk");
  await redis.seed({ count, bytes: BYTES });
  const contenders = range.chunkMessages.map((chunkMessages) =>
    drained(place, {
      ...{ name: nameOf(chunkMessages, "a chunk"), count },
      settings: { chunkMessages, chunkBytes: MIB },
    })
  );
  return tableOf(`Messages of a chunk, ${BYTES} bytes a message`, await alternate(contenders, bench));
}

async function overChunkBytes(place: Place): Promise<Table> {
  const { redis, bench, range } = place;
  bench.tell("bytes of a chunk");
  const count = countOf(LARGE_BYTES, range);
  await redis.seed({ count, bytes: LARGE_BYTES });
  const contenders = range.chunkBytes.map((chunkBytes) =>
    drained(place, { name: nameOf(chunkBytes, "bytes a chunk"), count, settings: { chunkBytes } })
  );
  return tableOf(`Bytes of a chunk, ${nameOf(LARGE_BYTES, "bytes")} a message`, await alternate(contenders, bench));
}

function drained(
  { redis, bench, range }: Place,
  { name, count, settings = {} }: { name: string; count: number; settings?: Partial<Settings> },
): Contender {
  const ours = createOurs(redis, bench, { settings });
  const repeats = Math.max(1, Math.min(MOST_REPEATS, Math.ceil(range.repeatedBelow / count)));
  return {
    name,
    async run() {
      const runs: Figures[] = [];
      for (let i = 0; i < repeats; i++) {
        const figures = await measureDrain(redis, ours, count);
        const { p50, p999, max } = await redis.scriptTimes();
        runs.push({ ...figures, "script p50 ms": p50, "script p99.9 ms": p999, [SCRIPT_MAX]: max });
      }
      return withWorst(runs);
    },
  };
}

function tableOf(title: string, rounds: Rounds): Table {
  const rows = [...rounds].map(([name, runs]) => ({ name, figures: withWorst(runs) }));
  return { title, rows, notes: ["The longest script is the worst of all runs."] };
}

function withWorst(runs: readonly Figures[]): Figures {
  return { ...mediansOf(runs), [SCRIPT_MAX]: worstOf(runs, SCRIPT_MAX) };
}

function countOf(bytes: number, { count, mostBytes }: Range): number {
  return Math.min(count, Math.ceil(mostBytes / bytes));
}

function nameOf(count: number, unit: string): string {
  return `${count.toLocaleString("en")} ${unit}`;
}
