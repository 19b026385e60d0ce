/** Operation `jobs_pause`. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { JOB_MEMBERS, JOB_OUTPUT, type JobOutput } from "./found_job.ts";
import { askRunningJob } from "./job_request.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object(JOB_MEMBERS, { additionalProperties: false });

/** Input of the operation. */
export type JobsPauseInput = Static<typeof INPUT>;

/** Hold a running job; its messages stay where they are. Nothing is moved after the reply that was decided before it. */
export const jobsPause = {
  name: "jobs_pause",
  summary: "Hold a running job; its messages stay where they are",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: JOB_OUTPUT,
  http: { method: "POST", path: "/sources/{source}/jobs/{id}/pause" },
  run: (context: OperatorContext, input: JobsPauseInput): Promise<JobOutput> => askRunningJob(context, input, "pause"),
} satisfies Operation<OperatorContext, JobsPauseInput, JobOutput>;
