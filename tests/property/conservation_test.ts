import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { CycleTally } from "../../src/cycle/evidence.ts";
import { createEngine, DEAD, DLQ, type Engine, eventText, OVERSIZE, STATE, TARGET } from "../../testkit/engine.ts";
import { coreOf, judge, ModelBrake, type ModelRules, render, stampsOf, withMember } from "../../testkit/model.ts";
import { findDifferences, isConserved } from "../../testkit/oracle.ts";
import { ANY_PAYLOAD, bytesOf, EVENT_TEXT, textOf } from "../../testkit/payloads.ts";
import { assertRounds } from "../../testkit/property_rounds.ts";
import { endsOf } from "../../src/redis/list_ends.ts";
import { pushOf, startRedis, type TestRedis } from "../../testkit/redis.ts";
import { PATIENT_MS } from "../../testkit/wait.ts";

/** Rounds of each property, and how long they may take; `CONSERVATION_ROUNDS` asks for a long run without a limit. */
const LONG = Deno.env.get("CONSERVATION_ROUNDS");
const SEED = Number(Deno.env.get("FC_SEED") ?? Date.now() % 2 ** 31);
const ROUNDS = { seed: SEED, most: Number(LONG ?? 300), limitMs: LONG === undefined ? 7_000 : 3_600_000 };
const MAX_POISON_RETRIES = 3, MAX_MESSAGE_BYTES = 6_000;
/** How the engines of a round cut the same work: batch, messages and bytes of a chunk. */
const CUTS = [[0, 10, 102_400], [7, 3, 102_400], [0, 200, 1_024], [25, 1, 102_400]] as const;
const REPLICAS = 4;

/** What a consumer does with a message. */
type Answer = "accept" | "return" | "retry" | "shed";
/** What the world around does, at any moment. */
type Event =
  | { kind: "produce"; payloads: Uint8Array[] }
  | { kind: "pop"; count: number }
  | { kind: "take"; how: "delete" | "rename" }
  | { kind: "restore" }
  | { kind: "consume"; answers: Answer[] }
  | { kind: "age" };
/** Turns of several replicas at a time; `meanwhile` happens before their commits (between read and write), or just beside. */
type Turn = { kind: "turn"; begins: ("now" | "due" | "never")[]; cuts: number[]; meanwhile: Event[]; beside: Event[] };
/** The same cycle again and again, all consumed in between. */
type Grind = { kind: "grind"; times: number; answers: Answer[]; cut: number };
type Step = Event | Turn | Grind;

const answer: fc.Arbitrary<Answer> = fc.constantFrom("accept", "return", "return", "retry", "shed");
const forged = fc.record({
  failures: fc.constantFrom(0, 0, 1, 2, 3, 1_000),
  evidence: fc.constantFrom(0, 3.3, 9.89, 9.9, 1_001),
  since: fc.constantFrom(0, 1_764_000_000, 4_000_000_000),
  sheds: fc.constantFrom(0, 8, 9, 19, 1_000),
  cycle: fc.nat({ max: 12 }),
  source: fc.constantFrom("alerter", "moog"),
});
const payload: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 6, arbitrary: fc.nat({ max: 40 }).map((id) => bytesOf(eventText(id))) },
  { weight: 4, arbitrary: EVENT_TEXT.map(bytesOf) },
  { weight: 3, arbitrary: ANY_PAYLOAD },
  {
    weight: 2,
    arbitrary: forged.map((record) => bytesOf(eventText("forged", `, "_remediation": ${JSON.stringify(record)}`))),
  },
  { weight: 1, arbitrary: fc.constantFrom(5_000, 5_999, 7_000).map((size) => bytesOf(eventText("x".repeat(size)))) },
);
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("produce" as const),
      payloads: fc.array(payload, { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("consume" as const),
      answers: fc.array(answer, { minLength: 1, maxLength: 15 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pop" as const), count: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("take" as const),
      how: fc.constantFrom("delete" as const, "rename" as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: "restore" }) },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: "age" }) },
);
const turn: fc.Arbitrary<Turn> = fc.record({
  kind: fc.constant("turn" as const),
  begins: fc.array(fc.constantFrom("now" as const, "now" as const, "due" as const, "never" as const), {
    minLength: 1,
    maxLength: REPLICAS,
  }),
  cuts: fc.array(fc.nat({ max: CUTS.length - 1 }), { minLength: REPLICAS, maxLength: REPLICAS }),
  meanwhile: fc.array(event, { maxLength: 4 }),
  beside: fc.array(event, { maxLength: 3 }),
});
const grind: fc.Arbitrary<Grind> = fc.record({
  kind: fc.constant("grind" as const),
  times: fc.integer({ min: 2, max: 12 }),
  answers: fc.array(answer, { minLength: 1, maxLength: 4 }),
  cut: fc.nat({ max: CUTS.length - 1 }),
});

