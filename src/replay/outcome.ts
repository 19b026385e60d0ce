/** What a turn of a source came to. */
import type { GateName } from "../gates/gate.ts";
import type { DeadReason } from "../message/source_policy.ts";

/** Why a turn stopped: nothing left, the bound of the cycle, a gate, or from outside. */
export type StoppedBy = "empty" | "batch_size" | "contended" | "shutdown" | "error" | GateName;

/** The account of one turn, or of several added up. */
export interface TurnOutcome {
  readonly depthBefore: number;
  readonly depthAfter: number;
  readonly replayed: number;
  readonly dead: Readonly<Partial<Record<DeadReason, number>>>;
  /** Commits refused because the DLQ's tail had changed meanwhile. */
  readonly conflicts: number;
  readonly stoppedBy: StoppedBy;
  /** Whether a cycle was begun. */
  readonly began: boolean;
  /** In how many milliseconds the next turn is worth taking. */
  readonly nextInMs: number;
}

/** Adds up two turns of one source, the earlier first. */
export function addOutcomes(a: TurnOutcome, b: TurnOutcome): TurnOutcome {
  const dead: Partial<Record<DeadReason, number>> = { ...a.dead };
  for (const [reason, count] of Object.entries(b.dead) as [DeadReason, number][]) {
    dead[reason] = (dead[reason] ?? 0) + count;
  }
  return {
    ...b,
    depthBefore: a.depthBefore,
    replayed: a.replayed + b.replayed,
    dead,
    conflicts: a.conflicts + b.conflicts,
    began: a.began || b.began,
  };
}
