/** One memory budget for the messages that all sources hold at a time: one source stays small, but twenty together do not. */

/** A part of the budget. */
export interface Share {
  /** Reduces the share to this many bytes. Never increases it. */
  shrink(bytes: number): void;
  /** Returns the whole share to the budget. Safe to call twice. */
  release(): void;
}

/** Grants shares in the order of the requests. */
export class ReadBudget {
  readonly #bytes: number;
  #held = 0;
  readonly #waiting: { bytes: number; grant: () => void }[] = [];

  /** @param bytes most bytes held at once; a larger request waits until nothing is held */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Bytes held now. */
  get held(): number {
    return this.#held;
  }

  /** Waits for a share. Never rejects. The caller must release the share. */
  async take(bytes: number): Promise<Share> {
    await new Promise<void>((grant) => {
      this.#waiting.push({ bytes, grant });
      this.#grant();
    });
    return this.#share(bytes);
  }

  /** Returns a share if one is free now, else `null`. */
  takeNow(bytes: number): Share | null {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return null;
    this.#held += bytes;
    return this.#share(bytes);
  }

  #share(bytes: number): Share {
    let own = bytes;
    const shrink = (to: number) => {
      const given = Math.max(0, own - to);
      own -= given;
      this.#held -= given;
      this.#grant();
    };
    return { shrink, release: () => shrink(0) };
  }

  #grant(): void {
    for (let [first] = this.#waiting; first && this.#fits(first.bytes); [first] = this.#waiting) {
      this.#waiting.shift();
      this.#held += first.bytes;
      first.grant();
    }
  }

  #fits(bytes: number): boolean {
    return this.#held === 0 || this.#held + bytes <= this.#bytes;
  }
}
