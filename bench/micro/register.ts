/** How the micro-benchmarks are registered. `-- --short` behind the command runs each a few times only. */

const IS_SHORT = Deno.args.includes("--short");
const SHORT = { n: 5, warmup: 1 };

/** Sizes of messages that are tried, in bytes. */
export const SIZES: readonly number[] = [300, 1_024, 65_536];

/** Registers a benchmark of something that is done to a message of that size. */
export function register(name: string, bytes: number, fn: () => unknown): void {
  Deno.bench({ name: `${name}, ${bytes.toLocaleString("en")} B`, ...IS_SHORT ? SHORT : {}, fn: () => void fn() });
}
