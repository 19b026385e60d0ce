/** The outcome of a source's turn. */
import type { GateName } from "../gates/gate.ts";
import type { DeadReason } from "../message/source_policy.ts";

/** Why a turn stopped: an empty DLQ, the batch size, other instances, shutdown, an error, or a closed gate. */
export type StoppedBy = "empty" | "batch_size" | "contended" | "shutdown" | "error" | GateName;

/** The outcome of one turn, or the sum of several. */
export interface TurnOutcome {
  readonly depthBefore: number;
  readonly depthAfter: number;
  readonly replayed: number;
  readonly dead: Readonly<Partial<Record<DeadReason, number>>>;
  /** Commits that were refused because the DLQ's tail had changed. */
  readonly conflicts: number;
  readonly stoppedBy: StoppedBy;
  /** Whether the turn began a cycle. */
  readonly began: boolean;
  /** Time until the next turn is due, in milliseconds. */
  readonly nextInMs: number;
}

/** Adds two turns of one source, the earlier one first. */
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
