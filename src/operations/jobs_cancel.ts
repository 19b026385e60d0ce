/** Operation `jobs_cancel`. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { JOB_MEMBERS, JOB_OUTPUT, type JobOutput } from "./found_job.ts";
import { askRunningJob } from "./job_request.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object(JOB_MEMBERS, { additionalProperties: false });

/** Input of the operation. */
export type JobsCancelInput = Static<typeof INPUT>;

/** Asks a running job to end. What it has not acted on goes back to where it came from. */
export const jobsCancel = {
  name: "jobs_cancel",
  summary: "End a running job; what has not been acted on goes back to where it came from",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: JOB_OUTPUT,
  http: { method: "POST", path: "/sources/{source}/jobs/{id}/cancel" },
  run: (context: OperatorContext, input: JobsCancelInput): Promise<JobOutput> =>
    askRunningJob(context, input, "cancel"),
} satisfies Operation<OperatorContext, JobsCancelInput, JobOutput>;
