/**
 * Reads the oldest messages of a DLQ for a commit: with LRANGE where their sizes can be foreseen, else with a script. With
 * LRANGE, a script before it reads the state; a client may change the DLQ in between.
 */
import type { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import type { Chunk, ChunkBounds, ReadGuard } from "../cycle/chunk.ts";
import {
  COMMITTED_FIELDS,
  CYCLE_STATE_FIELDS,
  type CycleState,
  MAX_FIELD_BYTES,
  parseCycleState,
  RECORD_FIELDS,
} from "../cycle/cycle_state.ts";
import type { Push } from "../message/source_policy.ts";
import { inOneWrite } from "./bulk_command.ts";
import { redisErrorCode, throwStoreError, unknownAnswer } from "./errors.ts";
import { endsOf, type ListEnds } from "./list_ends.ts";
import type { ReadRecords } from "./record_reader.ts";
import { ReadMode, type ReadPlan, type ReadSizes } from "./read_mode.ts";
import { ReplyLimit } from "./reply_limit.ts";
import { isNewest, SAMPLE_BYTES } from "./sample.ts";
import { type BulkScript, loadBulkScript } from "./scripts.ts";
import type { TailGuard } from "./tail_guard.ts";
import peekChunk from "./scripts/peek_chunk.lua" with { type: "text" };
import readChunk from "./scripts/read_chunk.lua" with { type: "text" };

/** Room for the source's state and the headers of the messages in a reply, in bytes. */
const MORE_BYTES = 1_048_576;

/** A chunk, and what the next read should know about it. */
interface Found {
  readonly chunk: Omit<Chunk, "guard" | "records">;
  readonly sizes: ReadSizes;
}

/** Reads through one connection. One read at a time. Rejects with a `StoreError`. */
export class ChunkReader {
  readonly #redis: Redis;
  readonly #keys: readonly [dlq: string, state: string];
  readonly #ends: ListEnds;
  readonly #guard: TailGuard | null;
  readonly #records: ReadRecords | null;
  readonly #fields: Readonly<Record<"all" | "committed", readonly string[]>>;
  readonly #script: BulkScript;
  readonly #peek: BulkScript;
  readonly #limit: ReplyLimit;
  readonly #mode = new ReadMode();
  /** All fields of the state, as they were read when the current cycle was met; `null`: not read yet. */
  #known: { readonly fields: readonly unknown[]; readonly record: CycleState } | null = null;

  /**
   * `redis`: the connection of the guard and of the records. `guard`: `null`: reads have none, and their bounds apply as they are. `push`:
   * how the source's lists are pushed. `records`: default: the stamps are inside the messages.
   */
  constructor(
    redis: Redis,
    { keys, guard, push, records = null }: {
      readonly keys: readonly [dlq: string, state: string];
      readonly guard: TailGuard | null;
      readonly push: Push;
      readonly records?: ReadRecords | null;
    },
  ) {
    this.#redis = redis;
    this.#keys = keys;
    this.#ends = endsOf(keys[0], push);
    this.#guard = guard;
    this.#records = records;
    const more = records === null ? [] : RECORD_FIELDS;
    this.#fields = { all: [...CYCLE_STATE_FIELDS, ...more], committed: [...COMMITTED_FIELDS, ...more] };
    this.#script = loadBulkScript(redis, { keys: 2, lua: readChunk, push });
    this.#peek = loadBulkScript(redis, { keys: 2, lua: peekChunk, push });
    this.#limit = new ReplyLimit(redis);
  }

  /** Reads a chunk, and guards it if the server allows that. */
  async read(bounds: ChunkBounds): Promise<Chunk> {
    if (this.#guard?.isTried() === false) await this.#guard.prove();
    const { guard, reading } = inOneWrite(this.#redis, () => {
      const guard = this.#guard?.watch() ?? null, within = guard || !this.#guard ? bounds : smaller(bounds);
      const plan = this.#mode.plan(within);
      const reading = plan.range > 0 ? this.#readRange(within, plan, guard) : this.#readByScript(within, plan, guard);
      // In the transaction, the records could not be read.
      if (this.#records === null) this.#guard?.begin(guard);
      return { guard, reading };
    });
    const found = await reading.catch((error) => {
      // In the transaction that has begun, the script cannot be sent again.
      if (guard !== null && redisErrorCode(error) === "NOSCRIPT") return null;
      throw error;
    });
    if (found === null) return await this.read(bounds);
    this.#mode.note(found.sizes);
    return this.#records === null
      ? { ...found.chunk, guard }
      : await this.#withRecords(found.chunk, guard, this.#records);
  }

  /** Reads the records of a chunk, and begins the transaction that its guard protects. */
  async #withRecords(chunk: Found["chunk"], guard: ReadGuard | null, read: ReadRecords): Promise<Chunk> {
    const records = await inOneWrite(this.#redis, () => {
      const reading = read(chunk.messages);
      this.#guard?.begin(guard);
      return reading;
    });
    return { ...chunk, guard, records };
  }

  async #readByScript(bounds: ChunkBounds, { step, samples }: ReadPlan, guard: ReadGuard | null): Promise<Found> {
    const keysAndArguments = [...this.#keys, ...readArguments(bounds, { fields: this.#fields.all, step, samples })];
    const { longestAhead, ...chunk } = parseChunk(await this.#script({ keysAndArguments, onlyOnce: guard !== null }));
    const { messages } = chunk;
    return { chunk, sizes: { messages: messages.length, bytes: bytesOf(messages), longestAhead } };
  }

  /**
   * Returns `null` if they must be read again: another cycle has begun; or by the script, because the reply was too long, the
   * oldest message is oversize, or one looks like the newest of the cycle, whose place is not known.
   */
  async #readRange(
    bounds: ChunkBounds,
    { range, step, samples }: ReadPlan,
    guard: ReadGuard | null,
  ): Promise<Found | null> {
    this.#limit.set(Math.max(bounds.bytes, bounds.messageBytes) + MORE_BYTES);
    const [dlq] = this.#keys, { skip = 0 } = bounds;
    const known = this.#known, names = known ? this.#fields.committed : this.#fields.all;
    const details = [skip + range, SAMPLE_BYTES, step, samples, MAX_FIELD_BYTES, ...names];
    const peeked = this.#peek({ keysAndArguments: [...this.#keys, ...details], onlyOnce: guard !== null });
    const listed = this.#redis.lrangeBuffer(dlq, ...this.#ends.range(skip + 1, skip + range));
    const replies = await Promise.all([peeked, listed]).catch((error) => this.#isCutOff(error)).finally(() =>
      this.#limit.lift()
    );
    if (replies === null) return null;
    const [facts, inRange] = replies as [facts: unknown, inRange: unknown];
    // Behind a refused DISCARD, Redis only queues the read.
    if (!Array.isArray(facts)) throw unknownAnswer(facts);
    if (!Array.isArray(inRange)) throw unknownAnswer(inRange);
    const [flat, depth, nowMs, newestPlace, longestAhead] = facts as [unknown[], number, number, number, number];
    const found = this.#ends.oldestFirst<Buffer>(inRange),
      messages = firstWithin(found, { ...bounds, messages: range });
    const fields = known ? [...known.fields, ...flat] : flat, record = parseCycleState(fields);
    const isOther = known !== null && !isSameCycle(record, known.record);
    this.#known = isOther ? null : known ?? { fields, record };
    // Another cycle has begun, so the fields that were not read are others now.
    if (isOther) return null;
    // Another client may have taken messages between the two commands.
    const placed = messages[newestPlace - skip - 1];
    const isAtPlace = newestPlace > skip && (placed === undefined || isNewest(placed, record));
    const newestAt = isAtPlace ? newestPlace - skip : 0;
    // If the place of the newest is not known, only the script tells whether an equal message follows one that looks like it.
    const isUnclear = newestAt === 0 && depth > messages.length &&
      messages.some((message) => isNewest(message, record));
    if (found.length > 0 && messages.length === 0 || isUnclear) {
      this.#mode.forget();
      return null;
    }
    return {
      chunk: { record, depth, nowMs, messages, oversize: null, goesOnEqual: false, newestAt },
      sizes: { messages: found.length, bytes: bytesOf(found), longestAhead },
    };
  }

  /** Returns `null` when the reply was cut off and the client has connected again. @throws any other failure */
  async #isCutOff(error: unknown): Promise<null> {
    if (!this.#limit.isExceeded) throwStoreError(error);
    this.#mode.cutOff();
    await nextAttempt(this.#redis);
    return null;
  }
}

function isSameCycle(a: CycleState, b: CycleState): boolean {
  return a.cycle === b.cycle && a.startedAtMs === b.startedAtMs && a.job?.id === b.job?.id;
}

/** Waits until a client whose connection was cut has connected again, or has failed to, or has ended. */
async function nextAttempt(redis: Redis): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const events = ["ready", "error", "end"] as const;
  for (const event of events) redis.once(event, resolve);
  await promise;
  for (const event of events) redis.off(event, resolve);
}

