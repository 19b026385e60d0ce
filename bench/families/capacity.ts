/** How far one instance and one Redis go: what idle sources cost, and what a message costs with more sources and instances. */
import { stateKey } from "../../src/redis/keys.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { BenchRedis, type Counters } from "../harness/bench_redis.ts";
import type { Bench, Family, Figures, Row, Scale, Table } from "../harness/family.ts";
import { readCpuUs } from "../harness/process_cpu.ts";
import { readResidentMib } from "../harness/process_memory.ts";
import { dlqOf, parked, serviceEnv, waitUntilGone, writeSources } from "../harness/service_drain.ts";

/** Instances at one Redis. */
interface Size {
  /** Sources files, each with as many sources. */
  readonly files: number;
  readonly sources: number;
  /** Instances that share a file. */
  readonly instances: number;
}

/** What is measured at each scale. */
interface Range {
  readonly idle: readonly Size[];
  /** From the start of the instances until they are measured, and for how long. */
  readonly settleMs: number;
  readonly measuredMs: number;
  readonly drains: readonly Size[];
  /** Messages of all sources together. */
  readonly total: number;
}

const BYTES = 300, START_MS = 30_000;
/** Instances that do not lead equally many by then do not spread sources. */
const EVEN_MS = 120_000, POLL_MS = 100;
const one = (sources: number): Size => ({ files: 1, sources, instances: 1 });
const RANGES: Readonly<Record<Scale, Range>> = {
  short: {
    ...{ idle: [{ files: 1, sources: 2, instances: 2 }], settleMs: 50, measuredMs: 200 },
    ...{ drains: [one(2)], total: 2_000 },
  },
  full: {
    idle: [...[1, 10, 100].map(one), ...[2, 3].map((n) => ({ ...one(100), instances: n })), { ...one(100), files: 4 }],
    ...{ settleMs: 10_000, measuredMs: 30_000 },
    drains: [...[1, 4, 16].map(one), { ...one(16), instances: 3 }],
    total: 400_000,
  },
};

/** The family. */
export const CAPACITY: Family = {
  name: "capacity",
  about: "what 1 to 400 idle sources cost one to four instances and Redis, and a message with more of both",
  async run(bench) {
    return [await overIdle(bench), await overDrains(bench)];
  },
};

async function overIdle(bench: Bench): Promise<Table> {
  const { idle, ...range } = RANGES[bench.scale], rows: Row[] = [];
  for (const size of idle) rows.push(await rowOf(size, bench, () => rest(size, range, bench)));
  const notes = ["Each once, at the default interval. Processor time and memory are those of all instances together."];
  return { title: "Idle sources", rows, notes };
}

async function overDrains(bench: Bench): Promise<Table> {
  const { drains, total } = RANGES[bench.scale], rows: Row[] = [];
  for (const size of drains) rows.push(await rowOf(size, bench, () => drain(size, total, bench)));
  const title = `Drain by instances, ${total.toLocaleString("en")} messages of ${BYTES} bytes in all`;
  return { title, rows, notes: ["Each once. Processor time is that of all instances together, per message."] };
}

async function rowOf({ files, sources, instances }: Size, bench: Bench, run: () => Promise<Figures>): Promise<Row> {
  bench.signal.throwIfAborted();
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const name = `${count(files * sources, "source")}, ${count(files * instances, "instance")}`;
  bench.tell(name);
  return { name, figures: await run() };
}

async function rest(
  size: Size,
  { settleMs, measuredMs }: Pick<Range, "settleMs" | "measuredMs">,
  { signal }: Bench,
): Promise<Figures> {
  await using redis = await BenchRedis.start();
  const { REMEDIATION_INTERVAL: _, ...env } = serviceEnv(redis);
  await using fleet = await Fleet.start(redis, size, env);
  await SYSTEM_CLOCK.sleep(settleMs, signal);
  const from = await fleet.count();
  await SYSTEM_CLOCK.sleep(measuredMs, signal);
  const { clientUs, mainThreadUs, reads, commands, seconds } = difference(from, await fleet.count());
  return {
    "instances µs/s": clientUs && clientUs / seconds,
    "Redis µs/s": mainThreadUs && mainThreadUs / seconds,
    "reads/s": reads / seconds,
    "commands/s": commands / seconds,
    connections: await fleet.connections(),
    MiB: await fleet.residentMib(),
  };
}

