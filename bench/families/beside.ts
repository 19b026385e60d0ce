/** What stamps beside the messages cost: rate and Redis' time beside stamps inside, and the memory of their records. */
import { MAX_RECORDS } from "../../src/redis/record_store.ts";
import { ORDER, RECORDS } from "../../testkit/beside.ts";
import { BESIDE, DLQ, TARGET } from "../../testkit/engine.ts";
import { type Drainer, measureDrain } from "../drainers/drainer.ts";
import { createOurs } from "../drainers/ours.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench, Family, Figures, Row, Scale, Table } from "../harness/family.ts";
import { alternate, mediansOf } from "../harness/rounds.ts";

/** Messages of a drain, and those whose records are weighed. */
interface Load {
  readonly drained: number;
  readonly recorded: number;
}

const LOADS: Readonly<Record<Scale, Load>> = {
  short: { drained: 400, recorded: 1_000 },
  full: { drained: 100_000, recorded: MAX_RECORDS },
};
const BYTES = 300, MIB = 1 << 20;
/** Once more than the messages have come back, none is poison. */
const SETTINGS = { brakeEnabled: false, maxPoisonRetries: 3 };

/** The family. */
export const RECORDS_BESIDE: Family = {
  name: "beside",
  about: "stamps beside the messages: rate and Redis' time beside stamps inside, memory of a million records",
  async run(bench) {
    await using redis = await BenchRedis.start();
    const { drained, recorded } = LOADS[bench.scale];
    return [await compare(redis, drained, bench), await weigh(redis, recorded, bench)];
  },
};

async function compare(redis: BenchRedis, count: number, bench: Bench): Promise<Table> {
  bench.tell(`${count} messages of ${BYTES} bytes`);
  await redis.seed({ count, bytes: BYTES });
  const contenders: Drainer[] = [
    { ...createOurs(redis, bench), name: "inside" },
    {
      ...createOurs(redis, bench, { entry: { record: "beside" } }),
      name: "beside, with a counter and a member to cut",
    },
    { ...createOurs(redis, bench, { entry: BESIDE }), name: "beside, any bytes", judges: false },
  ];
  const rounds = await alternate(
    contenders.map((drainer) => ({
      name: drainer.name,
      run: async () => {
        const figures = await measureDrain(redis, drainer, count), { p50, p99 } = await redis.scriptTimes();
        return { ...figures, "script p50 ms": p50, "p99 ms": p99 };
      },
    })),
    bench,
  );
  return {
    title: `Stamps inside and beside, ${count.toLocaleString("en")} messages of ${BYTES} bytes`,
    rows: [...rounds].map(([name, runs]) => ({ name, figures: mediansOf(runs) })),
    notes: ["The first replay of each message. Times, commands (those inside scripts too) and bytes are per message."],
  };
}

/** Replays all messages, and once more when all have come back. */
async function weigh(redis: BenchRedis, count: number, bench: Bench): Promise<Table> {
  bench.tell(`records of ${count} messages`);
  await redis.seed({ count, bytes: BYTES });
  await redis.load(count);
  const drainer = createOurs(redis, bench, { settings: SETTINGS, entry: BESIDE }), rows: Row[] = [];
  for (const name of ["replayed once", "all came back, and were replayed again"]) {
    bench.signal.throwIfAborted();
    await drainer.drain(count);
    await redis.expectArrived(count, 0);
    rows.push({ name, figures: await weights(redis) });
    await redis.client().rename(TARGET, DLQ);
  }
  return {
    title: `Memory of ${count.toLocaleString("en")} records`,
    rows,
    notes: ["By MEMORY USAGE of both keys, each record looked at."],
  };
}

async function weights(redis: BenchRedis): Promise<Figures> {
  const client = redis.client();
  const [records, order] = [await client.hlen(RECORDS), await client.llen(ORDER)];
  const bytes = async (key: string) => Number(await client.call("MEMORY", "USAGE", key, "SAMPLES", "0"));
  const all = await bytes(RECORDS) + await bytes(ORDER);
  return { records, "entries of the order": order, "bytes a record": all / records, MiB: all / MIB };
}
