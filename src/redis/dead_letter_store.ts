/**
 * The dead-letter store: the only module that moves messages. Every call but a read for a commit is atomic; what such a read
 * returns was not all true at one instant, so its commit proves it.
 *
 * A commit proves that the DLQ's tail is unchanged since the read in one of two ways: by WATCH ({@link TailGuard}), or, if
 * WATCH is not available or another client has pushed, by a digest of the messages. With WATCH, the messages are pushed by
 * commands before the script in one transaction; otherwise by the script, which costs Redis much more (bench/figures.md).
 */
import type { Command, Redis } from "ioredis";
import {
  BEGIN_RESULTS,
  type BeginResult,
  type Chunk,
  type ChunkBounds,
  type Commit,
  COMMIT_RESULTS,
  type CommitResult,
  type Committed,
  type CycleBeginning,
  type Excerpt,
  type Move,
  type NewestMessages,
  type RecordCount,
} from "../cycle/chunk.ts";
import {
  CYCLE_STATE_FIELDS,
  MAX_FIELD_BYTES,
  parseCycleState,
  RECORD_FIELDS,
  type Snapshot,
} from "../cycle/cycle_state.ts";
import type { Push, SourcePolicy } from "../message/source_policy.ts";
import { createId } from "../runtime/random.ts";
import type { RedisClient } from "./cluster.ts";
import { BulkCommand, inOneWrite } from "./bulk_command.ts";
import { ChunkReader, parseChunk, readArguments } from "./chunk_reader.ts";
import { unknownAnswer } from "./errors.ts";
import { drillListKey, jobListKey, movesKey, oversizeKey, receiptKey, shelfKey, stateKey } from "./keys.ts";
import { endsOf } from "./list_ends.ts";
import { describeCommit } from "./move_entry.ts";
import { createRecordReader, type ReadRecords } from "./record_reader.ts";
import { MAX_RECORDS, recordArguments, recordKeys } from "./record_store.ts";
import { type BulkCall, type BulkScript, loadBulkScript, loadScript, type Script, scriptText } from "./scripts.ts";
import { SAMPLE_BYTES, sha1 } from "./sample.ts";
import { createNewestReader, type ReadNewest } from "./newest_reader.ts";
import { TailGuard } from "./tail_guard.ts";
import beginCycle from "./scripts/begin_cycle.lua" with { type: "text" };
import commitMoves from "./scripts/commit_moves.lua" with { type: "text" };
import finishMoves from "./scripts/finish_moves.lua" with { type: "text" };
import peekSource from "./scripts/peek_source.lua" with { type: "text" };
import readChunk from "./scripts/read_chunk.lua" with { type: "text" };
import settleCommit from "./scripts/settle_commit.lua" with { type: "text" };

/** Options of a {@link DeadLetterStore}. */
export interface DeadLetterStoreOptions {
  /** Writes are refused while another instance holds the lease; empty (default): no lease. */
  readonly token?: string;
  /** This process in the journal. */
  readonly instance?: string;
  /** Id of the running job whose own list the store drains; default: it drains the DLQ, while no job runs. */
  readonly job?: string;
  /** Most records of a source that keeps them beside its messages; default: {@link MAX_RECORDS}. */
  readonly mostRecords?: number;
}

/** Reads and moves the messages of one source, and keeps its state. Calls reject with a `StoreError`; none is retried. */
export class DeadLetterStore {
  /** The list that is drained: the DLQ, or a job's own list. */
  readonly #dlq: string;
  readonly #push: Push;
  readonly #target: string;
  readonly #dead: string;
  readonly #oversize: string;
  readonly #drill: string;
  readonly #state: string;
  readonly #shelf: string;
  readonly #job: string;
  readonly #receipt: string;
  readonly #moves: string;
  readonly #token: string;
  readonly #instance: string;
  /** Keys and life of the recorded stamps; `null`: the stamps are inside the messages. */
  readonly #records:
    | { readonly keys: readonly [string, string]; readonly keepMs: number; readonly most: number }
    | null;
  readonly #readRecords: ReadRecords | null;
  readonly #fields: readonly string[];
  readonly #mover: Redis;
  readonly #readState: Script;
  readonly #browseOldest: Script;
  readonly #browseNewest: ReadNewest;
  readonly #browseTarget: ReadNewest;
  readonly #begin: Script;
  readonly #commit: BulkScript;
  readonly #finish: { readonly keys: number; readonly text: string };
  readonly #resolveLostCommit: Script;
  readonly #guard: TailGuard;
  readonly #chunks: ChunkReader;

