/**
 * A job by two replicas at once, while producers push, other consumers pop at both ends, replies are lost, and operators pause, resume
 * and cancel: nothing is lost, doubled, reordered or wrongly picked.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { JobVerb } from "../../src/cycle/running_job.ts";
import { JobStore } from "../../src/jobs/job_store.ts";
import { createId } from "../../src/runtime/random.ts";
import { createEngine, DLQ, type Engine, eventText, idOf } from "../../testkit/engine.ts";
import { readJobLists, runJob, startJob } from "../../testkit/jobs.ts";
import { assertRounds } from "../../testkit/property_rounds.ts";
import { pushOf, startRedis, type TestRedis } from "../../testkit/redis.ts";
import { startTcpProxy, type TcpProxy } from "../../testkit/tcp_proxy.ts";

const SEED = Number(Deno.env.get("FC_SEED") ?? Date.now() % 1_000_000);
const isFull = Deno.env.get("MUTT_TEST_FULL") === "1";
const ROUNDS = isFull ? { most: 2_000, limitMs: 300_000 } : { most: 150, limitMs: 15_000 };

const REPLICAS = 2;

type Event =
  | { readonly kind: "push"; readonly count: number }
  | { readonly kind: "pop_oldest" | "pop_newest"; readonly count: number }
  | { readonly kind: "pause" | "resume" | "cancel" | "nothing" };

/** Some replicas take a turn, one of them perhaps without a reply, while something happens. */
interface Step {
  readonly replicas: readonly number[];
  readonly cut: { readonly point: "before_request" | "before_reply"; readonly occurrence: number } | null;
  readonly events: readonly Event[];
}

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), count: fc.integer({ min: 1, max: 20 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("pop_oldest" as const, "pop_newest" as const),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("pause" as const, "resume" as const, "nothing" as const) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const) }) },
);

const step: fc.Arbitrary<Step> = fc.record({
  replicas: fc.constantFrom([0], [1], [0, 1]),
  cut: fc.option(
    fc.record({
      point: fc.constantFrom("before_request" as const, "before_reply" as const),
      occurrence: fc.integer({ min: 1, max: 12 }),
    }),
    { freq: 2 },
  ),
  events: fc.array(event, { maxLength: 3 }),
});

const round = fc.record({
  verb: fc.constantFrom<JobVerb>("redrive", "bury", "purge"),
  depth: fc.integer({ min: 0, max: 350 }),
  /** Of so many messages one is picked. */
  sparse: fc.constantFrom(1, 2, 7, 50),
  first: fc.array(event, { maxLength: 2 }),
  steps: fc.array(step, { maxLength: 6 }),
});

