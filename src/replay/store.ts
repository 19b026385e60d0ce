/**
 * The port by which the engine reaches the messages of one source: every call is of one instant, and nothing is retried behind it.
 *
 * `src/redis` implements it without knowing it (rooms below may not import this one): that it does is checked by the compiler where
 * `src/app` hands the store to the engine, and by the cases of `testkit/store_contract.ts`, which Redis and the fake of the tests
 * both pass. Calls reject with a `StoreError`; any other error is a bug.
 */
import type {
  BeginResult,
  Chunk,
  ChunkBounds,
  Commit,
  CommitResult,
  CycleBeginning,
  Excerpt,
  NewestMessages,
} from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";

/** The messages of one source, and its record. */
export interface ReplayStore {
  /** The record, the depth and the server's clock. Changes nothing. */
  readState(): Promise<Snapshot>;
  /** The oldest messages within the bounds, at least one where there are any; only to look at. Changes nothing. */
  browseOldest(bounds: ChunkBounds): Promise<Chunk>;
  /** The newest messages within the bounds, at least one where there are any behind `skip`. Changes nothing. */
  browseNewest(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages>;
  /** The same as {@link browseOldest}, to be committed. One read and its commit at a time. */
  readForCommit(bounds: ChunkBounds): Promise<Chunk>;
  /** Begins a cycle, if one is due by the server's clock. */
  begin(beginning: CycleBeginning): Promise<BeginResult>;
  /**
   * Moves a chunk, all of it or nothing, and reads what comes next right behind it. `next` never rejects; it is `null` where nothing
   * was to be read or could be, the chunk was not moved, or somebody else was quicker.
   */
  commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<{ result: CommitResult; next: Promise<Chunk | null> }>;
  /** Whether this store's last commit, whose reply was lost, has run. If it has not, it never will. */
  resolveLostCommit(id: string): Promise<boolean>;
}
