/** The world around the service: an own Redis, who puts messages in, who takes them out, and an exact account of both. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { Redis } from "ioredis";
import { DEMO_MIX, generateDeadLetter, type MessageKind } from "../../../testkit/mutt/dead_letters.ts";
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import { DEAD, DLQ, eventText, STATE, TARGET } from "../../../testkit/engine.ts";
import { ANY_PAYLOAD, bytesOf, HOSTILE_PAYLOADS } from "../../../testkit/payloads.ts";
import type { Push } from "../../../src/message/source_policy.ts";
import { movesKey } from "../../../src/redis/keys.ts";
import type { MoveEntry } from "../../../src/redis/move_entry.ts";
import { scriptText } from "../../../src/redis/scripts.ts";
import { startRedis, type TestRedis } from "../../../testkit/redis.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import type { ModelRules } from "../../../testkit/model.ts";
import { type Findings, Oracle } from "./oracle.ts";
import { pause } from "./pause.ts";

/** Lists of the source, by role. */
export const LISTS = { dlq: DLQ, target: TARGET, dead: DEAD } as const;
/** Role of a list. */
export type Role = keyof typeof LISTS;
const ROLES = Object.keys(LISTS) as Role[];

/** Where what was taken out of a list is kept: in Redis, by the script that takes it, so that a lost reply hides nothing. */
const KEPT = { dlq: "chaos:from:dlq", target: "chaos:from:target", dead: "chaos:from:dead" } as const;
const PARKED = "chaos:parked:";

/** Name of the source of these lists: MUTT's, or one of one's own, which may be pushed to the right. */
export const SOURCE_NAMES: Readonly<Record<Push, string>> = { LPUSH: "alerter", RPUSH: "turned" };

// Scripts for lists that are pushed to the left, as the service's: they are turned round for the others.

/** A push that may be sent again: KEYS list, the producer's mark; ARGV number of the push, messages. */
const PUSH = `
if redis.call('GET', KEYS[2]) == ARGV[1] then return 0 end
redis.call('LPUSH', KEYS[1], unpack(ARGV, 2))
redis.call('SET', KEYS[2], ARGV[1])
return 1`;

/** KEYS list, where it is kept; ARGV how, a number, the command that takes the oldest. Returns how many were taken. */
const TAKE = `
local how, n, pop = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local all, gone = redis.call('LRANGE', KEYS[1], 0, -1), {}
if #all == 0 then return 0 end
if how == 'LREM' then
  gone = { all[n % #all + 1] }
  redis.call('LREM', KEYS[1], 1, gone[1])
else
  if how == 'DEL' then n = #all else n = math.min(n, #all) end
  for i = #all - n + 1, #all do gone[#gone + 1] = all[i] end
  if how == 'DEL' then redis.call('DEL', KEYS[1])
  elseif how == 'LTRIM' then redis.call('LTRIM', KEYS[1], 0, -(n + 1))
  else for _ = 1, n do redis.call(pop, KEYS[1]) end end
end
for _, message in ipairs(gone) do redis.call('LPUSH', KEYS[2], message) end
return #gone`;

/** FLUSHALL of all but the account. KEYS lists, where each is kept, then the marks of producers. */
const FLUSH = `
local kept, marks = {}, {}
for i = 1, 3 do
  kept[i] = redis.call('LRANGE', KEYS[3 + i], 0, -1)
  for _, message in ipairs(redis.call('LRANGE', KEYS[i], 0, -1)) do table.insert(kept[i], message) end
end
for i = 7, #KEYS do marks[i] = redis.call('GET', KEYS[i]) end
redis.call('FLUSHALL')
for i = 1, 3 do
  for _, message in ipairs(kept[i]) do redis.call('RPUSH', KEYS[3 + i], message) end
end
for i = 7, #KEYS do if marks[i] then redis.call('SET', KEYS[i], marks[i]) end end`;

