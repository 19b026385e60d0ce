/** The turn of a sweep over a list in memory that checks and moves as `sweep_chunk.lua` does, while others change the list. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { Chunk, ChunkBounds } from "../../src/cycle/chunk.ts";
import { NEW_CYCLE_STATE } from "../../src/cycle/cycle_state.ts";
import type { RunningJob } from "../../src/cycle/running_job.ts";
import { type SweepAnswer, sweepTurn, type SweepTurnParts } from "../../src/jobs/sweep_turn.ts";
import { WATERMARK_WITHIN } from "../../src/jobs/plan_sweep.ts";
import { sha1 } from "../../src/redis/sample.ts";
import { propertyRuns } from "../../testkit/payloads.ts";

const JOB = "job", CHUNK = 250;

/** What happens between two commands: to the list at its ends, to the job, or to an answer. */
type Event = "none" | "pop" | "push" | "back" | "pause" | "lostRead" | "cutOff" | "refused";
type Sent = Parameters<SweepTurnParts["send"]>[0];

/** Redis, one command after the other. */
class FakeRedis {
  /** The oldest first. */
  readonly list: Buffer[];
  readonly shelf: Buffer[] = [];
  readonly own: Buffer[] = [];
  readonly popped: Buffer[] = [];
  /** Those that another client put back after others may have passed them. */
  readonly returned = new Set<Buffer>();
  isPaused = false;
  isOver = false;
  left: number;
  #sequence = 1;
  #pushed = 0;
  readonly #next: () => Event;

  constructor(list: Buffer[], next: () => Event) {
    this.list = list;
    this.left = list.length;
    this.#next = next;
  }

  async read({ messages, skip = 0 }: ChunkBounds): Promise<Chunk> {
    await this.#happens();
    return this.#readNow({ messages, skip });
  }

  async send(sent: Sent, read: ChunkBounds | null): Promise<SweepAnswer> {
    const event = await this.#happens();
    if (event === "refused") throw new Error("refused");
    const hasMoved = this.#sweep(sent);
    if (event === "cutOff") throw new Error("cut off");
    const next = read && event !== "lostRead" ? this.#readNow(read) : null;
    return { hasMoved, next: hasMoved ? next : null };
  }

