/** Looks at something until it has ended. */
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { EXIT } from "../runtime/exit.ts";
import { ApiError } from "./client.ts";

/** Time between two looks, in milliseconds. */
const LOOK_MS = 1_000;
/** How long a service that does not answer is asked again, in milliseconds: it may restart. */
const PATIENCE_MS = 60_000;

/**
 * Looks until `look` returns an exit code, and returns it; `null`: the signal has aborted. A service that does not answer is asked again.
 * @throws {ApiError} if it refuses, or has not answered for a minute
 */
export async function lookUntil(look: () => Promise<number | null>, signal: AbortSignal): Promise<number | null> {
  let lostAtMs: number | null = null;
  while (!signal.aborted) {
    try {
      const code = await look();
      if (code !== null) return code;
      lostAtMs = null;
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof ApiError) || error.exitCode !== EXIT.unavailable) throw error;
      lostAtMs ??= SYSTEM_CLOCK.monotonicMs();
      if (SYSTEM_CLOCK.monotonicMs() - lostAtMs > PATIENCE_MS) throw error;
    }
    await SYSTEM_CLOCK.sleep(LOOK_MS, signal);
  }
  return null;
}