/** Most between two of these. */
const USURPER_PAUSE_MS = 300;
/** What somebody makes of a lease: over, given back, taken, taken without a time, no number at all, offered to another instance. */
const USURPATIONS: readonly ((nowMs: number, other: string) => Record<string, string | number>)[] = [
  () => ({ leaderUntilMs: 0 }),
  () => ({ leader: "", leaderUntilMs: 0 }),
  (nowMs) => ({ leader: "usurper", leaderName: "usurper", leaderUntilMs: nowMs + 100, leaderForMs: 100 }),
  () => ({ leader: "usurper", leaderUntilMs: "" }),
  () => ({ leaderUntilMs: "soon" }),
  (nowMs, other) => ({ leaderOffer: `${other} ${nowMs + 1_000}` }),
];

/** Payloads of odd kinds that a world draws from, beside the generator's. */
const ODD_PAYLOADS = 400, MOST_ODD_BYTES = 4_000;
const RETRY_MS = 10;
/** A Redis that loads its data is asked again at once, not after the second that it estimates. */
const SOON_BACK = { maxLoadingRetryTime: 20 };

/** KEYS target, where it is kept, DLQ, returns (hash); ARGV most messages, text of those that fail. A consumer that keeps only the bytes. */
const CONSUME = `
for _ = 1, tonumber(ARGV[1]) do
  local message = redis.call('RPOP', KEYS[1])
  if not message then return end
  if message:find(ARGV[2], 1, true) then
    redis.call('HINCRBY', KEYS[4], message, 1)
    redis.call('LPUSH', KEYS[3], message)
  else
    redis.call('LPUSH', KEYS[2], message)
  end
end`;
const RETURNS = "chaos:returns";

/** What a world's producers send instead of its own mix, and how it is judged. */
export interface WorldMix {
  /** Makes a message. `number`: of those made so far. */
  readonly payload: (random: SeededRandom, number: number) => Uint8Array;
  /** See {@link Oracle.add}. */
  readonly fateOf: (payload: Uint8Array) => "any" | undefined;
  readonly rules: Partial<ModelRules>;
}

