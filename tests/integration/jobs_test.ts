/** Jobs on a real Redis: every list before and after, byte for byte. */
import { Buffer } from "node:buffer";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Job } from "../../src/jobs/job.ts";
import { jobListKey, shelfKey, trashKey } from "../../src/redis/keys.ts";
import { sha1 } from "../../src/redis/sample.ts";
import { createEngine, DEAD, DLQ, type Engine, eventTexts, idOf, STATE, TARGET } from "../../testkit/engine.ts";
import { shareRedis } from "../../testkit/redis.ts";

const server = shareRedis();

const messageId = (text: string) => `m_${sha1([Buffer.from(text)]).slice(0, 16)}`;

/** Plans a job over the messages with these texts. */
async function plan(
  engine: Engine,
  { verb, list = "dlq", texts }: { verb: Job["verb"]; list?: "dlq" | "dead"; texts: readonly string[] },
): Promise<string> {
  await engine.connections.waitUntilReady(10_000);
  const { jobs } = engine.source;
  const watermark = await jobs.readWatermark(list, { maxMessageBytes: 1_000_000 });
  return await jobs.plan({
    selection: { source: "alerter", list, query: "", ids: texts.map(messageId) },
    ...{ verb, watermark, planned: texts.length, plan: null, plannedBy: "ann", reason: "test" },
  });
}

/** Takes turns until no job runs. */
async function runJob(engine: Engine): Promise<void> {
  await engine.source.leadership.take();
  const { signal } = new AbortController();
  for (let turn = 0; turn < 1_000; turn++) {
    if ((await engine.source.replay.look()).record.job === null) return;
    const { nextInMs } = await engine.source.turns.runOnce({ begin: "due", signal });
    await new Promise((resolve) => setTimeout(resolve, Math.min(nextInMs, 20)));
  }
  throw new Error("the job does not end");
}

/** Ids in each list, oldest first. */
async function readAll(job: string): Promise<Record<string, string[]>> {
  const keys = {
    dlq: DLQ,
    target: TARGET,
    dead: DEAD,
    shelf: shelfKey(DLQ),
    own: jobListKey(DLQ, job),
    trash: trashKey(DLQ, job),
  };
  const lists = await Promise.all(
    Object.entries(keys).map(async ([name, key]) => [name, (await server().readTexts(key)).map(idOf)] as const),
  );
  return Object.fromEntries(lists.filter(([, found]) => found.length > 0));
}

const TEXTS = eventTexts(250);
const PICKED = [0, 1, 57, 99, 100, 101, 248, 249];
const REST = TEXTS.map(idOf).filter((id) => !PICKED.includes(Number(id)));

for (
  const { verb, after } of [
    { verb: "purge", after: { dlq: REST, trash: PICKED.map(String) } },
    { verb: "redrive", after: { dlq: REST, target: PICKED.map(String) } },
    { verb: "bury", after: { dlq: REST, dead: PICKED.map(String) } },
  ] as const
) {
  Deno.test(`job ${verb}: moves the picked messages in order, and leaves the others where they were`, async () => {
    await server().seedList(DLQ, TEXTS);
    await using engine = createEngine(server());
    const id = await plan(engine, { verb, texts: PICKED.map((i) => TEXTS[i]!) });
    strictEqual(await engine.source.jobs.start(id, { by: "bob" }), "ok");
    await server().client().lpush(DLQ, "later");
    await runJob(engine);
    deepStrictEqual(await readAll(id), { ...after, dlq: [...after.dlq, "later"] });
    const dlq = await server().readTexts(DLQ);
    deepStrictEqual(dlq.slice(0, -1), TEXTS.filter((_, i) => !PICKED.includes(i)));
    const job = await engine.source.jobs.get(id);
    strictEqual(job?.status, "done");
    deepStrictEqual(job.result, {
      ...{ swept: 250, picked: 8, replayed: 0, dead: 0, trashed: 0, returned: 0 },
      ...{ redrive: { replayed: 8 }, bury: { dead: 8 }, purge: { trashed: 8 } }[verb],
    });
    ok(await server().client().pttl(trashKey(DLQ, id)) > 0 === (verb === "purge"));
    strictEqual(await server().client().hget(STATE, "job"), "");
  });
}
