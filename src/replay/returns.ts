/**
 * Looks for replayed messages: those that came back are among the arrivals in the DLQ since the last look, of which it reads all or a
 * sample; those that the consumer has not taken yet are in the target.
 */
import { Buffer } from "node:buffer";
import type { Returns, Waiting } from "../cycle/evidence.ts";
import { findDrillMark } from "../message/drill_mark.ts";
import { readMessage } from "../message/read_message.ts";
import { openLetter, openReplayed } from "../message/letter.ts";
import { pathsOf } from "../message/policy_paths.ts";
import type { FoundStamp } from "../message/stamp.ts";
import { REMEDIATION_MEMBER, type SourcePolicy } from "../message/source_policy.ts";
import { findReplayStamp, liveRecord, recordKey, type StampRecords } from "../message/stamp_record.ts";
import { cycleOf, isFirstReturn } from "../message/verdict.ts";
import type { ChunkBounds, Excerpt } from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { StoreError } from "../redis/errors.ts";
import type { ReplayStore } from "./store.ts";

/** Maximum blocks of one look, and maximum messages and bytes of a block. If more arrived, the blocks are spread evenly. */
const MAX_BLOCKS = 20, BLOCK_MESSAGES = 100, BLOCK_BYTES = 65_536;
/** Only the stamp of a larger message is read, because up to 2,000 messages of a look are in memory at once. */
const STAMP: Excerpt = { bytes: 8_192, from: JSON.stringify(REMEDIATION_MEMBER) };
/**
 * A recorded stamp is found by the whole message. In an envelope, a stamp has no such mark: it may be escaped, and the error may quote it. So
 * a larger message is read, and not kept.
 */
const NO_EXCERPT: Excerpt = { bytes: 0, from: "" };

/** The returns found by a look, and some of the messages that it read. */
export interface ReadReturns extends Returns {
  /** The messages that were read and have no stamp, without large ones. */
  readonly unstampedRead: readonly Buffer[];
}

/** A source whose messages are looked for. */
export interface LookedFor {
  readonly store: Pick<ReplayStore, "browseNewest" | "browseTarget">;
  readonly policy: SourcePolicy;
  readonly maxMessageBytes: number;
}

/**
 * Counts the messages that arrived since the last look, by the cycle in their stamps. Reads the newest end of the DLQ, because
 * producers push there. Changes nothing. Rejects with a `StoreError`.
 */
export async function lookForReturns(source: LookedFor, snapshot: Snapshot): Promise<ReadReturns> {
  const { store, policy, maxMessageBytes } = source, { record } = snapshot;
  // First, so that a message on its way from one list to the other is seen.
  const waiting = await lookInTarget(source, snapshot).catch(unknownIfRefused);
  const bounds: ChunkBounds = { messages: BLOCK_MESSAGES, bytes: BLOCK_BYTES, messageBytes: maxMessageBytes };
  const { unwrap } = pathsOf(policy), excerpt = unwrap === null && policy.beside === undefined ? STAMP : NO_EXCERPT;
  let newest = await store.browseNewest(bounds, excerpt);
  const { depth } = newest;
  const arrived = Math.max(0, depth - (record.scannedDepth ?? record.depthAtStart) + record.replayed + record.dead);
  // Large messages fill a block sooner, so more blocks are read.
  const blocks = Math.min(MAX_BLOCKS, Math.ceil(arrived / Math.max(1, newest.messages.length)));
  const found = new Map<number, { returned: number; firsts: number }>();
  const unstampedRead: Buffer[] = [];
  let unstamped = 0, drilled = 0;
  for (let block = 0; block < blocks; block++) {
    const from = Math.floor(block * arrived / blocks), span = Math.floor((block + 1) * arrived / blocks) - from;
    // Messages pushed since the first block lie before it.
    if (block > 0) {
      newest = await store.browseNewest({ ...bounds, skip: from + Math.max(0, newest.depth - depth) }, excerpt);
    }
    const messages = newest.messages.slice(0, span);
    const each = span / Math.max(1, messages.length);
    for (const message of messages) {
      // A drill says nothing about the consumer.
      if (message && findDrillMark(message, unwrap) !== null) {
        drilled += each;
        continue;
      }
      const stamp = message && stampOf(message, { policy, records: newest.records }),
        cycle = cycleOf(stamp || null, { policy, cycle: record.cycle });
      if (stamp && cycle !== null) {
        const { returned, firsts } = found.get(cycle) ?? { returned: 0, firsts: 0 };
        found.set(cycle, { returned: returned + each, firsts: firsts + (isFirstReturn(stamp) ? each : 0) });
      } else {
        unstamped += each;
        if (message && message.length > 0 && message.length <= STAMP.bytes) unstampedRead.push(message);
      }
    }
  }
  return {
    arrived: Math.max(0, arrived - Math.round(drilled)),
    found,
    unstamped: Math.round(unstamped),
    unstampedRead,
    depth,
    waiting,
  };
}

/**
 * Counts the first-timers that still wait in the target. Only all of it would show them: the consumer takes from the other end, so they
 * may be anywhere. What is pushed between two blocks makes the second one begin with messages of the first, so none is missed.
 */
async function lookInTarget({ store, policy, maxMessageBytes }: LookedFor, { record }: Snapshot): Promise<Waiting> {
  const bounds: ChunkBounds = { messages: BLOCK_MESSAGES, bytes: BLOCK_BYTES, messageBytes: maxMessageBytes };
  const excerpt = policy.beside === undefined ? STAMP : NO_EXCERPT, firsts = new Map<number, number>();
  // The key of a record may depend on the envelope, which a message has only in the DLQ.
  const isFindable = policy.beside === undefined || pathsOf(policy).unwrap === null;
  let read = 0, first: number | null = null;
  for (let block = 0; block < MAX_BLOCKS; block++) {
    const { depth, messages, records } = await store.browseTarget({ ...bounds, skip: read }, excerpt);
    first ??= depth;
    const isTooLong = block === 0 && first > MAX_BLOCKS * messages.length;
    if (isTooLong || (first > 0 && !isFindable) || messages.includes(null)) break;
    for (const message of messages) {
      const stamp = stampOf(message!, { policy, records, open: openReplayed }),
        cycle = cycleOf(stamp, { policy, cycle: record.cycle });
      if (stamp && cycle !== null && isFirstReturn(stamp)) firsts.set(cycle, (firsts.get(cycle) ?? 0) + 1);
    }
    read += messages.length;
    if (read >= depth) return { depth: first, firsts };
  }
  return { depth: first ?? 0, firsts: null };
}

/**
 * What waits in a target that Redis does not read is not known, which blames nobody. To tell why is the business of the gate `depth`, or of
 * the look into the DLQ that follows.
 */
function unknownIfRefused(error: unknown): Waiting {
  if (error instanceof StoreError) return { depth: Infinity, firsts: null };
  throw error;
}

function stampOf(
  bytes: Buffer,
  { policy, records, open = openLetter }: {
    policy: SourcePolicy;
    records: StampRecords | undefined;
    open?: typeof openLetter;
  },
): FoundStamp | null {
  const record = policy.beside && records?.get(recordKey(bytes, policy));
  if (record) return liveRecord(record);
  // An excerpt begins with the member, and a stamp contains no other object.
  const isExcerpt = bytes.indexOf(STAMP.from) === 0;
  const message = readMessage(isExcerpt ? Buffer.from(`{${bytes.subarray(0, bytes.indexOf("}") + 1)}}`) : bytes);
  return message.readable ? findReplayStamp(open(message, pathsOf(policy).unwrap)) : null;
}
