/**
 * An in-memory source and its stores, which do without Redis what `src/redis/scripts` do, for tests of the engine. The
 * cases of `store_contract.ts` run on both. The fake never fails, and its keys never have a wrong type.
 */
import { Buffer } from "node:buffer";
import type {
  BeginResult,
  Chunk,
  ChunkBounds,
  Commit,
  CommitResult,
  Committed,
  CycleBeginning,
  Excerpt,
  NewestMessages,
  RecordCount,
} from "../src/cycle/chunk.ts";
import { parseCycleState, type Snapshot } from "../src/cycle/cycle_state.ts";
import { STANDING_FIELD } from "../src/cycle/standing.ts";
import type { SourcePolicy } from "../src/message/source_policy.ts";
import { parseRecord, recordKey, type StampRecords } from "../src/message/stamp_record.ts";
import { isNewest, sampleDigest } from "../src/redis/sample.ts";
import type { ReplayStore } from "../src/replay/store.ts";

/** Maximum messages of a commit, as in `commit_moves.lua`. */
const MOST_MOVES = 4_000;
/** From this size on a message is compared by its digest, as in `read_chunk.lua`, in bytes. */
const DIGESTED_BYTES = 8 * 4_096;
/** A larger message proves no marks, as in `begin_cycle.lua`, in bytes. */
const STANDING_BYTES = 65_536;

/** The keys of one source. Lists are oldest first. */
export class FakeSource {
  dlq: Buffer[] = [];
  target: Buffer[] = [];
  dead: Buffer[] = [];
  oversize: Buffer[] = [];
  /** The list of drills. */
  drilled: Buffer[] = [];
  readonly fields = new Map<string, string>();
  /** Records by key, and the second of their last change. */
  readonly records = new Map<string, { readonly text: string; readonly second: number }>();
  /** What each commit wrote, oldest first. */
  order: { readonly second: number; readonly keys: readonly string[] }[] = [];
  /** The server's clock. */
  nowMs = 1_700_000_000_000;

  snapshot(): Snapshot {
    return { record: parseCycleState([...this.fields].flat()), depth: this.dlq.length, nowMs: this.nowMs };
  }

  write(fields: Readonly<Record<string, string | number>>): void {
    for (const [name, value] of Object.entries(fields)) this.fields.set(name, String(value));
  }

  /** A total that the state counts but the code never parses. */
  total(name: string): number {
    return Number(this.fields.get(name) ?? 0);
  }
}

/** The store of one instance. */
export class FakeStore implements ReplayStore {
  readonly #source: FakeSource;
  readonly #token: string;
  readonly #policy: SourcePolicy | null;
  readonly #mostRecords: number;
  #receipt: string | null = null;

  /**
   * `token`: refuses writes while another token holds the lease; empty: no lease. `policy`: of a source that records its stamps beside the
   * messages; default: they are inside. `mostRecords`: as of the store in Redis.
   */
  constructor(
    source: FakeSource,
    { token = "", policy, mostRecords = Infinity }: {
      token?: string;
      policy?: SourcePolicy;
      mostRecords?: number;
    } = {},
  ) {
    this.#source = source;
    this.#token = token;
    this.#policy = policy?.beside ? policy : null;
    this.#mostRecords = mostRecords;
  }

