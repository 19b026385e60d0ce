/** Every step of a job whose request or reply is lost, or behind which its process dies: nothing is lost, doubled or reordered. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { JobVerb } from "../../src/cycle/running_job.ts";
import type { JobStatus } from "../../src/jobs/job.ts";
import { createEngine, DLQ, type EngineOptions, eventTexts, idOf } from "../../testkit/engine.ts";
import { readJobLists, runJob, startJob } from "../../testkit/jobs.ts";
import { shareRedis, type TestRedis } from "../../testkit/redis.ts";
import { type CutPoint, startTcpProxy } from "../../testkit/tcp_proxy.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const server = shareRedis();

const TEXTS = eventTexts(120);
const PICKED = [0, 5, 99, 100, 119].map((i) => TEXTS[i]!);
const REST = TEXTS.filter((text) => !PICKED.includes(text)).map(idOf);

interface Row {
  readonly name: string;
  readonly verb: JobVerb;
  readonly cancelled: boolean;
  readonly after: Readonly<Record<string, readonly string[]>>;
}

const VERBS: readonly Row[] = [
  { name: "redrive", verb: "redrive", cancelled: false, after: { dlq: REST, target: PICKED.map(idOf) } },
  { name: "bury", verb: "bury", cancelled: false, after: { dlq: REST, dead: PICKED.map(idOf) } },
  { name: "purge", verb: "purge", cancelled: false, after: { dlq: REST, trash: PICKED.map(idOf) } },
  { name: "a cancelled redrive", verb: "redrive", cancelled: true, after: { dlq: [...PICKED.map(idOf), ...REST] } },
];

interface Fault {
  readonly name: string;
  readonly point: CutPoint;
  readonly dies: boolean;
}

const FAULTS: readonly Fault[] = [
  { name: "its reply is lost", point: "before_reply", dies: false },
  { name: "its request is lost", point: "before_request", dies: false },
  { name: "the process dies before its reply", point: "before_reply", dies: true },
];

/** Steps of the longest job here, and some more. */
const MOST_STEPS = 40;

/** Runs one job whose step number `step` fails. @returns false if the job had no such step */
async function runWithFault(
  redis: TestRedis,
  { verb, cancelled, point, dies, step, after }: Row & Omit<Fault, "name"> & { step: number },
): Promise<boolean> {
  await redis.client().flushall();
  await redis.seedList(DLQ, TEXTS);
  const options: EngineOptions = { commandTimeoutMs: 5_000, settings: { leaderElection: true } };
  const proxy = startTcpProxy({ port: redis.port });
  try {
    await using first = createEngine(proxy, options);
    const id = await startJob(first, { verb, texts: PICKED });
    if (cancelled) {
      await runJob(first, async () => (await first.source.replay.look()).record.job?.phase === "act");
      ok(await first.source.jobs.request(id, "cancel"));
    }
    let isCut = false;
    // Each move, and each read that it is decided on, names the job.
    void proxy.cut(point, { texts: [id], occurrence: step }).then(() => isCut = true).catch(() => {});
    await runJob(first, () => Promise.resolve(isCut && dies));
    const wasCut = isCut;
    if (dies && isCut) {
      await first.kill();
      await using second = createEngine(redis, { ...options, token: "second" });
      await second.connections.waitUntilReady(PATIENT_MS);
      await second.source.leadership.take({ force: true });
      await runJob(second);
    }
    const lists = await readJobLists(redis, id);
    const ids = Object.fromEntries(Object.entries(lists).map(([name, found]) => [name, found.map(idOf)]));
    deepStrictEqual(ids, after, `step ${step}`);
    const [status, result] = await redis.client().hmget(
      `mutt:remediation:{${DLQ}}:state:jobs:${id}`,
      "status",
      "result",
    );
    strictEqual(status, (cancelled ? "cancelled" : "done") satisfies JobStatus);
    deepStrictEqual([JSON.parse(result!).swept, JSON.parse(result!).picked], [120, 5], `step ${step}`);
    return wasCut;
  } finally {
    await proxy.stop();
  }
}

for (const row of VERBS) {
  for (const fault of FAULTS) {
    Deno.test(`job ${row.name}: moves each message once when at any step ${fault.name}`, async () => {
      let steps = 0;
      for (let step = 1; step <= MOST_STEPS; step++) {
        if (!await runWithFault(server(), { ...fault, ...row, step })) break;
        steps++;
      }
      ok(steps >= 2 && steps < MOST_STEPS, `${steps} steps`);
    });
  }
}
