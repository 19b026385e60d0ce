/** A job of an operator: a few messages out of a million are redriven, while producers push. */
import { createHash } from "node:crypto";
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { createEngine, DLQ, type Engine, TARGET } from "../../testkit/engine.ts";
import { startJob } from "../../testkit/jobs.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import type { Family, Figures, Scale } from "../harness/family.ts";
import { makeMessage } from "../harness/messages.ts";
import { alternate, mediansOf, worstOf } from "../harness/rounds.ts";

const LOADS: Readonly<Record<Scale, { readonly count: number; readonly picked: number; readonly bytes: number }>> = {
  short: { count: 5_000, picked: 50, bytes: 400 },
  full: { count: 1_000_000, picked: 1_000, bytes: 400 },
};
/** Messages that the producer pushes at once, and how often, in milliseconds: 1,000 a second. */
const PUSHED = 10, PUSH_EVERY_MS = 10;
const POLL_MS = 20, READ_AT_ONCE = 10_000;

const SECONDS = "seconds", P50 = "script p50 ms", P99 = "script p99 ms";
const NAME = "filtered redrive";

/** The family. */
export const OPERATE_JOBS: Family = {
  name: "operate_jobs",
  about: "a filtered redrive of 1,000 out of 1,000,000 beside a producer of 1,000 messages a second",
  async run(bench) {
    await using redis = await BenchRedis.start();
    const { count, picked, bytes } = LOADS[bench.scale];
    bench.tell(`${count} messages of ${bytes} bytes, ${picked} picked`);
    await redis.seed({ count, bytes });
    const rounds = await alternate([{ name: NAME, run: () => redrive(redis, { count, picked, bytes }) }], bench);
    const runs = rounds.get(NAME)!, medians = mediansOf(runs), isFull = bench.scale === "full";
    return [{
      title: `Redrive of ${picked} messages out of ${count} of ${bytes} bytes, beside a producer of 1,000 a second`,
      rows: [{ name: NAME, figures: medians }],
      notes: ["The others are compared byte for byte, in order, before and after."],
      targets: [
        {
          what: "whole job",
          bound: "at most",
          limit: 15,
          unit: "s",
          value: isFull ? worstOf(runs, SECONDS) : null,
        },
        { what: "script, median", bound: "at most", limit: 1, unit: "ms", value: medians[P50] ?? null },
        { what: "script, 99th percentile", bound: "at most", limit: 3, unit: "ms", value: medians[P99] ?? null },
      ],
    }];
  },
};

async function redrive(
  redis: BenchRedis,
  { count, picked, bytes }: { count: number; picked: number; bytes: number },
): Promise<Figures> {
  await redis.load(count);
  const every = count / picked, isPicked = (i: number) => i % every === 1;
  const texts = Array.from({ length: picked }, (_, i) => makeMessage(i * every + 1, bytes));
  const { chunkMessages } = DEFAULT_SETTINGS;
  await using engine = createEngine(redis, {
    settings: { chunkMessages },
    longestPauseMs: Infinity,
    commandTimeoutMs: 10_000,
  });
  const client = redis.client(), before = await digest(redis, (i) => !isPicked(i), count);
  await redis.resetTimes();
  const id = await startJob(engine, { verb: "redrive", texts });
  const startedMs = SYSTEM_CLOCK.monotonicMs(), over = new AbortController();
  const producing = produce(redis, over.signal);
  const measured = await measure(engine, { id, startedMs, redis }).finally(() => over.abort());
  const pushed = await producing;
  const [depth, replayed] = await Promise.all([client.llen(DLQ), client.llen(TARGET)]);
  const after = await digest(redis, () => true, count - picked);
  if (depth !== count - picked + pushed || replayed !== picked || before !== after) {
    throw new Error(
      `the DLQ holds ${depth}, the target ${replayed}; the others ${
        before === after ? "are" : "differ from"
      } as before`,
    );
  }
  return { ...measured, pushed };
}

async function measure(
  engine: Engine,
  { id, startedMs, redis }: { id: string; startedMs: number; redis: BenchRedis },
): Promise<Figures> {
  await engine.start();
  await isDone(engine, id);
  const seconds = (SYSTEM_CLOCK.monotonicMs() - startedMs) / 1_000;
  const { p50, p99, max } = await redis.scriptTimes();
  return { [SECONDS]: seconds, [P50]: p50, [P99]: p99, "script max ms": max };
}

async function isDone({ source: { jobs } }: Engine, id: string): Promise<void> {
  while ((await jobs.get(id))?.status !== "done") await SYSTEM_CLOCK.sleep(POLL_MS);
}

/** Pushes until it is aborted. @returns how many */
async function produce(redis: BenchRedis, signal: AbortSignal): Promise<number> {
  const client = redis.client(), startedMs = SYSTEM_CLOCK.monotonicMs();
  let pushed = 0;
  while (!signal.aborted) {
    const due = Math.floor((SYSTEM_CLOCK.monotonicMs() - startedMs) / PUSH_EVERY_MS) * PUSHED - pushed;
    if (due > 0) await client.lpush(DLQ, ...Array.from({ length: due }, (_, i) => `later-${pushed + i}`));
    pushed += Math.max(0, due);
    await SYSTEM_CLOCK.sleep(PUSH_EVERY_MS, signal);
  }
  return pushed;
}

/** Digest of those of the oldest `count` messages that are asked for, oldest first. */
async function digest(redis: BenchRedis, isWanted: (place: number) => boolean, count: number): Promise<string> {
  const client = redis.client(), hash = createHash("sha1");
  for (let from = 0; from < count; from += READ_AT_ONCE) {
    const to = Math.min(count, from + READ_AT_ONCE), found = await client.lrangeBuffer(DLQ, -to, -(from + 1));
    found.reverse().forEach((message, i) => isWanted(from + i) && hash.update(message).update("\n"));
  }
  return hash.digest("hex");
}
