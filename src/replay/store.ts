/**
 * The port through which the engine reads and moves the messages of one source. No call is retried, and every call is atomic,
 * except that a client may change the DLQ between the state and the messages of a read for a commit: the commit notices.
 *
 * `src/redis` implements it without an import, because lower rooms may not import this one. The compiler checks the
 * implementation where `src/app` passes the store to the engine. Redis and the fake of the tests both pass the cases of
 * `testkit/store_contract.ts`. Calls reject with a `StoreError`; any other error is a bug.
 */
import type {
  BeginResult,
  Chunk,
  ChunkBounds,
  Commit,
  Committed,
  CycleBeginning,
  Excerpt,
  NewestMessages,
} from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";

/** Reads and moves the messages of one source, and keeps its cycle state. */
export interface ReplayStore {
  /** Reads the cycle state, the depth and the server's clock. Changes nothing. */
  readState(): Promise<Snapshot>;
  /** Reads the oldest messages within the bounds, but at least one if the DLQ is not empty. Not for a commit. Changes nothing. */
  browseOldest(bounds: ChunkBounds): Promise<Chunk>;
  /** Reads the newest messages within the bounds, but at least one if there are any after `skip`. Changes nothing. */
  browseNewest(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages>;
  /** Reads the newest messages of the target like {@link browseNewest}. Changes nothing. */
  browseTarget(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages>;
  /** Reads the same as {@link browseOldest}, for a commit. Only one read and its commit at a time. */
  readForCommit(bounds: ChunkBounds): Promise<Chunk>;
  /** Begins a cycle, if one is due by the server's clock. */
  begin(beginning: CycleBeginning): Promise<BeginResult>;
  /**
   * Moves a whole chunk or nothing, and reads the next chunk right after it. `next` never rejects. It is `null` if `bounds` is
   * `null`, the read failed, the chunk was not moved, or another instance was faster.
   */
  commitAndRead(commit: Commit, bounds: ChunkBounds | null): Promise<Committed>;
  /** Tells whether this store's last commit has run, after its reply was lost. If it has not, it never will. */
  resolveLostCommit(id: string): Promise<boolean>;
}