  #readNow({ messages, skip = 0 }: Pick<ChunkBounds, "messages" | "skip">): Chunk {
    const job = { id: JOB, phase: this.isOver ? "restore" : "sweep", isPaused: this.isPaused, left: this.left };
    return {
      record: { ...NEW_CYCLE_STATE, sequence: String(this.#sequence), job: job as RunningJob },
      ...{ depth: this.list.length, nowMs: 0, oversize: null, goesOnEqual: false, newestAt: 0, guard: null },
      messages: this.list.slice(skip, skip + messages),
    };
  }

  #sweep({ sequence, count, digest, picks, left }: Sent): boolean {
    if (sequence !== String(this.#sequence) || this.isOver) return false;
    const [oldest, newest] = [this.list[0], this.list[count - 1]];
    if (count === 0 ? this.list.length > 0 : !oldest || !newest || sha1([oldest, newest]) !== digest) return false;
    if (picks.some(({ place, digest }) => sha1([this.list[place - 1]!]) !== digest)) return false;
    const picked = new Set(picks.map(({ place }) => place));
    this.list.splice(0, count).forEach((message, i) => (picked.has(i + 1) ? this.own : this.shelf).push(message));
    this.#sequence++;
    this.left = left;
    this.isOver = left === 0;
    return true;
  }

  async #happens(): Promise<Event> {
    await Promise.resolve();
    const event = this.#next();
    if (event === "pop") this.popped.push(...this.list.splice(0, 1));
    if (event === "push") this.list.push(Buffer.from(`later ${this.#pushed++}`));
    if (event === "back" && this.popped.length > 0) {
      const message = this.popped.pop()!;
      this.list.unshift(message);
      this.returned.add(message);
    }
    if (event === "pause") {
      this.#sequence++;
      this.isPaused = !this.isPaused;
    }
    return event;
  }
}

const isPicked = (message: Buffer) => message.toString().endsWith("7");

function partsOf(redis: FakeRedis, more: Partial<SweepTurnParts> = {}): SweepTurnParts {
  const newest = redis.list.at(-1)!;
  return {
    ...{ sweep: redis, picks: isPicked, monotonicMs: () => 0, isOver: () => false },
    bounds: { messages: CHUNK, bytes: 1e6, messageBytes: 1e6 },
    job: {
      id: JOB,
      watermark: { depth: redis.list.length, newestBytes: newest.length, newestDigest: sha1([newest]) },
    },
    send: (sent, read) => redis.send(sent, read),
    ...more,
  };
}

const messagesOf = (count: number) => Array.from({ length: count }, (_, i) => Buffer.from(`m${i}`));

Deno.test("sweepTurn: judges a chunk while the sweep of the one before is not answered, and holds at most two", async () => {
  const redis = new FakeRedis(messagesOf(WATERMARK_WITHIN + 10 * CHUNK), () => "none");
  let sent = 0, answered = 0, judgedMeanwhile = 0, mostSent = 0, mostSkipped = 0;
  const parts = partsOf(redis);
  const hasMoved = await sweepTurn({
    ...parts,
    picks: (message) => {
      if (sent > answered) judgedMeanwhile++;
      return isPicked(message);
    },
    send: async (plan, read) => {
      mostSent = Math.max(mostSent, ++sent - answered);
      mostSkipped = Math.max(mostSkipped, read?.skip ?? 0);
      const answer = await redis.send(plan, read);
      answered++;
      return answer;
    },
  });
  assert.deepEqual([hasMoved, redis.isOver, redis.list.length, mostSent, mostSkipped], [true, true, 0, 1, CHUNK]);
  assert.ok(judgedMeanwhile >= 8 * CHUNK, `${judgedMeanwhile} were judged meanwhile`);
});

const EVENTS = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.constant<Event>("none") },
    fc.constantFrom<Event>("pop", "push", "push", "back", "pause", "lostRead", "cutOff", "refused"),
  ),
  { minLength: 1, maxLength: 60 },
);

Deno.test("sweepTurn: picks and shelves all in order, and nothing that came later, whatever happens meanwhile", async () => {
  await fc.assert(
    fc.asyncProperty(EVENTS, fc.integer({ min: 1, max: 8 * CHUNK }), fc.boolean(), async (events, more, isFar) => {
      const all = messagesOf(more + (isFar ? WATERMARK_WITHIN : 0)),
        order = new Map<Buffer, number>(all.map((one, i) => [one, i]));
      let at = 0;
      const redis = new FakeRedis([...all], () => events[at++] ?? "none"), parts = partsOf(redis);
      for (let turns = 0; !redis.isOver; turns++) {
        assert.ok(turns < 500, "the sweep does not end");
        // An operator resumes it.
        if (redis.isPaused && at >= events.length) redis.isPaused = false;
        await sweepTurn(parts).catch((error: Error) => assert.match(error.message, /refused|cut off/));
      }
      const places = (list: readonly Buffer[]) => list.map((one) => order.get(one) ?? Infinity);
      for (const list of [redis.own, redis.shelf]) {
        const found = places(list.filter((one) => !redis.returned.has(one)));
        assert.ok(found.every((place, i) => place < Infinity && (i === 0 || place > found[i - 1]!)));
      }
      assert.ok(redis.own.every(isPicked) && !redis.shelf.some(isPicked));
      const left = redis.list.filter((one) => order.has(one));
      assert.equal(redis.own.length + redis.shelf.length + redis.popped.length + left.length, all.length);
      // What is left was put back by another client behind the sweep.
      assert.ok(left.length <= events.filter((event) => event === "back").length);
    }),
    propertyRuns(60),
  );
});
