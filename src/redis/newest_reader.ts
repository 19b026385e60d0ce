/** Reads the newest messages of a list. */
import type { Buffer } from "node:buffer";
import type { ChunkBounds, Excerpt, NewestMessages } from "../cycle/chunk.ts";
import type { Push } from "../message/source_policy.ts";
import type { RedisClient } from "./cluster.ts";
import type { ReadRecords } from "./record_reader.ts";
import { loadScript } from "./scripts.ts";
import browseNewest from "./scripts/browse_newest.lua" with { type: "text" };

/** Reads the newest messages within the bounds, at least one if the list has more than `skip`. Rejects with a `StoreError`. */
export type ReadNewest = (bounds: ChunkBounds, excerpt?: Excerpt) => Promise<NewestMessages>;

/**
 * Creates a reader of the first list. The depth that it tells includes the others, whose messages a job keeps for it. `push`: how the
 * source's lists are pushed. `records`: reads the records of the messages too; default: it does not.
 */
export function createNewestReader(
  reader: RedisClient,
  { lists, push, records = null }: {
    readonly lists: readonly string[];
    readonly push: Push;
    readonly records?: ReadRecords | null;
  },
): ReadNewest {
  const keys = lists.length,
    script = loadScript(reader, { name: `browseNewest${keys}`, keys, lua: browseNewest, push });
  return async (
    { messages, bytes, messageBytes, skip = 0 },
    { bytes: excerptBytes, from } = { bytes: 0, from: "" },
  ) => {
    const details = [skip, messages, bytes, messageBytes, excerptBytes, from];
    const [depth, found] = await script(...lists, ...details) as [number, (Buffer | null)[]];
    return records === null ? { depth, messages: found } : { depth, messages: found, records: await records(found) };
  };
}
