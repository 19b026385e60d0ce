/** Judges the messages of one chunk, and computes its moves. Pure. */
import type { Buffer } from "node:buffer";
import type { DeadReason, SourcePolicy } from "../message/source_policy.ts";
import { decide, type Verdict, type VerdictContext } from "../message/verdict.ts";
import { isNewest } from "../redis/sample.ts";
import type { Chunk, Move } from "../cycle/chunk.ts";
import type { CycleState } from "../cycle/cycle_state.ts";

/** One message that goes to the dead list. */
export interface BuriedMessage {
  readonly reason: DeadReason;
  readonly detail: string;
  readonly bytes: number;
  /** The message as it was read; `null` if it was too large to read. */
  readonly message: Buffer | null;
}

/** The moves of one chunk, oldest first, and their totals. */
export interface JudgedChunk {
  /** Number of the cycle. */
  readonly cycle: number;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  readonly moves: readonly Move[];
  readonly replayed: number;
  readonly deaths: readonly BuriedMessage[];
  /** How many of the messages are replayed for the first time. */
  readonly firsts: number;
  /** Places of the messages, from 1 at the oldest; `null`: they are the oldest in a row. */
  readonly places: readonly number[] | null;
  /** How many of the messages use the cycle's budget. */
  readonly spent: number;
  /** Total size of the messages as they were read. */
  readonly bytes: number;
  /** Whether these moves include the message that was newest when the cycle began. */
  readonly endsCycle: boolean;
}

/** The input of {@link judgeChunk} beside the chunk. */
export interface JudgeContext {
  readonly policy: SourcePolicy;
  readonly record: CycleState;
  readonly maxPoisonRetries: number;
  readonly maxMessageBytes: number;
  /** The server's clock. */
  readonly nowMs: number;
  /** ISO 8601, for `failed_at`. */
  readonly failedAt: string;
  /** Changes a message before it is judged; default: it is judged as it is. */
  readonly prepare?: ((message: Buffer) => Uint8Array) | undefined;
}

/** Tells whether the cycle is a canary group or a step of the ramp. Then dead messages use none of its budget. */
export function isCareful({ brake }: Pick<CycleState, "brake">): boolean {
  return brake.allowance !== null;
}

/** Returns the chunk as a read with a bound of `count` messages would return it. */
export function firstMessages(chunk: Chunk, count: number): Chunk {
  const { messages } = chunk, following = messages[count];
  if (!following) return chunk;
  return { ...chunk, messages: messages.slice(0, count), goesOnEqual: following.equals(messages[count - 1]!) };
}

/** Judges every message of a chunk, up to the one that was newest when the cycle began. */
export function judgeChunk(chunk: Chunk, context: JudgeContext): JudgedChunk {
  if (chunk.oversize) return judgeOversize(chunk, chunk.oversize, context);
  const { count, endsCycle } = withinCycle(chunk, context.record);
  const judge = createJudge(context);
  const judged = chunk.messages.slice(0, count).map((message) => ({ message, verdict: judge(message) }));
  return { ...toPlan(judged, context), endsCycle };
}

/** A message near an end of the DLQ, and its verdict. */
export interface Candidate {
  /** Its place, from 1 at the oldest. */
  readonly place: number;
  readonly message: Buffer;
  readonly verdict: Verdict;
}

/** Returns what the verdicts of one chunk depend on. */
export function verdictContext({ policy, record, maxPoisonRetries, nowMs, failedAt }: JudgeContext): VerdictContext {
  const tallies = new Map(record.tallies.map((tally) => [tally.cycle, tally]));
  return {
    ...{ policy, maxPoisonRetries, nowMs, failedAt },
    ...{ cycle: record.cycle, cycleStartedAtMs: record.startedAtMs, tallyOf: (cycle) => tallies.get(cycle) },
  };
}

/** Creates a function that judges messages of one source as {@link judgeChunk} does. */
export function createJudge({ prepare, ...judging }: JudgeContext) {
  const context = verdictContext(judging);
  return (message: Buffer): Verdict => decide(prepare ? prepare(message) : message, context);
}

