/** A redrive of the family `peers`: ours, another program's, or a bare move. */
import { oversizeKey } from "../../src/redis/keys.ts";
import { DEAD, DLQ, TARGET } from "../../testkit/engine.ts";
import type { BenchRedis } from "../harness/bench_redis.ts";
import { countPoison } from "../harness/messages.ts";
import type { PreparedDrain, Redrive } from "../harness/mover.ts";
import type { Drainer } from "./drainer.ts";

/** One of those compared. All of them start from the same messages, each in its own format. */
export interface Peer {
  readonly name: string;
  /** A slow one gets fewer messages. */
  readonly isSlow: boolean;
  /** Whether it works in the Redis that the bystander pings. */
  readonly isInRedis: boolean;
  /** Makes `count` dead letters, and removes everything else. */
  load(count: number): Promise<void>;
  /** Makes ready to move them all; connected, but nothing has begun. */
  prepare(count: number): Promise<PreparedDrain>;
  /** @throws Error if not all of `count` messages arrived */
  expectArrived(count: number): Promise<void>;
  /** Dead letters left. */
  depth(): Promise<number>;
  /** Processor time of the server so far, in microseconds: of Redis' command thread, or of the whole broker. */
  serverCpuUs(): Promise<number | null>;
  /** Starts a redrive that can be killed. After a kill, the next start goes on with the rest. */
  start(): Promise<Redrive>;
  /** Every message in any place, as the text there. */
  readTexts(): Promise<string[]>;
}

/** A peer that was found, or why it was left out. */
export type FoundPeer = { readonly peer: Peer } | { readonly leftOut: string };

/** The parts that peers in Redis share. */
export function inRedis(redis: BenchRedis): Pick<Peer, "isInRedis" | "serverCpuUs"> {
  return { isInRedis: true, serverCpuUs: async () => (await redis.counters()).mainThreadUs };
}

/** A peer that moves between the lists of the source `alerter`. `start` runs the same redrive in its own process. */
export function createListPeer(
  redis: BenchRedis,
  { drainer, prepare, start }: {
    drainer: Drainer;
    /** Default: the drainer itself, which needs no preparation. */
    prepare?: () => Promise<PreparedDrain>;
    start: () => Promise<Redrive> | Redrive;
  },
): Peer {
  const client = redis.client();
  const { name, isSlow, judges } = drainer;
  return {
    ...{ name, isSlow },
    ...inRedis(redis),
    load: (count) => redis.load(count),
    prepare: prepare ?? ((count) =>
      Promise.resolve({
        run: () => drainer.drain(count),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      })),
    expectArrived: (count) => redis.expectArrived(count, judges ? countPoison(count) : 0),
    depth: () => client.llen(DLQ),
    start: async () => await start(),
    async readTexts() {
      const lists = [DLQ, TARGET, DEAD, oversizeKey(DLQ)].map((key) => client.lrange(key, 0, -1));
      return (await Promise.all(lists)).flat();
    },
  };
}
