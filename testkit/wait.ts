/** Waiting on a condition, never for a while. */

const POLL_MS = 5;
/** A busy machine takes so many times longer: the deadline only ends what hangs. */
const PATIENCE = 8;

/**
 * Resolves with the condition's value as soon as that is truthy.
 *
 * @param options.what what is waited for, for the error: "the DLQ is empty".
 * @param options.timeoutMs what an idle machine needs at most; default 5,000.
 * @throws Error after {@link PATIENCE} times that, with the condition's last value; whatever the condition throws is thrown at once.
 */
export async function waitUntil<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = 5_000 }: { what: string; timeoutMs?: number },
): Promise<NonNullable<T>> {
  const giveUpAtMs = performance.now() + PATIENCE * timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() >= giveUpAtMs) {
      throw new Error(`Waited ${PATIENCE * timeoutMs} ms in vain until ${what}; last seen: ${Deno.inspect(value)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