  readState(): Promise<Snapshot> {
    return Promise.resolve(this.#source.snapshot());
  }

  browseOldest({ messages: most, bytes: mostBytes, messageBytes, skip = 0 }: ChunkBounds): Promise<Chunk> {
    const { dlq } = this.#source, snapshot = this.#source.snapshot(), { record } = snapshot;
    const messages: Buffer[] = [];
    let bytes = 0, last: Buffer | null = null, oversize: Chunk["oversize"] = null;
    let isMet = record.standing.length > 0 && record.newestBytes <= STANDING_BYTES;
    for (const message of dlq.slice(skip, skip + most)) {
      const isOversize = message.length > messageBytes;
      if (messages.length > 0 && (isOversize || bytes + message.length > mostBytes)) break;
      last = message;
      isMet ||= message.length === record.newestBytes && (message.length < DIGESTED_BYTES || isNewest(message, record));
      if (isOversize) {
        oversize = { bytes: message.length, digest: sampleDigest(message) };
        break;
      }
      messages.push(message);
      bytes += message.length;
    }
    const place = record.depthAtStart - record.replayed - record.dead - skip;
    const newest = isMet && place > 0 ? dlq[place + skip - 1] : undefined;
    const newestAt = newest && isNewest(newest, record) ? place : 0;
    const next = dlq[skip + Math.max(1, messages.length)];
    const goesOnEqual = isMet && newestAt === 0 && last?.length === record.newestBytes && next?.equals(last) === true;
    return Promise.resolve({
      ...{ ...snapshot, messages, oversize, goesOnEqual, newestAt, guard: null },
      ...this.#withRecords(messages),
    });
  }

  #withRecords(messages: readonly (Buffer | null)[]): { records: StampRecords } | Record<never, never> {
    const policy = this.#policy, { records } = this.#source;
    if (policy === null) return {};
    return {
      records: new Map(messages.flatMap((message) => {
        const key = message && recordKey(message, policy), found = key === null ? undefined : records.get(key);
        return found ? [[key!, parseRecord(found.text, policy.name)!]] : [];
      })),
    };
  }

  readForCommit(bounds: ChunkBounds): Promise<Chunk> {
    return this.browseOldest(bounds);
  }

