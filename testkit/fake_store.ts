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
  CycleBeginning,
  Excerpt,
  NewestMessages,
} from "../src/cycle/chunk.ts";
import { parseCycleState, type Snapshot } from "../src/cycle/cycle_state.ts";
import { isNewest, sampleDigest } from "../src/redis/sample.ts";
import type { ReplayStore } from "../src/replay/store.ts";

/** Maximum messages of a commit, as in `commit_moves.lua`. */
const MOST_MOVES = 4_000;
/** From this size on a message is compared by its digest, as in `read_chunk.lua`, in bytes. */
const DIGESTED_BYTES = 8 * 4_096;

/** The keys of one source. Lists are oldest first. */
export class FakeSource {
  dlq: Buffer[] = [];
  target: Buffer[] = [];
  dead: Buffer[] = [];
  oversize: Buffer[] = [];
  readonly fields = new Map<string, string>();
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
  #receipt: string | null = null;

  /** `token`: refuses writes while another token holds the lease; empty: no lease. */
  constructor(source: FakeSource, { token = "" }: { token?: string } = {}) {
    this.#source = source;
    this.#token = token;
  }

  readState(): Promise<Snapshot> {
    return Promise.resolve(this.#source.snapshot());
  }

  browseOldest({ messages: most, bytes: mostBytes, messageBytes, skip = 0 }: ChunkBounds): Promise<Chunk> {
    const { dlq } = this.#source, snapshot = this.#source.snapshot(), { record } = snapshot;
    const messages: Buffer[] = [];
    let bytes = 0, isMet = false, last: Buffer | null = null, oversize: Chunk["oversize"] = null;
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
    return Promise.resolve({ ...snapshot, messages, oversize, goesOnEqual, newestAt, guard: null });
  }

  readForCommit(bounds: ChunkBounds): Promise<Chunk> {
    return this.browseOldest(bounds);
  }

  browseNewest(
    { messages: most, bytes: mostBytes, messageBytes, skip = 0 }: ChunkBounds,
    excerpt: Excerpt = { bytes: 0, from: "" },
  ): Promise<NewestMessages> {
    const messages: (Buffer | null)[] = [];
    let bytes = 0;
    for (const message of this.#source.dlq.toReversed().slice(skip, skip + most)) {
      if (messages.length > 0 && bytes + message.length > mostBytes) break;
      messages.push(message.length > messageBytes ? null : excerptOf(message, excerpt));
      bytes += message.length;
    }
    return Promise.resolve({ depth: this.#source.dlq.length, messages });
  }

  begin({ sequence, intervalMs, budget, fields }: CycleBeginning): Promise<BeginResult> {
    const source = this.#source, { record, depth, nowMs } = source.snapshot();
    if (!this.#mayWrite()) return Promise.resolve("not_leader");
    if (record.sequence !== sequence) return Promise.resolve("stale");
    const elapsedMs = nowMs - record.startedAtMs;
    if (elapsedMs >= 0 && elapsedMs < intervalMs) return Promise.resolve("not_due");
    const newest = source.dlq.at(-1) ?? Buffer.alloc(0);
    source.write({
      ...{ seq: Number(sequence) + 1, cycle: record.cycle + 1, startedAtMs: nowMs, depthAtStart: depth },
      ...{ remaining: Math.min(budget, depth), newestBytes: newest.length, newestDigest: sampleDigest(newest) },
      ...{ replayed: 0, dead: 0, firsts: 0 },
      ...fields,
    });
    return Promise.resolve("ok");
  }

  async commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<{ result: CommitResult; next: Promise<Chunk | null> }> {
    // Never synchronous, like a real reply.
    await Promise.resolve();
    const result = this.#commit(commit);
    return { result, next: result === "ok" && bounds ? this.readForCommit(bounds) : Promise.resolve(null) };
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

  #mayWrite(): boolean {
    return this.#token === "" || this.#source.fields.get("leader") === this.#token;
  }

  #isUnchanged({ messages, oversize }: Commit, places: readonly number[]): boolean {
    const found = places.map((place) => this.#source.dlq[place - 1]);
    if (oversize) return found[0]?.length === oversize.bytes && sampleDigest(found[0]) === oversize.digest;
    return messages.length === found.length && messages.every((message, i) => found[i]?.equals(message));
  }

  #move({ moves, oversize }: Commit, places: readonly number[]): void {
    const source = this.#source;
    moves.forEach(({ to, payload }, i) => {
      const message = payload ? Buffer.from(payload) : source.dlq[places[i]! - 1]!;
      (to === "target" ? source.target : oversize ? source.oversize : source.dead).push(message);
    });
    source.dlq = source.dlq.filter((_, i) => !places.includes(i + 1));
  }
}

function excerptOf(message: Buffer, { bytes, from }: Excerpt): Buffer {
  if (from === "" || message.length <= bytes) return message;
  const last = message.lastIndexOf(from);
  return last < 0 ? Buffer.alloc(0) : message.subarray(last, last + bytes);
}
