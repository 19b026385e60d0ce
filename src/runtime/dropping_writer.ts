/** A stream that is never waited for: what its reader does not take is dropped and counted. */

/** Most bytes that wait for the reader; some thousand lines. */
const MAX_WAITING_BYTES = 1_048_576;

/** What a {@link DroppingWriter} writes to. */
export interface DroppingWriterOptions {
  /** Takes bytes, as many as it says; resolves when they are taken. Rejects where none can be (a full disk, no reader left). */
  readonly write: (bytes: Uint8Array) => Promise<number>;
  /** Default: 1 MiB. */
  readonly maxWaitingBytes?: number;
}

/** Writes texts in their order, in the background. */
export class DroppingWriter {
  readonly #options: DroppingWriterOptions;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | null = null;
  #dropped = 0;
  #untold = 0;
  #onResumed: (dropped: number) => void = () => {};

  constructor(options: DroppingWriterOptions) {
    this.#options = options;
  }

  /** Texts that were dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Calls `listener` when texts are taken again, with how many were dropped since the last call. */
  onResumed(listener: (dropped: number) => void): void {
    this.#onResumed = listener;
  }

  /** Has a text written soon, or drops it where too much waits already. Never throws, never waits. */
  write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    if (this.#waitingBytes + bytes.length > (this.#options.maxWaitingBytes ?? MAX_WAITING_BYTES)) return this.#drop(1);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#writing ??= this.#writeAll().finally(() => this.#writing = null);
  }

  /** Resolves when all has been taken that was written before. Never rejects. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // What comes in the same turn goes in one write.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const texts = this.#waiting.splice(0);
      const isTaken = await this.#take(concat(texts)).then(() => true, () => false);
      this.#waitingBytes -= texts.reduce((sum, { length }) => sum + length, 0);
      if (!isTaken) this.#drop(texts.length);
      else if (this.#untold > 0) this.#tell();
    }
  }

  async #take(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#options.write(bytes.subarray(at));
  }

  #drop(count: number): void {
    this.#dropped += count;
    this.#untold += count;
  }

  #tell(): void {
    const dropped = this.#untold;
    this.#untold = 0;
    this.#onResumed(dropped);
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
