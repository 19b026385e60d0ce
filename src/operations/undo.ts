/**
 * How each verb is undone: one table from verb to the plan of its undo. Whoever runs the undo looks up the same verb in
 * `JobRunner` (`undoes.verb`).
 */
import type { JobList, JobVerb } from "../cycle/running_job.ts";
import type { Job, JobResult, Watermark } from "../jobs/job.ts";
import type { Selection } from "../message/selection.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { type Census, NO_CENSUS, takeCensus } from "./job_plan.ts";
import { OperationError } from "./operation.ts";
import { openSelection } from "./selection.ts";

/** The job to undo, which has ended, and its source. */
export interface UndoTarget {
  readonly context: OperatorContext;
  readonly source: RunningSource["parts"];
  readonly job: Job & { readonly result: JobResult };
}

/** What an undo would do. Nothing has changed. */
export interface UndoDraft extends Census {
  /** What the undo sweeps up to the watermark; if its depth is 0, it sweeps nothing, and the list is where the messages go to. */
  readonly selection: Selection & { readonly list: JobList };
  readonly watermark: Watermark;
  /** One sentence: what it brings back, and where to. */
  readonly brings: string;
  /** One sentence each: what it cannot bring back, and why. */
  readonly cannot: readonly string[];
}

/** How a verb is undone. */
export interface UndoWay {
  /** A `count` of 0: nothing is left to bring back. */
  plan(target: UndoTarget): Promise<UndoDraft>;
}

/** Why a verb cannot be undone. Completes "cannot be undone: ". */
export interface NoUndo {
  readonly never: string;
}

const NO_SWEEP: Watermark = { depth: 0, newestBytes: 0, newestDigest: "" };

/** Every verb, and how it is undone. */
export const UNDO: Readonly<Record<JobVerb, UndoWay | NoUndo>> = {
  redrive: { never: "the messages went to the consumer" },
  revive: { never: "the messages went to the consumer" },
  undo: { never: "run the first verb again" },
  purge: { plan: planUnpurge },
  bury: { plan: planUnbury },
  edit: { never: "not built yet" },
  import: { never: "not built yet" },
};

/** Finds a job and drafts its undo. @throws OperationError `not_found`, or `conflict` with the reason why it cannot be undone */
export async function findUndo(
  context: OperatorContext,
  { source, id }: { source: RunningSource["parts"]; id: string },
): Promise<{ readonly job: Job; readonly draft: UndoDraft }> {
  const job = await source.jobs.get(id);
  if (job === null) throw new OperationError("not_found", `job ${id} has expired: it cannot be undone any more`);
  const { status, verb, result } = job, way = UNDO[verb];
  if ("never" in way) throw new OperationError("conflict", `a job ${verb} cannot be undone: ${way.never}`);
  if (result === null) {
    const advice = status === "planned" ? "nothing has moved" : "cancel it instead";
    throw new OperationError("conflict", `job ${id} is ${status}: ${advice}`);
  }
  const draft = await way.plan({ context, source, job: { ...job, result } });
  if (draft.count > 0) return { job, draft };
  throw new OperationError("conflict", ["nothing is left to bring back", ...draft.cannot].join(". "));
}

/** The trash goes back to the oldest end of the list. */
async function planUnpurge({ source, job: { id, selection, result: { trashed } } }: UndoTarget): Promise<UndoDraft> {
  const { count, leftMs } = await source.jobs.readTrash(id), gone = trashed - count, { list } = selection;
  return {
    ...{ ...NO_CENSUS, count, selection, watermark: NO_SWEEP },
    brings: `${count} messages of the trash go back to the oldest end of the ${list}, in order.` +
      (leftMs === 0 ? "" : ` The trash expires in ${Math.ceil(leftMs / 3_600_000)} h.`),
    cannot: gone > 0 ? [`${gone} of ${trashed} messages have been brought back before, or have expired`] : [],
  };
}

/** What names the job in its stamp leaves the dead list again. */
async function planUnbury({ context, source, job }: UndoTarget): Promise<UndoDraft> {
  const { id, result: { dead } } = job, name = source.setup.policy.name, list = "dead";
  const open = openSelection(context, { source: name, list, query: "" }, { buriedBy: id });
  const watermark = await source.jobs.readWatermark(list, context.live.current());
  const census = await takeCensus(open, { watermark, signal: context.signal }), gone = dead - census.count;
  return {
    ...{ ...census, watermark, selection: { ...open.selection, list } },
    brings:
      `${census.count} messages of the dead list go back to the oldest end of the DLQ, in order. They begin without ` +
      "stamp and failure count.",
    cannot: gone > 0
      ? [`${gone} of ${dead} messages are not in the dead list any more, or are too large to be read`]
      : [],
  };
}
