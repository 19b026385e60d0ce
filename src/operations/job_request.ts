/** Pauses, resumes and cancels the running job of a source. Any instance may; the leader obeys within a chunk. */
import type { JobWish } from "../jobs/job_store.ts";
import type { OperatorContext } from "./context.ts";
import { describeJob, findJob, type FoundJob, type JobOutput } from "./found_job.ts";
import { recordJob } from "./job_plan.ts";
import { OperationError } from "./operation.ts";

/** Asks the job. @throws OperationError `conflict` if it does not run */
export async function askRunningJob(
  context: OperatorContext,
  input: { readonly source: string; readonly id: string },
  wish: JobWish,
): Promise<JobOutput> {
  const { source, loop, job } = await findJob(context, input);
  if (!await source.jobs.request(job.id, wish)) throw await notRunning({ source, job });
  loop.wake();
  await recordJob(context, { operation: `jobs_${wish}`, job, result: `asked to ${wish}`, input: { verb: job.verb } });
  return await describeJob(source, { id: job.id, clock: context.clock });
}

async function notRunning({ source, job }: Pick<FoundJob, "source" | "job">): Promise<OperationError> {
  const { id, status } = await source.jobs.get(job.id) ?? job;
  const why = status === "planned"
    ? "is planned, not confirmed: the plan expires by itself"
    : status === "running" || status === "paused"
    ? "is being cancelled"
    : `has ended: ${status}`;
  return new OperationError("conflict", `job ${id} ${why}`);
}
