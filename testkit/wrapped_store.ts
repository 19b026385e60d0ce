/** A store that forwards every call to another; a test can replace calls. */
import type {
  BeginResult,
  Chunk,
  ChunkBounds,
  Commit,
  CommitResult,
  CycleBeginning,
  Excerpt,
  NewestMessages,
} from "../src/cycle/chunk.ts";
import type { Snapshot } from "../src/cycle/cycle_state.ts";
import type { ReplayStore } from "../src/replay/store.ts";

/** Replaced calls; each gets the store behind it. */
export interface StoreHooks {
  begin?: (beginning: CycleBeginning, store: ReplayStore) => Promise<BeginResult>;
  commitAndRead?: (
    commit: Commit,
    bounds: ChunkBounds | null,
    store: ReplayStore,
  ) => ReturnType<ReplayStore["commitAndRead"]>;
}

/** Wraps a store. `hooks` may change at any time. */
export class WrappedStore implements ReplayStore {
  readonly #store: ReplayStore;
  readonly hooks: StoreHooks;

  constructor(store: ReplayStore, hooks: StoreHooks = {}) {
    this.#store = store;
    this.hooks = hooks;
  }

  readState(): Promise<Snapshot> {
    return this.#store.readState();
  }

  browseOldest(bounds: ChunkBounds): Promise<Chunk> {
    return this.#store.browseOldest(bounds);
  }

  browseNewest(bounds: ChunkBounds, excerpt?: Excerpt): Promise<NewestMessages> {
    return this.#store.browseNewest(bounds, excerpt);
  }

  readForCommit(bounds: ChunkBounds): Promise<Chunk> {
    return this.#store.readForCommit(bounds);
  }

  begin(beginning: CycleBeginning): Promise<BeginResult> {
    return this.hooks.begin?.(beginning, this.#store) ?? this.#store.begin(beginning);
  }

  commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<{ result: CommitResult; next: Promise<Chunk | null> }> {
    return this.hooks.commitAndRead?.(commit, bounds, this.#store) ?? this.#store.commitAndRead(commit, bounds);
  }

  resolveLostCommit(id: string): Promise<boolean> {
    return this.#store.resolveLostCommit(id);
  }
}
