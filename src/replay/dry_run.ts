/** Computes what a cycle would do with the messages that are in the DLQ now. Reads only. */
import type { DeadReason, SourcePolicy } from "../message/source_policy.ts";
import { hasTrait } from "../gates/gate.ts";
import type { GateBoard } from "../gates/board.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { planCycle } from "../cycle/plan_cycle.ts";
import type { StoppedBy, TurnOutcome } from "./outcome.ts";
import { createJudge, isCareful, judgeChunk, type JudgedChunk, judgePicks } from "./judge_chunk.ts";
import { readEnds } from "./ends.ts";
import { lookForReturns } from "./returns.ts";
import type { ReplaySettings, SourceReplay } from "./source_replay.ts";
import type { ReplayStore } from "./store.ts";

/** The dependencies of {@link dryRun}. */
export interface DryRunDeps {
  readonly policy: SourcePolicy;
  readonly replay: SourceReplay;
  readonly store: ReplayStore;
  readonly board: GateBoard;
  readonly settings: ReplaySettings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Judges the messages of one cycle without moving any. The counts are those of a cycle with every gate open; `stoppedBy` names
 * the closed gate, if there is one. Rejects with a `StoreError`.
 */
export async function dryRun(
  { policy, replay, store, board, settings, clock, signal }: DryRunDeps,
): Promise<TurnOutcome> {
  const snapshot = await replay.look();
  const reading = await board.ask();
  const closed = reading.closed.find(({ name }) => hasTrait(name, "blocksStart"));
  const breakerCanary = reading.canary !== null;
  const { chunkMessages, chunkBytes: bytes, maxMessageBytes: messageBytes } = settings;
  const returns = await lookForReturns({ store, policy, maxMessageBytes: messageBytes }, snapshot);
  const { number, budget, step, tallies } = planCycle(snapshot, { ...settings, returns, breakerCanary });
  const began = { cycle: number, depthAtStart: snapshot.depth, replayed: 0, dead: 0, firsts: 0, brake: step.brake };
  const record = { ...snapshot.record, ...began, tallies, remaining: budget, newestBytes: -1 };
  const contextAt = (nowMs: number) => ({ ...settings, policy, record, nowMs, failedAt: toIso(clock.nowMs()) });
  const dead: Partial<Record<DeadReason, number>> = {};
  let seen = 0, replayed = 0;
  const count = (plan: JudgedChunk) => {
    seen += plan.moves.length;
    replayed += plan.replayed;
    for (const { reason } of plan.deaths) dead[reason] = (dead[reason] ?? 0) + 1;
  };
  if (isCareful(record) && budget > 0) {
    const ends = await readEnds(store, {
      ...{ bounds: { messages: chunkMessages, bytes, messageBytes }, wanted: budget },
      createJudge: ({ nowMs }) => createJudge(contextAt(nowMs)),
    });
    const context = { ...contextAt(ends.oldest.nowMs), depth: ends.oldest.depth };
    const plan = ends.oldest.oversize
      ? judgeChunk(ends.oldest, context)
      : judgePicks(ends.candidates, context, { replays: budget, messages: Infinity, bytes: Infinity });
    if (plan) count(plan);
  }
  while (!isCareful(record) && seen < budget && !signal.aborted) {
    const messages = Math.min(chunkMessages, budget - seen);
    const chunk = await store.browseOldest({ messages, bytes, messageBytes, skip: seen });
    const plan = judgeChunk(chunk, { ...contextAt(chunk.nowMs), skipped: seen });
    if (plan.moves.length === 0) break;
    count(plan);
  }
  const { depth } = snapshot;
  const byBound: StoppedBy = breakerCanary ? "breaker" : step.cycleLimit === "depth" ? "empty" : step.cycleLimit;
  const stoppedBy = signal.aborted ? "shutdown" : closed?.name ?? byBound;
  return { depthBefore: depth, depthAfter: depth, replayed, dead, conflicts: 0, stoppedBy, began: false, nextInMs: 0 };
}
