/**
 * Moves the messages of one job by the names of its lists: a sweep takes the picked ones out of a list, a restore puts the others
 * back. Like a commit, each move is one script that checks everything first, and leaves a receipt.
 *
 * Use it for one move at a time. A lost reply is settled with {@link SweepStore.resolveLost} before the next one.
 */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import type { Chunk, ChunkBounds } from "../cycle/chunk.ts";
import type { JobPhase, RunningJob } from "../cycle/running_job.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import { createId } from "../runtime/random.ts";
import { inOneWrite } from "./bulk_command.ts";
import { ChunkReader } from "./chunk_reader.ts";
import type { RedisClient } from "./cluster.ts";
import { unknownAnswer } from "./errors.ts";
import { createNewestReader, type ReadNewest } from "./newest_reader.ts";
import { claimKey, jobKey, jobListKey, receiptKey, shelfKey, stateKey, trashKey } from "./keys.ts";
import { createRecordReader } from "./record_reader.ts";
import { SAMPLE_BYTES, sha1 } from "./sample.ts";
import { type BulkScript, loadBulkScript, loadScript, type Script } from "./scripts.ts";
import addChunk from "./scripts/add_chunk.lua" with { type: "text" };
import finishJob from "./scripts/finish_job.lua" with { type: "text" };
import returnChunk from "./scripts/return_chunk.lua" with { type: "text" };
import restoreChunk from "./scripts/restore_chunk.lua" with { type: "text" };
import settleCommit from "./scripts/settle_commit.lua" with { type: "text" };
import sweepChunk from "./scripts/sweep_chunk.lua" with { type: "text" };

/** The results of a job's move. All except `ok` changed nothing; `duplicate`: the same move ran before. */
export const JOB_MOVE_RESULTS = [
  ...["ok", "duplicate", "not_leader", "stale", "expired", "conflict", "wrong_type"] as const,
];
/** One of {@link JOB_MOVE_RESULTS}. */
export type JobMoveResult = (typeof JOB_MOVE_RESULTS)[number];

/** What every move of a job names. */
export interface JobMove {
  /** Unique for each move. */
  readonly id: string;
  /** Sequence number of the state that the decision is based on. */
  readonly sequence: string;
  /** The move must not run after this time, by the server's clock. */
  readonly notAfterMs: number;
}

/** A chunk to sweep: the oldest messages of the list. */
export interface Sweep extends JobMove {
  /** Number of messages; 0: the list is empty. */
  readonly count: number;
  /** SHA-1 of the oldest and the newest of them joined; of an oversize message, its digest. */
  readonly digest: string;
  readonly isOversize: boolean;
  /** The picked ones by their place, from 1 at the oldest, with their SHA-1. */
  readonly picks: readonly { readonly place: number; readonly digest: string }[];
  /** Messages that the sweep has left afterwards; 0: it is over. */
  readonly left: number;
}

/** Messages to put back at the oldest end of the list. */
export interface Restore extends JobMove {
  /** `restore`: from the shelf; `back` and `act`: from the job's own list. */
  readonly phase: Extract<JobPhase, "restore" | "back" | "act">;
  readonly messages: number;
  readonly bytes: number;
  /** The phase that begins when nothing is left. */
  readonly next: JobPhase;
  /** Shortest time until the trash that they come from expires, in milliseconds; default: they come from a list that does not. */
  readonly keepMs?: number;
}

/** Messages of the job's own list to put back at the oldest end of the DLQ, changed. Both the newest first. */
export interface Return extends JobMove {
  readonly messages: readonly Buffer[];
  readonly payloads: readonly Uint8Array[];
}

/** Messages that an import has staged, to add at the newest end of the DLQ. */
export type Addition = JobMove & Pick<Restore, "messages" | "bytes">;