/** A message as it came into the DLQ, and what it was before, if it was there already. */
interface Arrival {
  readonly bytes: Uint8Array;
  readonly from: { readonly list: "target" | "taken"; readonly index: number } | null;
}

const TAKE_ALL = `
  local all = redis.call('LRANGE', KEYS[1], 0, -1)
  if #all > 0 then if KEYS[2] then redis.call('RENAME', KEYS[1], KEYS[2]) else redis.call('DEL', KEYS[1]) end end
  return all`;

/** The world around the engines, which writes down all that enters the DLQ and all that others take out of lists. */
class World {
  readonly arrivals: Arrival[] = [];
  /** Taken out of the DLQ by somebody else, in order. */
  readonly taken: Uint8Array[] = [];
  /** Taken out of the target by its consumer, in order. */
  readonly consumed: Uint8Array[] = [];
  readonly #redis: TestRedis;
  readonly #client: ReturnType<TestRedis["client"]>;
  readonly #parked: { key: string; indices: number[] }[] = [];
  #parkings = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(redis: TestRedis, client: ReturnType<TestRedis["client"]>) {
    this.#redis = redis;
    this.#client = client;
  }

  /** Lets something happen, one thing at a time, so that what is written down has the server's order. */
  happen(one: Event): Promise<void> {
    return this.#last = this.#last.then(() => this.#happen(one));
  }

  async lists() {
    const lists = await Promise.all([DLQ, TARGET, DEAD, OVERSIZE].map((key) => this.#redis.readList(key)));
    const [dlq, target, dead, oversize] = lists as [Buffer[], Buffer[], Buffer[], Buffer[]];
    return { dlq, target, dead, oversize };
  }

  /** Takes what was renamed and not renamed back out of the account of what is taken for good. */
  restored(): Set<number> {
    return new Set(this.arrivals.flatMap(({ from }) => from?.list === "taken" ? [from.index] : []));
  }

  async #happen(one: Event): Promise<void> {
    if (one.kind === "produce") {
      await this.#arrive(one.payloads.map((bytes) => ({ bytes, from: null })));
    } else if (one.kind === "pop") {
      this.taken.push(...await this.#redis.popList(DLQ, one.count));
    } else if (one.kind === "take") {
      await this.#take(one.how);
    } else if (one.kind === "restore") {
      await this.#restore();
    } else if (one.kind === "consume") {
      await this.#consume(one.answers);
    } else {
      await this.#client.hset(STATE, "startedAtMs", 0);
    }
  }

  async #arrive(arrivals: Arrival[]): Promise<void> {
    if (arrivals.length > 0) await this.#redis.seedList(DLQ, arrivals.map(({ bytes }) => bytes));
    this.arrivals.push(...arrivals);
  }

  async #take(how: "delete" | "rename"): Promise<void> {
    const key = `parked:${++this.#parkings}`;
    const keys = how === "delete" ? [DLQ] : [DLQ, key];
    const found = await this.#client.callBuffer("EVAL", TAKE_ALL, keys.length, ...keys) as Buffer[];
    const all = endsOf(DLQ, this.#redis.push).oldestFirst(found);
    if (how === "rename" && all.length > 0) {
      this.#parked.push({ key, indices: all.map((_, i) => this.taken.length + i) });
    }
    this.taken.push(...all);
  }

  async #restore(): Promise<void> {
    const parked = this.#parked[0];
    if (!parked || await this.#client.renamenx(parked.key, DLQ) !== 1) return;
    this.#parked.shift();
    for (const index of parked.indices) {
      this.arrivals.push({ bytes: this.taken[index]!, from: { list: "taken", index } });
    }
  }

  async #consume(answers: Answer[]): Promise<void> {
    const messages = await this.#redis.popList(TARGET, answers.length);
    const back: Arrival[] = [];
    messages.forEach((bytes, i) => {
      const index = this.consumed.push(bytes) - 1, how = answers[i]!;
      if (how === "accept") return;
      const member = { return: null, retry: '"_retry_count": 4', shed: '"shedding_reason": "queue_full"' }[how];
      back.push({ bytes: member === null ? bytes : withMember(bytes, member), from: { list: "target", index } });
    });
    await this.#arrive(back);
  }
}

