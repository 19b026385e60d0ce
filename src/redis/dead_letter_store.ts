/**
 * The dead-letter store: the only place that moves messages. Every call is one script, so every answer is of one instant.
 *
 * That the DLQ's tail is still what was read is proven in one of two ways: by WATCH ({@link TailGuard}), or, where that is not
 * to be had or was broken by somebody's push, by a digest of the bytes in the commit itself.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { SourcePolicy } from "../message/source_policy.ts";
import { createId } from "../runtime/random.ts";
import { oversizeKey, receiptKey, stateKey } from "./keys.ts";
import type { RedisClient } from "./cluster.ts";
import { type BulkCall, type BulkScript, loadBulkScript, loadScript, type Script } from "./scripts.ts";
import { ReadBatch } from "./read_batch.ts";
import { MAX_FIELD_BYTES, parseRecord, RECORD_FIELDS, type Snapshot, type SourceRecord } from "../cycle/cycle_state.ts";
import { type Guard, TailGuard } from "./tail_guard.ts";
import browseNewest from "./scripts/browse_newest.lua" with { type: "text" };
import beginCycle from "./scripts/begin_cycle.lua" with { type: "text" };
import commitMoves from "./scripts/commit_moves.lua" with { type: "text" };
import peekSource from "./scripts/peek_source.lua" with { type: "text" };
import readChunk from "./scripts/read_chunk.lua" with { type: "text" };
import settleCommit from "./scripts/settle_commit.lua" with { type: "text" };

export type { Snapshot };

/** Bytes of either end that stand for a message too large to be read, and for the newest one (a short one's ends overlap). */
const SAMPLE_BYTES = 4_096;

/** The oldest messages of a DLQ, not changed by reading them. */
export interface Chunk extends Snapshot {
  /** Oldest first; empty where the DLQ is, or where the oldest is oversize. */
  readonly messages: readonly Buffer[];
  /** The oldest message where it is over the limit: described, not read. */
  readonly oversize: { readonly bytes: number; readonly digest: string } | null;
  /** Whether the message behind the last of these is byte-equal to it; only looked for where `newestAt` does not tell. */
  readonly goesOnEqual: boolean;
  /** Place, from 1 at the oldest, of what was newest when the cycle began; 0: not known, or nothing like it was read. */
  readonly newestAt: number;
  /** What tells a commit of these that nobody has touched the DLQ since; `null`: nothing does. */
  readonly guard: Guard | null;
}

/** Bounds of one read. */
export interface ChunkBounds {
  readonly messages: number;
  readonly bytes: number;
  /** A message over so many bytes is not read. */
  readonly messageBytes: number;
  /** How many messages to pass over, from the end that is read; for looking only. */
  readonly skip?: number;
}

/** Of a message longer than `bytes`: only so many, from the last occurrence of a text on; nothing where it does not occur. */
export interface Excerpt {
  readonly bytes: number;
  readonly from: string;
}

/** The newest messages of a DLQ, not changed by reading them. */
export interface NewestMessages {
  /** Messages in the DLQ. */
  readonly depth: number;
  /** Newest first; `null` in place of one that is over the limit. */
  readonly messages: readonly (Buffer | null)[];
}

/** Where one message goes: the edited bytes, or `null` as it is. */
export interface Move {
  readonly to: "target" | "dead";
  readonly payload: Uint8Array | null;
}

/**
 * A chunk to be moved. `messages` (or `oversize`) is what was read, `moves` says where each goes; both oldest first.
 * `dead` is {@link oversizeKey} for an oversize message.
 */
export interface Commit {
  readonly id: string;
  readonly sequence: string;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  /** Of the chunk that these were read with; default: there is none. */
  readonly guard?: Guard | null;
  readonly moves: readonly Move[];
  /** The server's clock after which the commit must not run any more. */
  readonly notAfterMs: number;
  /** Most messages that the target may hold afterwards; `null`: no limit. */
  readonly targetLimit: number | null;
  /** Their places, counted from the oldest, from 1; `null`: they are the oldest in a row. Each must be near an end. */
  readonly places?: readonly number[] | null;
  /** How many of them use up the cycle's bound; default: all. */
  readonly spent?: number;
  /** How many of them are replayed for the first time; default: none. */
  readonly firsts?: number;
  /** Whether the cycle ends with this chunk, whatever its bound says. */
  readonly endsCycle: boolean;
  /** Further fields of the record. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What a commit came to; all but `ok` changed nothing (`duplicate`: this very commit had run before). */
export const COMMIT_RESULTS = [
  "ok",
  "duplicate",
  "not_leader",
  "stale",
  "expired",
  "bound",
  "room",
  "conflict",
  "wrong_type",
] as const;
/** One of {@link COMMIT_RESULTS}. */
export type CommitResult = (typeof COMMIT_RESULTS)[number];

/** What a beginning came to; all but `ok` changed nothing. */
export type BeginResult = "ok" | "not_leader" | "stale" | "not_due" | "wrong_type";

/** The messages of one source, and its record. Calls reject with the client's errors; nothing is retried here. */
export class DeadLetterStore {
  readonly #dlq: string;
  readonly #target: string;
  readonly #dead: string;
  readonly #oversize: string;
  readonly #state: string;
  readonly #receipt: string;
  readonly #token: string;
  readonly #peek: Script;
  readonly #look: Script;
  readonly #browse: Script;
  readonly #read: Script;
  readonly #begin: Script;
  readonly #commit: BulkScript;
  readonly #settle: Script;
  readonly #guard: TailGuard;
  readonly #batch = new ReadBatch();

