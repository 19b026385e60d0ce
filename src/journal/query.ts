/** Which entries of the journals a query wants, and how far it has read them. Pure. */
import { Buffer } from "node:buffer";
import type { Entry, EntryKind, InvalidEntry } from "./entries.ts";

/** The journals. There is one of `moves` for each source. */
export const JOURNALS = ["moves", "audit", "incidents"] as const;
/** One of {@link JOURNALS}. */
export type JournalName = (typeof JOURNALS)[number];

/** What to find. All conditions must hold. */
export interface JournalQuery {
  /** Default: all. */
  readonly journals?: readonly JournalName[];
  readonly kind?: EntryKind | "invalid";
  /** Name of a source. */
  readonly source?: string;
  /** Name of the person or key that acted. */
  readonly actor?: string;
  /** Id of a message. An entry names a few of its messages only. */
  readonly message?: string;
  /** Id of a job. */
  readonly job?: string;
  /** Instants, both included, in milliseconds of the server's clock. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Default: newest first. */
  readonly oldestFirst?: boolean;
  /** Most entries to return. */
  readonly limit: number;
  /** Where an earlier answer with the same conditions ended. */
  readonly cursor?: string;
}

/** Whether an entry of the moves of `source`, or of a shared journal (`null`), is wanted. */
export function isWanted(entry: Entry | InvalidEntry, source: string | null, query: JournalQuery): boolean {
  const { kind, actor, message, job } = query;
  if (kind !== undefined && entry.kind !== kind) return false;
  if (query.source !== undefined && sourceOf(entry, source) !== query.source) return false;
  if (actor !== undefined && !("actor" in entry && entry.actor === actor)) return false;
  if (job !== undefined && !("job" in entry && entry.job === job)) return false;
  return message === undefined || messagesOf(entry).includes(message);
}

/** The source that an entry is about; `null`: none in particular. */
export function sourceOf(entry: Entry | InvalidEntry, source: string | null): string | null {
  return source ?? ("source" in entry ? entry.source : null);
}

function messagesOf(entry: Entry | InvalidEntry): readonly string[] {
  if (entry.kind === "move") return entry.samples;
  return entry.kind === "operation" ? entry.messages : [];
}

/** The id of the last entry that was read, by journal (`audit`, `incidents`, `moves <source>`). */
export type Positions = Readonly<Record<string, string>>;

const ENTRY_ID = /^\d{1,20}-\d{1,20}$/;

/** Formats positions as a cursor. */
export function formatCursor(positions: Positions): string {
  return Buffer.from(JSON.stringify(positions)).toString("base64url");
}

/** Parses a cursor; `null` if it is not one. */
export function parseCursor(cursor: string): Positions | null {
  try {
    const positions: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (typeof positions !== "object" || positions === null || Array.isArray(positions)) return null;
    return Object.values(positions).every(isEntryId) ? positions as Positions : null;
  } catch {
    return null;
  }
}

/** Redis rejects an id with a number above 64 bits. */
function isEntryId(id: unknown): boolean {
  return typeof id === "string" && ENTRY_ID.test(id) && id.split("-").every((part) => BigInt(part) <= LAST);
}

/** Compares the ids of two entries by time. */
export function compareIds(a: string, b: string): number {
  const [[aMs, aSeq], [bMs, bSeq]] = [a, b].map((id) => id.split("-").map(BigInt)) as [
    [bigint, bigint],
    [bigint, bigint],
  ];
  const [left, right] = aMs === bMs ? [aSeq, bSeq] : [aMs, bMs];
  return left < right ? -1 : left > right ? 1 : 0;
}

const LAST = (1n << 64n) - 1n;

/** The id right after or before another one, as Redis 6.0 has no excluded ends of a range; `null`: there is none. */
export function besideId(id: string, direction: "after" | "before"): string | null {
  const [ms, sequence] = id.split("-").map(BigInt) as [bigint, bigint];
  if (direction === "after") {
    return sequence < LAST ? `${ms}-${sequence + 1n}` : ms < LAST ? `${ms + 1n}-0` : null;
  }
  return sequence > 0n ? `${ms}-${sequence - 1n}` : ms > 0n ? `${ms - 1n}-${LAST}` : null;
}
