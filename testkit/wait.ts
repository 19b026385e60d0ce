/** Waits for conditions, never for a fixed time. */

const POLL_MS = 5;
/** Factor for busy machines: the deadline only ends a test that hangs. */
const PATIENCE = 8;

/** A time limit for what must not be ended by it, on however busy a machine: where the limit itself is tested, another is given. */
export const PATIENT_MS = 60_000;

/**
 * What the promise resolves with, if it does so in time: for what must not be held up by something that takes far longer, or hangs.
 *
 * @throws Error after {@link PATIENCE} times what an idle machine needs at most, default 5,000.
 */
export async function inTime<T>(
  promise: Promise<T>,
  { what, timeoutMs = 5_000 }: { what: string; timeoutMs?: number },
): Promise<T> {
  let over: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    over = setTimeout(
      () => reject(new Error(`Waited ${PATIENCE * timeoutMs} ms in vain until ${what}`)),
      PATIENCE * timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(over);
  }
}

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