/** The end of a job. */
export interface JobEnd extends JobMove {
  readonly phase: JobPhase;
  readonly status: string;
  /** Time until the job's hash expires, in milliseconds. */
  readonly keepMs: number;
  /** Time until the job's own list expires as trash, in milliseconds; 0: that list must be empty. */
  readonly trashMs: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** Moves the messages of one job. Calls reject with a `StoreError`; none is retried. */
export class SweepStore {
  readonly #job: string;
  readonly #token: string;
  readonly #mover: Redis;
  readonly #keys: Readonly<Record<"dlq" | "list" | "shelf" | "own" | "state" | "receipt" | "job" | "claim", string>>;
  readonly #chunks: ChunkReader;
  readonly #sweep: BulkScript;
  readonly #restore: Script;
  readonly #add: Script;
  readonly #return: Script;
  readonly #readOwn: ReadNewest;
  /**
   * By how much a message changes the depth of the DLQ when it goes from the job's own list to the list. The own list counts as a part
   * of the DLQ, unless an import has staged it.
   */
  readonly #backChange: number;
  readonly #isOwnCounted: boolean;
  readonly #finish: Script;
  readonly #resolveLost: Script;

  /**
   * Only one caller at a time may use `mover`. `token`: as in the dead-letter store. What a purge picks goes to its trash at once.
   * `trashOf`: id of the job whose trash this job brings back, as if it were the job's own list; `null`: none.
   */
  constructor(
    { committer, mover }: { committer: RedisClient; mover: Redis },
    policy: SourcePolicy,
    { id: job, verb, list }: Pick<RunningJob, "id" | "verb" | "list">,
    { token, trashOf }: { token: string; trashOf: string | null },
  ) {
    this.#job = job;
    this.#token = token;
    this.#mover = mover;
    const { dlq, dead, push } = policy, swept = list === "dead" ? dead : dlq;
    this.#keys = {
      dlq,
      list: swept,
      claim: claimKey(swept),
      shelf: shelfKey(dlq),
      own: trashOf !== null ? trashKey(dlq, trashOf) : verb === "purge" ? trashKey(dlq, job) : jobListKey(dlq, job),
      state: stateKey(dlq),
      receipt: receiptKey(dlq, createId()),
      job: jobKey(dlq, job),
    };
    this.#chunks = new ChunkReader(mover, {
      ...{ keys: [this.#keys.list, this.#keys.state], guard: null, push },
      // The stamps of dead messages are inside of them.
      records: list === "dlq" ? createRecordReader(mover, policy) : null,
    });
    this.#sweep = loadBulkScript(mover, { keys: 5, lua: sweepChunk, push });
    this.#restore = loadScript(committer, { name: "restoreChunk", keys: 4, lua: restoreChunk, push });
    this.#add = loadScript(committer, { name: "addChunk", keys: 4, lua: addChunk, push });
    this.#return = loadScript(committer, { name: "returnChunk", keys: 4, lua: returnChunk, push });
    this.#readOwn = createNewestReader(mover, { lists: [this.#keys.own], push });
    this.#isOwnCounted = trashOf === null && verb !== "import";
    this.#backChange = (list === "dlq" ? 1 : 0) - (this.#isOwnCounted ? 1 : 0);
    this.#finish = loadScript(committer, { name: "finishJob", keys: 6, lua: finishJob });
    this.#resolveLost = loadScript(committer, { name: "settleCommit", keys: 2, lua: settleCommit });
  }

  /** Reads the oldest messages of the list, and the source's state. Changes nothing. */
  read(bounds: ChunkBounds): Promise<Chunk> {
    return this.#chunks.read(bounds);
  }

