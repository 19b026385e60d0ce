/** Renders the items of a streaming operation, one JSON a line. */
import type { Clock } from "../runtime/clock.ts";

/** An empty line is sent after this time without an item, in milliseconds: proxies and the door cut silent connections. */
const KEEP_ALIVE_MS = 10_000;

const encoder = new TextEncoder();

/** Dependencies and callbacks of {@link streamItems}. */
export interface StreamOptions {
  readonly clock: Clock;
  /** Creates the last line if a later item fails: the status has already been sent. */
  readonly describeError: (error: unknown) => unknown;
  /** Called when the client has gone, or the stream has ended. */
  readonly onEnd: () => void;
}

/** Creates a body that asks for an item when the client takes one. Rejects if the first item fails. */
export async function streamItems(
  items: AsyncIterable<unknown>,
  { clock, describeError, onEnd }: StreamOptions,
): Promise<ReadableStream<Uint8Array>> {
  const iterator = items[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<unknown>> | null = Promise.resolve(await iterator.next());
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        next ??= iterator.next();
        const item = await withinTime(next, clock);
        if (item === null) return controller.enqueue(encoder.encode("\n"));
        next = null;
        if (!item.done) return controller.enqueue(encoder.encode(`${lineOf(item.value)}\n`));
      } catch (error) {
        controller.enqueue(encoder.encode(`${JSON.stringify(describeError(error))}\n`));
      }
      onEnd();
      controller.close();
    },
    async cancel() {
      onEnd();
      await iterator.return?.();
    },
  });
}

function lineOf(item: unknown): string {
  return typeof item === "string" ? item : JSON.stringify(item);
}

async function withinTime<T>(promise: Promise<T>, clock: Clock): Promise<T | null> {
  const over = new AbortController();
  try {
    return await Promise.race([promise, clock.sleep(KEEP_ALIVE_MS, over.signal).then(() => null)]);
  } finally {
    over.abort();
  }
}