  browseNewest(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages> {
    return this.#browse(this.#source.dlq, bounds, excerpt);
  }

  browseTarget(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages> {
    return this.#browse(this.#source.target, bounds, excerpt);
  }

  #browse(
    list: readonly Buffer[],
    { messages: most, bytes: mostBytes, messageBytes, skip = 0 }: ChunkBounds,
    excerpt: Excerpt = { bytes: 0, from: "" },
  ): Promise<NewestMessages> {
    const messages: (Buffer | null)[] = [];
    let bytes = 0;
    for (const message of list.toReversed().slice(skip, skip + most)) {
      if (messages.length > 0 && bytes + message.length > mostBytes) break;
      messages.push(message.length > messageBytes ? null : excerptOf(message, excerpt));
      bytes += message.length;
    }
    return Promise.resolve({ depth: list.length, messages, ...this.#withRecords(messages) });
  }

  begin({ sequence, intervalMs, budget, fields }: CycleBeginning): Promise<BeginResult> {
    const source = this.#source, { record, depth, nowMs } = source.snapshot();
    if (!this.#mayWrite()) return Promise.resolve("not_leader");
    if (record.sequence !== sequence) return Promise.resolve("stale");
    const elapsedMs = nowMs - record.startedAtMs;
    if (elapsedMs >= 0 && elapsedMs < intervalMs) return Promise.resolve("not_due");
    const newest = source.dlq.at(-1) ?? Buffer.alloc(0), marks = fields[STANDING_FIELD];
    const standing = marks === undefined ? {} : { [STANDING_FIELD]: this.#standing(marks) };
    source.write({
      ...{ seq: Number(sequence) + 1, cycle: record.cycle + 1, startedAtMs: nowMs, depthAtStart: depth },
      ...{ remaining: Math.min(budget, depth), newestBytes: newest.length, newestDigest: sampleDigest(newest) },
      ...{ replayed: 0, dead: 0, firsts: 0 },
      ...fields,
      ...standing,
    });
    return Promise.resolve("ok");
  }

  /** The marks of a new cycle, as in `begin_cycle.lua`. */
  #standing(carried: string): string {
    const { record, depth } = this.#source.snapshot(), place = record.depthAtStart - record.replayed - record.dead;
    const newest = place > 0 ? this.#source.dlq[place - 1] : undefined;
    const isKnown = newest !== undefined && newest.length <= STANDING_BYTES && isNewest(newest, record);
    const cycle = record.cycle + 1, marks = [...(carried !== "" && isKnown ? [carried] : []), `${cycle}:${depth}`];
    return depth === 0 ? "" : `${cycle}/0 ${marks}`;
  }

  async commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<Committed> {
    // Never synchronous, like a real reply.
    await Promise.resolve();
    const result = this.#commit(commit), records = result === "ok" ? this.#keepRecords(commit) : null;
    return { result, records, next: result === "ok" && bounds ? this.readForCommit(bounds) : Promise.resolve(null) };
  }

  resolveLostCommit(id: string): Promise<boolean> {
    if (this.#receipt === id) return Promise.resolve(true);
    this.#source.write({ seq: Number(this.#source.snapshot().record.sequence) + 1 });
    return Promise.resolve(false);
  }

  #commit(commit: Commit): CommitResult {
    const { id, sequence, moves, notAfterMs, targetLimit, endsCycle, firsts = 0, spent = moves.length } = commit;
    const source = this.#source, { record, nowMs } = source.snapshot();
    const places = commit.places ?? moves.map((_, i) => i + 1);
    const isValid = moves.length > 0 && moves.length <= MOST_MOVES && spent >= 0 && places.length === moves.length;
    if (!isValid) throw new Error("a commit's arguments are invalid. This is a bug of mutt-remediation");
    if (this.#receipt === id) return "duplicate";
    if (!this.#mayWrite()) return "not_leader";
    if (record.sequence !== sequence) return "stale";
    if (nowMs > notAfterMs) return "expired";
    if (record.remaining < spent) return "bound";
    if (!this.#isUnchanged(commit, places)) return "conflict";
    const replays = moves.filter(({ to }) => to === "target").length;
    if (targetLimit !== null && replays > 0 && source.target.length + replays > targetLimit) return "room";
    this.#move(commit, places);
    this.#receipt = id;
    const dead = moves.length - replays;
    source.write({
      ...{ seq: Number(sequence) + 1, replayed: record.replayed + replays, dead: record.dead + dead, movedAtMs: nowMs },
      remaining: endsCycle ? 0 : Math.min(record.remaining - spent, source.dlq.length),
      firsts: record.firsts + firsts,
      replayedTotal: source.total("replayedTotal") + replays,
      pickedTotal: source.total("pickedTotal") + (commit.places?.length ?? 0),
      ...commit.fields,
    });
    return "ok";
  }

  /** As in `keep_records.lua`. */
  #keepRecords({ recordChanges = [] }: Commit): RecordCount | null {
    const policy = this.#policy, source = this.#source, second = Math.floor(source.nowMs / 1_000);
    if (policy === null) return null;
    const keys: string[] = [];
    for (const { key, text } of recordChanges) {
      if (text === null) source.records.delete(key);
      else {
        source.records.set(key, { text, second });
        keys.push(key);
      }
    }
    if (keys.length > 0) source.order.push({ second, keys });
    const before = second - Math.ceil(policy.beside!.keepMs / 1_000),
      isTooMany = () => source.order.reduce((sum, entry) => sum + entry.keys.length, 0) > this.#mostRecords;
    let evicted = 0;
    while (isTooMany() || (source.order[0]?.second ?? Infinity) < before) {
      const { keys, second } = source.order.shift()!;
      const gone = keys.filter((key) => source.records.get(key)?.second === second);
      gone.forEach((key) => source.records.delete(key));
      if (second >= before) evicted += gone.length;
    }
    return { kept: source.records.size, evicted };
  }

  #mayWrite(): boolean {
    return this.#token === "" || this.#source.fields.get("leader") === this.#token;
  }

  #isUnchanged({ messages, oversize }: Commit, places: readonly number[]): boolean {
    const found = places.map((place) => this.#source.dlq[place - 1]);
    if (oversize) return found[0]?.length === oversize.bytes && sampleDigest(found[0]) === oversize.digest;
    return messages.length === found.length && messages.every((message, i) => found[i]?.equals(message));
  }

  #move({ moves, oversize, drill }: Commit, places: readonly number[]): void {
    const source = this.#source;
    moves.forEach(({ to, payload }, i) => {
      const read = source.dlq[places[i]! - 1]!, message = payload && payload !== read ? Buffer.from(payload) : read;
      const dead = oversize ? source.oversize : drill === "list" ? source.drilled : drill ? source.target : source.dead;
      (to === "target" ? source.target : dead).push(message);
    });
    source.dlq = source.dlq.filter((_, i) => !places.includes(i + 1));
  }
}

function excerptOf(message: Buffer, { bytes, from }: Excerpt): Buffer {
  if (from === "" || message.length <= bytes) return message;
  const last = message.lastIndexOf(from);
  return last < 0 ? Buffer.alloc(0) : message.subarray(last, last + bytes);
}
