/** Edits, imports and their undo in any order, between pushes and pops: every message is in exactly one list, and in order. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { formatEnd, formatHeader, formatRaw } from "../../src/message/export_format.ts";
import { messageId } from "../../src/message/message_id.ts";
import { edit } from "../../src/operations/edit.ts";
import { importMessages } from "../../src/operations/import.ts";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import { jobsKey } from "../../src/redis/keys.ts";
import { createEngine, DLQ, eventText } from "../../testkit/engine.ts";
import { runJob } from "../../testkit/jobs.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { assertRounds } from "../../testkit/property_rounds.ts";
import { pushOf, startRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const SEED = Number(Deno.env.get("FC_SEED") ?? Date.now() % 1_000_000);
const ROUNDS = Deno.env.get("MUTT_TEST_FULL") === "1" ? { most: 500, limitMs: 300_000 } : { most: 100, limitMs: 5_000 };

const step = fc.oneof(
  fc.record({
    kind: fc.constantFrom("push" as const, "pop" as const, "import" as const),
    count: fc.integer({ min: 1, max: 9 }),
  }),
  fc.record({ kind: fc.constantFrom("edit" as const, "undo" as const), count: fc.nat(30) }),
);

Deno.test(`edit and import: nothing is lost, doubled or reordered, whatever is undone (seed ${SEED})`, async () => {
  const redis = await startRedis({ push: pushOf(import.meta) }), client = redis.client();
  try {
    await using engine = createEngine(redis, { commandTimeoutMs: PATIENT_MS });
    await engine.connections.waitUntilReady(PATIENT_MS);
    await engine.source.leadership.take();
    const context = operatorContext(engine), source = "alerter", reason = "test";
    let next = 0;
    const seen = { rounds: 0, edit: 0, import: 0, undo: 0 };
    const confirm = async (id: string) => {
      await jobsConfirm.run(context, { source, id });
      await runJob(engine);
    };
    const isEnough = () => seen.rounds >= 25 && seen.edit > 0 && seen.import > 0 && seen.undo > 0;
    await assertRounds(fc.array(step, { maxLength: 12 }), { ...ROUNDS, seed: SEED, seen, isEnough }, async (steps) => {
      await client.flushall();
      // The model: the DLQ, oldest first; what is in a trash; what other clients took; and how to undo each job.
      let dlq: string[] = [];
      const trash: string[] = [], popped: string[] = [];
      const undos: { job: string; isEdit: boolean; before: string; after: readonly string[] }[] = [];
      const fresh = (count: number) => Array.from({ length: count }, () => eventText(next++));
      const runStep = async ({ kind, count }: typeof step extends fc.Arbitrary<infer Step> ? Step : never) => {
        if (kind === "push") {
          const texts = fresh(count);
          await redis.seedList(DLQ, texts);
          dlq.push(...texts);
        } else if (kind === "pop") {
          const texts = (await redis.popList(DLQ, count)).map(String);
          assert.deepEqual(texts, dlq.splice(0, count));
          popped.push(...texts);
        } else if (kind === "import") {
          const texts = fresh(count), at = "2026-01-02T03:04:05.678Z";
          const lines = [
            formatHeader({ source, list: "dlq", query: "", masked: false, depth: count, at }),
            ...texts.map((text, i) => {
              const bytes = Buffer.from(text);
              return formatRaw({ id: messageId(bytes), place: i + 1, bytes });
            }),
            formatEnd({ messages: count, skipped: 0 }),
          ];
          const file = (async function* () {
            for (const line of lines) yield Buffer.from(`${line}\n`);
          })();
          const { job: { id } } = await importMessages.run(context, { source, file, reason });
          assert.deepEqual(await redis.readTexts(DLQ), dlq, "nothing is visible before it is confirmed");
          await confirm(id);
          dlq.push(...texts);
          undos.push({ job: id, isEdit: false, before: "", after: texts });
          seen.import++;
        } else if (kind === "edit" && dlq.length > 0) {
          const at = count % dlq.length, before = dlq[at]!, [after] = fresh(1) as [string];
          const id = messageId(Buffer.from(before));
          const { job } = await edit.run(context, { source, id, near: at + 1, payload: after, reason });
          dlq = dlq.with(at, after);
          trash.push(before);
          undos.push({ job, isEdit: true, before, after: [after] });
          seen.edit++;
        } else if (kind === "undo" && undos.length > 0) {
          const [{ job, isEdit, before, after }] = undos.splice(count % undos.length, 1) as [(typeof undos)[number]];
          const there = after.filter((text) => dlq.includes(text));
          const planning = jobsUndo.run(context, { source, id: job, reason });
          if (there.length === 0) return await assert.rejects(planning, /has left|nothing of import/);
          const { job: { id }, plan } = await planning;
          assert.equal(plan.count, there.length);
          await confirm(id);
          if (isEdit) {
            dlq = dlq.with(dlq.indexOf(after[0]!), before);
            trash.splice(trash.indexOf(before), 1);
          } else dlq = dlq.filter((text) => !there.includes(text));
          trash.push(...there);
          seen.undo++;
        }
      };
      for (const one of steps) {
        await runStep(one);
        assert.deepEqual(await redis.readTexts(DLQ), dlq, one.kind);
        const lists = [...await client.keys(`${jobsKey(DLQ)}:*:trash`), ...await client.keys(`${jobsKey(DLQ)}:*:list`)];
        const kept = (await Promise.all(lists.map((key) => redis.readTexts(key)))).flat();
        assert.deepEqual(
          kept.toSorted(),
          trash.toSorted(),
          `${one.kind}: what was replaced or taken back is kept once`,
        );
      }
      seen.rounds++;
    });
    console.log(`edit and import: seed ${SEED}: ${JSON.stringify(seen)}`);
  } finally {
    await redis.stop();
  }
});