/** What each cycle knew when it moved something: when it began, and what had become of those before it. */
type Knowledge = Map<number, { readonly startedAtMs: readonly number[]; readonly tallies: readonly CycleTally[] }>;

/** Where a message may leave the DLQ to. */
const ENDS = ["target", "dead", "oversize", "taken"] as const;

/** Where each arrival went: an index in the list, or none where it is in the DLQ still. */
type Way = { readonly to: (typeof ENDS)[number]; readonly index: number; readonly cycle: number | null };

function rulesOf(cycle: number, known: Knowledge, since: number | null): ModelRules | null {
  const facts = known.get(cycle), starts = facts?.startedAtMs.map((ms) => Math.floor(ms / 1_000)) ?? [];
  return facts === undefined ? null : {
    ...{ source: "alerter", counter: "_moog_retry_count", cut: ["_retry_count", "shedding_reason"] },
    ...{ required: ["hostname", "timestamp", "message"], maxPoisonRetries: MAX_POISON_RETRIES },
    ...{ maxMessageBytes: MAX_MESSAGE_BYTES, cycle },
    // Somebody may have set the cycle's start back (`age`) amid it.
    since: [...starts, 0].find((start) => start === since) ?? starts[0]!,
    bitsOf: (number, isFirst) => {
      const tally = facts.tallies.find((one) => one.cycle === number);
      if (!tally) return 0;
      const count = Math.max(0, tally.firsts - (isFirst ? 1 : 0));
      const failed = Math.min(count, Math.max(0, tally.firstsReturned + tally.pending - (isFirst ? 1 : 0)));
      return Math.log2((count + 1) / (failed + 1));
    },
  };
}

/** Whether `found` is exactly what the model makes of `bytes`, in the list that the model says. */
function isMadeOf(bytes: Uint8Array, { found, to, known }: { found: Uint8Array; to: Way["to"]; known: Knowledge }) {
  if (to === "taken") return Buffer.compare(bytes, found) === 0;
  if (bytes.length > MAX_MESSAGE_BYTES) return to === "oversize" && Buffer.compare(bytes, found) === 0;
  const { cycle, failedAt, since } = stampsOf(found);
  const rules = cycle === null ? null : rulesOf(cycle, known, since);
  if (rules === null) return false;
  const fate = judge(bytes, rules);
  if ((fate.deadBy === null) !== (to === "target")) return false;
  if (to === "dead" && !/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(failedAt ?? "")) return false;
  return Buffer.compare(render(bytes, fate, { rules, failedAt: failedAt ?? "", lookedAt: since }), found) === 0;
}

/**
 * Explains every message: what left the DLQ left it oldest first, each to the list, and as the bytes, that the model gives;
 * what nobody took is still there. Equal bytes leave a choice, so it goes back where a choice leads nowhere.
 */
