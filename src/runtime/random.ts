/** The only place that makes random values. */

/** A random fraction in [0, 1), for jitter. */
export type RandomFraction = () => number;

/** The runtime's own source of random fractions. */
export const SYSTEM_RANDOM: RandomFraction = () => Math.random();

/** A random identifier (UUID version 4), for commit ids and tokens. */
export function createId(): string {
  return crypto.randomUUID();
}
