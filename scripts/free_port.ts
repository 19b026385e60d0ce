/** Ports for servers that must be told theirs. */

/**
 * Below every system's range for outgoing connections (Linux 32768 up, others 49152 up): none of those, and no server on port 0, can take
 * a port between the choice and the server's start.
 */
const FIRST = 10_000, LAST = 29_999;

/** Chooses a free port of loopback. Drawn at random: programs that choose at the same moment do not get the same. */
export function freePort(): number {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (isFree(port)) return port;
  }
}

/** Whether nothing listens at a port of loopback. */
export function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    return false;
  }
}