function explain(world: World, lists: Awaited<ReturnType<World["lists"]>>, known: Knowledge): Way[] {
  const ends = { ...lists, target: [...world.consumed, ...lists.target], taken: world.taken };
  const leaving = ENDS.reduce((sum, end) => sum + ends[end].length, 0);
  const total = leaving + lists.dlq.length;
  assert.equal(world.arrivals.length, total, `${world.arrivals.length} came, ${total} are there or left`);
  lists.dlq.forEach((bytes, i) =>
    assert.deepEqual(bytes, Buffer.from(world.arrivals[leaving + i]!.bytes), "left in DLQ")
  );
  const ways: Way[] = [];
  const hopeless = new Set<string>();
  let furthest = 0;
  const follow = (at: Record<Way["to"], number>, cycle: number): boolean => {
    if (ways.length === leaving) return true;
    const key = `${ENDS.map((end) => at[end])},${cycle}`;
    if (hopeless.has(key)) return false;
    furthest = Math.max(furthest, ways.length);
    const { bytes, from } = world.arrivals[ways.length]!;
    const isCauseLater = from !== null && at[from.list] <= from.index; // it would have come back before it left
    for (const to of ENDS) {
      const found = ends[to][at[to]];
      if (found === undefined || isCauseLater || !isMadeOf(bytes, { found, to, known })) continue;
      const isStamped = to !== "taken" && bytes.length <= MAX_MESSAGE_BYTES;
      const by = isStamped ? stampsOf(found).cycle! : null;
      if (by !== null && by < cycle) continue;
      ways.push({ to, index: at[to], cycle: by });
      if (follow({ ...at, [to]: at[to] + 1 }, by ?? cycle)) return true;
      ways.pop();
    }
    hopeless.add(key);
    return false;
  };
  const isExplained = follow({ target: 0, dead: 0, oversize: 0, taken: 0 }, 0);
  if (!isExplained) {
    assert.fail(`no way explains message ${furthest}: ${textOf(world.arrivals[furthest]!.bytes).slice(0, 500)}`);
  }
  return ways;
}

/** Follows each message from its first arrival on: how often it was replayed, and that no cycle ate its own failures. */
function checkLives(world: World, ways: readonly Way[]): number {
  const arrivalOf = {
    target: new Map<number, number>(),
    dead: new Map<number, number>(),
    oversize: new Map<number, number>(),
    taken: new Map<number, number>(),
  };
  ways.forEach(({ to, index }, arrival) => arrivalOf[to].set(index, arrival));
  const lives: { replays: number; sheds: number }[] = [];
  let most = 0;
  world.arrivals.forEach(({ bytes, from }, i) => {
    const before = from === null ? undefined : arrivalOf[from.list].get(from.index)!;
    const life = lives[i] = before === undefined ? { replays: 0, sheds: 0 } : lives[before]!;
    if (from?.list === "target" && textOf(bytes).includes('"shedding_reason": "queue_full"')) life.sheds++;
    const way = ways[i];
    if (way?.to === "target") life.replays++;
    if (before !== undefined && way?.cycle !== null && way !== undefined && world.taken.length === 0) {
      assert.ok(way.cycle > ways[before]!.cycle!, `cycle ${way.cycle} ate its own failures`);
    }
    most = Math.max(most, life.replays);
  });
  return most;
}

/** The same without the walk: what came is what is there, stamps cut on both sides. */
function checkConserved(world: World, lists: Awaited<ReturnType<World["lists"]>>): void {
  const returned = new Set(world.arrivals.flatMap(({ from }) => from?.list === "target" ? [from.index] : []));
  const restored = world.restored();
  const there = [
    ...[...lists.dlq, ...lists.target, ...lists.dead, ...lists.oversize],
    ...world.taken.filter((_, i) => !restored.has(i)),
    ...world.consumed.filter((_, i) => !returned.has(i)),
  ];
  const came = world.arrivals.filter(({ from }) => from === null).map(({ bytes }) => bytes);
  const differences = findDifferences(
    came.map((bytes) => ({ key: coreOf(bytes) })),
    there.map((bytes) => ({ key: coreOf(bytes), place: "there" })),
  );
  assert.ok(isConserved(differences), Deno.inspect(differences));
}

