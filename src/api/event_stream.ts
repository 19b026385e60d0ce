/** Server-sent events to one client. What the client has not read is bounded: one that does not read is disconnected. */

/** Headers of a stream. `no-transform`: Deno.serve must not compress it, because that would hold the first items back. */
export const STREAM_HEADERS = { "cache-control": "no-store, no-transform", "x-accel-buffering": "no" };
/** Headers of a stream of server-sent events. */
export const EVENT_STREAM_HEADERS = { ...STREAM_HEADERS, "content-type": "text/event-stream" };

const encoder = new TextEncoder();

/** Encodes an event. `data`: one line. */
export function encodeEvent(name: string, { data, id }: { data: string; id?: string }): Uint8Array {
  return encoder.encode(`${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${data}\n\n`);
}

/** Options of an {@link EventStream}. */
export interface EventStreamOptions {
  /** Most that a client may leave unread, in bytes. */
  readonly unreadBytes: number;
  /** Whether the client may still have events. */
  readonly isValid: () => boolean;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  /** Called once, when the stream ends for any reason. */
  readonly onEnd: (stream: EventStream) => void;
}

/** The stream of one client. */
export class EventStream {
  /** The body of the response. */
  readonly body: ReadableStream<Uint8Array>;
  readonly #options: EventStreamOptions;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #isOver = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => this.#drop(),
    }, new ByteLengthQueuingStrategy({ highWaterMark: options.unreadBytes }));
    options.signal.addEventListener("abort", () => this.end(), { once: true });
  }

  /** Sends the events, or ends the stream if the client may not have them any more or has too much unread. */
  send(events: readonly Uint8Array[]): void {
    if (!this.#options.isValid()) return this.end();
    for (const bytes of events) {
      if (this.#isOver) return;
      if ((this.#controller.desiredSize ?? 0) < bytes.length) return this.end();
      this.#controller.enqueue(bytes);
    }
  }

  /** Sends the first events, whatever their size. */
  begin(events: readonly Uint8Array[]): void {
    for (const bytes of events) if (!this.#isOver) this.#controller.enqueue(bytes);
  }

  /** Ends the stream. Safe to call twice. */
  end(): void {
    if (this.#isOver) return;
    this.#drop();
    try {
      this.#controller.close();
    } catch {
      // The client has gone.
    }
  }

  #drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onEnd(this);
  }
}
