/** Reads both ends of a DLQ, so that a canary group can take messages from both. */
import type { Buffer } from "node:buffer";
import type { Chunk, ChunkBounds } from "../cycle/chunk.ts";
import type { Reading, Verdict } from "../message/verdict.ts";
import type { StampRecords } from "../message/stamp_record.ts";
import { type Candidate, readingsOf } from "./judge_chunk.ts";
import type { ReplayStore } from "./store.ts";

/** Maximum newest messages to read, in messages and bytes. Returned messages may lie above new ones. */
const MOST_NEWEST = 1_000, MOST_NEWEST_BYTES = 1_048_576;

/** The messages at both ends of a DLQ. */
export interface Ends {
  /** The oldest messages, and the source at the same instant. */
  readonly oldest: Chunk;
  /** The messages of both ends, each once, without those that are too large to read. */
  readonly candidates: readonly Candidate[];
}

/**
 * Reads the oldest messages, and then newest messages until `wanted` of them were never replayed. `createJudge` gets the source
 * as read. Rejects with a `StoreError`.
 */
export async function readEnds(
  store: Pick<ReplayStore, "browseOldest" | "browseNewest">,
  { bounds, wanted, createJudge }: {
    bounds: ChunkBounds;
    wanted: number;
    createJudge: (oldest: Chunk) => (message: Buffer, reading?: Reading) => Verdict;
  },
): Promise<Ends> {
  const oldest = await store.browseOldest(bounds);
  const judge = createJudge(oldest);
  const candidates = new Map<number, Candidate>();
  const add = (place: number, message: Buffer | null, records: StampRecords | undefined) => {
    if (!message || candidates.has(place)) return;
    const reading = readingsOf({ ...oldest, records }, oldest)(place - 1);
    candidates.set(place, { place, message, verdict: judge(message, reading) });
  };
  oldest.messages.forEach((message, i) => add(i + 1, message, oldest.records));
  let skip = 0, bytes = 0, untried = 0;
  while (skip < MOST_NEWEST && bytes < MOST_NEWEST_BYTES && untried < wanted) {
    const { depth, messages, records } = await store.browseNewest({ ...bounds, skip });
    if (messages.length === 0) break;
    messages.forEach((message, i) => add(depth - skip - i, message, records));
    untried = [...candidates.values()].filter(({ verdict }) => verdict.tries === 0).length - oldest.messages.length;
    bytes += messages.reduce((sum, message) => sum + (message?.length ?? 0), 0);
    skip += messages.length;
    if (depth - skip <= oldest.messages.length) break;
  }
  return { oldest, candidates: [...candidates.values()] };
}
