/** Reads the stamps that a source records beside its messages. */
import type { SourcePolicy } from "../message/source_policy.ts";
import { parseRecord, type RecordedStamp, recordKey, type StampRecords } from "../message/stamp_record.ts";
import type { RedisClient } from "./cluster.ts";
import { throwStoreError } from "./errors.ts";
import { recordsKey } from "./keys.ts";

/** Most records of one command: about 0.1 ms of Redis' time. */
const MOST_KEYS = 500;

/**
 * Reads the records of messages; `null` stands for a message that is too large to read. Sends what it sends before it returns. Rejects with a
 * `StoreError`.
 */
export type ReadRecords = (messages: readonly (Uint8Array | null)[]) => Promise<StampRecords>;

/**
 * Creates a reader of a source's records; `null`: its stamps are inside the messages. Use the connection by which the messages are read: while
 * Redis fails over, another one may still lead to the former master.
 */
export function createRecordReader(redis: RedisClient, policy: SourcePolicy): ReadRecords | null {
  if (policy.beside === undefined) return null;
  const records = recordsKey(policy.dlq);
  return async (messages) => {
    const keys = [...new Set(messages.flatMap((message) => message ? [recordKey(message, policy)] : []))];
    const parts = Array.from(
      { length: Math.ceil(keys.length / MOST_KEYS) },
      (_, i) => keys.slice(i * MOST_KEYS, (i + 1) * MOST_KEYS),
    );
    const texts = await Promise.all(parts.map((part) => redis.hmget(records, ...part))).catch(throwStoreError);
    const found = new Map<string, RecordedStamp>();
    texts.flat().forEach((text, i) => {
      const record = text === null ? null : parseRecord(text, policy.name);
      if (record !== null) found.set(keys[i]!, record);
    });
    return found;
  };
}
