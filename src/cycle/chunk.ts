/** The data that a source's store (`src/replay/store.ts`) reads and moves: chunks and commits. */
import type { Buffer } from "node:buffer";
import type { DeadReason } from "../message/source_policy.ts";
import type { RecordChange, StampRecords } from "../message/stamp_record.ts";
import type { Snapshot } from "./cycle_state.ts";

/** Proof that the DLQ is unchanged since a read. Only the store that created it can use it. */
export interface ReadGuard {
  /** Resolves to whether the server watches the DLQ. Never rejects. */
  readonly isValid: Promise<boolean>;
}

/** The oldest messages of a DLQ. Reading them changes nothing. */
export interface Chunk extends Snapshot {
  /** Oldest first; empty if the DLQ is empty or its oldest message is oversize. */
  readonly messages: readonly Buffer[];
  /** Size and digest of the oldest message if it is over the size limit, because such a message is not read; else `null`. */
  readonly oversize: { readonly bytes: number; readonly digest: string } | null;
  /**
   * Whether the next message in the DLQ is byte-equal to the last of these. Only checked if `newestAt` is 0 and one of these
   * looks like the message that was newest when the cycle began (`isNewest`).
   */
  readonly goesOnEqual: boolean;
  /** Place of the message that was newest when the cycle began, from 1 at the oldest; 0: not known, or not in this chunk. */
  readonly newestAt: number;
  /** Proof that the DLQ is unchanged since this read; `null` if the commit must compare a digest. */
  readonly guard: ReadGuard | null;
  /**
   * Their recorded stamps. They were read after the messages: a commit that changes them raises the sequence number, so a commit of
   * this chunk proves them too. Absent: the stamps are inside the messages.
   */
  readonly records?: StampRecords;
}

/** Bounds of one read. */
export interface ChunkBounds {
  readonly messages: number;
  readonly bytes: number;
  /** Maximum size of a message, in bytes. A larger one is not read. */
  readonly messageBytes: number;
  /** Messages to skip, from the end that is read: for browsing, and to read behind a chunk in hand. A commit needs one without. */
  readonly skip?: number;
}

/** Of a message longer than `bytes`, reads only this many, from the last occurrence of `from` on; nothing if it does not occur. */
export interface Excerpt {
  readonly bytes: number;
  readonly from: string;
}

/** The newest messages of a DLQ. Reading them changes nothing. */
export interface NewestMessages {
  /** Messages in the DLQ. */
  readonly depth: number;
  /** Newest first; `null` in place of a message over the size limit. */
  readonly messages: readonly (Buffer | null)[];
  /** Their recorded stamps. Absent: the stamps are inside the messages. */
  readonly records?: StampRecords;
}

/** The move of one message. `payload` is the edited message; `null` moves it unchanged. */
export interface Move {
  readonly to: "target" | "dead";
  readonly payload: Uint8Array | null;
}

/**
 * A chunk to move. `messages` (or `oversize`) are the messages as read, `moves` their destinations; both oldest first. The dead
 * list of an oversize message is a separate list (`oversizeKey`).
 */
export interface Commit {
  readonly id: string;
  readonly sequence: string;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  /** The guard of the chunk with these messages; default: none. */
  readonly guard?: ReadGuard | null;
  readonly moves: readonly Move[];
  /** The commit must not run after this time, by the server's clock. */
  readonly notAfterMs: number;
  /** Maximum messages in the target after the commit; `null`: no limit. */
  readonly targetLimit: number | null;
  /** Places of the messages, from 1 at the oldest; `null`: they are the oldest in a row. Each must be near an end of the DLQ. */
  readonly places?: readonly number[] | null;
  /** How many of the messages use the cycle's budget; default: all. */
  readonly spent?: number;
  /** How many of the messages are replayed for the first time; default: 0. */
  readonly firsts?: number;
  /** Whether the cycle ends with this chunk even if budget is left. */
  readonly endsCycle: boolean;
  /** More fields to write to the cycle state. */
  readonly fields: Readonly<Record<string, string>>;
  /**
   * The messages are those of drills, and none is replayed or dead: each move is one to the dead list, which stands for the list of the
   * drill, or for the target. So the cycle does not count them as replays. Default: they are not.
   */
  readonly drill?: DrillWay | null;
  /** What becomes of the records of the messages; default: nothing. */
  readonly recordChanges?: readonly RecordChange[];
  /** For the journal; default: only counts. */
  readonly note?: CommitNote;
}

/** The records of a source after a commit. */
export interface RecordCount {
  /** Records that there are. */
  readonly kept: number;
  /** Records that were deleted before their time, because there are too many. */
  readonly evicted: number;
}

/** Where the messages of drills go: to the list of the drill, or to the target of the source. */
export type DrillWay = "list" | "target";

/** What the journal says of a commit beside its counts. */
export interface CommitNote {
  /** Number of the cycle. */
  readonly cycle: number;
  /** Dead messages by reason; `drill`: messages of drills. */
  readonly dead: Readonly<Partial<Record<DeadReason | "drill", number>>>;
}

/** The results of a commit. All except `ok` changed nothing; `duplicate`: the same commit ran before. */
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

/** The answer to a commit, and the read behind it: see `ReplayStore.commitAndRead`. */
export interface Committed {
  readonly result: CommitResult;
  readonly next: Promise<Chunk | null>;
  /** `null` or absent: the stamps are inside the messages, or nothing has changed. */
  readonly records?: RecordCount | null;
}

/** The data to begin a cycle with. */
export interface CycleBeginning {
  /** Sequence number of the cycle state that the decision is based on. */
  readonly sequence: string;
  /** Minimum milliseconds since the start of the last cycle; 0: begin at once. */
  readonly intervalMs: number;
  /** Maximum messages of the cycle. */
  readonly budget: number;
  /** More fields to write to the cycle state. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The results of beginning a cycle. All except `ok` changed nothing. `job`: a job runs, and the caller does not work for it. */
export const BEGIN_RESULTS = ["ok", "not_leader", "stale", "not_due", "job", "wrong_type"] as const;
/** One of {@link BEGIN_RESULTS}. */
export type BeginResult = (typeof BEGIN_RESULTS)[number];
