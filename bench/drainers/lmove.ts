/** `LMOVE` by the same client in the same process: what a move costs where nothing is judged, bounded or guarded. */
import { DLQ, TARGET } from "../../testkit/engine.ts";
import type { BenchRedis } from "../harness/bench_redis.ts";
import { run } from "../harness/program.ts";
import type { Bench } from "../harness/family.ts";
import { type Drainer, spend } from "./drainer.ts";

/** Pipelined, so many a round trip. */
export function createLmove(
  redis: Pick<BenchRedis, "client">,
  { signal }: Pick<Bench, "signal">,
  pipelined: number,
): Drainer {
  const client = redis.client();
  const drain = async (count: number) => {
    for (let left = count; left > 0 && !signal.aborted; left -= pipelined) {
      const pipeline = client.pipeline();
      for (let i = 0; i < Math.min(pipelined, left); i++) pipeline.lmoveBuffer(DLQ, TARGET, "RIGHT", "LEFT");
      await pipeline.exec();
    }
  };
  return {
    ...{ name: `LMOVE, ioredis, ${pipelined} a trip`, isSlow: false, judges: false },
    drain: (count) => spend(() => drain(count)),
  };
}

/** A drainer that is a program. */
export interface ProgramDrainer extends Drainer {
  /** Its command line for so many messages. */
  commandFor(count: number): { readonly command: readonly [string, ...string[]] };
}

/** The same by Redis' own client in C; `null` where it is not there. */
export async function createLmoveInC(
  redis: BenchRedis,
  { signal }: Bench,
  pipelined: number,
): Promise<ProgramDrainer | null> {
  const isThere = await run(["redis-benchmark", "--version"]).then(() => true, () => false);
  if (!isThere) return null;
  const commandFor = (count: number): [string, ...string[]] => {
    const requests = ["-n", String(count), "-P", String(Math.min(pipelined, count)), "-c", "1", "--csv"];
    return ["redis-benchmark", "-p", String(redis.port), ...requests, "LMOVE", DLQ, TARGET, "RIGHT", "LEFT"];
  };
  return {
    ...{ name: `LMOVE, redis-benchmark, ${pipelined} a trip`, isSlow: false, judges: false },
    commandFor: (count) => ({ command: commandFor(count) }),
    async drain(count) {
      const csv = await run(commandFor(count), { signal });
      return { seconds: count / readRate(csv), clientCpuUs: null };
    },
  };
}

/** The second field of the last line is requests a second. */
function readRate(csv: string): number {
  const rate = Number(/","([0-9.]+)"/.exec(csv.trim().split("\n").at(-1) ?? "")?.[1]);
  if (rate > 0) return rate;
  throw new Error(`redis-benchmark answered "${csv}"`);
}