/** The messages from the first on that the bounds allow, at least one if it is not oversize. */
function firstWithin(messages: Buffer[], { messages: most, bytes: mostBytes, messageBytes }: ChunkBounds): Buffer[] {
  let bytes = 0;
  const end = messages.findIndex(({ length }, i) => {
    bytes += length;
    return i === most || length > messageBytes || (i > 0 && bytes > mostBytes);
  });
  return end < 0 ? messages : messages.slice(0, end);
}

/** A commit with a digest blocks Redis about four times as long as one that WATCH guards. */
const DIGEST_TIMES = 4;

function smaller({ messages, bytes, ...others }: ChunkBounds): ChunkBounds {
  return { ...others, messages: Math.ceil(messages / DIGEST_TIMES), bytes: Math.ceil(bytes / DIGEST_TIMES) };
}

function bytesOf(messages: readonly Buffer[]): number {
  return messages.reduce((sum, { length }) => sum + length, 0);
}

/** Arguments of read_chunk.lua. `fields`: names of the fields of the state to read. */
export function readArguments(
  { messages, bytes, messageBytes, skip = 0 }: ChunkBounds,
  { fields, step = 1, samples = 0 }: { fields: readonly string[]; step?: number; samples?: number },
): (string | number)[] {
  return [messages, bytes, messageBytes, SAMPLE_BYTES, skip, step, samples, MAX_FIELD_BYTES, ...fields];
}

/** Parses the reply of read_chunk.lua. @throws StoreError if it is none */
export function parseChunk(reply: unknown): Omit<Chunk, "guard" | "records"> & { readonly longestAhead: number } {
  if (!Array.isArray(reply)) throw unknownAnswer(reply);
  const [flat, depth, nowMs, large, messages, equal, newestAt, longestAhead] = reply as [
    ...[flat: unknown[], depth: number, nowMs: number],
    ...[large: [number?, Buffer?], messages: Buffer[], equal: number, newestAt: number, longestAhead: number],
  ];
  const oversize = large.length === 2 ? { bytes: large[0]!, digest: String(large[1]) } : null;
  return {
    record: parseCycleState(flat),
    depth,
    nowMs,
    messages,
    oversize,
    goesOnEqual: equal === 1,
    newestAt,
    longestAhead,
  };
}
