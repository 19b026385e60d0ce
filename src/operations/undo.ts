/**
 * How each verb is undone: one table from verb to the plan of its undo. `JobRunner` looks up the same verb (`undoes.verb`) to run it.
 */
import { LIST_WORDS } from "../message/source_policy.ts";
import type { JobList, JobVerb } from "../cycle/running_job.ts";
import type { Job } from "../jobs/job.ts";
import { JOB_EXPIRES_MS } from "../jobs/job_store.ts";
import type { Selection } from "../message/selection.ts";
import { toIso } from "../runtime/clock.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { type Census, takeCensus } from "./census.ts";
import { OperationError } from "./operation.ts";
import { openSelection } from "./selection.ts";
import { UNDO_EDIT } from "./undo_edit.ts";
import { UNDO_IMPORT } from "./undo_import.ts";

/** The job to undo, which has ended, and its source. */
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
  /** What was counted for it; default: only `count`. */
  readonly census?: Census;
  /** One sentence: what it brings back, and where to. */
  readonly brings: string;
  /** One sentence each: what it cannot bring back, and why. */
  readonly cannot: readonly string[];
}

/** How a verb is undone. */
export interface UndoWay {
  /** @throws OperationError `conflict` if nothing is left to bring back */
  plan(target: UndoTarget): Promise<UndoDraft>;
  /**
   * Does it in one step when the plan is confirmed, and ends the plan with it; absent: a job does it. `plan`: id of the plan.
   * @throws OperationError if it cannot any more
   */
  readonly act?: (target: UndoTarget, plan: string) => Promise<void>;
}

/** Why a verb cannot be undone. Completes "it cannot be undone: ". */
export interface NoUndo {
  readonly never: string;
}

/** Every verb, and how it is undone. */
export const UNDO: Readonly<Record<JobVerb, UndoWay | NoUndo>> = {
  redrive: { never: "the messages went to the consumer" },
  revive: { never: "the messages went to the consumer" },
  undo: { never: "run the first verb again" },
  purge: { plan: planUnpurge },
  bury: { plan: planUnbury },
  edit: UNDO_EDIT,
  import: UNDO_IMPORT,
};

/** An undo that was found to be possible. */
export interface FoundUndo extends UndoTarget {
  readonly way: UndoWay;
  readonly draft: UndoDraft;
}

/** Finds a job and drafts its undo. @throws OperationError `not_found`, or `conflict` with the reason why it cannot be undone */
export async function findUndo(
  context: OperatorContext,
  { source, id }: { source: RunningSource["parts"]; id: string },
): Promise<FoundUndo> {
  const job = await source.jobs.get(id);
  if (job === null) throw new OperationError("not_found", `job ${id} has expired: it cannot be undone any more`);
  const { status, verb, result } = job, way = UNDO[verb];
  if ("never" in way) throw new OperationError("conflict", `job ${id} (${verb}) cannot be undone: ${way.never}`);
  if (result === null) {
    const advice = status === "planned" ? "nothing has moved" : "cancel it instead";
    throw new OperationError("conflict", `job ${id} is ${status}: ${advice}`);
  }
  const target = { context, source, job };
  return { ...target, way, draft: await way.plan(target) };
}

/** The trash goes back to the oldest end of the list. */
async function planUnpurge({ source, job: { id, selection, result, endedAtMs } }: UndoTarget): Promise<UndoDraft> {
  const trashed = result?.trashed ?? 0, count = await source.jobs.countTrash(id), { list } = selection;
  if (count === 0) throw nothingLeft(id, `${trashed} messages were brought back before, or have expired`);
  const until = endedAtMs === null ? "" : ` This is possible until ${toIso(endedAtMs + JOB_EXPIRES_MS)}`;
  return {
    ...{ selection, isSweep: false, count },
    brings: `${count} messages of the trash go back to the oldest end of the ${LIST_WORDS[list]}, in order.${until}`,
    cannot: count < trashed ? [`${trashed - count} of ${trashed} messages were brought back before`] : [],
  };
}

/** What names the job in its stamp leaves the dead list again. */
async function planUnbury({ context, source, job: { id, result } }: UndoTarget): Promise<UndoDraft> {
  const name = source.setup.policy.name, list = "dead", dead = result?.dead ?? 0;
  const open = openSelection(context, { source: name, list, query: "" }, { buriedBy: id });
  const census = await takeCensus(open, { signal: context.signal }), { count } = census, gone = dead - count;
  const why = `${gone} of ${dead} messages are not in the dead list any more, or are too large to be read`;
  if (count === 0) throw nothingLeft(id, why);
  return {
    ...{ census, count, selection: { ...open.selection, list }, isSweep: true },
    brings:
      `${count} messages of the dead list go back to the oldest end of the DLQ, in order, without stamp and failure count`,
    cannot: gone > 0 ? [why] : [],
  };
}

function nothingLeft(id: string, why: string): OperationError {
  return new OperationError("conflict", `nothing that job ${id} took can be brought back: ${why}`);
}
