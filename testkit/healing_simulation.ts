/**
 * Simulates healing with the real code that judges and picks, an in-memory DLQ of real bytes, and a consumer with
 * known faults. The time unit is an interval of 300 s. demo/simulator/figures.md compares the results with those of the previous
 * rule.
 */
import { Buffer } from "node:buffer";
import type { Chunk, ChunkBounds, NewestMessages } from "../src/cycle/chunk.ts";
import type { DeadLetterStore } from "../src/redis/dead_letter_store.ts";
import { type CycleState, parseCycleState } from "../src/cycle/cycle_state.ts";
import { planCycle } from "../src/cycle/plan_cycle.ts";
import { readEnds } from "../src/replay/ends.ts";
import {
  createJudge,
  isCareful,
  judgeChunk,
  type JudgeContext,
  type JudgedChunk,
  judgePicks,
} from "../src/replay/judge_chunk.ts";
import { lookForReturns } from "../src/replay/returns.ts";
import { PLAIN_POLICY as POLICY } from "./policy.ts";

/** A scenario. Instants and durations are in intervals. */
export interface Scenario {
  /** Dead letters at the start. */
  readonly waiting?: number;
  /** Maximum messages of a cycle; 0: all. */
  readonly batch?: number;
  /** When the consumer fails everything. */
  readonly down?: readonly (readonly [from: number, to: number])[];
  /** When it fails a random share of the messages. */
  readonly flaky?: readonly (readonly [from: number, to: number, share: number])[];
  /** Number of waiting messages that always fail; `front`: the oldest ones, else random ones. */
  readonly poison?: number;
  readonly front?: boolean;
  /** Dead letters per interval: ones that would succeed, the same while it is down, and ones that always fail. */
  readonly inflow?: number;
  readonly failing?: number;
  readonly bad?: number;
  /** Healthy messages that arrive at time 20. */
  readonly late?: number;
  /** Live messages per interval. Those that do not fail are observed as live successes. */
  readonly live?: number;
  /** Live messages that wait in the target at every instant, up to 100. Default: none. */
  readonly busy?: number;
  /** Longest random delay before the consumer fails a message. Default: none. */
  readonly slow?: number;
  /** Whether the consumer drops the stamp, and the service knows it. */
  readonly strips?: boolean;
  readonly until?: number;
  readonly seed?: number;
}

/** Results of a scenario. */
export interface Outcome {
  readonly healthyDead: number;
  readonly poisonDead: number;
  readonly delivered: number;
  readonly healthyLeft: number;
  readonly poisonLeft: number;
  /** Intervals from the end of the last outage to an empty DLQ; `null` if it is not empty. */
  readonly healedAfter: number | null;
  /** Longest time from a healthy message's arrival to its delivery. */
  readonly longestWait: number;
  /** Maximum attempts of a poison message before its death, including the first; 0: none died. */
  readonly looks: number;
  /** Maximum canary groups or steps between a healthy arrival and its delivery while the consumer worked. */
  readonly mostSteps: number;
}

const INTERVAL_MS = 300_000, STEP = 0.05, START_MS = 1_764_000_000_000;
const CHUNK: ChunkBounds = { messages: 400, bytes: 204_800, messageBytes: 1_048_576 };

const LIVE = Buffer.from('{"live": true}');

type ReadOnlyStore = Pick<DeadLetterStore, "browseOldest" | "browseNewest" | "browseTarget">;

interface Fate {
  readonly poison: boolean;
  readonly bornAt: number;
  looks: number;
  /** Cycles with replays before its arrival. */
  readonly stepsBefore: number;
}

class Simulation {
  readonly #given: Scenario;
  readonly #random: () => number;
  readonly #fates: Fate[] = [];
  /** Oldest first. */
  #dlq: Buffer[] = [];
  #fields: Record<string, string> = {};
  #at = 0;
  #steps = 0;
  #delivered = 0;
  #longestWait = 0;
  #mostSteps = 0;
  #looks = 0;
  #lastOk = 0;
  /** Messages that the consumer holds and will fail. */
  #failing: { readonly message: Buffer; readonly at: number }[] = [];
  readonly #dead: Fate[] = [];
  readonly #carry = { inflow: 0, failing: 0, bad: 0 };

