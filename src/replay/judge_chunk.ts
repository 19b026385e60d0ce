/** What is to become of one chunk: pure, on what was read. */
import type { Buffer } from "node:buffer";
import type { DeadReason, SourcePolicy } from "../message/source_policy.ts";
import { decide, type Verdict, type VerdictContext } from "../message/verdict.ts";
import { oversizeKey } from "../redis/keys.ts";
import { isNewest } from "../redis/sample.ts";
import type { Chunk, Move } from "../cycle/chunk.ts";
import type { CycleState } from "../cycle/cycle_state.ts";

/** One message that goes to the dead list. */
export interface BuriedMessage {
  readonly reason: DeadReason;
  readonly detail: string;
  readonly bytes: number;
  /** The message as it was read; `null` where it was too large to be. */
  readonly message: Buffer | null;
}

/** The moves of one chunk, oldest first, and what they add up to. */
export interface JudgedChunk {
  /** Number of the cycle that it belongs to. */
  readonly cycle: number;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  readonly moves: readonly Move[];
  readonly replayed: number;
  readonly deaths: readonly BuriedMessage[];
  /** How many of them are replayed for the first time. */
  readonly firsts: number;
  /** Their places, counted from the oldest; `null`: they are the oldest in a row. */
  readonly places: readonly number[] | null;
  /** How many of them use up the cycle's bound. */
  readonly spent: number;
  /** Bytes of the messages as they were read. */
  readonly bytes: number;
  /** Whether what was newest when the cycle began is behind these moves. */
  readonly endsCycle: boolean;
}

/** What {@link judgeChunk} decides by. */
export interface JudgeContext {
  readonly policy: SourcePolicy;
  readonly record: CycleState;
  readonly maxPoisonRetries: number;
  readonly maxMessageBytes: number;
  /** The server's clock. */
  readonly nowMs: number;
  /** ISO 8601, for `failed_at`. */
  readonly failedAt: string;
}

/** Whether little may go: a canary group, or a step of the ramp. Then the dead use up nothing of the cycle's bound. */
export function isCareful({ brake }: Pick<CycleState, "brake">): boolean {
  return brake.allowance !== null;
}

/** The chunk as it would have been read with a bound of so many messages. */
export function firstMessages(chunk: Chunk, count: number): Chunk {
  const { messages } = chunk, following = messages[count];
  if (!following) return chunk;
  return { ...chunk, messages: messages.slice(0, count), goesOnEqual: following.equals(messages[count - 1]!) };
}

/** Decides every message of a chunk, up to the one that was newest when the cycle began. */
export function judgeChunk(chunk: Chunk, context: JudgeContext): JudgedChunk {
  if (chunk.oversize) return judgeOversize(chunk, chunk.oversize, context);
  const { count, endsCycle } = withinCycle(chunk, context.record);
  const judge = createJudge(context);
  const judged = chunk.messages.slice(0, count).map((message) => ({ message, verdict: judge(message) }));
  return { ...toPlan(judged, context), endsCycle };
}

/** A message near an end of the DLQ, and what is to become of it. */
export interface Candidate {
  /** Its place, counted from the oldest, from 1. */
  readonly place: number;
  readonly message: Buffer;
  readonly verdict: Verdict;
}

/** Judges messages of one source as {@link judgeChunk} does. */
export function createJudge({ policy, record, maxPoisonRetries, nowMs, failedAt }: JudgeContext) {
  const tallies = new Map(record.tallies.map((tally) => [tally.cycle, tally]));
  const context: VerdictContext = {
    ...{ policy, maxPoisonRetries, nowMs, failedAt },
    ...{ cycle: record.cycle, cycleStartedAtMs: record.startedAtMs, tallyOf: (cycle) => tallies.get(cycle) },
  };
  return (message: Buffer): Verdict => decide(message, context);
}

/** Bounds of what is picked. */
export interface PickBounds {
  /** Most messages that are replayed, and most that are moved in all. */
  readonly replays: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Most messages that Redis may pass over on the way to those that are picked, all together. */
const MOST_PASSED = 20_000;

/**
 * Picks what goes while little may go: all the dead, and the least tried messages, half of them from the newest end and half from
 * the oldest, because the oldest are again and again the poison that stayed behind. What came back in this very cycle stays, and
 * so does what arrived after it began. `null`: there is nothing to pick.
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

/** The least tried first, of these the newest and the oldest in turn. */
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
  const deaths = judged.flatMap(({ message, verdict }): BuriedMessage[] =>
    verdict.action === "dead"
      ? [{ reason: verdict.reason, detail: verdict.detail, bytes: message.length, message }]
      : []
  );
  const replayed = judged.length - deaths.length;
  return {
    cycle: record.cycle,
    messages: judged.map(({ message }) => message),
    oversize: null,
    moves: judged.map(({ verdict: { action, payload } }) => ({ to: action === "replay" ? "target" : "dead", payload })),
    ...{ replayed, deaths, places: null },
    firsts: judged.reduce((sum, { verdict }) => sum + (verdict.action === "replay" && verdict.tries === 0 ? 1 : 0), 0),
    spent: isCareful(record) ? replayed : judged.length,
    bytes: judged.reduce((sum, { message }) => sum + message.length, 0),
  };
}

function judgeOversize(chunk: Chunk, oversize: NonNullable<Chunk["oversize"]>, context: JudgeContext): JudgedChunk {
  const { newestBytes, newestDigest } = context.record;
  const isLikeNewest = oversize.bytes === newestBytes && oversize.digest === newestDigest;
  const detail = `${oversize.bytes} bytes, more than REMEDIATION_MAX_MESSAGE_BYTES (${context.maxMessageBytes}): ` +
    `unread in ${oversizeKey(context.policy.dlq)}`;
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
 * How many messages of the chunk were there when the cycle began: all up to the one that was newest then. Where its place is
 * not known, the first that equals it counts, so that nothing newer is taken; of byte-equal messages in a row the last one
 * does, be it in this chunk or a later one.
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
