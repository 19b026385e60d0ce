/**
 * The engine with recorded stamps, on a store in memory, with messages whose identity only this test knows: many of them are byte-equal.
 * A consumer keeps nothing but the bytes. Three promises:
 *
 * - Bounded: whenever a message is replayed, its record has counted every time that it has come back. So each is replayed as often as
 *   `maxReplays` says, whatever its equals do.
 * - Just: a message that never failed, and none of whose equals did, has no failure counted, however long it waits among its equals.
 * - Conserved: no message is lost, doubled or changed.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { GateBoard } from "../../src/gates/board.ts";
import type { Commit } from "../../src/cycle/chunk.ts";
import type { SourcePolicy } from "../../src/message/source_policy.ts";
import { parseRecord, recordKey } from "../../src/message/stamp_record.ts";
import { NO_TRACER } from "../../src/observability/tracing.ts";
import { Account } from "../../src/replay/account.ts";
import { SourceReplay } from "../../src/replay/source_replay.ts";
import { createMetrics } from "../../testkit/engine.ts";
import { FakeSource, FakeStore } from "../../testkit/fake_store.ts";
import { propertyRuns } from "../../testkit/payloads.ts";
import { recordLog } from "../../testkit/recorded_log.ts";
import { TestClock } from "../../testkit/test_clock.ts";
import { WrappedStore } from "../../testkit/wrapped_store.ts";
import { PLAIN_POLICY } from "../../testkit/policy.ts";

const POLICY: SourcePolicy = {
  ...PLAIN_POLICY,
  beside: { idMember: null, keepMs: 7 * 24 * 3_600_000 },
};

/** What the consumer does with every message of these bytes. */
type Fate = "works" | "fails" | "flaky";
const FATES: readonly Fate[] = ["works", "works", "fails", "flaky"];

/** What happens between two cycles. */
type Step =
  | { readonly kind: "arrive"; readonly contents: readonly number[] }
  | { readonly kind: "cycle"; readonly batch: number; readonly chunk: number }
  | { readonly kind: "crowd" }
  | { readonly kind: "consume"; readonly most: number; readonly fails: boolean }
  | { readonly kind: "foreign"; readonly act: "pop" | "remove" | "putBack"; readonly at: number };

const arrive = fc.record({
  kind: fc.constant("arrive" as const),
  contents: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 6 }),
});
const cycle = fc.record({
  kind: fc.constant("cycle" as const),
  batch: fc.integer({ min: 0, max: 5 }),
  chunk: fc.integer({ min: 1, max: 4 }),
});
const consume = fc.record({
  kind: fc.constant("consume" as const),
  most: fc.integer({ min: 1, max: 12 }),
  fails: fc.boolean(),
});
/** Messages that get through, so that a return is evidence. */
const CROWD = 20;
/** A crowd arrives, everything is replayed, and the consumer takes all of it. */
const together = fc.boolean().map((fails): readonly Step[] => [
  { kind: "crowd" },
  { kind: "cycle", batch: 0, chunk: 10 },
  { kind: "consume", most: 1_000, fails },
]);
const foreign = fc.record({
  kind: fc.constant("foreign" as const),
  act: fc.constantFrom("pop" as const, "remove" as const, "putBack" as const),
  at: fc.nat(30),
});

/** One source, its consumer, and what this test knows of each message. */
class World {
  readonly source = new FakeSource();
  readonly #fates: readonly Fate[];
  /** Whether no two messages are equal. */
  readonly #unique: boolean;
  readonly #clock = new TestClock();
  readonly #replay: SourceReplay;
  #settings = { batchSize: 0, chunkMessages: 2 };
  /** By message: how often it was put into the DLQ by the consumer, and its content. */
  readonly #back = new Map<Buffer, number>();
  readonly #contents = new Map<Buffer, number>();
  /** Contents of which one has failed, or arrived after a replay: both look the same. */
  readonly blamed = new Set<number>();
  readonly #replayed = new Set<number>();
  readonly #done: Buffer[] = [];
  /** What others have taken. */
  readonly taken: Buffer[] = [];
  foreignActs = 0;
  replays = 0;
  copies = 0;
  deaths = 0;