  /**
   * Only this store may use `mover`. No connection may resend commands (see `clientOptions`): a resent commit could match the
   * next chunk if that is byte-equal. `token`: writes are refused while another instance holds the lease; empty: no lease.
   * `instance`: this process in the journal.
   */
  constructor(
    { reader, committer, mover }: { reader: RedisClient; committer: RedisClient; mover: Redis },
    policy: SourcePolicy,
    { token = "", instance = "", job = "", mostRecords = MAX_RECORDS }: DeadLetterStoreOptions = {},
  ) {
    this.#token = token;
    this.#instance = instance;
    this.#job = job;
    this.#dlq = job === "" ? policy.dlq : jobListKey(policy.dlq, job);
    this.#shelf = shelfKey(policy.dlq);
    this.#push = policy.push;
    this.#target = policy.target;
    this.#dead = policy.dead;
    this.#oversize = oversizeKey(policy.dlq);
    this.#drill = drillListKey(policy.dlq);
    this.#state = stateKey(policy.dlq);
    this.#receipt = receiptKey(policy.dlq, createId());
    this.#moves = movesKey(policy.dlq);
    const { beside, push } = policy, { keys, lua } = beside === undefined ? COMMITS.inside : COMMITS.beside;
    this.#records = beside === undefined
      ? null
      : { keys: recordKeys(policy), keepMs: beside.keepMs, most: mostRecords };
    this.#readRecords = createRecordReader(reader, policy);
    this.#fields = beside === undefined ? CYCLE_STATE_FIELDS : [...CYCLE_STATE_FIELDS, ...RECORD_FIELDS];
    this.#readState = loadScript(reader, { name: "peekSource", keys: 3, lua: peekSource });
    this.#browseOldest = loadScript(reader, { name: "readChunk", keys: 2, lua: readChunk, push });
    this.#browseNewest = createNewestReader(reader, { lists: [this.#dlq], push, records: this.#readRecords });
    this.#browseTarget = createNewestReader(reader, { lists: [this.#target], push, records: this.#readRecords });
    this.#mover = mover;
    this.#begin = loadScript(committer, { name: "beginCycle", keys: 2, lua: beginCycle, push });
    this.#commit = loadBulkScript(mover, { keys, lua: lua.commitMoves, push });
    this.#finish = { keys, text: lua.finishMoves[push] };
    this.#resolveLostCommit = loadScript(committer, { name: "settleCommit", keys: 2, lua: settleCommit });
    this.#guard = new TailGuard(mover, { key: this.#dlq, other: committer });
    this.#chunks = new ChunkReader(mover, {
      ...{ keys: [this.#dlq, this.#state], guard: this.#guard, push },
      records: createRecordReader(mover, policy),
    });
  }

  /** Reads the state, the depth (with what a job has put on the shelf) and the server's clock. Changes nothing. */
  async readState(): Promise<Snapshot> {
    const [flat, depth, nowMs] = await this.#readState(
      ...[this.#dlq, this.#state, this.#shelf],
      MAX_FIELD_BYTES,
      ...this.#fields,
    ) as [
      unknown[],
      number,
      number,
    ];
    return { record: parseCycleState(flat), depth, nowMs };
  }

  /** Reads the oldest messages within the bounds for display, at least one if the DLQ has any. Changes nothing. */
  async browseOldest(bounds: ChunkBounds): Promise<Chunk> {
    const { longestAhead: _, ...chunk } = parseChunk(
      await this.#browseOldest(this.#dlq, this.#state, ...readArguments(bounds, { fields: this.#fields })),
    );
    const records = await this.#readRecords?.(chunk.messages);
    return { ...chunk, guard: null, ...(records ? { records } : {}) };
  }