/** A server, and replicas with every cut of the work; the same ones for all rounds. */
class Arena implements AsyncDisposable {
  readonly world: () => World;
  readonly known: Knowledge = new Map();
  /** Filled by a turn: what is to happen before its commits. */
  readonly meanwhile: Event[] = [];
  readonly #redis: TestRedis;
  readonly #client: ReturnType<TestRedis["client"]>;
  readonly #engines: Engine[][];
  #world: World;

  constructor(redis: TestRedis, { brakeEnabled }: { brakeEnabled: boolean }) {
    this.#redis = redis;
    this.#client = redis.client();
    this.#world = new World(redis, this.#client);
    this.world = () => this.#world;
    this.#engines = Array.from({ length: REPLICAS }, () =>
      CUTS.map(([batchSize, chunkMessages, chunkBytes]) => {
        const rest = { maxPoisonRetries: MAX_POISON_RETRIES, maxMessageBytes: MAX_MESSAGE_BYTES, brakeEnabled };
        const settings = { batchSize, chunkMessages, chunkBytes, ...rest };
        const engine = createEngine(redis, { settings, commandTimeoutMs: PATIENT_MS });
        engine.beforeCommit(() => this.#beforeCommit(engine));
        return engine;
      }));
  }

  async reset(): Promise<World> {
    await this.#client.flushall();
    this.known.clear();
    this.meanwhile.length = 0;
    return this.#world = new World(this.#redis, this.#client);
  }

  engine(replica: number, cut: number): Engine {
    return this.#engines[replica]![cut]!;
  }

  /** All commits of all rounds by their result. */
  async commits(): Promise<Record<string, number>> {
    const sum: Record<string, number> = {};
    for (const engine of this.#engines.flat()) {
      for (const [result, count] of Object.entries(await engine.commits())) sum[result] = (sum[result] ?? 0) + count;
    }
    return sum;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.#engines.flat()) await engine[Symbol.asyncDispose]();
    await this.#redis.stop();
  }

  async #beforeCommit(engine: Engine): Promise<void> {
    const { cycle, tallies, startedAtMs } = engine.source.replay.lastSnapshot()!.record;
    const known = this.known.get(cycle);
    if (known) assert.deepEqual(tallies, known.tallies, "two replicas know different things of one cycle");
    // Somebody may have changed it amid the cycle.
    this.known.set(cycle, { tallies, startedAtMs: [...known?.startedAtMs ?? [], startedAtMs] });
    const next = this.meanwhile.shift();
    if (next) await this.#world.happen(next);
  }
}

async function take(step: Step, arena: Arena): Promise<void> {
  const world = arena.world();
  if (step.kind === "grind") {
    for (let i = 0; i < step.times; i++) {
      await arena.engine(0, step.cut).turn({ begin: "now" });
      const depth = (await world.lists()).target.length;
      const answers = Array.from({ length: depth }, (_, at) => step.answers[at % step.answers.length]!);
      await world.happen({ kind: "consume", answers });
    }
  } else if (step.kind === "turn") {
    arena.meanwhile.push(...step.meanwhile);
    // All are waited for, so that nothing of a failed round goes on in the next.
    const ends = await Promise.allSettled([
      ...step.begins.map((begin, replica) => arena.engine(replica, step.cuts[replica]!).turn({ begin })),
      ...step.beside.map((one) => world.happen(one)),
    ]);
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    for (const late of arena.meanwhile.splice(0)) await world.happen(late);
  } else {
    await world.happen(step);
  }
}

async function withArena(
  options: { brakeEnabled: boolean },
  body: (arena: Arena) => Promise<void>,
): Promise<void> {
  await using arena = new Arena(await startRedis({ push: pushOf(import.meta) }), options);
  await body(arena);
}

