/** A dead-letter store with a read budget that all sources share: a read waits for its part of the budget. */
import type { Chunk, ChunkBounds, Commit, Committed } from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { DeadLetterStore } from "./dead_letter_store.ts";
import type { ReadBudget, Share } from "./read_budget.ts";

/**
 * Limits the bytes that reads hold. Use it for one turn at a time, as `SourceReplay` does: a chunk holds its share until it is
 * committed, the next chunk is read, or the state is read (then the chunk was dropped). Pages that only browse need another
 * store.
 */
export class BudgetedStore extends DeadLetterStore {
  readonly #budget: ReadBudget;
  #inHand: Share | null = null;
  /** The share for the read that follows a commit. */
  #ahead: Share | null = null;

  constructor(budget: ReadBudget, ...store: ConstructorParameters<typeof DeadLetterStore>) {
    super(...store);
    this.#budget = budget;
  }

  override readState(): Promise<Snapshot> {
    this.letGo();
    return super.readState();
  }

  /** Takes a share for the largest possible chunk, and shrinks it once the messages have arrived. */
  override async readForCommit(bounds: ChunkBounds): Promise<Chunk> {
    this.letGo();
    const share = this.#ahead ?? await this.#budget.take(mostBytes(bounds));
    this.#ahead = null;
    try {
      const chunk = await super.readForCommit(bounds);
      share.shrink(chunk.messages.reduce((sum, { length }) => sum + length, 0));
      this.#inHand = share;
      return chunk;
    } catch (error) {
      share.release();
      throw error;
    }
  }

  /** Reads ahead only if a share is free now. A waiting commit would still hold the share of its own chunk. */
  override async commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<Committed> {
    const committed = this.#inHand;
    this.#inHand = null;
    this.#ahead = bounds && this.#budget.takeNow(mostBytes(bounds));
    try {
      return await super.commitAndRead(commit, this.#ahead && bounds);
    } finally {
      committed?.release();
      // The read did not happen.
      this.#ahead?.release();
      this.#ahead = null;
    }
  }

  /** Releases the share of the current chunk. Call it when the source stops. Safe to call twice. */
  letGo(): void {
    this.#inHand?.release();
    this.#inHand = null;
  }
}

function mostBytes({ bytes, messageBytes }: ChunkBounds): number {
  return Math.max(bytes, messageBytes);
}
