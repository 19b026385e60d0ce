/** How fast messages leave the DLQ, and what each costs Redis, beside the original's algorithm and a bare `LMOVE`. */
import { type Drainer, measureDrain, RATE, REDIS_CPU } from "../drainers/drainer.ts";
import { createLuaVerdict } from "../drainers/in_redis.ts";
import { createLmove, createLmoveInC } from "../drainers/lmove.ts";
import { createOriginalPython, createOriginalTypeScript, findPython, type Python } from "../drainers/original.ts";
import { createOurs } from "../drainers/ours.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench, Family, Scale, Table, Target } from "../harness/family.ts";
import { alternate, medianRatio, mediansOf, type Rounds } from "../harness/rounds.ts";

/** Messages of one size, and how many a run moves: by who is slow, and by the others. */
interface Load {
  readonly bytes: number;
  readonly slow: number;
  readonly fast: number;
}

const LOADS: Readonly<Record<Scale, readonly Load[]>> = {
  short: [
    { bytes: 300, slow: 60, fast: 400 },
    { bytes: 1_024, slow: 40, fast: 400 },
    { bytes: 65_536, slow: 20, fast: 40 },
  ],
  full: [
    { bytes: 300, slow: 10_000, fast: 100_000 },
    { bytes: 1_024, slow: 10_000, fast: 100_000 },
    { bytes: 65_536, slow: 1_000, fast: 4_000 },
  ],
};
const PIPELINED = [200, 1_000] as const;

/** The family. */
export const DRAIN: Family = {
  name: "drain",
  about: "rate and cost of a message beside the original, LMOVE and Lua, at 300 B, 1 KiB and 64 KiB",
  async run(bench) {
    await using redis = await BenchRedis.start();
    const python = await findPython();
    const tables: Table[] = [];
    for (const load of LOADS[bench.scale]) {
      bench.tell(`${load.bytes} bytes a message`);
      await redis.seed({ count: load.fast, bytes: load.bytes });
      const field = await createField({ redis, bench, load, python });
      const rounds = await alternate(
        field.drainers.map((drainer) => ({
          name: drainer.name,
          run: () => measureDrain(redis, drainer, drainer.isSlow ? load.slow : load.fast),
        })),
        bench,
      );
      tables.push(tableOf(rounds, { load, field }));
    }
    return tables;
  },
};

/** Who is compared. */
interface Field {
  readonly drainers: readonly Drainer[];
  readonly ours: Drainer;
  /** In Python where there is one. */
  readonly original: Drainer;
  readonly lmoves: readonly Drainer[];
  readonly notes: readonly string[];
}

async function createField(
  { redis, bench, load, python }: { redis: BenchRedis; bench: Bench; load: Load; python: Python | null },
): Promise<Field> {
  const ours = createOurs(redis, bench);
  const inPython = python && createOriginalPython(python, redis, bench);
  const inTypeScript = createOriginalTypeScript(redis);
  const lmoves = PIPELINED.map((pipelined) => createLmove(redis, bench, pipelined));
  const inC = await createLmoveInC(redis, bench, PIPELINED[0]);
  const others = [inPython, inTypeScript, ...lmoves, inC, createLuaVerdict(redis, bench, load.bytes)];
  return {
    drainers: [ours, ...others.filter((drainer) => drainer !== null)],
    ...{ ours, lmoves, original: inPython ?? inTypeScript },
    notes: [
      ...python ? [] : ["No Python with redis-py here (Debian: python3-redis): the original runs in TypeScript only."],
      ...inC ? [] : ["No redis-benchmark here."],
    ],
  };
}

const TIMES_ORIGINAL = "× original", CPU_TIMES_ORIGINAL = "Redis × original";

function tableOf(rounds: Rounds, { load, field }: { load: Load; field: Field }): Table {
  const { original, drainers, notes } = field;
  const rows = drainers.map(({ name }) => ({
    name,
    figures: {
      [TIMES_ORIGINAL]: medianRatio(rounds, { of: name, to: original.name, heading: RATE }),
      [CPU_TIMES_ORIGINAL]: medianRatio(rounds, { of: name, to: original.name, heading: REDIS_CPU }),
      ...mediansOf(rounds.get(name)!),
    },
  }));
  const counts = `${load.fast.toLocaleString("en")} messages a run, the original ${load.slow.toLocaleString("en")}`;
  return {
    title: `Drain, ${load.bytes.toLocaleString("en")} bytes a message`,
    rows,
    notes: [`${counts}. Times, commands (those inside scripts too) and bytes are per message.`, ...notes],
    targets: targetsOf(rounds, { load, field }),
  };
}

/** Wanted at each size: rates at least, processor time of Redis at most. */
const WANTED: Readonly<
  Record<number, { timesOriginal?: number; timesLmove?: number; cpu?: [times: number, of: "LMOVE" | "original"] }>
> = {
  300: { timesOriginal: 15, timesLmove: 1.5, cpu: [1, "LMOVE"] },
  1_024: { timesLmove: 1 },
  65_536: { cpu: [1.2, "original"] },
};

function targetsOf(rounds: Rounds, { load, field }: { load: Load; field: Field }): Target[] {
  const { ours, original, lmoves } = field, { timesOriginal, timesLmove, cpu } = WANTED[load.bytes] ?? {};
  const ratio = (to: Drainer, heading: string) => medianRatio(rounds, { of: ours.name, to: to.name, heading });
  const worst = (heading: string, pick: (...values: number[]) => number) => {
    const ratios = lmoves.map((lmove) => ratio(lmove, heading)).filter((value) => value !== null);
    return ratios.length === 0 ? null : pick(...ratios);
  };
  const size = `${load.bytes.toLocaleString("en")} B`, unit = "×";
  const rate = (to: string) => ({ what: `rate, ${size}: times ${to}`, bound: "at least" as const, unit });
  return [
    ...timesOriginal ? [{ ...rate(`the ${original.name}`), limit: timesOriginal, value: ratio(original, RATE) }] : [],
    ...timesLmove
      ? [{ ...rate("LMOVE by the same client, the faster one"), limit: timesLmove, value: worst(RATE, Math.min) }]
      : [],
    ...cpu
      ? [{
        what: `Redis CPU a message, ${size}: times ${
          cpu[1] === "LMOVE" ? "LMOVE's, the cheaper one" : `the ${original.name}'s`
        }`,
        ...{ bound: "at most" as const, limit: cpu[0], unit },
        value: cpu[1] === "LMOVE" ? worst(REDIS_CPU, Math.max) : ratio(original, REDIS_CPU),
      }]
      : [],
  ];
}