/** Two replicas without a lease, each behind a proxy that can cut it off. */
class Arena implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly #proxies: readonly TcpProxy[];
  readonly engines: readonly Engine[];
  readonly client: ReturnType<TestRedis["client"]>;
  /** The operators' way, which is never cut. */
  readonly jobs: JobStore;
  pushed: string[] = [];
  popped: string[] = [];
  #next = 0;

  constructor(redis: TestRedis) {
    this.redis = redis;
    this.client = redis.client();
    this.#proxies = Array.from({ length: REPLICAS }, () => startTcpProxy({ port: redis.port }));
    this.engines = this.#proxies.map((proxy) =>
      createEngine({ port: proxy.port, push: redis.push }, { settings: { brakeEnabled: false } })
    );
    this.jobs = new JobStore(this.client, this.engines[0]!.source.setup.policy, { createId });
  }

  async reset(depth: number): Promise<void> {
    await this.client.flushall();
    this.pushed = [];
    this.popped = [];
    await this.push(depth);
  }

  async push(count: number): Promise<void> {
    const texts = Array.from({ length: count }, () => eventText(this.#next++));
    if (count > 0) await this.redis.seedList(DLQ, texts);
    this.pushed.push(...texts.map(idOf));
  }

  async happen(event: Event, job: string): Promise<void> {
    if (event.kind === "push") return await this.push(event.count);
    if (event.kind === "nothing") return;
    if (event.kind === "pop_oldest" || event.kind === "pop_newest") {
      const popped = await this.redis.popList(DLQ, event.count, { newest: event.kind === "pop_newest" });
      this.popped.push(...popped.map(idOf));
      return;
    }
    if (job !== "") await this.jobs.request(job, event.kind);
  }

  async take({ replicas, cut, events }: Step, job: string): Promise<void> {
    const { signal } = new AbortController();
    if (cut) void this.#proxies[replicas[0]!]!.cut(cut.point, { texts: [job], occurrence: cut.occurrence });
    await Promise.all([
      ...replicas.map((i) => this.engines[i]!.source.turns.runOnce({ begin: "never", signal })),
      (async () => {
        for (const one of events) await this.happen(one, job);
      })(),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.engines) await engine[Symbol.asyncDispose]();
    for (const proxy of this.#proxies) await proxy.stop();
    await this.redis.stop();
  }
}

/** Whether one is the other with some left out. */
function isInOrder(part: readonly string[], whole: readonly string[]): boolean {
  let at = 0;
  return part.every((one) => (at = whole.indexOf(one, at) + 1) > 0);
}

Deno.test(`jobs: nothing is lost, doubled, reordered or wrongly picked, whatever happens meanwhile (seed ${SEED})`, async () => {
  await using arena = new Arena(await startRedis({ push: pushOf(import.meta) }));
  const seen = { rounds: 0, messages: 0, picked: 0, done: 0, cancelled: 0 };
  const isEnough = () => seen.rounds >= 25 && seen.done > 0 && seen.cancelled > 0 && seen.picked > 25;
  await assertRounds(
    round,
    { ...ROUNDS, seed: SEED, seen, isEnough },
    async ({ verb, depth, sparse, first, steps }) => {
      await arena.reset(depth);
      const planned = [...arena.pushed];
      const picks = planned.filter((_, i) => i % sparse === 0);
      const texts = (await arena.redis.readTexts(DLQ)).filter((text) => picks.includes(idOf(text)));
      for (const one of first) await arena.happen(one, "");
      const id = await startJob(arena.engines[0]!, { verb, texts });
      for (const one of steps) await arena.take(one, id);
      await arena.jobs.request(id, "resume");
      await runJob(arena.engines[1]!);
      const lists = await readJobLists(arena.redis, id), { dlq = [], target = [], dead = [], trash = [] } = lists;
      const moved = { redrive: target, bury: dead, purge: trash }[verb as "redrive"].map(idOf), left = dlq.map(idOf);
      const status = (await arena.jobs.get(id))?.status;
      assert.deepEqual(Object.keys(lists).filter((name) => ["shelf", "own", "oversize"].includes(name)), []);
      assert.deepEqual(
        [...left, ...moved, ...arena.popped].toSorted(),
        arena.pushed.toSorted(),
        "nothing is lost or doubled",
      );
      assert.ok(moved.every((one) => picks.includes(one)), "nothing is wrongly picked");
      assert.ok(isInOrder(moved, arena.pushed), "what was picked is in order");
      if (status === "done") {
        assert.ok(isInOrder(left, arena.pushed), "what is left is in order");
        assert.ok(left.every((one) => !picks.includes(one)), "all was picked");
        seen.done++;
      } else {
        // What had been picked is back at the oldest end, in order.
        assert.equal(status, "cancelled");
        assert.ok(isInOrder(left.filter((one) => !picks.includes(one)), arena.pushed));
        assert.ok(isInOrder(left.filter((one) => picks.includes(one)), arena.pushed));
        seen.cancelled++;
      }
      seen.rounds++;
      seen.messages += arena.pushed.length;
      seen.picked += moved.length;
    },
  );
  console.log(`jobs: seed ${SEED}: ${JSON.stringify(seen)}`);
});