  /**
   * `mover` is this store's own: nothing else may be sent there. None of the connections may send a command twice by itself
   * (see `connect`): a resent commit could match the next, byte-equal chunk. `token`: refuse what changes anything while
   * another holds the lease; empty: there is no lease.
   */
  constructor(
    { reader, committer, mover }: { reader: RedisClient; committer: RedisClient; mover: Redis },
    policy: SourcePolicy,
    { token = "" }: { token?: string } = {},
  ) {
    this.#token = token;
    this.#dlq = policy.dlq;
    this.#target = policy.target;
    this.#dead = policy.dead;
    this.#oversize = oversizeKey(policy.dlq);
    this.#state = stateKey(policy.dlq);
    this.#receipt = receiptKey(policy.dlq, createId());
    this.#peek = loadScript(reader, { name: "peekSource", keys: 2, lua: peekSource });
    this.#look = loadScript(reader, { name: "readChunk", keys: 2, lua: readChunk });
    this.#browse = loadScript(reader, { name: "browseNewest", keys: 1, lua: browseNewest });
    this.#read = loadScript(mover, { name: "readChunk", keys: 2, lua: readChunk });
    this.#begin = loadScript(committer, { name: "beginCycle", keys: 2, lua: beginCycle });
    this.#commit = loadBulkScript(mover, { keys: 5, lua: commitMoves });
    this.#settle = loadScript(committer, { name: "settleCommit", keys: 2, lua: settleCommit });
    this.#guard = new TailGuard(mover, { key: policy.dlq, other: committer });
  }

  /** The record, the depth and the server's clock. Changes nothing. */
  async peek(): Promise<Snapshot> {
    const [flat, depth, nowMs] = await this.#peek(this.#dlq, this.#state, MAX_FIELD_BYTES, ...RECORD_FIELDS) as [
      unknown[],
      number,
      number,
    ];
    return { record: parseRecord(flat), depth, nowMs };
  }

  /** The oldest messages within the bounds, at least one where there are any; only to look at. Changes nothing. */
  async look(bounds: ChunkBounds): Promise<Chunk> {
    return readReply(await this.#look(...this.#readArguments(bounds, 1)), null).chunk;
  }

  /** The newest messages within the bounds, at least one where there are any behind `skip`. Changes nothing. */
  async browse(
    { messages, bytes, messageBytes, skip = 0 }: ChunkBounds,
    { bytes: excerptBytes, from }: Excerpt = { bytes: 0, from: "" },
  ): Promise<NewestMessages> {
    const [depth, found] = await this.#browse(
      this.#dlq,
      ...[skip, messages, bytes, messageBytes, excerptBytes, from],
    ) as [
      number,
      (Buffer | null)[],
    ];
    return { depth, messages: found };
  }

