/** An instance in this process, as the rounds of network and Moogsoft need it. */
import type { Settings } from "../../../src/config/fields.ts";
import { createEngine, type Engine } from "../../../testkit/engine.ts";
import type { LeaseMode } from "../harness/scenario.ts";
import { MAX_MESSAGE_BYTES } from "./network_books.ts";

/** With the wrong lease they all carry this, so that each of them believes that it leads. */
const SAME_TOKEN = "the same token";

/** Makes one; cycles follow one another quickly. */
export function createRoundEngine(
  server: { port: number },
  { lease, settings, commandTimeoutMs = 1_000 }: {
    lease: LeaseMode;
    settings: Partial<Settings>;
    commandTimeoutMs?: number;
  },
): Engine {
  return createEngine(server, {
    settings: {
      // A cycle ends early at a message that equals the newest one; the next one goes on.
      intervalMs: 200,
      ...{ maxMessageBytes: MAX_MESSAGE_BYTES, leaderElection: lease !== "off", leaseMs: 1_000 },
      ...settings,
    },
    commandTimeoutMs,
    ...(lease === "wrong" ? { token: SAME_TOKEN } : {}),
  });
}
