/** One budget for what all sources hold of messages at a time: each would stay small alone, twenty at once would not. */

/** A part of the budget. */
export interface Share {
  /** Needs no more than so many bytes from now on. Never grows. */
  shrink(bytes: number): void;
  /** Gives all of it back. Safe to call twice. */
  release(): void;
}

/** Hands out shares, first come, first served. */
export class ReadBudget {
  readonly #bytes: number;
  #held = 0;
  readonly #waiting: { bytes: number; grant: () => void }[] = [];

  /** @param bytes most bytes that are held at once; one that needs more waits until nobody else holds any */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held;
  }

  /** Waits for a share. Never rejects; whoever gets it must release it. */
  async take(bytes: number): Promise<Share> {
    await new Promise<void>((grant) => {
      this.#waiting.push({ bytes, grant });
      this.#grant();
    });
    return this.#share(bytes);
  }

  /** A share, if it is to be had at once; else `null`. */
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
