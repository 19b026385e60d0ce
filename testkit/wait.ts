/** Waits for conditions, never for a fixed time. */

const POLL_MS = 5;
/** Factor for busy machines: the deadline only ends a test that hangs. */
const PATIENCE = 8;

/**
 * Resolves with the condition's value when it is truthy.
 *
 * @param options.what the condition in words, for the error: "the DLQ is empty".
 * @param options.timeoutMs time limit on an idle machine; default 5,000.
 * @throws Error after {@link PATIENCE} times that, with the condition's last value; an error of the condition is thrown
 * at once.
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