  /** Reads the newest messages within the bounds, at least one if the DLQ has more than `skip`. Changes nothing. */
  browseNewest(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages> {
    return this.#browseNewest(bounds, excerpt);
  }

  /** Reads the newest messages of the target like {@link browseNewest}. Changes nothing. */
  browseTarget(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages> {
    return this.#browseTarget(bounds, excerpt);
  }

  /** Reads like {@link browseOldest}, to commit the chunk. An earlier chunk can then only be committed with a digest. */
  readForCommit(bounds: ChunkBounds): Promise<Chunk> {
    return this.#chunks.read(bounds);
  }

  /** Begins a cycle of at most `budget` messages if `intervalMs` have passed since the start of the last one (0: at once). */
  async begin({ sequence, intervalMs, budget, fields }: CycleBeginning): Promise<BeginResult> {
    const extras = Object.entries({ ...fields, push: this.#push }).flat();
    const details = [sequence, intervalMs, budget, SAMPLE_BYTES, this.#token, this.#job, ...extras];
    return knownAnswer(await this.#begin(this.#dlq, this.#state, ...details), BEGIN_RESULTS);
  }

  /** Moves a chunk, all or nothing. @throws an error that is no `StoreError` if the script rejects its arguments: a bug */
  async commit(commit: Commit): Promise<CommitResult> {
    return (await this.commitAndRead(commit, null)).result;
  }

  /**
   * Moves a chunk like {@link commit} and reads the next one, usually in the same round trip. `next` never rejects. It is
   * `null` if no read was requested, the read failed, the chunk was not moved, or another instance has committed since.
   */
  async commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<Committed> {
    const readNext = () => bounds && this.readForCommit(bounds).catch(() => null);
    let reply: unknown = null;
    let reading: Promise<Chunk | null> | null = null;
    if (!commit.oversize && !commit.places && await this.#guard.isValid(commit.guard ?? null)) {
      const sent = inOneWrite(
        this.#mover,
        () => ({ running: this.#guard.run(this.#transaction(commit)), reading: readNext() }),
      );
      reading = sent.reading;
      reply = await sent.running;
    }
    if (reply === null) {
      // The transaction did not run, so the read behind it has returned the messages that this commit moves.
      await reading;
      reading = null;
      this.#guard.abandon();
      reply = await this.#commit(this.#commitCall(commit));
    }
    const { result, records } = toAnswer(reply);
    const read = result === "ok" ? reading ?? readNext() : null;
    const isNext = (chunk: Chunk | null) => chunk?.record.sequence === follower(commit.sequence);
    return { result, records, next: Promise.resolve(read).then((chunk) => isNext(chunk) ? chunk : null) };
  }

  /**
   * Returns whether the last commit of this store ran, after its reply was lost. If not, it can never run: its
   * sequence number is used up.
   */
  async resolveLostCommit(id: string): Promise<boolean> {
    return await this.#resolveLostCommit(this.#state, this.#receipt, id) === 1;
  }

  #commitCall(commit: Commit): BulkCall {
    const places = commit.places?.toReversed().join(",") ?? "";
    const { unchanged, payloads } = encodeMoves(commit.moves);
    return { keysAndArguments: [...this.#commitArguments(commit), ...prove(commit), unchanged, places], payloads };
  }

  /** Keys and arguments of commit_checks.lua. */
  #commitArguments(commit: Commit): (string | number)[] {
    const { moves, sequence, id, notAfterMs, targetLimit, endsCycle, fields, spent = moves.length, firsts = 0 } =
      commit;
    const replays = moves.filter(({ to }) => to === "target").length, extras = Object.entries(fields);
    return [
      ...[
        this.#dlq,
        this.#target,
        commit.oversize ? this.#oversize : this.#deadListOf(commit),
        this.#state,
        this.#receipt,
        this.#moves,
        ...(this.#records?.keys ?? []),
      ],
      ...[moves.length, replays, sequence, id, notAfterMs, targetLimit ?? -1, endsCycle ? 1 : 0, this.#token],
      ...[
        spent,
        firsts,
        extras.length,
        JSON.stringify(describeCommit(commit, { instance: this.#instance, job: this.#job || null })),
        ...extras.flat(),
        ...(this.#records ? recordArguments(commit.recordChanges ?? [], this.#records) : []),
      ],
    ];
  }

  /** The list that the moves to the dead list go to. */
  #deadListOf({ drill }: Pick<Commit, "drill">): string {
    return drill ? { list: this.#drill, target: this.#target }[drill] : this.#dead;
  }

  /** The commands of a guarded commit: the pushes, and the script that takes them back if the commit may not run. */
  #transaction(commit: Commit): Command[] {
    const pushed = { target: [] as Uint8Array[], dead: [] as Uint8Array[] };
    commit.moves.forEach(({ to, payload }, i) => pushed[to].push(payload ?? commit.messages[i]!));
    const lists = ([["target", this.#target], ["dead", this.#deadListOf(commit)]] as const).filter(([to]) =>
      pushed[to].length > 0
    );
    // Trims nothing. If the user may not trim, Redis refuses the transaction: the script could not take the pushes back.
    const trims = lists.map(([, key]) => new BulkCommand("ltrim", [key, 0, -1]));
    const pushes = lists.map(([to, key]) => new BulkCommand(endsOf(key, this.#push).push, [key], pushed[to]));
    // EVAL, because the pushes would stand if Redis did not know the script by its digest.
    const { keys, text } = this.#finish;
    return [...trims, ...pushes, new BulkCommand("eval", [text, keys, ...this.#commitArguments(commit)])];
  }
}

/** The scripts of a commit, and the number of their keys (commit_checks.lua): of sources that stamp messages inside, and beside. */
const COMMITS = {
  inside: { keys: 6, lua: { commitMoves, finishMoves: bothWays(finishMoves) } },
  beside: { keys: 8, lua: { commitMoves: withRecords(commitMoves), finishMoves: bothWays(withRecords(finishMoves)) } },
};

function withRecords(lua: string): string {
  return `-- include keep_records.lua\n${lua}`;
}

/** The text of a script as it is sent, by how the source's lists are pushed. */
function bothWays(lua: string): Readonly<Record<Push, string>> {
  return { LPUSH: scriptText(lua), RPUSH: scriptText(lua, "RPUSH") };
}

/** Lengths, digest and sample size of the messages, as the commit script compares them. */
type Proof = readonly [lengths: string, digest: string, sampleBytes: number];

function prove({ messages, oversize }: Commit): Proof {
  if (oversize) return [String(oversize.bytes), oversize.digest, SAMPLE_BYTES];
  const newestFirst = messages.toReversed();
  return [newestFirst.map((message) => message.length).join(","), sha1(newestFirst), 0];
}

/** Reads the answer of a commit. */
function toAnswer(reply: unknown): { result: CommitResult; records: RecordCount | null } {
  if (!Array.isArray(reply)) return { result: toResult(reply), records: null };
  const [result, evicted, kept] = reply as unknown[];
  if (typeof evicted !== "number" || typeof kept !== "number") throw unknownAnswer(reply);
  return { result: toResult(result), records: { evicted, kept } };
}

/** @throws an error that is no `StoreError` if the script rejects its arguments: a retry would not help */
function toResult(reply: unknown): CommitResult {
  if (String(reply) === "invalid") {
    throw new Error(
      "a script rejects the arguments of a commit as invalid. This is a bug of mutt-remediation; nothing was moved",
    );
  }
  return knownAnswer(reply, COMMIT_RESULTS);
}

function knownAnswer<Answer extends string>(reply: unknown, answers: readonly Answer[]): Answer {
  const answer = answers.find((one) => one === String(reply));
  if (answer === undefined) throw unknownAnswer(reply);
  return answer;
}

/** Returns the sequence number after a commit. */
function follower(sequence: string): string {
  return String(Number(sequence) + 1);
}

/** Encodes the moves for the commit script: first those to the target, then those to the dead list. */
function encodeMoves(moves: readonly Move[]) {
  const replays: number[] = [], deaths: number[] = [];
  moves.forEach(({ to }, index) => (to === "target" ? replays : deaths).push(index));
  const payloads: Uint8Array[] = [], unchanged: string[] = [];
  for (const index of [...replays, ...deaths]) {
    const { payload } = moves[index]!;
    if (payload) payloads.push(payload);
    else unchanged.push(`${payloads.length + unchanged.length + 1}:${index + 1}`);
  }
  return { unchanged: unchanged.join(","), payloads };
}
