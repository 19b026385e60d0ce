/** The world around the service: an own Redis, who puts messages in, who takes them out, and an exact account of both. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { Redis } from "ioredis";
import { DEMO_MIX, generateDeadLetter, type MessageKind } from "../../../testkit/mutt/dead_letters.ts";
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import { DEAD, DLQ, eventText, STATE, TARGET } from "../../../testkit/engine.ts";
import { ANY_PAYLOAD, bytesOf, HOSTILE_PAYLOADS } from "../../../testkit/payloads.ts";
import { startRedis, type TestRedis } from "../../../testkit/redis.ts";
import { waitUntil } from "../../../testkit/wait.ts";
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

/** A push that may be sent again: KEYS list, the producer's mark; ARGV number of the push, messages. */
const PUSH = `
if redis.call('GET', KEYS[2]) == ARGV[1] then return 0 end
redis.call('LPUSH', KEYS[1], unpack(ARGV, 2))
redis.call('SET', KEYS[2], ARGV[1])
return 1`;

/** KEYS list, where it is kept; ARGV how, a number. Returns how many were taken. */
const TAKE = `
local how, n = ARGV[1], tonumber(ARGV[2])
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
  else redis.call('RPOP', KEYS[1], n) end
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
/** What somebody makes of a lease: over, given back, taken, taken without a time, no number at all. */
const USURPATIONS: readonly ((nowMs: number) => Record<string, string | number>)[] = [
  () => ({ leaderUntilMs: 0 }),
  () => ({ leader: "", leaderUntilMs: 0 }),
  (nowMs) => ({ leader: "usurper", leaderName: "usurper", leaderUntilMs: nowMs + 100, leaderForMs: 100 }),
  () => ({ leader: "usurper", leaderUntilMs: "" }),
  () => ({ leaderUntilMs: "soon" }),
];

/** Payloads of odd kinds that a world draws from, beside the generator's. */
const ODD_PAYLOADS = 400, MOST_ODD_BYTES = 4_000;
const RETRY_MS = 10;
/** A Redis that loads its data is asked again at once, not after the second that it estimates. */
const SOON_BACK = { maxLoadingRetryTime: 20 };

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
  #oracle: Oracle;
  #excused: Uint8Array[] = [];
  #made = 0;
  #producerCount = 0;
  #parked = 0;
  #pushed = 0;

  private constructor(redis: TestRedis, random: SeededRandom, cut: readonly string[]) {
    this.redis = redis;
    this.#cut = cut;
    this.#oracle = new Oracle({}, { others: cut });
    this.random = random;
    this.admin = redis.client(SOON_BACK);
    const seed = random.below(2 ** 31);
    this.#odd = [...fc.sample(ANY_PAYLOAD, { numRuns: ODD_PAYLOADS, seed }), ...HOSTILE_PAYLOADS]
      .filter((bytes) => bytes.length <= MOST_ODD_BYTES);
  }

  /** Starts a server with these lines of configuration. `cut`: members that operators let the service cut, as a revival does. */
  static async open(
    random: SeededRandom,
    { config = [], cut = [] }: { config?: readonly string[]; cut?: readonly string[] } = {},
  ): Promise<World> {
    return new World(await startRedis({ config }), random, cut);
  }

  /** Empties Redis and the account. For between two checks, while nobody works. */
  async reset(): Promise<void> {
    await this.admin.flushall();
    this.#oracle = new Oracle({}, { others: this.#cut });
    this.#excused = [];
    this.#pushed = 0;
  }

  /** Dead letters of all kinds, some of them equal. */
  payloads(count: number): Uint8Array[] {
    return Array.from({ length: count }, () => this.#payload());
  }

  /** Puts messages into the DLQ, however often Redis has to be asked, and writes them down. */
  async produce(count: number): Promise<void> {
    await new Producer(this.admin, this.#nextMark()).push(this.payloads(count), (sent) => this.#came(sent));
  }

  /** A producer that goes on until the world is drained: bursts of up to `most`, up to `pauseMs` apart. */
  startProducer({ most, pauseMs }: { most: number; pauseMs: number }): void {
    const producer = new Producer(this.redis.client(SOON_BACK), this.#nextMark());
    this.#repeat(async () => {
      await producer.push(this.payloads(1 + this.random.below(most)), (sent) => this.#came(sent));
      await pause(this.random.below(pauseMs));
    });
  }

  /** Somebody who overwrites the leader lease again and again until the world is drained. */
  startUsurper(): void {
    const client = this.redis.client(SOON_BACK);
    this.#repeat(async () => {
      await pause(this.random.below(USURPER_PAUSE_MS));
      const fields = this.random.pick(USURPATIONS)(Date.now());
      await client.hset(STATE, fields).catch(() => {}); // Redis is out of order
    });
  }

  /** Lets the lease be over at once, where this instance holds it: it was killed, and nobody is to wait for that. */
  async expireLease(holder: string): Promise<void> {
    const name = await this.admin.hget(STATE, "leaderName");
    if (name?.startsWith(`${holder} (`)) await this.admin.hset(STATE, "leaderUntilMs", 0);
  }

  /** Somebody takes messages out: `count` from the tail, one from anywhere (`LREM`), or all (`DEL`). @returns how many. */
  async take(from: Role, { how, count }: { how: "RPOP" | "LTRIM" | "LREM" | "DEL"; count: number }): Promise<number> {
    return Number(await this.admin.eval(TAKE, 2, LISTS[from], KEPT[from], how, count));
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
    await this.admin.eval(FLUSH, keys.length, ...keys);
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

  /** How many messages have been put into target and dead list, whoever took them out since. */
  async countMoved(): Promise<number> {
    const keys = [LISTS.target, KEPT.target, LISTS.dead, KEPT.dead];
    return (await Promise.all(keys.map((key) => this.admin.llen(key)))).reduce((a, b) => a + b, 0);
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
    this.#oracle.add(payloads);
  }

  #payload(): Uint8Array {
    const { random } = this;
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
  #pushes = 0;

  constructor(client: Redis, mark: string) {
    this.#client = client;
    this.#mark = mark;
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
      await this.#client.eval(PUSH, 2, DLQ, this.#mark, push, ...payloads.map((bytes) => Buffer.from(bytes)));
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