  /** The same as {@link look}, to be committed: what was read before can only be committed at the price of a digest from now on. */
  async read(bounds: ChunkBounds): Promise<Chunk> {
    if (!this.#guard.isTried()) await this.#guard.prove();
    const guard = this.#guard.watch();
    const reply = await this.#read(...this.#readArguments(guard ? bounds : smaller(bounds), this.#batch.size()));
    this.#guard.enter(guard);
    const { chunk, longestBytes } = readReply(reply, guard);
    this.#batch.note(longestBytes);
    return chunk;
  }

  /** Begins a cycle of at most `budget` messages if `intervalMs` have passed since the last began (0: at once). */
  async begin(
    { sequence, intervalMs, budget, fields }: {
      sequence: string;
      intervalMs: number;
      budget: number;
      fields: Readonly<Record<string, string>>;
    },
  ): Promise<BeginResult> {
    const extras = Object.entries(fields).flat();
    const details = [sequence, intervalMs, budget, SAMPLE_BYTES, this.#token, ...extras];
    return String(await this.#begin(this.#dlq, this.#state, ...details)) as BeginResult;
  }

  /** Moves a chunk, all of it or nothing. @throws a plain `Error` where the script calls its arguments invalid (a bug). */
  async commit(commit: Commit): Promise<CommitResult> {
    return (await this.commitAndRead(commit, null)).result;
  }

  /**
   * The same, and reads what comes next right behind it, mostly in the same trip to Redis. `next` never rejects; it is `null`
   * where nothing was to be read or could be, the chunk was not moved, or somebody else was quicker.
   */
  async commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<{ result: CommitResult; next: Promise<Chunk | null> }> {
    const readNext = () => bounds && this.read(bounds).catch(() => null);
    let reply: unknown = null;
    let reading: Promise<Chunk | null> | null = null;
    if (!commit.oversize && !commit.places && await this.#guard.isHeldBy(commit.guard ?? null)) {
      const running = this.#guard.run(() => this.#commit({ ...this.#commitCall(commit, NO_PROOF), onlyOnce: true }));
      reading = readNext();
      reply = await running;
    }
    if (reply === null) {
      // What was read behind the transaction that did not run is what this one moves.
      reading = null;
      this.#guard.leave();
      reply = await this.#commit(this.#commitCall(commit, prove(commit)));
    }
    const result = toResult(reply);
    const read = result === "ok" ? reading ?? readNext() : null;
    const isNext = (chunk: Chunk | null) => chunk?.record.sequence === follower(commit.sequence);
    return { result, next: Promise.resolve(read).then((chunk) => isNext(chunk) ? chunk : null) };
  }

  /** Whether this store's last commit, whose reply was lost, has run. If it has not, it never will: its sequence number is used up. */
  async settle(id: string): Promise<boolean> {
    return await this.#settle(this.#state, this.#receipt, id) === 1;
  }

  #readArguments({ messages, bytes, messageBytes, skip = 0 }: ChunkBounds, atOnce: number): (string | number)[] {
    const bounds = [messages, bytes, messageBytes, SAMPLE_BYTES, skip, atOnce];
    return [this.#dlq, this.#state, ...bounds, MAX_FIELD_BYTES, ...RECORD_FIELDS];
  }

  #commitCall(commit: Commit, proof: Proof): BulkCall {
    const { moves, sequence, id, notAfterMs, targetLimit, endsCycle, fields, spent = moves.length, firsts = 0 } =
      commit;
    const places = commit.places?.toReversed().join(",") ?? "";
    const { replays, asTheyAre, payloads } = bySlot(moves);
    const extras = Object.entries(fields);
    const keysAndArguments = [
      ...[this.#dlq, this.#target, commit.oversize ? this.#oversize : this.#dead, this.#state, this.#receipt],
      ...[moves.length, ...proof, sequence, id, notAfterMs, targetLimit ?? -1, endsCycle ? 1 : 0],
      ...[replays, this.#token, asTheyAre, spent, firsts, places, extras.length, ...extras.flat()],
    ];
    return { keysAndArguments, payloads };
  }
}

/** Lengths, digest and size of the sample of what was read, as the commit's script compares them. */
type Proof = readonly [lengths: string, digest: string, sampleBytes: number];
/** The transaction around the script proves it. */
const NO_PROOF: Proof = ["", "", 0];

/** Whether a message is the one whose length and digest the record holds. */
export function isNewest(message: Buffer, { newestBytes, newestDigest }: SourceRecord): boolean {
  if (message.length !== newestBytes) return false;
  return sha1([message.subarray(0, SAMPLE_BYTES), message.subarray(-SAMPLE_BYTES)]) === newestDigest;
}

function prove({ messages, oversize }: Commit): Proof {
  if (oversize) return [String(oversize.bytes), oversize.digest, SAMPLE_BYTES];
  const newestFirst = messages.toReversed();
  return [newestFirst.map((message) => message.length).join(","), sha1(newestFirst), 0];
}

/** What a commit must prove by a digest holds Redis up for twice as long, so half as much of it is read. */
function smaller({ messages, bytes, ...others }: ChunkBounds): ChunkBounds {
  return { ...others, messages: Math.ceil(messages / 2), bytes: Math.ceil(bytes / 2) };
}

function readReply(reply: unknown, guard: Guard | null): { chunk: Chunk; longestBytes: number } {
  if (!Array.isArray(reply)) throw new Error(`Cannot read: the script answered "${reply}"`);
  const [flat, depth, nowMs, large, messages, equal, newestAt, longestBytes] = reply as [
    ...[flat: unknown[], depth: number, nowMs: number],
    ...[large: [number?, Buffer?], messages: Buffer[], equal: number, newestAt: number, longestBytes: number],
  ];
  const oversize = large.length === 2 ? { bytes: large[0]!, digest: String(large[1]) } : null;
  const record = parseRecord(flat), goesOnEqual = equal === 1;
  return { chunk: { record, depth, nowMs, messages, oversize, goesOnEqual, newestAt, guard }, longestBytes };
}

function toResult(reply: unknown): CommitResult {
  const result = String(reply);
  if ((COMMIT_RESULTS as readonly string[]).includes(result)) return result as CommitResult;
  throw new Error(`Cannot commit: the script answered "${result}"`);
}

/** The sequence number that a commit leaves behind. */
function follower(sequence: string): string {
  return String(Number(sequence) + 1);
}

/** What goes to the target, then the dead, as the commit's script takes them. */
function bySlot(moves: readonly Move[]) {
  const replays: number[] = [], deaths: number[] = [];
  moves.forEach(({ to }, index) => (to === "target" ? replays : deaths).push(index));
  const payloads: Uint8Array[] = [], asTheyAre: string[] = [];
  for (const index of [...replays, ...deaths]) {
    const { payload } = moves[index]!;
    if (payload) payloads.push(payload);
    else asTheyAre.push(`${payloads.length + asTheyAre.length + 1}:${index + 1}`);
  }
  return { replays: replays.length, asTheyAre: asTheyAre.join(","), payloads };
}

function sha1(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha1");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