/** Anything, in any order. */
function anySteps() {
  return fc.array(
    fc.oneof({ weight: 5, arbitrary: event }, { weight: 5, arbitrary: turn }, { weight: 1, arbitrary: grind }),
    { minLength: 3, maxLength: 9 },
  );
}

Deno.test(`conservation: every message is where the model says, byte for byte, when anything happens in any order (seed ${SEED})`, () =>
  withArena({ brakeEnabled: false }, async (arena) => {
    const steps = anySteps();
    const seen = { rounds: 0, messages: 0, target: 0, dead: 0, oversize: 0, taken: 0, mostReplaysOfOne: 0 };
    const isEnough = () => seen.rounds >= 60 && seen.target > 60 && seen.dead > 60 && seen.taken > 60;
    await assertRounds(steps, { ...ROUNDS, seen, isEnough }, async (all) => {
      const world = await arena.reset();
      for (const step of all) await take(step, arena);
      const lists = await world.lists();
      checkConserved(world, lists);
      const ways = explain(world, lists, arena.known);
      seen.mostReplaysOfOne = Math.max(seen.mostReplaysOfOne, checkLives(world, ways));
      seen.rounds++;
      seen.messages += world.arrivals.length;
      for (const { to } of ways) seen[to]++;
    });
    console.log(`conservation: seed ${SEED}: ${JSON.stringify({ ...seen, commits: await arena.commits() })}`);
  }));

/** What is picked from both ends leaves in no order; what stays keeps its own. */
function checkPicked(world: World, lists: Awaited<ReturnType<World["lists"]>>, known: Knowledge): void {
  const byCore = Map.groupBy(world.arrivals, ({ bytes }) => coreOf(bytes));
  for (
    const [to, found] of [["target", [...world.consumed, ...lists.target]], ["dead", lists.dead], [
      "oversize",
      lists.oversize,
    ]] as const
  ) {
    for (const message of found) {
      const isMade = (byCore.get(coreOf(message)) ?? []).some(({ bytes }) =>
        isMadeOf(bytes, { found: message, to, known })
      );
      assert.ok(isMade, `no arrival becomes ${textOf(message).slice(0, 500)} in ${to}`);
    }
  }
  let at = 0;
  for (const bytes of lists.dlq) {
    while (at < world.arrivals.length && Buffer.compare(world.arrivals[at]!.bytes, bytes) !== 0) at++;
    assert.ok(at++ < world.arrivals.length, "what is left in the DLQ is in the order in which it came");
  }
}

Deno.test(`conservation: nothing is lost, doubled, changed or reordered while canary groups are picked from both ends (seed ${SEED})`, () =>
  withArena({ brakeEnabled: true }, async (arena) => {
    const seen = { rounds: 0, messages: 0, careful: 0 };
    const isEnough = () => seen.rounds >= 60 && seen.careful >= 30;
    await assertRounds(anySteps(), { ...ROUNDS, seen, isEnough }, async (all) => {
      const world = await arena.reset();
      for (const step of all) {
        await take(step, arena);
        if (arena.engine(0, 0).source.replay.lastSnapshot()?.record.brake.allowance !== null) seen.careful++;
      }
      const lists = await world.lists();
      checkConserved(world, lists);
      if (world.restored().size === 0) checkPicked(world, lists, arena.known);
      seen.rounds++;
      seen.messages += world.arrivals.length;
    });
    console.log(`picks: seed ${SEED}: ${JSON.stringify({ ...seen, commits: await arena.commits() })}`);
  }));

