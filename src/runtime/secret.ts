/** A value that must never be shown. */

/** Holds a secret; prints as `[redacted]` wherever it is turned into text or JSON. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The secret itself. Call it only where it is handed to the system that needs it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  [Symbol.for("Deno.customInspect")](): string {
    return "[redacted]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }
}

/** A secret that its owner may replace: whoever holds it reveals what it is by then. Empty until it is known. */
export class LiveSecret extends Secret {
  #now = "";

  constructor() {
    super("");
  }

  /** Replaces the secret. @returns whether it is another one now */
  set(value: string): boolean {
    const isOther = value !== this.#now;
    this.#now = value;
    return isOther;
  }

  override reveal(): string {
    return this.#now;
  }
}
