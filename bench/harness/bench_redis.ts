/** The Redis under test: a server of its own, messages that every run gets a copy of, and what INFO counts. */
import type { Redis } from "ioredis";
import { DEAD, DLQ, TARGET } from "../../testkit/engine.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { makeMessage } from "./messages.ts";

/** The seed lies in another database, so that a run starts from an empty one. */
const SEED_DB = 1, SEED = "seed";
const SEED_PUSH_BYTES = 1 << 20;
/** Commands that take longer are in the slow log. */
const SLOW_US = 1_000;

/** What INFO has counted since the server started. */
export interface Counters {
  readonly commands: number;
  /** Reads from sockets, each of one or more commands. */
  readonly reads: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Processor time of the thread that executes commands; `null` before Redis 7. */
  readonly mainThreadUs: number | null;
}

/**
 * How long scripts took since {@link BenchRedis.resetTimes}, the transactions around them, and LRANGEs, in milliseconds: of
 * each figure the largest. `null`: there was none, or Redis is older than 7.
 */
export interface ScriptTimes {
  readonly p50: number | null;
  readonly p99: number | null;
  readonly p999: number | null;
  readonly max: number | null;
}

/** One server for a family. */
export class BenchRedis implements AsyncDisposable {
  readonly #redis: TestRedis;
  readonly #seeder: Redis;
  readonly #client: Redis;

  private constructor(redis: TestRedis) {
    this.#redis = redis;
    this.#seeder = redis.client({ db: SEED_DB });
    this.#client = redis.client();
  }

  /** Starts it. */
  static async start(): Promise<BenchRedis> {
    const bench = new BenchRedis(await startRedis());
    await bench.#configure("slowlog-log-slower-than", String(SLOW_US));
    await bench.#configure("slowlog-max-len", "100000");
    await bench.#configure("latency-tracking-info-percentiles", "50 99 99.9 100");
    return bench;
  }

  get port(): number {
    return this.#redis.port;
  }

  /** A further connection; closed with the server. */
  client(): Redis {
    return this.#redis.client();
  }

  /** Makes the messages that {@link load} copies. */
  async seed({ count, bytes }: { count: number; bytes: number }): Promise<void> {
    await this.#seeder.del(SEED);
    const step = Math.max(1, Math.floor(SEED_PUSH_BYTES / bytes));
    for (let from = 0; from < count; from += step) {
      const batch = Array.from({ length: Math.min(step, count - from) }, (_, i) => makeMessage(from + i, bytes));
      await this.#seeder.lpush(SEED, ...batch);
    }
  }

  /** Empties the database and puts a copy of the seed's oldest `count` messages into the DLQ. */
  async load(count: number): Promise<void> {
    await this.empty();
    await this.copySeed(DLQ, count);
  }

  /** Empties the database; the seed stays. */
  async empty(): Promise<void> {
    await this.#client.flushdb("SYNC");
  }

  /** Puts a copy of the seed's oldest `count` messages under a key. */
  async copySeed(key: string, count: number): Promise<void> {
    await this.#seeder.call("COPY", SEED, key, "DB", 0);
    await this.#client.ltrim(key, -count, -1);
  }

  /** @throws where not all of `count` messages arrived, so many of them in the dead list. */
  async expectArrived(count: number, dead: number): Promise<void> {
    const found = await Promise.all([DLQ, TARGET, DEAD].map((key) => this.#client.llen(key)));
    const wanted = [0, count - dead, dead];
    if (String(found) === String(wanted)) return;
    throw new Error(`DLQ, target and dead list hold ${found} messages instead of ${wanted}`);
  }

  /** Reads the counters. */
  async counters(): Promise<Counters> {
    const [stats, cpu] = [await this.#client.info("stats"), await this.#client.info("cpu")];
    const seconds = (name: string) => numberIn(cpu, `used_cpu_${name}_main_thread`);
    const [user, system] = [seconds("user"), seconds("sys")];
    return {
      commands: numberIn(stats, "total_commands_processed") ?? 0,
      reads: numberIn(stats, "total_reads_processed") ?? 0,
      bytesIn: numberIn(stats, "total_net_input_bytes") ?? 0,
      bytesOut: numberIn(stats, "total_net_output_bytes") ?? 0,
      mainThreadUs: user === null || system === null ? null : (user + system) * 1e6,
    };
  }

  /** Forgets how long commands took. The counters start anew as well. */
  async resetTimes(): Promise<void> {
    await this.#client.config("RESETSTAT");
    await this.#client.slowlog("RESET");
  }

  /** How long scripts, transactions and ranges took. */
  async scriptTimes(): Promise<ScriptTimes> {
    const info = await this.#client.info("latencystats").catch(() => "");
    const times = ["evalsha", "eval", "exec", "lrange"].map((command) => percentilesIn(info, command));
    const largest = (percentile: string) => {
      const found = times.map((of) => of(percentile)).filter((value) => value !== null);
      return found.length === 0 ? null : Math.max(...found);
    };
    return { p50: largest("50"), p99: largest("99"), p999: largest("99\\.9"), max: largest("100") };
  }

  /** How many commands took over a millisecond. */
  async slowCommands(): Promise<number> {
    return Number(await this.#client.slowlog("LEN"));
  }

  async version(): Promise<string> {
    const info = await this.#client.info("server");
    return /redis_version:(\S+)/.exec(info)?.[1] ?? "unknown";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#redis.stop();
  }

  /** A setting that an older Redis does not have is left out. */
  async #configure(name: string, value: string): Promise<void> {
    await this.#client.config("SET", name, value).catch(() => {});
  }
}

function numberIn(info: string, name: string): number | null {
  const found = new RegExp(`^${name}:([0-9.]+)`, "m").exec(info)?.[1];
  return found === undefined ? null : Number(found);
}

/** Reads percentiles of a command's times, in milliseconds. */
function percentilesIn(info: string, command: string): (percentile: string) => number | null {
  const line = new RegExp(`^latency_percentiles_usec_${command}:(.*)$`, "m").exec(info)?.[1] ?? "";
  return (percentile) => {
    const found = new RegExp(`p${percentile}=([0-9.]+)`).exec(line)?.[1];
    return found === undefined ? null : Number(found) / 1_000;
  };
}
