/** Parts of a page that take long: sent in steps, as server-sent events with markup for elements of the page. */
import { encodeEvent } from "../api/event_stream.ts";
import type { Html } from "./page.ts";

/** Markup for an element: instead of what is in it, or behind that. */
export interface Step {
  readonly id: string;
  readonly how: "set" | "append";
  readonly html: Html;
}

/** Encodes steps when the browser takes them. Rejects if the first one fails; a later failure becomes the last step. */
export async function streamSteps(
  steps: AsyncIterable<readonly Step[]>,
  describeError: (error: unknown) => readonly Step[],
): Promise<ReadableStream<Uint8Array>> {
  const iterator = steps[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<readonly Step[]>> | null = Promise.resolve(await iterator.next());
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await (next ?? iterator.next());
        next = null;
        if (!done) return controller.enqueue(encodeSteps(value));
      } catch (error) {
        controller.enqueue(encodeSteps(describeError(error)));
      }
      controller.enqueue(encodeEvent("end", { data: "{}" }));
      controller.close();
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

function encodeSteps(steps: readonly Step[]): Uint8Array {
  const data = steps.map(({ id, how, html }) => ({ id, how, html: String(html) }));
  return encodeEvent("steps", { data: JSON.stringify(data) });
}
