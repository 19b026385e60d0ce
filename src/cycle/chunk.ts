/** What a source's store reads and moves: chunks and commits, as data. The store itself: `src/replay/store.ts`. */
import type { Buffer } from "node:buffer";
import type { Snapshot } from "./cycle_state.ts";

/** What tells a commit that nobody has touched the DLQ since a read. Of use to the store that made it only. */
export interface ReadGuard {
  /** Whether the server watches the DLQ. Never rejects. */
  readonly isValid: Promise<boolean>;
}

/** The oldest messages of a DLQ, not changed by reading them. */
export interface Chunk extends Snapshot {
  /** Oldest first; empty where the DLQ is, or where the oldest is oversize. */
  readonly messages: readonly Buffer[];
  /** The oldest message where it is over the limit: described, not read. */
  readonly oversize: { readonly bytes: number; readonly digest: string } | null;
  /** Whether the message behind the last of these is byte-equal to it; only looked for where `newestAt` does not tell. */
  readonly goesOnEqual: boolean;
  /** Place, from 1 at the oldest, of what was newest when the cycle began; 0: not known, or nothing like it was read. */
  readonly newestAt: number;
  /** What tells a commit of these that nobody has touched the DLQ since; `null`: nothing does. */
  readonly guard: ReadGuard | null;
}

/** Bounds of one read. */
export interface ChunkBounds {
  readonly messages: number;
  readonly bytes: number;
  /** A message over so many bytes is not read. */
  readonly messageBytes: number;
  /** How many messages to pass over, from the end that is read; for looking only. */
  readonly skip?: number;
}

/** Of a message longer than `bytes`: only so many, from the last occurrence of a text on; nothing where it does not occur. */
export interface Excerpt {
  readonly bytes: number;
  readonly from: string;
}

/** The newest messages of a DLQ, not changed by reading them. */
export interface NewestMessages {
  /** Messages in the DLQ. */
  readonly depth: number;
  /** Newest first; `null` in place of one that is over the limit. */
  readonly messages: readonly (Buffer | null)[];
}

/** Where one message goes: the edited bytes, or `null` as it is. */
export interface Move {
  readonly to: "target" | "dead";
  readonly payload: Uint8Array | null;
}

/**
 * A chunk to be moved. `messages` (or `oversize`) is what was read, `moves` says where each goes; both oldest first.
 * `dead` is a list of its own (`oversizeKey`) for an oversize message.
 */
export interface Commit {
  readonly id: string;
  readonly sequence: string;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  /** Of the chunk that these were read with; default: there is none. */
  readonly guard?: ReadGuard | null;
  readonly moves: readonly Move[];
  /** The server's clock after which the commit must not run any more. */
  readonly notAfterMs: number;
  /** Most messages that the target may hold afterwards; `null`: no limit. */
  readonly targetLimit: number | null;
  /** Their places, counted from the oldest, from 1; `null`: they are the oldest in a row. Each must be near an end. */
  readonly places?: readonly number[] | null;
  /** How many of them use up the cycle's bound; default: all. */
  readonly spent?: number;
  /** How many of them are replayed for the first time; default: none. */
  readonly firsts?: number;
  /** Whether the cycle ends with this chunk, whatever its bound says. */
  readonly endsCycle: boolean;
  /** Further fields of the record. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What a commit came to; all but `ok` changed nothing (`duplicate`: this very commit had run before). */
export const COMMIT_RESULTS = [
  "ok",
  "duplicate",
  "not_leader",
  "stale",
  "expired",
  "bound",
  "room",
  "conflict",
  "wrong_type",
] as const;
/** One of {@link COMMIT_RESULTS}. */
export type CommitResult = (typeof COMMIT_RESULTS)[number];

/** How a cycle begins. */
export interface CycleBeginning {
  /** Of the record that the decision rests on. */
  readonly sequence: string;
  /** Milliseconds that must have passed since the last cycle began; 0: at once. */
  readonly intervalMs: number;
  /** Most messages of the cycle. */
  readonly budget: number;
  /** Further fields of the record. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What a beginning came to; all but `ok` changed nothing. */
export const BEGIN_RESULTS = ["ok", "not_leader", "stale", "not_due", "wrong_type"] as const;
/** One of {@link BEGIN_RESULTS}. */
export type BeginResult = (typeof BEGIN_RESULTS)[number];
