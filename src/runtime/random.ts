/** The only module that creates random values. */

/** Returns a random fraction in [0, 1), for jitter. */
export type RandomFraction = () => number;

/** Source of random fractions, from the runtime. */
export const SYSTEM_RANDOM: RandomFraction = () => Math.random();

/** Creates a random identifier (UUID version 4) for commit ids and tokens. */
export function createId(): string {
  return crypto.randomUUID();
}

/** Creates this many random bytes for a key or a secret. */
export function createSecretBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}
