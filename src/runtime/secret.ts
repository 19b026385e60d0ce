/** Wraps secrets so that they never appear in logs or output. */

/** Holds a secret. Prints as `[redacted]` in text, JSON and inspection. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** Returns the secret. Call it only to pass the secret to the system that needs it. */
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

/** A secret with a replaceable value. Holders always reveal the current value. Empty until first set. */
export class LiveSecret extends Secret {
  #now = "";

  constructor() {
    super("");
  }

  /** Replaces the secret. @returns whether the value changed */
  set(value: string): boolean {
    const isOther = value !== this.#now;
    this.#now = value;
    return isOther;
  }

  override reveal(): string {
    return this.#now;
  }
}
