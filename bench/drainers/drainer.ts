/** Who empties a dead-letter queue, and what it takes. */
import process from "node:process";
import type { BenchRedis } from "../harness/bench_redis.ts";
import type { Figures } from "../harness/family.ts";
import { countPoison } from "../harness/messages.ts";

/** What a drain took. */
export interface Spent {
  readonly seconds: number;
  /** Processor time of the client; `null`: not known. */
  readonly clientCpuUs: number | null;
}

/** One way to empty the DLQ. */
export interface Drainer {
  readonly name: string;
  /** A slow one gets fewer messages. */
  readonly isSlow: boolean;
  /** Whether the poison goes to the dead list; else all goes to the target. */
  readonly judges: boolean;
  /** Moves the `count` messages that are there. */
  drain(count: number): Promise<Spent>;
}

/** Headings of what {@link measureDrain} gives. */
export const RATE = "messages/s", REDIS_CPU = "Redis µs", CLIENT_CPU = "client µs";
export const COMMANDS = "commands", BYTES_IN = "bytes in", BYTES_OUT = "bytes out";

/** Drains `count` messages of the seed; but for the rate, figures are per message. @throws where they did not all arrive. */
export async function measureDrain(redis: BenchRedis, drainer: Drainer, count: number): Promise<Figures> {
  await redis.load(count);
  await redis.resetTimes();
  const before = await redis.counters();
  const { seconds, clientCpuUs } = await drainer.drain(count);
  const after = await redis.counters();
  await redis.expectArrived(count, drainer.judges ? countPoison(count) : 0);
  const each = (value: number | null) => value === null ? null : value / count;
  const mainThreadUs = after.mainThreadUs === null ? null : after.mainThreadUs - (before.mainThreadUs ?? 0);
  return {
    [RATE]: count / seconds,
    [REDIS_CPU]: each(mainThreadUs),
    [CLIENT_CPU]: each(clientCpuUs),
    [COMMANDS]: each(after.commands - before.commands),
    [BYTES_IN]: each(after.bytesIn - before.bytesIn),
    [BYTES_OUT]: each(after.bytesOut - before.bytesOut),
  };
}

/** What a piece of work in this process takes. */
export async function spend(work: () => Promise<void>): Promise<Spent> {
  const cpu = process.cpuUsage(), startedAtMs = performance.now();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - startedAtMs) / 1_000, clientCpuUs: user + system };
}
