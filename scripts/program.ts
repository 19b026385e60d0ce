/** Exit codes, flags and clean shutdown on a signal, for the demo, the simulator, chaos and benchmarks. */

/** Exit codes. */
export const EXIT = { good: 0, bad: 1, usage: 2 } as const;
/** One Ctrl-C sends two signals to a task: from the terminal and from `deno task`. */
const SAME_SIGNAL_MS = 1_000;
const SIGNAL_EXITS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs until the work ends, fails or a signal aborts it. Resolves with the exit code after cleanup. `what` is its name
 * in the error text. A second signal, a moment after the first, exits at once.
 */
export async function runInterruptible(what: string, play: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const interrupt = new AbortController();
  let exitCode: number = EXIT.bad, againAfterMs = Infinity;
  for (const [name, code] of Object.entries(SIGNAL_EXITS) as [Deno.Signal, number][]) {
    Deno.addSignalListener(name, () => {
      if (performance.now() > againAfterMs) Deno.exit(code);
      againAfterMs = Math.min(againAfterMs, performance.now() + SAME_SIGNAL_MS);
      exitCode = code;
      interrupt.abort();
    });
  }
  try {
    return await play(interrupt.signal);
  } catch (error) {
    if (!interrupt.signal.aborted) {
      console.error(`\nThe ${what} failed: ${error instanceof Error ? error.message : error}`);
    } else console.log("\nInterrupted; nothing is left running.");
    return exitCode;
  }
}

/** Parses a flag such as `--only a,b` into items in that order; all items without the flag. @throws RangeError */
export function pickByName<T extends { readonly name: string }>(
  flag: string,
  names: string | undefined,
  all: readonly T[],
): readonly T[] {
  if (names === undefined) return all;
  return names.split(",").map((name) => {
    const found = all.find((one) => one.name === name);
    if (found) return found;
    throw new RangeError(`${flag} "${name}" is not one of ${all.map((one) => one.name).join(", ")}`);
  });
}