async function drain(size: Size, total: number, { signal }: Bench): Promise<Figures> {
  await using redis = await BenchRedis.start();
  const client = redis.client();
  await using fleet = await Fleet.start(redis, size, serviceEnv(redis));
  await fleet.waitUntilEven(signal);
  await redis.seed({ count: total, bytes: BYTES });
  const lists = fleet.sources.map(dlqOf), count = Math.floor(total / lists.length);
  for (const list of lists) await redis.copySeed(parked(list), count);
  const from = await fleet.count();
  for (const list of lists) await client.rename(parked(list), list);
  const rate = await waitUntilGone(client, lists, signal);
  const { clientUs, mainThreadUs } = difference(from, await fleet.count()), messages = count * lists.length;
  return {
    "messages/s": rate,
    "instances µs": clientUs && clientUs / messages,
    "Redis µs": mainThreadUs && mainThreadUs / messages,
  };
}

interface Count extends Counters {
  readonly atMs: number;
  /** Processor time of all instances; `null`: not to be had here. */
  readonly clientUs: number | null;
}

function difference(from: Count, to: Count) {
  const less = (a: number | null, b: number | null) => a === null || b === null ? null : a - b;
  return {
    clientUs: less(to.clientUs, from.clientUs),
    mainThreadUs: less(to.mainThreadUs, from.mainThreadUs),
    ...{ reads: to.reads - from.reads, commands: to.commands - from.commands },
    seconds: (to.atMs - from.atMs) / 1_000,
  };
}

/** Instances of the service at one Redis. */
class Fleet implements AsyncDisposable {
  readonly sources: readonly string[];
  readonly #redis: BenchRedis;
  readonly #services: readonly Service[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    redis: BenchRedis,
    { sources, services, stack }: { sources: readonly string[]; services: Service[]; stack: AsyncDisposableStack },
  ) {
    this.#redis = redis;
    this.sources = sources;
    this.#services = services;
    this.#stack = stack;
  }

  static async start(
    redis: BenchRedis,
    { files, sources, instances }: Size,
    env: Readonly<Record<string, string>>,
  ): Promise<Fleet> {
    await using stack = new AsyncDisposableStack();
    const services: Service[] = [], names: string[] = [];
    for (let file = 0; file < files; file++) {
      const own = Array.from({ length: sources }, (_, i) => `f${file}s${i}`), written = stack.use(writeSources(own));
      names.push(...own);
      for (let i = 0; i < instances; i++) {
        const service = stack.use(startService({ env: { ...env, ...written.env } }));
        await service.ports({ timeoutMs: START_MS });
        services.push(service);
      }
    }
    return new Fleet(redis, { sources: names, services, stack: stack.move() });
  }

  async count(): Promise<Count> {
    const cpuUs = await Promise.all(this.#services.map(({ pid }) => readCpuUs(pid)));
    return { atMs: performance.now(), clientUs: sum(cpuUs), ...await this.#redis.counters() };
  }

  async connections(): Promise<number> {
    const clients = String(await this.#redis.client().client("LIST"));
    return clients.split("\n").filter((line) => line.includes(" name=mutt-remediation:")).length;
  }

  async residentMib(): Promise<number | null> {
    return sum(await Promise.all(this.#services.map(({ pid }) => readResidentMib(pid))));
  }

  /** Waits until each instance leads as many sources as the others, or one more. */
  async waitUntilEven(signal: AbortSignal): Promise<void> {
    const client = this.#redis.client(), giveUpAtMs = performance.now() + EVEN_MS;
    for (;;) {
      const leaders = await Promise.all(this.sources.map((name) => client.hget(stateKey(dlqOf(name)), "leader")));
      const counts = [...Map.groupBy(leaders, (leader) => leader).values()].map(({ length }) => length);
      const isEven = Math.max(...counts) - Math.min(...counts) <= 1;
      if (isEven && counts.length === this.#services.length && leaders.every((leader) => leader)) return;
      if (performance.now() > giveUpAtMs) throw new Error(`The instances lead ${counts} sources`);
      await SYSTEM_CLOCK.sleep(POLL_MS, signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** `null` if one is. */
function sum(values: readonly (number | null)[]): number | null {
  return values.reduce((all, value) => all === null || value === null ? null : all + value, 0);
}
