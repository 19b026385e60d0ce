/** What others who share the Redis feel of a drain. */
import type { Drainer } from "../drainers/drainer.ts";
import { createOneScript } from "../drainers/in_redis.ts";
import { createLmove } from "../drainers/lmove.ts";
import { createOurs } from "../drainers/ours.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import { pingWhile } from "../harness/bystander.ts";
import type { Family, Figures, Scale, Table, Target } from "../harness/family.ts";
import { countPoison } from "../harness/messages.ts";
import { alternate, type Contender, mediansOf, type Rounds, worstOf } from "../harness/rounds.ts";

/** Messages of one size. */
interface Load {
  readonly bytes: number;
  readonly count: number;
  /** Whether others than ours are measured too. */
  readonly withOthers: boolean;
  /** How long nothing is drained, for comparison. */
  readonly restMs: number;
}

const MIB = 1 << 20;
const LOADS: Readonly<Record<Scale, readonly Load[]>> = {
  short: [
    { bytes: 300, count: 2_000, withOthers: true, restMs: 100 },
    { bytes: MIB, count: 3, withOthers: false, restMs: 100 },
  ],
  full: [
    { bytes: 300, count: 1_000_000, withOthers: true, restMs: 10_000 },
    { bytes: 65_536, count: 5_000, withOthers: false, restMs: 5_000 },
    { bytes: MIB, count: 400, withOthers: false, restMs: 5_000 },
    { bytes: 4 * MIB, count: 100, withOthers: false, restMs: 5_000 },
  ],
};
const PIPELINED = 200;
/** Above this size of a message a stall is told, but has no bound. */
const MOST_BYTES = MIB;

const P99 = "ping p99 ms", PING_MAX = "ping max ms";
const SCRIPT_P99 = "script p99 ms", SCRIPT_MAX = "script max ms";
/** A ping may take this long at the 99th percentile, or twice what it takes without a drain, in milliseconds. */
const MOST_P99_MS = 2;
const REST = "no drain";

/** The family. */
export const BYSTANDER: Family = {
  name: "bystander",
  about: "pings of another client, one a millisecond, while a million messages drain; how long scripts take",
  async run(bench) {
    await using redis = await BenchRedis.start();
    const tables: Table[] = [];
    for (const load of LOADS[bench.scale]) {
      bench.tell(`${load.count} messages of ${load.bytes} bytes`);
      await redis.seed(load);
      const ours = createOurs(redis, bench);
      const others = load.withOthers ? [createLmove(redis, bench, PIPELINED), createOneScript(redis)] : [];
      const contenders = [ours, ...others].map((drainer) => pinged(drainer, { redis, load }));
      const rounds = await alternate([resting({ redis, load }), ...contenders], bench);
      tables.push(tableOf(rounds, { load, ours }));
    }
    return tables;
  },
};

/** Where and what. */
interface Place {
  readonly redis: BenchRedis;
  readonly load: Load;
}

function resting({ redis, load }: Place): Contender {
  return { name: REST, run: () => ping(redis, () => SYSTEM_CLOCK.sleep(load.restMs)) };
}

function pinged(drainer: Drainer, { redis, load: { count } }: Place): Contender {
  return {
    name: drainer.name,
    async run() {
      await redis.load(count);
      const figures = await ping(redis, () => drainer.drain(count));
      await redis.expectArrived(count, drainer.judges ? countPoison(count) : 0);
      return figures;
    },
  };
}

async function ping(redis: BenchRedis, work: () => Promise<unknown>): Promise<Figures> {
  await redis.resetTimes();
  const startedAtMs = performance.now();
  const pings = await pingWhile(redis, work);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const { p99, max } = await redis.scriptTimes();
  return {
    "ping p50 ms": pings.p50,
    [P99]: pings.p99,
    "ping p99.9 ms": pings.p999,
    [PING_MAX]: pings.max,
    "pings": pings.count,
    [SCRIPT_P99]: p99,
    [SCRIPT_MAX]: max,
    "commands over 1 ms": await redis.slowCommands(),
    seconds,
  };
}

function tableOf(rounds: Rounds, { load, ours }: { load: Load; ours: Drainer }): Table {
  const figuresOf = (name: string) => {
    const runs = rounds.get(name)!;
    return { ...mediansOf(runs), [PING_MAX]: worstOf(runs, PING_MAX), [SCRIPT_MAX]: worstOf(runs, SCRIPT_MAX) };
  };
  const size = `${load.bytes.toLocaleString("en")} B`;
  return {
    title: `Bystander, ${load.count.toLocaleString("en")} messages of ${load.bytes.toLocaleString("en")} bytes`,
    rows: [...rounds.keys()].map((name) => ({ name, figures: figuresOf(name) })),
    notes: ["Each max is the worst of all runs."],
    targets: load.bytes > MOST_BYTES ? [] : targetsOf(figuresOf(ours.name), { rest: figuresOf(REST), size, load }),
  };
}

function targetsOf(ours: Figures, { rest, size, load }: { rest: Figures; size: string; load: Load }): Target[] {
  const target = (what: string, heading: string, limit: number): Target => ({
    ...{ what: `${what}, ${size}`, bound: "at most", limit, unit: "ms", value: ours[heading] ?? null },
  });
  return [
    target("bystander's ping, p99", P99, Math.max(MOST_P99_MS, 2 * (rest[P99] ?? 0))),
    ...load.bytes < MIB ? [target("script or transaction, p99", SCRIPT_P99, 1)] : [],
  ];
}
