/** What is to become of one chunk: pure, on what was read. */
import type { Buffer } from "node:buffer";
import { MAX_EXCUSES } from "../domain/brake.ts";
import type { DeadReason, SourcePolicy } from "../domain/source.ts";
import { isTroubled } from "../domain/troubled.ts";
import { decide, type VerdictContext } from "../domain/verdict.ts";
import { type Chunk, isNewest, type Move } from "../redis/dead_letter_store.ts";
import type { SourceRecord } from "../redis/source_record.ts";

/** One message that goes to the dead list. */
export interface Death {
  readonly reason: DeadReason;
  readonly detail: string;
  readonly bytes: number;
  /** The message as it was read; `null` where it was too large to be. */
  readonly message: Buffer | null;
}

/** The moves of one chunk, oldest first, and what they add up to. */
export interface Plan {
  /** Number of the cycle that it belongs to. */
  readonly cycle: number;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  readonly moves: readonly Move[];
  readonly replayed: number;
  readonly deaths: readonly Death[];
  /** Messages that came back from a replay of this source and have not been counted as a whole with it (`NextCycle.cameBack`). */
  readonly cameBack: number;
  /** Bytes of the messages as they were read. */
  readonly bytes: number;
  /** Whether what was newest when the cycle began is behind these moves. */
  readonly endsCycle: boolean;
}

/** What {@link planChunk} decides by. */
export interface PlanContext {
  readonly policy: SourcePolicy;
  readonly record: SourceRecord;
  readonly maxPoisonRetries: number;
  readonly maxMessageBytes: number;
  /** ISO 8601, for `failed_at`. */
  readonly failedAt: string;
}

/** The chunk as it would have been read with a bound of so many messages. */
export function firstMessages(chunk: Chunk, count: number): Chunk {
  const { messages } = chunk, following = messages[count];
  if (!following) return chunk;
  return { ...chunk, messages: messages.slice(0, count), goesOnEqual: following.equals(messages[count - 1]!) };
}

/** Decides every message of a chunk, up to the one that was newest when the cycle began. */
export function planChunk(chunk: Chunk, context: PlanContext): Plan {
  if (chunk.oversize) return planOversize(chunk, chunk.oversize, context);
  const { count, endsCycle } = withinCycle(chunk, context.record);
  const messages = chunk.messages.slice(0, count);
  const verdict: VerdictContext = {
    policy: context.policy,
    maxPoisonRetries: context.maxPoisonRetries,
    maxExcuses: MAX_EXCUSES,
    cycle: context.record.cycle,
    isTroubled: (cycle) => isTroubled(context.record.troubled, cycle),
    isUncounted: (cycle) => isTroubled(context.record.uncounted, cycle),
    failedAt: context.failedAt,
  };
  const moves: Move[] = [];
  const deaths: Death[] = [];
  let cameBack = 0;
  for (const message of messages) {
    const decision = decide(message, verdict);
    if (decision.cameBackFrom !== null && !verdict.isTroubled(decision.cameBackFrom)) cameBack++;
    moves.push({ to: decision.action === "replay" ? "target" : "dead", payload: decision.payload });
    if (decision.action === "dead") {
      deaths.push({ reason: decision.reason, detail: decision.detail, bytes: message.length, message });
    }
  }
  const bytes = messages.reduce((sum, message) => sum + message.length, 0);
  return {
    cycle: context.record.cycle,
    messages,
    oversize: null,
    moves,
    replayed: moves.length - deaths.length,
    deaths,
    cameBack,
    bytes,
    endsCycle,
  };
}

function planOversize(chunk: Chunk, oversize: NonNullable<Chunk["oversize"]>, context: PlanContext): Plan {
  const { newestBytes, newestDigest } = context.record;
  const isLikeNewest = oversize.bytes === newestBytes && oversize.digest === newestDigest;
  const detail = `${oversize.bytes} bytes, more than REMEDIATION_MAX_MESSAGE_BYTES (${context.maxMessageBytes})`;
  return {
    cycle: context.record.cycle,
    messages: [],
    oversize,
    moves: [{ to: "dead", payload: null }],
    replayed: 0,
    deaths: [{ reason: "oversize", detail, bytes: oversize.bytes, message: null }],
    cameBack: 0,
    bytes: oversize.bytes,
    endsCycle: isLikeNewest && (chunk.newestAt > 0 ? chunk.newestAt === 1 : !chunk.goesOnEqual),
  };
}

/**
 * How many messages of the chunk were there when the cycle began: all up to the one that was newest then. Where its place is
 * not known, the first that equals it counts, so that nothing newer is taken; of byte-equal messages in a row the last one
 * does, be it in this chunk or a later one.
 */
function withinCycle(chunk: Chunk, record: SourceRecord): { count: number; endsCycle: boolean } {
  const { messages, newestAt } = chunk;
  const count = newestAt > 0 ? newestAt : firstLikeNewest(chunk, record) + 1;
  return count > 0 && count <= messages.length
    ? { count, endsCycle: true }
    : { count: messages.length, endsCycle: false };
}

function firstLikeNewest({ messages, goesOnEqual }: Chunk, record: SourceRecord): number {
  return messages.findIndex((message, i) =>
    isNewest(message, record) && !(i + 1 < messages.length ? messages[i + 1]!.equals(message) : goesOnEqual)
  );
}
