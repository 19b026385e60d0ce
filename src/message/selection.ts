/** The messages that an operator has chosen. Pure. */
import type { MessageView } from "./message_view.ts";
import { type CompiledQuery, compileQuery, type QuerySubject, type RejectedQuery } from "./query.ts";
import type { ListName } from "./source_policy.ts";

/** A choice of messages in one list. The run of a job applies it again to the bytes that it reads. */
export interface Selection {
  /** Name of the source. */
  readonly source: string;
  readonly list: ListName;
  /** Query that a message must match; empty: every message. */
  readonly query: string;
  /** Ids of which a message must have one; absent: any. */
  readonly ids?: readonly string[];
  /** The instant that ages count to, in milliseconds since the epoch, so that every run decides alike; absent: now. */
  readonly atMs?: number;
  /** Id of the job that must have buried a message; absent: any, or none. */
  readonly buriedBy?: string;
}

/** Marks the end of a list at the plan: what arrives later is not touched. */
export interface Watermark {
  /** Messages in the list. */
  readonly depth: number;
  /** Size in bytes and SHA-1 of the newest message; 0 and empty if the list was empty or that message was too large to read. */
  readonly newestBytes: number;
  readonly newestDigest: string;
}

/** The watermark of a job that sweeps nothing. */
export const NO_SWEEP: Watermark = { depth: 0, newestBytes: 0, newestDigest: "" };

/** Most ids of a selection. */
export const MAX_SELECTED_IDS = 10_000;

/** A selection that can be evaluated. */
export interface CompiledSelection extends Omit<CompiledQuery, "matches"> {
  /** Whether a message of the list is selected. Pure; never throws unless the subject does. */
  matches(subject: QuerySubject & Pick<MessageView, "buriedBy">): boolean;
}

/** Compiles a selection. Never throws. */
export function compileSelection({ query, ids, buriedBy }: Selection): CompiledSelection | RejectedQuery {
  const compiled = compileQuery(query);
  if (!compiled.ok || (ids === undefined && buriedBy === undefined)) return compiled;
  const wanted = ids && new Set(ids);
  return {
    ...compiled,
    // The id takes longest to compute.
    matches: (subject) =>
      (buriedBy === undefined || subject.buriedBy === buriedBy) && compiled.matches(subject) &&
      (wanted === undefined || wanted.has(subject.id)),
  };
}
