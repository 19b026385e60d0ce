/** Decides about one chunk of a sweep: how much of it belongs to the job, and what is picked. Pure. */
import type { Buffer } from "node:buffer";
import type { Chunk } from "../cycle/chunk.ts";
import type { Watermark } from "../message/selection.ts";
import { sha1 } from "../redis/sample.ts";
import type { Sweep } from "../redis/sweep_store.ts";
import type { Picker } from "./picker.ts";

/**
 * The newest message of the plan is looked for only if at most this many messages are left by their count: before that, an equal
 * message would end the sweep early. So a sweep bears this many messages that other clients pop meanwhile.
 */
export const WATERMARK_WITHIN = 5_000;

/** What a sweep does with a chunk. */
export type SweepPlan = Omit<Sweep, "id" | "sequence" | "notAfterMs">;

/** Returns the place of the newest message of the plan in these messages, from 1; of equal ones the last; 0: it is not there. */
export function findWatermark(messages: readonly Buffer[], { newestBytes, newestDigest }: Watermark): number {
  if (newestDigest === "") return 0;
  return messages.findLastIndex((one) => one.length === newestBytes && sha1([one]) === newestDigest) + 1;
}

/**
 * Plans the sweep of a chunk of which `left` messages at most belong to the job. `endsAt`: place of the job's last message in the
 * chunk; 0: not there.
 */
export function planSweep(
  { messages, oversize, records }: Pick<Chunk, "messages" | "oversize" | "records">,
  { left, endsAt, picks }: { left: number; endsAt: number; picks: Picker },
): SweepPlan {
  if (oversize && left > 0) {
    return { count: 1, digest: oversize.digest, isOversize: true, picks: [], left: left - 1 };
  }
  const count = endsAt > 0 ? endsAt : Math.min(left, messages.length);
  const chunk = messages.slice(0, count), oldest = chunk[0], newest = chunk.at(-1);
  return {
    count,
    digest: oldest && newest ? sha1([oldest, newest]) : "",
    isOversize: false,
    picks: chunk.flatMap((message, i) => picks(message, records) ? [{ place: i + 1, digest: sha1([message]) }] : []),
    left: endsAt > 0 || count === 0 ? 0 : left - count,
  };
}