/** Bounds of a pick. */
export interface PickBounds {
  /** Maximum messages to replay, and to move in total. */
  readonly replays: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Maximum list elements that Redis may pass on the way to all picked messages together. */
const MOST_PASSED = 20_000;

/**
 * Picks the messages of a canary group or a step of the ramp: all dead ones, and the least tried ones. Half of these come from
 * the newest end and half from the oldest, because poison that stayed behind collects at the oldest end. Messages that came back
 * in this cycle or arrived after it began stay. Returns `null` if there is nothing to pick.
 */
export function judgePicks(
  candidates: readonly Candidate[],
  context: JudgeContext & { depth: number },
  bounds: PickBounds,
): JudgedChunk | null {
  const { cycle, depthAtStart, replayed, dead } = context.record;
  const newest = depthAtStart - replayed - dead;
  const open = candidates.filter(({ place, verdict }) => place <= newest && verdict.cameBackFrom !== cycle);
  const picked: Candidate[] = [];
  let replays = 0, bytes = 0, passed = 0;
  for (const one of [...open.filter(isDead), ...byTries(open.filter((candidate) => !isDead(candidate)))]) {
    bytes += one.message.length;
    passed += Math.min(one.place, context.depth - one.place);
    if (!isDead(one) && ++replays > bounds.replays) break;
    if (picked.length > 0 && (picked.length >= bounds.messages || bytes > bounds.bytes || passed > MOST_PASSED)) break;
    picked.push(one);
  }
  if (picked.length === 0) return null;
  picked.sort((a, b) => a.place - b.place);
  return { ...toPlan(picked, context), places: picked.map(({ place }) => place), endsCycle: false };
}

function isDead({ verdict }: Candidate): boolean {
  return verdict.action === "dead";
}

/** Sorts the least tried first, and among these alternates between the newest and the oldest. */
function byTries(candidates: readonly Candidate[]): Candidate[] {
  const groups = Map.groupBy(candidates.toSorted((a, b) => b.place - a.place), ({ verdict }) => verdict.tries);
  return [...groups].sort(([a], [b]) => a - b).flatMap(([, newestFirst]) =>
    newestFirst.map((_, i) => newestFirst.at(i % 2 === 0 ? i / 2 : -(i + 1) / 2)!)
  );
}

function toPlan(
  judged: readonly { readonly message: Buffer; readonly verdict: Verdict }[],
  { record }: JudgeContext,
): Omit<JudgedChunk, "endsCycle"> {
  const messages: Buffer[] = [], moves: Move[] = [], deaths: BuriedMessage[] = [];
  let firsts = 0, bytes = 0;
  for (const { message, verdict } of judged) {
    messages.push(message);
    bytes += message.length;
    if (verdict.action === "replay") {
      moves.push({ to: "target", payload: verdict.payload });
      if (verdict.tries === 0) firsts++;
    } else {
      moves.push({ to: "dead", payload: verdict.payload });
      deaths.push({ reason: verdict.reason, detail: verdict.detail, bytes: message.length, message });
    }
  }
  const replayed = judged.length - deaths.length;
  return {
    ...{ cycle: record.cycle, messages, oversize: null, moves, replayed, deaths, firsts, places: null, bytes },
    spent: isCareful(record) ? replayed : judged.length,
  };
}

function judgeOversize(chunk: Chunk, oversize: NonNullable<Chunk["oversize"]>, context: JudgeContext): JudgedChunk {
  const { newestBytes, newestDigest } = context.record;
  const isLikeNewest = oversize.bytes === newestBytes && oversize.digest === newestDigest;
  const detail =
    `${oversize.bytes} bytes, more than REMEDIATION_MAX_MESSAGE_BYTES (${context.maxMessageBytes}); it was not read`;
  return {
    cycle: context.record.cycle,
    messages: [],
    oversize,
    moves: [{ to: "dead", payload: null }],
    replayed: 0,
    deaths: [{ reason: "oversize", detail, bytes: oversize.bytes, message: null }],
    ...{ firsts: 0, places: null, spent: isCareful(context.record) ? 0 : 1 },
    bytes: oversize.bytes,
    endsCycle: isLikeNewest && (chunk.newestAt > 0 ? chunk.newestAt === 1 : !chunk.goesOnEqual),
  };
}

/**
 * Counts the messages of the chunk up to the one that was newest when the cycle began. If its place is not known, the first equal
 * message counts, so that no newer one is taken. Of byte-equal messages in a row, the last one counts, in this chunk or a later
 * one.
 */
function withinCycle(chunk: Chunk, record: CycleState): { count: number; endsCycle: boolean } {
  const { messages, newestAt } = chunk;
  const count = newestAt > 0 ? newestAt : firstLikeNewest(chunk, record) + 1;
  return count > 0 && count <= messages.length
    ? { count, endsCycle: true }
    : { count: messages.length, endsCycle: false };
}

function firstLikeNewest({ messages, goesOnEqual }: Chunk, record: CycleState): number {
  return messages.findIndex((message, i) =>
    isNewest(message, record) && !(i + 1 < messages.length ? messages[i + 1]!.equals(message) : goesOnEqual)
  );
}
