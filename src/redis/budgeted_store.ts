/** A dead-letter store whose reads wait for their share of the budget that all sources have together. */
import type { Chunk, ChunkBounds, Commit, CommitResult } from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { DeadLetterStore } from "./dead_letter_store.ts";
import type { ReadBudget, Share } from "./read_budget.ts";

/**
 * For one turn at a time, as `SourceReplay` takes them: a chunk is in hand from its read until it is committed, the next one is read,
 * or the source is peeked at (then it was dropped). What only looks must not share this store.
 */
export class BudgetedStore extends DeadLetterStore {
  readonly #budget: ReadBudget;
  #inHand: Share | null = null;
  /** For the read behind a commit. */
  #ahead: Share | null = null;

  constructor(budget: ReadBudget, ...store: ConstructorParameters<typeof DeadLetterStore>) {
    super(...store);
    this.#budget = budget;
  }

  override readState(): Promise<Snapshot> {
    this.letGo();
    return super.readState();
  }

  /** How large the messages are is only known once they are there. */
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

  /** Reads ahead only where that need not wait: whoever waits for it still holds the chunk that was committed. */
  override async commitAndRead(
    commit: Commit,
    bounds: ChunkBounds | null,
  ): Promise<{ result: CommitResult; next: Promise<Chunk | null> }> {
    const committed = this.#inHand;
    this.#inHand = null;
    this.#ahead = bounds && this.#budget.takeNow(mostBytes(bounds));
    try {
      return await super.commitAndRead(commit, this.#ahead && bounds);
    } finally {
      committed?.release();
      // It was not needed.
      this.#ahead?.release();
      this.#ahead = null;
    }
  }

  /** Gives back what is in hand: call it when the source stops. Safe to call twice. */
  letGo(): void {
    this.#inHand?.release();
    this.#inHand = null;
  }
}

function mostBytes({ bytes, messageBytes }: ChunkBounds): number {
  return Math.max(bytes, messageBytes);
}