Deno.test(`conservation: a cycle takes what the simulation's brake allows, when nothing interferes (seed ${SEED})`, () =>
  withArena({ brakeEnabled: true }, async (arena) => {
    const { seen, steps } = { seen: { rounds: 0, cycles: 0, held: 0, troubled: 0, careful: 0 }, steps: quietSteps() };
    const isEnough = () => seen.rounds >= 60 && seen.held > 60 && seen.troubled > 60;
    await assertRounds(steps, { ...ROUNDS, seen, isEnough }, async (all) => {
      const world = await arena.reset();
      const brake = new ModelBrake();
      let last = 0, told = 0;
      for (const step of all) {
        if (step.kind !== "turn") {
          await world.happen(step);
          continue;
        }
        for (const { bytes } of world.arrivals.slice(told)) {
          const { cycle, source, isFirst } = stampsOf(bytes);
          if (source === "alerter" && cycle !== null && cycle <= last) brake.returned(cycle, isFirst);
        }
        told = world.arrivals.length;
        const engine = arena.engine(0, step.cut), { dlq } = await world.lists();
        const allowed = brake.next({ last, depth: dlq.length, batch: CUTS[step.cut]![0] });
        const outcome = await engine.turn({ begin: "now" });
        const { record } = engine.source.replay.lastSnapshot()!;
        const begun = engine.lines.findLast(({ event }) => event === "common_failure" || event === "cycle");
        const isTroubled = begun?.event === "common_failure";
        assert.equal(isTroubled, allowed.isTroubled, `cycle ${record.cycle} begins after one that came back`);
        if (allowed.isCareful) {
          const rules = rulesOf(record.cycle, new Map([[record.cycle, { ...record, startedAtMs: [0] }]]), null)!;
          const alive = dlq.filter((bytes) => judge(bytes, rules).deadBy === null).length;
          assert.ok(outcome.replayed <= allowed.budget, `${outcome.replayed} for ${allowed.budget}`);
          if (allowed.budget > 0) assert.equal(outcome.replayed, Math.min(allowed.budget, alive));
          seen.careful++;
        } else {
          const moved = outcome.replayed + Object.values(outcome.dead).reduce((a, b) => a + b, 0);
          // A copy of the newest message further down ends the cycle early: which of the two it was cannot be told.
          const copies = dlq.slice(0, -1).some((message) => message.equals(dlq.at(-1)!));
          assert.ok(copies ? moved <= allowed.budget : moved === allowed.budget, `${moved} for ${allowed.budget}`);
        }
        last = record.cycle;
        brake.replayed(last, { replayed: outcome.replayed, firsts: record.firsts });
        seen.cycles++;
        if (allowed.budget === 0 && dlq.length > 0) seen.held++;
        if (allowed.isTroubled) seen.troubled++;
      }
      const lists = await world.lists();
      checkConserved(world, lists);
      checkPicked(world, lists, arena.known);
      seen.rounds++;
    });
    console.log(`brake: seed ${SEED}: ${JSON.stringify(seen)}`);
  }));

/** A backlog, then cycles one after the other; behind each the consumer works off what it was given, mostly in one way. */
function quietSteps() {
  // Never the same twice: what was replayed just now and is pushed again looks as if a consumer had dropped its stamp.
  const unique = fc.nat({ max: 1_000_000_000 }).map((id) => bytesOf(eventText(id)));
  const one = fc.oneof({ weight: 5, arbitrary: unique }, { weight: 1, arbitrary: ANY_PAYLOAD });
  const produce = fc.record({
    kind: fc.constant("produce" as const),
    payloads: fc.array(one, { minLength: 1, maxLength: 30 }),
  });
  const cycle = fc.record({ kind: fc.constant("turn" as const), cut: fc.nat({ max: CUTS.length - 1 }) });
  const consume = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Answer>("return", "return", "retry", "accept").map((one) => [one]) },
    { weight: 1, arbitrary: fc.array(answer, { minLength: 1, maxLength: 6 }) },
  ).map((some) => ({
    kind: "consume" as const,
    answers: Array.from({ length: 60 }, (_, i) => some[i % some.length]!),
  }));
  const worked = fc.tuple(cycle, consume);
  const more = fc.oneof({ weight: 1, arbitrary: fc.tuple(produce) }, { weight: 8, arbitrary: worked });
  return fc.tuple(produce, fc.array(more, { minLength: 5, maxLength: 15 })).map(([first, rest]) => [
    first,
    ...rest.flat(),
  ]);
}