  constructor(given: Scenario) {
    this.#given = given;
    this.#random = randomFrom(given.seed ?? 1);
    const { waiting = 0, poison = 0, front = false } = given;
    const kinds = Array.from({ length: waiting }, (_, i) => i < poison);
    if (!front) shuffle(kinds, this.#random);
    for (const isPoison of kinds) this.#arrive(isPoison);
  }

  async run(): Promise<Outcome> {
    const { until = 600, late = 0, inflow = 0, bad = 0, down = [], flaky = [] } = this.#given;
    const end = Math.max(0, ...down.map(([, to]) => to));
    const lastFault = Math.max(end, ...flaky.map(([, to]) => to));
    let isLate = false;
    while (this.#at < until) {
      if (late > 0 && !isLate && this.#at >= 20) {
        isLate = true;
        for (let i = 0; i < late; i++) this.#arrive(false);
      }
      const span = await this.#cycle() ? STEP : 1;
      this.#flow(span);
      this.#at += span;
      this.#giveBack();
      const isQuiet = inflow === 0 && bad === 0 && this.#at >= lastFault && (late === 0 || isLate);
      if (this.#dlq.length === 0 && this.#failing.length === 0 && isQuiet) break;
    }
    const left = this.#dlq.map((message) => this.#fates[idOf(message)]!);
    return {
      healthyDead: this.#dead.filter(({ poison }) => !poison).length,
      poisonDead: this.#dead.filter(({ poison }) => poison).length,
      ...{ delivered: this.#delivered, longestWait: round(this.#longestWait), looks: this.#looks },
      mostSteps: this.#mostSteps,
      healthyLeft: left.filter(({ poison }) => !poison).length,
      poisonLeft: left.filter(({ poison }) => poison).length,
      healedAfter: left.length === 0 ? round(this.#at - end) : null,
    };
  }

  /** One cycle. @returns whether the next step may follow at once */
  async #cycle(): Promise<boolean> {
    const { batch = 10 } = this.#given;
    const store = this.#store();
    const before = this.#snapshot();
    const settings = { batchSize: batch, intervalMs: INTERVAL_MS, ...this.#proof() };
    const returns = await lookForReturns({ store, policy: POLICY, maxMessageBytes: 1_048_576 }, before);
    const plan = planCycle(before, { ...settings, returns, ...(this.#given.strips ? { stampsDropped: true } : {}) });
    const depth = this.#dlq.length;
    Object.assign(this.#fields, plan.fields, {
      ...{ cycle: String(plan.number), startedAtMs: String(this.#nowMs()), depthAtStart: String(depth) },
      ...{ remaining: String(Math.min(plan.budget, depth)), replayed: "0", dead: "0", firsts: "0" },
    });
    while (await this.#move(store)) { /* until the cycle is over */ }
    const { record } = this.#snapshot();
    if (record.replayed > 0) this.#steps++;
    if (record.replayed === 0 || !isCareful(record)) return false;
    const found = await lookForReturns({ store, policy: POLICY, maxMessageBytes: 1_048_576 }, this.#snapshot());
    return planCycle(this.#snapshot(), { ...settings, returns: found }).judgement !== "came_back";
  }

  async #move(store: ReadOnlyStore): Promise<boolean> {
    const { record, depth, nowMs } = this.#snapshot();
    if (record.remaining === 0 || depth === 0) return false;
    const context = { policy: POLICY, record, nowMs, maxPoisonRetries: 3, maxMessageBytes: 1_048_576, failedAt: "" };
    const plan = isCareful(record) ? await this.#pick(store, context) : judgeChunk(
      await store.browseOldest({ ...CHUNK, messages: Math.min(CHUNK.messages, record.remaining) }),
      context,
    );
    if (plan === null || plan.moves.length === 0) return false;
    this.#commit(plan, record);
    return true;
  }

  async #pick(store: ReadOnlyStore, context: JudgeContext): Promise<JudgedChunk | null> {
    const replays = Math.min(CHUNK.messages, context.record.remaining);
    const { candidates, oldest } = await readEnds(store, {
      ...{ bounds: CHUNK, wanted: replays, createJudge: () => createJudge(context) },
    });
    return judgePicks(candidates, { ...context, depth: oldest.depth }, { replays, messages: 400, bytes: 204_800 });
  }

  /** Does what `commit_moves.lua` does, then runs the consumer. */
  #commit(
    { moves, messages, places, replayed, deaths, firsts, spent, endsCycle }: JudgedChunk,
    record: CycleState,
  ): void {
    const taken = new Set(places ?? messages.map((_, i) => i + 1));
    this.#dlq = this.#dlq.filter((_, i) => !taken.has(i + 1));
    Object.assign(this.#fields, {
      replayed: String(record.replayed + replayed),
      dead: String(record.dead + deaths.length),
      firsts: String(record.firsts + firsts),
      remaining: String(endsCycle ? 0 : Math.min(record.remaining - spent, this.#dlq.length)),
      movedAtMs: String(this.#nowMs()),
    });
    moves.forEach(({ to, payload }, i) => {
      const fate = this.#fates[idOf(messages[i]!)]!;
      fate.looks++;
      if (to === "dead") {
        this.#dead.push(fate);
        if (fate.poison) this.#looks = Math.max(this.#looks, fate.looks);
      } else if (fate.poison || this.#fails()) {
        const message = this.#given.strips ? messages[i]! : Buffer.from(payload!);
        this.#failing.push({ message, at: this.#at + (this.#given.slow ?? 0) * this.#random() });
      } else {
        this.#delivered++;
        this.#longestWait = Math.max(this.#longestWait, this.#at - fate.bornAt);
        this.#mostSteps = Math.max(this.#mostSteps, this.#steps + 1 - fate.stepsBefore);
      }
    });
    this.#giveBack();
  }

  #giveBack(): void {
    for (const { message, at } of this.#failing) if (at <= this.#at) this.#dlq.push(message);
    this.#failing = this.#failing.filter(({ at }) => at > this.#at);
  }

  #snapshot() {
    return {
      record: parseCycleState(Object.entries(this.#fields).flat()),
      depth: this.#dlq.length,
      nowMs: this.#nowMs(),
    };
  }

  #store(): ReadOnlyStore {
    return {
      browseOldest: ({ messages, bytes }: ChunkBounds): Promise<Chunk> => {
        const { record, depth, nowMs } = this.#snapshot();
        const taken = within(this.#dlq.slice(0, messages), bytes);
        const place = record.depthAtStart - record.replayed - record.dead;
        const newestAt = place <= taken.length ? place : 0;
        return Promise.resolve({
          ...{ record, depth, nowMs, messages: taken, oversize: null, goesOnEqual: false, newestAt, guard: null },
        });
      },
      browseNewest: ({ messages, bytes, skip = 0 }: ChunkBounds): Promise<NewestMessages> => {
        const depth = this.#dlq.length, to = Math.max(0, depth - skip);
        const newest = this.#dlq.slice(Math.max(0, to - messages), to).reverse();
        return Promise.resolve({ depth, messages: within(newest, bytes) });
      },
      browseTarget: ({ messages }: ChunkBounds): Promise<NewestMessages> => {
        const { busy = 0 } = this.#given;
        return Promise.resolve({ depth: busy, messages: Array(Math.min(busy, messages)).fill(LIVE) });
      },
    };
  }

  #nowMs(): number {
    return START_MS + Math.round(this.#at * INTERVAL_MS);
  }

  #fails(): boolean {
    const { down = [], flaky = [] } = this.#given, at = this.#at;
    if (down.some(([from, to]) => from <= at && at < to)) return true;
    return flaky.some(([from, to, share]) => from <= at && at < to && this.#random() < share);
  }

  /** Live events: failed ones become dead letters, the others live successes. */
  #flow(span: number): void {
    const { inflow = 0, failing = 0, bad = 0, live = 0, down = [] } = this.#given, at = this.#at;
    const rates = { inflow, failing: down.some(([from, to]) => from <= at && at < to) ? failing : 0, bad };
    for (const kind of ["inflow", "failing", "bad"] as const) {
      this.#carry[kind] += rates[kind] * span;
      for (; this.#carry[kind] >= 1; this.#carry[kind]--) this.#arrive(kind === "bad");
    }
    this.#lastOk = 0;
    for (let i = 0; i < live * span; i++) {
      if (this.#fails()) this.#arrive(false);
      else this.#lastOk++;
    }
  }

  #proof(): { liveSuccesses?: number } {
    return this.#given.live ? { liveSuccesses: this.#lastOk } : {};
  }

  #arrive(poison: boolean): void {
    const id = this.#fates.push({ poison, bornAt: this.#at, looks: 0, stepsBefore: this.#steps }) - 1;
    this.#dlq.push(Buffer.from(`{"id": ${id}}`));
  }
}

/** Runs a scenario. The same seed gives the same outcome. */
export function simulate(given: Scenario): Promise<Outcome> {
  return new Simulation(given).run();
}

function within(messages: Buffer[], most: number): Buffer[] {
  let bytes = 0;
  const end = messages.findIndex((message, i) => (bytes += message.length) > most && i > 0);
  return end < 0 ? messages : messages.slice(0, end);
}

function idOf(message: Buffer): number {
  return Number(/"id": (\d+)/.exec(message.toString())![1]);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Park and Miller's generator: good enough here, and the same on every machine. */
function randomFrom(seed: number): () => number {
  let state = seed * 7_919 + 12_345;
  const next = () => (state = state * 48_271 % 2_147_483_647) / 2_147_483_647;
  for (let i = 0; i < 20; i++) next();
  return next;
}

function shuffle<T>(items: T[], random: () => number): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
}
