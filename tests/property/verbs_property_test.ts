/**
 * Operators' verbs in any sequence, with arrivals in between, jobs that are cancelled on the way, and undos: every message is in exactly
 * one list at the end, and each list keeps the order in which its messages came.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { bury } from "../../src/operations/bury.ts";
import { jobsCancel } from "../../src/operations/jobs_cancel.ts";
import { jobsConfirm } from "../../src/operations/jobs_confirm.ts";
import { jobsUndo } from "../../src/operations/jobs_undo.ts";
import { OperationError } from "../../src/operations/operation.ts";
import { purge } from "../../src/operations/purge.ts";
import { redrive } from "../../src/operations/redrive.ts";
import { revive } from "../../src/operations/revive.ts";
import { shelfKey, trashKey } from "../../src/redis/keys.ts";
import { createEngine, DEAD, DLQ, type Engine, idOf, TARGET } from "../../testkit/engine.ts";
import { runJob } from "../../testkit/jobs.ts";
import { operatorContext } from "../../testkit/operator_context.ts";
import { assertRounds } from "../../testkit/property_rounds.ts";
import { pushOf, startRedis, type TestRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

const SEED = Number(Deno.env.get("FC_SEED") ?? Date.now() % 1_000_000);
const isFull = Deno.env.get("MUTT_TEST_FULL") === "1";
const ROUNDS = isFull ? { most: 1_000, limitMs: 300_000 } : { most: 60, limitMs: 15_000 };
const HOSTS = 3, source = "alerter", reason = "property";

/** Of the messages of one host, or of all (`null`). */
type Step =
  | { readonly kind: "push"; readonly count: number }
  | {
    readonly kind: "redrive" | "bury" | "revive" | "purge" | "purge_dead";
    readonly host: number | null;
    readonly isCancelled: boolean;
  }
  | { readonly kind: "undo"; readonly job: number; readonly isCancelled: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("push" as const), count: fc.integer({ min: 1, max: 30 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "redrive" as const,
        "bury" as const,
        "revive" as const,
        "purge" as const,
        "purge_dead" as const,
      ),
      host: fc.option(fc.nat(HOSTS - 1)),
      isCancelled: fc.nat(4).map((one) => one === 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("undo" as const),
      job: fc.nat(9),
      isCancelled: fc.nat(4).map((one) => one === 0),
    }),
  },
);

/** One engine, and the jobs of its rounds. */
class Desk implements AsyncDisposable {
  readonly #redis: TestRedis;
  readonly #engine: Engine;
  #jobs: string[] = [];
  #pushed: string[] = [];
  #next = 0;
  /** Until a job puts messages back at the oldest end, or takes from the dead list, which jobs fill host by host. */
  #isInOrder = true;
  readonly seen = { rounds: 0, messages: 0, done: 0, cancelled: 0, undone: 0, refused: 0 };

  constructor(redis: TestRedis) {
    this.#redis = redis;
    this.#engine = createEngine(redis, { settings: { brakeEnabled: false }, commandTimeoutMs: PATIENT_MS });
  }

  async play(steps: readonly Step[]): Promise<void> {
    await this.#engine.connections.waitUntilReady(PATIENT_MS);
    await this.#redis.client().flushall();
    this.#jobs = [];
    this.#pushed = [];
    this.#isInOrder = true;
    for (const one of steps) {
      try {
        await this.#take(one);
      } catch (error) {
        // Nothing matches, or nothing is left to bring back.
        if (!(error instanceof OperationError) || error.code !== "conflict") throw error;
        this.seen.refused++;
      }
      await this.#check();
    }
    this.seen.rounds++;
    this.seen.messages += this.#pushed.length;
  }

  async #take(given: Step): Promise<void> {
    if (given.kind === "push") return await this.#push(given.count);
    const context = operatorContext(this.#engine);
    if (given.kind === "undo" || given.kind === "purge_dead" || given.isCancelled) this.#isInOrder = false;
    if (given.kind === "undo") {
      const id = this.#jobs[given.job % Math.max(1, this.#jobs.length)];
      if (id === undefined) return;
      await this.#run((await jobsUndo.run(context, { source, id, reason })).job.id, given);
      this.seen.undone++;
      return;
    }
    const input = { source, reason, ...given.host === null ? {} : { query: `host:web-${given.host}` } };
    const planned = given.kind === "purge_dead"
      ? await purge.run(context, { ...input, list: "dead" })
      : await { redrive, bury, revive, purge }[given.kind].run(context, input);
    await this.#push(1);
    await this.#run(planned.job.id, given);
  }

  async #run(id: string, { isCancelled }: { isCancelled: boolean }): Promise<void> {
    const context = operatorContext(this.#engine);
    this.#jobs.push(id);
    await jobsConfirm.run(context, { source, id });
    let turns = 0;
    if (isCancelled) await runJob(this.#engine, () => Promise.resolve(turns++ === 2));
    if (isCancelled) await jobsCancel.run(context, { source, id }).catch(() => {});
    await runJob(this.#engine);
    const job = await this.#engine.source.jobs.get(id);
    assert.ok(job?.status === "done" || job?.status === "cancelled", job?.status);
    this.seen[job.status]++;
  }

  async #push(count: number): Promise<void> {
    const texts = Array.from({ length: count }, () => {
      const id = this.#next++;
      return `{"id": "${id}", "hostname": "web-${id % HOSTS}", "timestamp": "2025-01-15T14:30:29Z", "message": "m"}`;
    });
    await this.#redis.seedList(DLQ, texts);
    this.#pushed.push(...texts.map(idOf));
  }

  async #check(): Promise<void> {
    const trash = this.#jobs.map((id) => trashKey(DLQ, id));
    const keys = [DLQ, TARGET, DEAD, ...trash],
      lists = await Promise.all(keys.map((key) => this.#redis.readTexts(key)));
    assert.deepEqual(lists.flat().map(idOf).toSorted(), this.#pushed.toSorted(), "each message is in one list");
    assert.equal(await this.#redis.client().exists(shelfKey(DLQ)), 0);
    // The first list is the DLQ; the others mix hosts, or are in the order in which jobs filled them.
    for (const list of this.#isInOrder ? [lists[0]!, ...lists.slice(3)] : []) {
      const ids = list.map((text) => Number(idOf(text)));
      assert.deepEqual(ids, ids.toSorted((a, b) => a - b), "in the order of their arrival");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
    await this.#redis.stop();
  }
}

Deno.test(`verbs: every message is in one list after any sequence of them (seed ${SEED})`, async () => {
  await using desk = new Desk(await startRedis({ push: pushOf(import.meta) }));
  const isEnough = () => desk.seen.rounds >= 10 && desk.seen.done > 0 && desk.seen.undone > 0;
  const steps = fc.array(step, { minLength: 3, maxLength: 12 });
  await assertRounds(
    steps,
    { ...ROUNDS, seed: SEED, seen: desk.seen, isEnough },
    (all) => desk.play([{ kind: "push", count: 10 }, ...all]),
  );
  console.log(`verbs: seed ${SEED}: ${JSON.stringify(desk.seen)}`);
});
