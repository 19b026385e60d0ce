/** Operation `jobs_resume`. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { JOB_MEMBERS, JOB_OUTPUT, type JobOutput } from "./found_job.ts";
import { askRunningJob } from "./job_request.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object(JOB_MEMBERS, { additionalProperties: false });

/** Input of the operation. */
export type JobsResumeInput = Static<typeof INPUT>;

/** Let a paused job go on. Nothing is moved after the reply that was decided before it. */
export const jobsResume = {
  name: "jobs_resume",
  summary: "Let a paused job go on",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: JOB_OUTPUT,
  http: { method: "POST", path: "/sources/{source}/jobs/{id}/resume" },
  run: (context: OperatorContext, input: JobsResumeInput): Promise<JobOutput> =>
    askRunningJob(context, input, "resume"),
} satisfies Operation<OperatorContext, JobsResumeInput, JobOutput>;
