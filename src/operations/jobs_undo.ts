/** Operation `jobs_undo`: plan to bring back what a job took. */
import Type, { type Static } from "typebox";
import { NO_SWEEP } from "../message/selection.ts";
import { uncounted } from "./census.ts";
import { requireRole } from "./require_role.ts";
import type { OperatorContext } from "./context.ts";
import { findJob, JOB_MEMBERS, roleFor } from "./found_job.ts";
import { PLANNED, type Planned, storePlan } from "./job_plan.ts";
import type { Operation } from "./operation.ts";
import { REASON } from "./source_action.ts";
import { findUndo } from "./undo.ts";

const INPUT = Type.Object({ ...JOB_MEMBERS, reason: REASON }, { additionalProperties: false });

/** Input of the operation. */
export type JobsUndoInput = Static<typeof INPUT>;

/** Plans a job that undoes another one, and says what it cannot bring back. Nothing moves before it is confirmed. */
export const jobsUndo = {
  name: "jobs_undo",
  summary: "Plan to bring back what a job took; says what it cannot bring back, and why",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: PLANNED,
  http: { method: "POST", path: "/sources/{source}/jobs/{id}/undo", status: 201 },
  run: planUndo,
} satisfies Operation<OperatorContext, JobsUndoInput, Planned>;

async function planUndo(context: OperatorContext, input: JobsUndoInput): Promise<Planned> {
  const { source, job } = await findJob(context, input), { id, verb } = job;
  requireRole(context.actor, roleFor(job), `undoing a job ${verb}`);
  const { draft: { selection, isSweep, count, census, brings, cannot } } = await findUndo(context, { source, id });
  const watermark = isSweep ? await source.jobs.readWatermark(selection.list, context.live.current()) : NO_SWEEP;
  return await storePlan(context, {
    ...{ verb: "undo", selection, watermark, planned: count, reason: input.reason, undoes: { id, verb } },
  }, { ...census ?? uncounted(count), undo: brings, cannot: [...cannot] });
}
