/** The service as a process: how soon it is there, how much memory it takes, how long `/health` waits while it drains. */
import { ROOT } from "../../scripts/child.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { startService } from "../../testkit/service.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench, Family, Figures, Scale, Table, Target } from "../harness/family.ts";
import { readResidentMib } from "../harness/process_memory.ts";
import { alternate, mediansOf, type Rounds, worstOf } from "../harness/rounds.ts";
import { drainByService, HEALTH_MAX, IDLE_MIB, PEAK_MIB, serviceEnv } from "../harness/service_drain.ts";
import { freePort } from "../../scripts/free_port.ts";

/** What is measured at each scale. */
interface Range {
  /** Lists to drain, by number and bytes of their messages. */
  readonly lists: readonly { readonly count: number; readonly bytes: number }[];
  readonly sources: readonly number[];
  /** Messages of all sources together. */
  readonly total: number;
  readonly idleMs: number;
}

const MIB = 1 << 20, BYTES = 300;
const RANGES: Readonly<Record<Scale, Range>> = {
  short: { lists: [{ count: 2_000, bytes: BYTES }], sources: [2], total: 2_000, idleMs: 50 },
  full: {
    lists: [
      ...[1_000, 10_000, 100_000, 1_000_000].map((count) => ({ count, bytes: BYTES })),
      { count: 4_000, bytes: 65_536 },
      { count: 400, bytes: MIB },
    ],
    ...{ sources: [1, 2, 4, 8, 16], total: 400_000, idleMs: 2_500 },
  },
};
const START_TIMEOUT_MS = 30_000;
const FIRST_ANSWER = "first 200 ms";
/** Commands that need neither Redis nor metrics. */
const QUICK_COMMANDS = ["version", "--help", "config"];
const MOST_COMMAND_MS = 80;
const MOST_IDLE_MIB = 60, MOST_PEAK_MIB = 128, MOST_START_MS = 100, MOST_FILE_MB = 100;

/** The family. */
export const SERVICE: Family = {
  name: "service",
  about: "the service as a process: cold start, memory idle and while a million messages drain, several sources",
  async run(bench) {
    await using redis = await BenchRedis.start();
    const place = { redis, bench, range: RANGES[bench.scale] };
    return [await overStarts(place), await overLists(place), await overSources(place)];
  },
};

interface Place {
  readonly redis: BenchRedis;
  readonly bench: Bench;
  readonly range: Range;
}

async function overStarts({ redis, bench, range: { idleMs } }: Place): Promise<Table> {
  bench.tell("cold start");
  await redis.empty();
  const name = "start", megabytes = await readFileMegabytes();
  const rounds = await alternate([{ name, run: () => measureStart(redis, idleMs) }], bench);
  const figures: Figures = { ...mediansOf(rounds.get(name)!), "file MB": megabytes };
  return {
    title: "Start, and at rest",
    rows: [{ name, figures }],
    notes: megabytes === null ? ["No binary named, so it ran from source."] : [],
    targets: [
      atMost("from start to the first 200 on /health", { limit: MOST_START_MS, unit: "ms" }, figures[FIRST_ANSWER]),
      ...QUICK_COMMANDS.map((command) =>
        atMost(`${command}, start to exit`, { limit: MOST_COMMAND_MS, unit: "ms" }, figures[columnOf(command)])
      ),
      atMost("size of the binary", { limit: MOST_FILE_MB, unit: "MB" }, megabytes),
      atMost("resident when idle", { limit: MOST_IDLE_MIB, unit: "MiB" }, figures[IDLE_MIB]),
    ],
  };
}

async function measureStart(redis: BenchRedis, idleMs: number): Promise<Figures> {
  const port = freePort();
  const startedAtMs = performance.now();
  await using service = startService({ env: { ...serviceEnv(redis), HEALTH_PORT_REMEDIATION: String(port) } });
  await firstAnswer(`http://127.0.0.1:${port}/health`);
  const tookMs = performance.now() - startedAtMs;
  await SYSTEM_CLOCK.sleep(idleMs);
  const idle = await readResidentMib(service.pid);
  const commands: [string, number][] = [];
  for (const command of QUICK_COMMANDS) commands.push([columnOf(command), await measureCommand(command)]);
  return { [FIRST_ANSWER]: tookMs, ...Object.fromEntries(commands), [IDLE_MIB]: idle };
}

function columnOf(command: string): string {
  return `${command} ms`;
}

/** Milliseconds from the start of a command to its exit. */
async function measureCommand(command: string): Promise<number> {
  const startedAtMs = performance.now();
  await using run = startService({ args: [command] });
  const { code } = await run.exit;
  if (code !== 0) throw new Error(`"${command}" exited with ${code}`);
  return performance.now() - startedAtMs;
}

/** Asks until the answer is 200. */
async function firstAnswer(url: string): Promise<void> {
  const giveUpAtMs = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < giveUpAtMs) {
    const response = await fetch(url).catch(() => null);
    await response?.body?.cancel();
    if (response?.status === 200) return;
    await SYSTEM_CLOCK.sleep(1);
  }
  throw new Error(`The service did not answer within ${START_TIMEOUT_MS / 1_000} s`);
}

async function overLists({ redis, bench, range: { lists, idleMs } }: Place): Promise<Table> {
  const rounds = new Map<string, readonly Figures[]>();
  for (const { count, bytes } of lists) {
    const name = `${count.toLocaleString("en")} of ${bytes.toLocaleString("en")} bytes`;
    bench.tell(name);
    await redis.seed({ count, bytes });
    const one = await alternate([{ name, run: () => drainByService(redis, { count, idleMs }, bench) }], bench);
    for (const [key, runs] of one) rounds.set(key, runs);
  }
  const table = tableOf("The service drains: memory and /health", rounds);
  const million = table.rows.find(({ name }) => name === `1,000,000 of ${BYTES} bytes`)?.figures;
  if (!million) return table;
  const target = atMost("resident while a million drain", { limit: MOST_PEAK_MIB, unit: "MiB" }, million[PEAK_MIB]);
  return { ...table, targets: [target] };
}

async function overSources({ redis, bench, range: { sources, total, idleMs } }: Place): Promise<Table> {
  bench.tell("number of sources");
  await redis.seed({ count: total, bytes: BYTES });
  const contenders = sources.map((number) => {
    const names = Array.from({ length: number }, (_, i) => `s${i}`);
    const load = { count: Math.floor(total / number), sources: names, idleMs };
    return { name: String(number), run: () => drainByService(redis, load, bench) };
  });
  return tableOf(
    `Number of sources, ${total.toLocaleString("en")} messages of ${BYTES} bytes in all`,
    await alternate(contenders, bench),
  );
}

function tableOf(title: string, rounds: Rounds): Table {
  const rows = [...rounds].map(([name, runs]) => {
    const worst = Object.fromEntries([PEAK_MIB, HEALTH_MAX, "script max ms"].map((key) => [key, worstOf(runs, key)]));
    return { name, figures: { ...mediansOf(runs), ...worst } };
  });
  return { title, rows, notes: ["Peaks and longest times are the worst of all runs."] };
}

function atMost(
  what: string,
  { limit, unit }: { limit: number; unit: string },
  value: number | null | undefined,
): Target {
  return { what, bound: "at most", limit, unit, value: value ?? null };
}

async function readFileMegabytes(): Promise<number | null> {
  const binary = Deno.env.get("MUTT_REMEDIATION_BINARY");
  if (binary === undefined) return null;
  return (await Deno.stat(binary.startsWith("/") ? binary : ROOT + binary)).size / 1e6;
}