  constructor(fates: readonly Fate[], { unique, brakeEnabled }: { unique: boolean; brakeEnabled: boolean }) {
    this.#fates = fates;
    this.#unique = unique;
    const store = new WrappedStore(new FakeStore(this.source, { policy: POLICY }), {
      commitAndRead: (commit, bounds, store) => {
        this.#check(commit);
        return store.commitAndRead(commit, bounds);
      },
    });
    const { log } = recordLog(), clock = this.#clock, metrics = createMetrics("alerter", []);
    let ids = 0;
    this.#replay = new SourceReplay(POLICY, {
      ...{ store, clock, log, tracer: NO_TRACER, createId: () => String(++ids) },
      settings: () => ({
        ...{ intervalMs: 1, consumerLagMs: 0, canaryAfterMs: 0, brakeEnabled, maxPoisonRetries: 3 },
        ...{ chunkBytes: 100_000, maxMessageBytes: 1_048_576, ...this.#settings },
      }),
      board: new GateBoard([], { clock, log, source: "alerter", onAnswer: () => {} }),
      depthReading: () => ({ depths: [0], limit: null }),
      ...{ reservePace: () => Promise.resolve(true), paceFields: () => ({}), liveSuccesses: () => 0 },
      leadership: { refused: () => {}, leads: () => true, isFailing: () => false, wasHandedOver: () => false },
      account: new Account(POLICY, { metrics, log, clock, countRedrive: () => {} }),
    });
  }

  async play(step: Step): Promise<void> {
    switch (step.kind) {
      case "arrive":
        return this.#arrive(step.contents);
      case "crowd":
        return this.#arrive(Array.from({ length: CROWD }, (_, i) => 1_000 + this.#contents.size + i));
      case "cycle":
        this.#settings = { batchSize: step.batch, chunkMessages: step.chunk };
        this.source.nowMs += 60_000;
        return void await this.#replay.runOnce({ begin: "now", signal: new AbortController().signal });
      case "consume":
        return this.#consume(step);
      case "foreign":
        return this.#meddle(step);
    }
  }

  #arrive(contents: readonly number[]): void {
    for (const content of contents) {
      const message = Buffer.from(this.#unique ? `message ${this.#contents.size} of ${content}` : `message ${content}`);
      this.#contents.set(message, content);
      this.#back.set(message, 0);
      if (this.#replayed.has(content)) this.blamed.add(content);
      this.source.dlq.push(message);
    }
  }

  #consume({ most, fails }: { most: number; fails: boolean }): void {
    for (const message of this.source.target.splice(0, most)) {
      const content = this.#contents.get(message)!, fate = this.#fates[content];
      if (fate === "fails" || (fate === "flaky" && fails)) {
        this.blamed.add(content);
        this.#back.set(message, this.#back.get(message)! + 1);
        this.source.dlq.push(message);
      } else {
        this.#done.push(message);
      }
    }
  }

  #meddle({ act, at }: { act: "pop" | "remove" | "putBack"; at: number }): void {
    const { dlq } = this.source;
    if (dlq.length === 0) return;
    this.foreignActs++;
    if (act === "pop") this.taken.push(dlq.shift()!);
    if (act === "remove") this.taken.push(...dlq.splice(at % dlq.length, 1));
    if (act === "putBack") dlq.unshift(...dlq.splice(at % dlq.length, 1));
  }

  /** Compares what a commit records with what this test knows. */
  #check({ messages, moves, recordChanges = [] }: Commit): void {
    moves.forEach(({ to, payload }, i) => {
      const message = messages[i]!, content = this.#contents.get(message)!, key = recordKey(message, POLICY);
      if (to === "dead") {
        this.deaths++;
        if (this.foreignActs === 0) assert.ok(this.blamed.has(content), `never failed, is dead, content ${content}`);
        return;
      }
      assert.ok(payload === null || payload === message, "the message goes as it is");
      const change = recordChanges.find((one) => one.key === key),
        record = change?.text && parseRecord(change.text, "alerter");
      assert.ok(record, "a replay has a record");
      this.replays++;
      if (record.firstCycle !== record.cycle) this.copies++;
      const back = this.#back.get(message)!;
      assert.ok(
        record.failures + this.foreignActs >= back,
        `came back ${back} times, counted ${record.failures}, of ${content}`,
      );
      if (this.#unique && this.foreignActs === 0) assert.equal(record.failures, back, `of ${content}`);
      if (!this.blamed.has(content) && this.foreignActs === 0) {
        assert.deepEqual([record.failures, record.evidence], [0, 0], `never failed, content ${content}`);
      }
      this.#replayed.add(content);
    });
  }

  /** Every message is in exactly one place, unchanged; the dead ones are counted. */
  checkAll(): void {
    const { dlq, target, dead } = this.source;
    const there = [...dlq, ...target, ...this.#done, ...this.taken];
    assert.equal(new Set(there).size, there.length);
    assert.equal(there.length + dead.length, this.#contents.size);
    assert.equal(dead.length, this.deaths);
    for (const message of there) assert.ok(this.#contents.has(message));
  }
}

const seen = { replays: 0, copies: 0, deaths: 0 };

const atRandom = (...kinds: fc.Arbitrary<Step>[]) => fc.array(fc.oneof(...kinds), { minLength: 5, maxLength: 80 });

function check(
  steps: fc.Arbitrary<readonly Step[]>,
  { unique, runs }: { unique: boolean; runs: number },
): Promise<void> {
  const fates = fc.array(fc.constantFrom(...FATES), { minLength: 6, maxLength: 6 });
  return fc.assert(
    fc.asyncProperty(
      fates,
      fc.boolean(),
      steps,
      async (fates, brakeEnabled, steps) => {
        const world = new World(fates, { unique, brakeEnabled });
        for (const step of steps) await world.play(step);
        world.checkAll();
        seen.replays += world.replays;
        seen.copies += world.copies;
        seen.deaths += world.deaths;
      },
    ),
    propertyRuns(runs),
  );
}

Deno.test("record beside: counts each return of each message, and none of those that never failed, among byte-equal ones", async () => {
  await check(atRandom(arrive, cycle, cycle, consume), { unique: false, runs: 300 });
  assert.ok(seen.copies > 100, `copies were replayed: ${Deno.inspect(seen)}`);
});

Deno.test("record beside: counts each return exactly when no two messages are equal", async () => {
  await check(atRandom(arrive, cycle, cycle, consume), { unique: true, runs: 150 });
});

Deno.test("record beside: counts all returns but one an act, and loses nothing, when others take messages and put them back", async () => {
  await check(atRandom(arrive, cycle, cycle, consume, foreign), { unique: false, runs: 300 });
});

Deno.test("record beside: buries no message that never failed, nor whose equals did not, and each that did is replayed as often as it may be", async () => {
  const before = { ...seen }, alone = fc.oneof(arrive, cycle, consume).map((step): readonly Step[] => [step]);
  const steps = fc.array(fc.oneof(alone, together, together), { minLength: 10, maxLength: 40 });
  await check(steps.map((many) => many.flat()), { unique: false, runs: 50 });
  assert.ok(seen.deaths - before.deaths > 5, `messages died: ${Deno.inspect(seen)}`);
});
