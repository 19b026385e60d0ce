/** Plans and runs jobs of the test's source, and reads every list that they use. */
import { Buffer } from "node:buffer";
import type { JobList, JobVerb } from "../src/cycle/running_job.ts";
import { messageId } from "../src/message/message_id.ts";
import { jobListKey, oversizeKey, shelfKey, trashKey } from "../src/redis/keys.ts";
import { DEAD, DLQ, type Engine, TARGET } from "./engine.ts";
import { PATIENT_MS } from "./wait.ts";

/** A job to plan. */
export interface WantedJob {
  readonly verb: JobVerb;
  /** Default: the DLQ. */
  readonly list?: JobList;
  /** The messages to pick. */
  readonly texts: readonly (string | Uint8Array)[];
}

/** Plans a job over these messages. @returns its id */
export async function planJob(engine: Engine, { verb, list = "dlq", texts }: WantedJob): Promise<string> {
  await engine.connections.waitUntilReady(PATIENT_MS);
  const { jobs, setup: { policy } } = engine.source;
  const watermark = await jobs.readWatermark(list, { maxMessageBytes: 1_000_000 });
  const ids = texts.map((text) => messageId(Buffer.from(text)));
  return await jobs.plan({
    selection: { source: policy.name, list, query: "", ids },
    ...{ verb, watermark, planned: texts.length, plan: null, plannedBy: "ann", reason: "test" },
  });
}

/** Plans a job and starts it. @returns its id */
export async function startJob(engine: Engine, wanted: WantedJob): Promise<string> {
  const id = await planJob(engine, wanted);
  const result = await engine.source.jobs.start(id, { by: "bob" });
  if (result !== "ok") throw new Error(`the job does not start: ${result}`);
  return id;
}

/** Takes turns until no job runs, or until the condition holds before a turn. */
export async function runJob(
  engine: Engine,
  until: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<void> {
  await engine.connections.waitUntilReady(PATIENT_MS);
  await engine.source.leadership.take();
  const { signal } = new AbortController(), deadline = performance.now() + PATIENT_MS;
  while (performance.now() < deadline) {
    if (await until()) return;
    const snapshot = await engine.source.replay.look().catch(() => null);
    if (snapshot && snapshot.record.job === null) return;
    const { nextInMs } = await engine.source.turns.runOnce({ begin: "never", signal });
    await new Promise((resolve) => setTimeout(resolve, Math.min(nextInMs, 10)));
  }
  throw new Error("the job does not end");
}

/** Every list that a job of the source uses. */
export function listsOf(job: string): Readonly<Record<string, string>> {
  return {
    ...{ dlq: DLQ, target: TARGET, dead: DEAD, oversize: oversizeKey(DLQ), shelf: shelfKey(DLQ) },
    ...{ own: jobListKey(DLQ, job), trash: trashKey(DLQ, job) },
  };
}

/** Reads every list, oldest first; only those with messages. */
export async function readJobLists(
  redis: { readTexts(key: string): Promise<string[]> },
  job: string,
): Promise<Record<string, string[]>> {
  const lists = await Promise.all(
    Object.entries(listsOf(job)).map(async ([name, key]) => [name, await redis.readTexts(key)] as const),
  );
  return Object.fromEntries(lists.filter(([, found]) => found.length > 0));
}