  /**
   * Sweeps a chunk, and reads the next one in the same round trip. `next` never rejects. It is `null` if `bounds` is `null`, the
   * read failed, or the chunk was not swept.
   */
  async sweepAndRead(
    { count, digest, isOversize, picks, left, ...move }: Sweep,
    bounds: ChunkBounds | null,
  ): Promise<{ result: JobMoveResult; next: Promise<Chunk | null> }> {
    const { list, shelf, own, state, receipt } = this.#keys;
    const places = picks.map(({ place, digest }) => `${place}:${digest},`).join("");
    const details = [count, digest, isOversize ? SAMPLE_BYTES : 0, places, left];
    const keysAndArguments = [list, shelf, own, state, receipt, ...this.#arguments(move), ...details];
    const sent = inOneWrite(this.#mover, () => ({
      sweeping: this.#sweep({ keysAndArguments }),
      reading: bounds ? this.read(bounds).catch(() => null) : Promise.resolve(null),
    }));
    const [result] = await Promise.all([sent.sweeping.then(toResult), bounds ? sent.reading : null]);
    const isNext = (chunk: Chunk | null) =>
      result === "ok" && chunk?.record.sequence === String(Number(move.sequence) + 1);
    return { result, next: sent.reading.then((chunk) => isNext(chunk) ? chunk : null) };
  }

  /** Puts messages back. @returns how many are left, or why nothing has changed */
  async restore({ phase, messages, bytes, next, keepMs = 0, ...move }: Restore): Promise<number | JobMoveResult> {
    const { list, shelf, own, state, receipt } = this.#keys;
    const isOwn = phase !== "restore", from = isOwn ? own : shelf;
    const reply = await this.#restore(
      from,
      list,
      state,
      receipt,
      ...this.#arguments(move),
      phase,
      messages,
      bytes,
      next,
      isOwn ? this.#backChange : 0,
      isOwn ? keepMs : 0,
    );
    return Array.isArray(reply) ? Number(reply[0]) : toResult(reply);
  }

  /** Adds messages of an import. @returns how many are left, or why nothing has changed */
  async add({ messages, bytes, ...move }: Addition): Promise<number | JobMoveResult> {
    const { list, own, state, receipt } = this.#keys;
    const reply = await this.#add(own, list, state, receipt, ...this.#arguments(move), messages, bytes);
    return Array.isArray(reply) ? Number(reply[0]) : toResult(reply);
  }

  /** Reads the newest messages of the job's own list, newest first; `null` stands for one that is too large. */
  async readOwn(bounds: ChunkBounds): Promise<readonly (Buffer | null)[]> {
    return (await this.#readOwn(bounds)).messages;
  }

  /** Puts changed messages of the job's own list back. */
  async returnChanged({ messages, payloads, ...move }: Return): Promise<JobMoveResult> {
    const { own, state, receipt, dlq } = this.#keys;
    const details = [sha1(messages), ...payloads.map((payload) => Buffer.from(payload))];
    return toResult(await this.#return(own, dlq, state, receipt, ...this.#arguments(move), ...details));
  }

  /** Ends the job. Automatic replay resumes. */
  async finish({ phase, status, keepMs, trashMs, fields, ...move }: JobEnd): Promise<JobMoveResult> {
    const { state, receipt, job, own, shelf, claim } = this.#keys;
    const details = [phase, status, keepMs, trashMs, this.#isOwnCounted ? 1 : 0, ...Object.entries(fields).flat()];
    return toResult(
      await this.#finish(state, receipt, job, own, shelf, claim, ...this.#arguments(move), ...details),
    );
  }

  /** Tells whether this store's last move has run, after its reply was lost. If it has not, it never will. */
  async resolveLost(id: string): Promise<boolean> {
    return await this.#resolveLost(this.#keys.state, this.#keys.receipt, id) === 1;
  }

  /** The arguments with which all of a job's scripts begin. */
  #arguments({ sequence, id, notAfterMs }: JobMove): (string | number)[] {
    return [sequence, id, Math.round(notAfterMs), this.#token, this.#job];
  }
}

/** @throws an error that is no `StoreError` if the script rejects its arguments: a retry would not help */
function toResult(reply: unknown): JobMoveResult {
  if (String(reply) === "invalid") {
    throw new Error("a script rejects the arguments of a job's move as invalid. This is a bug; nothing was moved");
  }
  const result = JOB_MOVE_RESULTS.find((one) => one === String(reply));
  if (result === undefined) throw unknownAnswer(reply);
  return result;
}
