/** The job that an operation names. */
import Type from "typebox";
import Value from "typebox/value";
import { quote } from "../config/redact.ts";
import type { RunningJob } from "../cycle/running_job.ts";
import type { Job } from "../jobs/job.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { PLAN, type Plan, VERB_ROLES } from "./job_plan.ts";
import { findRunning, SOURCE } from "./looked_source.ts";
import { OperationError, type OperationRole } from "./operation.ts";
import { flowOfJob, JOB, JOB_ID, showJob, type ShownJob } from "./shown_job.ts";

/** Members of an input that names a job. */
export const JOB_MEMBERS = { source: SOURCE, id: JOB_ID };

/** Schema of a job with its plan. */
export const JOB_OUTPUT = Type.Object({
  job: JOB,
  plan: Type.Union([PLAN, Type.Null()], { description: "null: it cannot be read any more" }),
}, { additionalProperties: false });
/** A job with its plan. */
export type JobOutput = { readonly job: ShownJob; readonly plan: Plan | null };

/** A job and its source. */
export interface FoundJob {
  readonly source: RunningSource["parts"];
  readonly loop: RunningSource["loop"];
  readonly job: Job;
}

/** Finds a job. @throws OperationError `not_found` */
export async function findJob(
  context: OperatorContext,
  input: { readonly source: string; readonly id: string },
): Promise<FoundJob> {
  const { parts: source, loop } = findRunning(context.sources(), input.source);
  const job = await source.jobs.get(input.id);
  if (job) return { source, loop, job };
  const wanted = "a job of the source that is kept: a plan expires after 1 h, an ended job after 7 days";
  throw new OperationError(
    "not_found",
    `job ${quote(input.id)} of source ${input.source} is not there: it has expired, or never was`,
    [
      { field: "id", value: input.id, wanted },
    ],
  );
}

/** Returns the role that may confirm a job. */
export function roleFor(
  { verb, overrides, undoes }: Pick<Job, "verb" | "undoes"> & { readonly overrides: readonly unknown[] },
): OperationRole {
  const asked = verb === "undo" ? undoes?.verb ?? verb : verb;
  return overrides.length > 0 || asked === "undo" ? "admin" : VERB_ROLES[asked];
}

/** Describes a job as it is now. */
export async function describeJob(
  source: RunningSource["parts"],
  { id, clock }: { id: string; clock: OperatorContext["clock"] },
): Promise<JobOutput> {
  const [job, running] = await Promise.all([source.jobs.get(id), source.jobs.running()]);
  if (job === null) throw new OperationError("not_found", `job ${id} has expired`);
  const plan = Value.Check(PLAN, job.plan) ? job.plan : null;
  return { job: showJob(job, { running, flow: flowOfJob(source), nowMs: clock.nowMs() }), plan };
}

/** Names a running job in an error. */
export function nameRunning({ id, by, verb, planned }: RunningJob): string {
  return `job ${id} of ${by} (${verb}, ${planned.toLocaleString("en")} messages)`;
}
