/** A writer that never blocks: it drops and counts text that its reader does not accept. */

/** Most bytes buffered for the reader: some thousand lines. */
const MAX_WAITING_BYTES = 1_048_576;

/** Options of {@link DroppingWriter}. */
export interface DroppingWriterOptions {
  /** Writes bytes and resolves with the number written. Rejects if writing fails (a full disk, no reader). */
  readonly write: (bytes: Uint8Array) => Promise<number>;
  /** Most bytes buffered. Default: 1 MiB. */
  readonly maxWaitingBytes?: number;
}

/** Writes texts in order, in the background. */
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

  /** Number of texts dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Calls `listener` when writing succeeds again, with the number of texts dropped since the last call. */
  onResumed(listener: (dropped: number) => void): void {
    this.#onResumed = listener;
  }

  /** Queues a text, or drops it if the buffer is full. Never throws or waits. */
  write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    if (this.#waitingBytes + bytes.length > (this.#options.maxWaitingBytes ?? MAX_WAITING_BYTES)) return this.#drop(1);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#writing ??= this.#writeAll().finally(() => this.#writing = null);
  }

  /** Resolves when all queued text has been written or dropped. Never rejects. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Texts of the same turn share one write.
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
