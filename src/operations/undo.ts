/**
 * How each verb is undone: one table from verb to the plan of its undo. Whoever runs the undo looks up the same verb in
 * `JobRunner` (`undoes.verb`).
 */
import type { JobList, JobVerb } from "../cycle/running_job.ts";
import type { Job, JobResult } from "../jobs/job.ts";
import type { Selection } from "../message/selection.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { UNDO_EDIT } from "./undo_edit.ts";
import { UNDO_IMPORT } from "./undo_import.ts";

/** The job to undo, which has ended as done or cancelled, and its source. */
export interface UndoTarget {
  readonly context: OperatorContext;
  readonly source: RunningSource["parts"];
  readonly job: Job;
}

/** What an undo would do. Nothing has changed. */
export interface UndoDraft {
  /** What the undo sweeps; if it takes the messages from elsewhere, the list that they go to. */
  readonly selection: Selection & { readonly list: JobList };
  /** Whether the undo sweeps its selection. */
  readonly isSweep: boolean;
  /** Messages that it brings back. */
  readonly count: number;
  /** One sentence: what it brings back, and where to. */
  readonly brings: string;
  /** One sentence each: what it cannot bring back, and why. */
  readonly cannot: readonly string[];
}

/** How a verb is undone. */
export interface UndoWay {
  /** @throws OperationError `conflict` if nothing is left to bring back */
  plan(target: UndoTarget): Promise<UndoDraft>;
  /** Does it in one step when the plan is confirmed; absent: a job does it. @throws OperationError if it cannot any more */
  readonly act?: (target: UndoTarget) => Promise<JobResult>;
}

/** Why a verb cannot be undone. Completes "it cannot be undone: ". */
export interface NoUndo {
  readonly never: string;
}

/** Every verb, and how it is undone. */
export const UNDO: Readonly<Record<JobVerb, UndoWay | NoUndo>> = {
  redrive: { never: "the messages are with the consumer" },
  revive: { never: "the messages are with the consumer" },
  undo: { never: "run the first verb again" },
  purge: { never: "not built yet" },
  bury: { never: "not built yet" },
  edit: UNDO_EDIT,
  import: UNDO_IMPORT,
};
