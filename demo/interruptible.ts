/** What the demo and the simulator share as programs: exit codes, and ending cleanly on a signal. */

/** Exit codes. */
export const EXIT = { good: 0, bad: 1, usage: 2 } as const;
const SIGNAL_EXITS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Plays until it is over, fails or a signal aborts `signal`; resolves with the exit code once nothing of it is left. `what` names
 * it where it failed.
 */
export async function runInterruptible(what: string, play: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const interrupt = new AbortController();
  let exitCode: number = EXIT.bad;
  for (const [name, code] of Object.entries(SIGNAL_EXITS) as [Deno.Signal, number][]) {
    Deno.addSignalListener(name, () => {
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
