/** The context of operations that run in the service, over an engine. */
import type { NewEntry } from "../src/journal/entries.ts";
import type { Actor, OperatorContext } from "../src/operations/context.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import type { Engine } from "./engine.ts";
import { recordLog } from "./recorded_log.ts";

/** What a test chooses. */
export interface OperatorOptions {
  /** Default: an admin. */
  readonly actor?: Actor;
  readonly signal?: AbortSignal;
  /** Engines of further sources. */
  readonly others?: readonly Engine[];
  /** Gets what is recorded. */
  readonly audit?: NewEntry[];
  /** Default: 1,000,000. */
  readonly maxMessageBytes?: number;
}

/** Creates the context. It has what operations on a source use. */
export function operatorContext(
  engine: Engine,
  { actor = { name: "ann", role: "admin" }, signal, others = [], audit = [], maxMessageBytes = 1_000_000 }:
    OperatorOptions = {},
): OperatorContext {
  const loop = { isStarted: () => true, isTurning: () => false, wake: () => {} };
  const context: Partial<OperatorContext> = {
    ...{ actor, clock: SYSTEM_CLOCK, log: recordLog().log, correlationId: null },
    signal: signal ?? new AbortController().signal,
    sources: () => [engine, ...others].map(({ source }) => ({ parts: source, loop })),
    live: { current: () => ({ enabled: true, moogHealthCheckEnabled: false, moogWebhookUrl: "", maxMessageBytes }) },
    journal: {
      record: (entry: NewEntry) => Promise.resolve(void audit.push(entry)),
    } as OperatorContext["journal"],
  };
  return context as OperatorContext;
}
