/**
 * The dead-letter store: the only place that moves messages. Every call is one script, so every answer is of one instant.
 *
 * Reads and writes go over different connections: the one that writes never sends a command twice by itself, because a
 * resent commit could match the next, byte-equal chunk.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { SourcePolicy } from "../domain/source.ts";
import { createId } from "../runtime/random.ts";
import { receiptKey, stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import { parseRecord, type SourceRecord } from "./source_record.ts";
import beginCycle from "./scripts/begin_cycle.lua" with { type: "text" };
import commitMoves from "./scripts/commit_moves.lua" with { type: "text" };
import peekSource from "./scripts/peek_source.lua" with { type: "text" };
import readChunk from "./scripts/read_chunk.lua" with { type: "text" };
import settleCommit from "./scripts/settle_commit.lua" with { type: "text" };

/** Bytes of either end that stand for a message too large to be read, and for the newest one (a short one's ends overlap). */
const SAMPLE_BYTES = 4_096;

/** A source at one instant of the server. */
export interface Snapshot {
  readonly record: SourceRecord;
  /** Messages in the DLQ. */
  readonly depth: number;
  /** The server's clock. */
  readonly nowMs: number;
}

/** The oldest messages of a DLQ, not changed by reading them. */
export interface Chunk {
  readonly sequence: string;
  readonly depth: number;
  readonly nowMs: number;
  /** Oldest first; empty where the DLQ is, or where the oldest is oversize. */
  readonly messages: readonly Buffer[];
  /** The oldest message where it is over the limit: described, not read. */
  readonly oversize: { readonly bytes: number; readonly digest: string } | null;
  /** Whether the message behind the last of these is byte-equal to it. */
  readonly goesOnEqual: boolean;
}

/** Bounds of one read. */
export interface ChunkBounds {
  readonly messages: number;
  readonly bytes: number;
  /** A message over so many bytes is not read. */
  readonly messageBytes: number;
  /** How many of the oldest messages to pass over; for looking only. */
  readonly skip?: number;
}

/** Where one message goes: the edited bytes, or `null` as it is. */
export interface Move {
  readonly to: "target" | "dead";
  readonly payload: Uint8Array | null;
}

/** A chunk to be moved. `messages` (or `oversize`) is what was read, `moves` says where each goes; both oldest first. */
export interface Commit {
  readonly id: string;
  readonly sequence: string;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  readonly moves: readonly Move[];
  /** The server's clock after which the commit must not run any more. */
  readonly notAfterMs: number;
  /** Most messages that the target may hold afterwards; `null`: no limit. */
  readonly targetLimit: number | null;
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
  readonly #state: string;
  readonly #receipt: string;
  readonly #token: string;
  readonly #peek: Script;
  readonly #read: Script;
  readonly #begin: Script;
  readonly #commit: Script;
  readonly #settle: Script;

  /**
   * `reader` may resend what it asked; `committer` must not (see `connect`). `token`: refuse what changes anything while
   * another holds the lease; empty: there is no lease.
   */
  constructor(
    { reader, committer }: { reader: Redis; committer: Redis },
    policy: SourcePolicy,
    { token = "" }: { token?: string } = {},
  ) {
    this.#token = token;
    this.#dlq = policy.dlq;
    this.#target = policy.target;
    this.#dead = policy.dead;
    this.#state = stateKey(policy.dlq);
    this.#receipt = receiptKey(policy.dlq, createId());
    this.#peek = loadScript(reader, { name: "peekSource", keys: 2, lua: peekSource });
    this.#read = loadScript(reader, { name: "readChunk", keys: 2, lua: readChunk });
    this.#begin = loadScript(committer, { name: "beginCycle", keys: 2, lua: beginCycle });
    this.#commit = loadScript(committer, { name: "commitMoves", keys: 5, lua: commitMoves });
    this.#settle = loadScript(committer, { name: "settleCommit", keys: 2, lua: settleCommit });
  }

  /** The record, the depth and the server's clock. Changes nothing. */
  async peek(): Promise<Snapshot> {
    const [flat, depth, nowMs] = await this.#peek(this.#dlq, this.#state) as [unknown[], number, number];
    return { record: parseRecord(flat), depth, nowMs };
  }

  /** The oldest messages within the bounds, at least one where there are any. Changes nothing. */
  async read(bounds: ChunkBounds): Promise<Chunk> {
    const { messages, bytes, messageBytes, skip = 0 } = bounds;
    const reply = await this.#read(this.#dlq, this.#state, messages, bytes, messageBytes, SAMPLE_BYTES, skip);
    const [sequence, depth, nowMs, large, found, equal] = reply as [
      ...[sequence: Buffer, depth: number, nowMs: number],
      ...[large: [number?, Buffer?], found: Buffer[], equal: number],
    ];
    const oversize = large.length === 2 ? { bytes: large[0]!, digest: String(large[1]) } : null;
    return { sequence: String(sequence), depth, nowMs, messages: found, oversize, goesOnEqual: equal === 1 };
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
    const extras = Object.entries(commit.fields);
    const payloads = commit.moves.flatMap(({ payload }) => payload === null ? [] : [toBuffer(payload)]).reverse();
    const result = String(
      await this.#commit(
        ...[this.#dlq, this.#target, this.#dead, this.#state, this.#receipt],
        ...[commit.moves.length, ...describe(commit), commit.sequence, commit.id, commit.notAfterMs],
        ...[commit.targetLimit ?? -1, commit.endsCycle ? 1 : 0],
        ...[commit.moves.map(letterOf).reverse().join(""), this.#token, extras.length, ...extras.flat(), ...payloads],
      ),
    );
    if ((COMMIT_RESULTS as readonly string[]).includes(result)) return result as CommitResult;
    throw new Error(`Cannot commit: the script answered "${result}"`);
  }

  /** Whether this store's last commit, whose reply was lost, has run. If it has not, it never will: its sequence number is used up. */
  async settle(id: string): Promise<boolean> {
    return await this.#settle(this.#state, this.#receipt, id) === 1;
  }
}

/** Whether a message is the one whose length and digest the record holds. */
export function isNewest(message: Buffer, { newestBytes, newestDigest }: SourceRecord): boolean {
  if (message.length !== newestBytes) return false;
  return sha1([message.subarray(0, SAMPLE_BYTES), message.subarray(-SAMPLE_BYTES)]) === newestDigest;
}

/** Lengths, digest and size of the sample of what was read, as the script compares them. */
function describe({ messages, oversize }: Commit): [lengths: string, digest: string, sampleBytes: number] {
  if (oversize) return [String(oversize.bytes), oversize.digest, SAMPLE_BYTES];
  const newestFirst = messages.toReversed();
  return [newestFirst.map((message) => message.length).join(","), sha1(newestFirst), 0];
}

function letterOf({ to, payload }: Move): string {
  return to === "target" ? (payload ? "r" : "R") : (payload ? "d" : "D");
}

function sha1(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha1");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** The client stores a bare `Uint8Array` as the text "1,2,255". */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
