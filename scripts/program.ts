/** What demo, simulator, chaos and benchmarks share as programs: exit codes, flags, and ending cleanly on a signal. */

/** Exit codes. */
export const EXIT = { good: 0, bad: 1, usage: 2 } as const;
/** A Ctrl-C reaches a task twice at once: from the terminal, and through `deno task`. */
const SAME_SIGNAL_MS = 1_000;
const SIGNAL_EXITS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Plays until it is over, fails or a signal aborts `signal`; resolves with the exit code once nothing of it is left. `what` names
 * it where it failed. A second signal, a while after the first, ends it at once.
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

/** The things of a flag such as `--only a,b`, in the order of the names; all where it was not given. @throws RangeError */
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