/** A source's lists on an own Redis. Use it with `await using`. */
export class World implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly random: SeededRandom;
  /** For those who meddle: never meant to be cut. */
  readonly admin: Redis;
  readonly #odd: readonly Uint8Array[];
  /** Producers and whoever meddles with the lease. */
  readonly #workers: AsyncDisposable[] = [];
  /** Members that operators let the service cut. */
  readonly #cut: readonly string[];
  readonly #source: string;
  readonly #mix: WorldMix | null;
  #oracle: Oracle;
  #excused: Uint8Array[] = [];
  #made = 0;
  #producerCount = 0;
  #parked = 0;
  #pushed = 0;

  private constructor(
    redis: TestRedis,
    random: SeededRandom,
    { cut, source, mix }: { cut: readonly string[]; source: string; mix: WorldMix | null },
  ) {
    this.redis = redis;
    this.#cut = cut;
    this.#source = source;
    this.#mix = mix;
    this.#oracle = this.#createOracle();
    this.random = random;
    this.admin = redis.client(SOON_BACK);
    const seed = random.below(2 ** 31);
    this.#odd = [...fc.sample(ANY_PAYLOAD, { numRuns: ODD_PAYLOADS, seed }), ...HOSTILE_PAYLOADS]
      .filter((bytes) => bytes.length <= MOST_ODD_BYTES);
  }

  /**
   * Starts a server with these lines of configuration. `cut`: members that operators let the service cut, as a revival does. `push`: how
   * the lists are pushed; `source`: whose they are. Default: those of MUTT's alerter. `mix`: what producers send to a source that changes
   * no message; default: the world's own mix.
   */
  static async open(
    random: SeededRandom,
    { config = [], cut = [], push = "LPUSH", source = SOURCE_NAMES.LPUSH, mix = null }: {
      config?: readonly string[];
      cut?: readonly string[];
      push?: Push;
      source?: string;
      mix?: WorldMix | null;
    } = {},
  ): Promise<World> {
    return new World(await startRedis({ config, push }), random, { cut, source, mix });
  }

  #createOracle(): Oracle {
    return new Oracle({ source: this.#source, ...this.#mix?.rules }, {
      others: this.#cut,
      isExact: this.#mix !== null,
    });
  }

  /** Empties Redis and the account. For between two checks, while nobody works. */
  async reset(): Promise<void> {
    await this.admin.flushall();
    this.#oracle = this.#createOracle();
    this.#excused = [];
    this.#pushed = 0;
  }

  /** Dead letters of all kinds, some of them equal. */
  payloads(count: number): Uint8Array[] {
    return Array.from({ length: count }, () => this.#payload());
  }

  /** Puts messages into the DLQ, however often Redis has to be asked, and writes them down. */
  async produce(count: number): Promise<void> {
    await new Producer(this.admin, { mark: this.#nextMark(), push: this.redis.push }).push(
      this.payloads(count),
      (sent) => this.#came(sent),
    );
  }

  /** A producer that goes on until the world is drained: bursts of up to `most`, up to `pauseMs` apart. */
  startProducer({ most, pauseMs }: { most: number; pauseMs: number }): void {
    const producer = new Producer(this.redis.client(SOON_BACK), { mark: this.#nextMark(), push: this.redis.push });
    this.#repeat(async () => {
      await producer.push(this.payloads(1 + this.random.below(most)), (sent) => this.#came(sent));
      await pause(this.random.below(pauseMs));
    });
  }

  /** A consumer that goes on until the world is drained. It dead-letters what has this text, and keeps nothing but the bytes. */
  startConsumer(fails: string): void {
    const client = this.redis.client(SOON_BACK);
    this.#repeat(async () => {
      await client.eval(scriptText(CONSUME, this.redis.push), 4, TARGET, KEPT.target, DLQ, RETURNS, 50, fails).catch(
        () => {},
      );
      await pause(5);
    });
  }

  /** How often that consumer has dead-lettered each message. */
  async returns(): Promise<ReadonlyMap<string, number>> {
    const found = Object.entries(await this.admin.hgetall(RETURNS));
    return new Map(found.map(([message, count]) => [message, Number(count)]));
  }

  /** The dead messages, wherever they are. */
  async readDead(): Promise<readonly Buffer[]> {
    return (await Promise.all([LISTS.dead, KEPT.dead].map((key) => this.redis.readList(key)))).flat();
  }

  /** Somebody who overwrites the leader lease again and again until the world is drained. */
  startUsurper(): void {
    const client = this.redis.client(SOON_BACK), leaders = new Set(["usurper"]);
    this.#repeat(async () => {
      await pause(this.random.below(USURPER_PAUSE_MS));
      try {
        leaders.add(await client.hget(STATE, "leader") || "usurper");
        await client.hset(STATE, this.random.pick(USURPATIONS)(Date.now(), this.random.pick([...leaders])));
      } catch {
        // Redis is out of order.
      }
    });
  }

  /** Lets the lease be over at once, where this instance holds it: it was killed, and nobody is to wait for that. */
  async expireLease(holder: string): Promise<void> {
    const name = await this.admin.hget(STATE, "leaderName");
    if (name?.startsWith(`${holder} (`)) await this.admin.hset(STATE, "leaderUntilMs", 0);
  }

  /** Somebody takes messages out: the `count` oldest, one from anywhere (`LREM`), or all (`DEL`). @returns how many. */
  async take(from: Role, { how, count }: { how: "RPOP" | "LTRIM" | "LREM" | "DEL"; count: number }): Promise<number> {
    const { push } = this.redis, pop = push === "LPUSH" ? "RPOP" : "LPOP";
    return Number(await this.admin.eval(scriptText(TAKE, push), 2, LISTS[from], KEPT[from], how, count, pop));
  }

  /** Somebody renames the DLQ. @returns how to rename it back, which does nothing if there is a DLQ again. */
  async park(): Promise<() => Promise<void>> {
    const key = PARKED + ++this.#parked;
    await this.admin.rename(DLQ, key).catch(ignoreMissing);
    return async () => void await this.admin.renamenx(key, DLQ).catch(ignoreMissing);
  }

  /** FLUSHALL: whatever is in a list counts as taken out of it. */
  async flushAll(): Promise<void> {
    const marks = Array.from({ length: this.#producerCount }, (_, i) => markOf(i + 1));
    const keys = [...ROLES.map((role) => LISTS[role]), ...ROLES.map((role) => KEPT[role]), ...marks];
    await this.admin.eval(scriptText(FLUSH, this.redis.push), keys.length, ...keys);
  }

  /** Says that an operator has put these in. `fate`: see {@link Oracle.add} */
  enter(payloads: readonly Uint8Array[], fate?: "any"): void {
    this.#oracle.add(payloads, fate);
  }

  /** Says that somebody else has moved these, so that the model does not judge them. */
  excuse(payloads: readonly Uint8Array[]): void {
    this.#excused.push(...payloads);
  }

  /** Messages that producers have put in so far. */
  get pushed(): number {
    return this.#pushed;
  }

  /** Lets the interval be over, so that nobody waits for it. */
  async age(): Promise<void> {
    if (await this.admin.exists(STATE)) await this.admin.hset(STATE, "startedAtMs", 0);
  }

  /** How many messages the cycle in hand may still take, by the record. */
  async remaining(): Promise<number> {
    return Number(await this.admin.hget(STATE, "remaining") ?? 0);
  }

  depth(): Promise<number> {
    return this.admin.llen(DLQ);
  }

  /** Ends those who work in the background and waits until the DLQ is empty. */
  async drain({ timeoutMs = 60_000 }: { timeoutMs?: number } = {}): Promise<void> {
    for (const worker of this.#workers.splice(0)) await worker[Symbol.asyncDispose]();
    let agedAtMs = performance.now();
    await waitUntil(async () => {
      if (await this.depth() === 0) return true;
      if (performance.now() - agedAtMs > 200) {
        agedAtMs = performance.now();
        await this.age();
      }
      return false;
    }, { what: "the DLQ is drained", timeoutMs }).catch(async (error: Error) => {
      throw new Error(
        `${error.message}; ${await this.depth()} left, record ${Deno.inspect(await this.admin.hgetall(STATE))}`,
      );
    });
  }

  /** How many messages have been put into target and dead list, whoever took them out, or back into the DLQ, since. */
  async countMoved(): Promise<number> {
    const keys = [LISTS.target, KEPT.target, LISTS.dead, KEPT.dead];
    const there = (await Promise.all(keys.map((key) => this.admin.llen(key)))).reduce((a, b) => a + b, 0);
    return [...(await this.returns()).values()].reduce((a, b) => a + b, there);
  }

  /** How many messages the journal says were moved. It keeps some 10,000 entries. */
  async countJournalled(): Promise<number> {
    const entries = await this.admin.xrange(movesKey(DLQ), "-", "+");
    return entries.reduce((sum, [, fields]) => {
      const { replayed, dead } = JSON.parse(fields[fields.indexOf("entry") + 1]!) as MoveEntry;
      return Object.values(dead).reduce((a, b) => a + b, sum + replayed);
    }, 0);
  }

  /** What the oracle says of all lists. @param miscounted see {@link Findings} */
  async check({ miscounted = 0 } = {}): Promise<Findings> {
    const parked = Array.from({ length: this.#parked }, (_, i) => PARKED + (i + 1));
    const read = async (keys: string[]) => (await Promise.all(keys.map((key) => this.redis.readList(key)))).flat();
    const dlq = await read([LISTS.dlq, ...parked]), taken = await read([KEPT.dlq]);
    const kept = await read(await this.jobLists());
    const target = await read([LISTS.target, KEPT.target]), dead = await read([LISTS.dead, KEPT.dead]);
    this.#oracle.excuse(this.#excused);
    return this.#oracle.check({ dlq, target, dead, taken, kept }, { miscounted });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.redis.stop();
    // Their connections are closed now, so that none of them waits any more.
    for (const worker of this.#workers) await worker[Symbol.asyncDispose]();
  }

  #repeat(turn: () => Promise<void>): void {
    let isStopped = false;
    const running = (async () => {
      while (!isStopped) await turn();
    })();
    this.#workers.push({ [Symbol.asyncDispose]: () => (isStopped = true, running) });
  }

  /** Lists of jobs that have begun: shelf, own lists, trash. `staged`: those of imports that have not. */
  async jobLists({ staged = false } = {}): Promise<string[]> {
    const keys = await this.admin.keys(`${STATE}:*`), found: string[] = [];
    for (const key of keys.filter((key) => /:(shelf|list|trash)$/.test(key))) {
      const job = /^(.*:jobs:[^:]+):list$/.exec(key)?.[1];
      const isStaged = job !== undefined && [null, "planned"].includes(await this.admin.hget(job, "status"));
      if (isStaged === staged) found.push(key);
    }
    return found;
  }

  #nextMark(): string {
    return markOf(++this.#producerCount);
  }

  #came(payloads: readonly Uint8Array[]): void {
    this.#pushed += payloads.length;
    for (const one of this.#mix ? payloads : []) this.#oracle.add([one], this.#mix!.fateOf(one));
    if (!this.#mix) this.#oracle.add(payloads);
  }

  #payload(): Uint8Array {
    const { random } = this;
    if (this.#mix) return this.#mix.payload(random, ++this.#made);
    const kind = random.below(12);
    if (kind === 0) return bytesOf(eventText("same"));
    // Of one length, so that only their bytes tell them apart.
    if (kind < 4) return bytesOf(eventText(String(++this.#made).padStart(9, "0")));
    if (kind === 4) return random.pick(this.#odd);
    return generateDeadLetter(random.pick(KINDS), { random, index: ++this.#made }).payload;
  }
}

/** Kinds of the generator by their share; those of a megabyte would only take time here. */
const KINDS = Object.entries(DEMO_MIX).flatMap(([kind, share]) =>
  kind === "large" ? [] : Array<MessageKind>(Math.ceil(share)).fill(kind as MessageKind)
);

/** Puts messages into the DLQ exactly once: a push whose reply was lost is sent again under the same number. */
class Producer {
  readonly #client: Redis;
  readonly #mark: string;
  readonly #script: string;
  #pushes = 0;

  constructor(client: Redis, { mark, push }: { readonly mark: string; readonly push: Push }) {
    this.#client = client;
    this.#mark = mark;
    this.#script = scriptText(PUSH, push);
  }

  async push(payloads: readonly Uint8Array[], came: (payloads: readonly Uint8Array[]) => void): Promise<void> {
    const push = ++this.#pushes;
    while (!await this.#try(push, payloads)) {
      if (this.#client.status === "end") return;
      await pause(RETRY_MS);
    }
    came(payloads);
  }

  async #try(push: number, payloads: readonly Uint8Array[]): Promise<boolean> {
    try {
      await this.#client.eval(this.#script, 2, DLQ, this.#mark, push, ...payloads.map((bytes) => Buffer.from(bytes)));
      return true;
    } catch {
      return false;
    }
  }
}

function markOf(producer: number): string {
  return `chaos:producer:${producer}`;
}

function ignoreMissing(error: Error): void {
  if (!error.message.includes("no such key")) throw error;
}
