/** Operation `jobs_show`: one job with its plan, how far it is, and what it did. Changes nothing. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { describeJob, findJob, JOB_MEMBERS, JOB_OUTPUT, type JobOutput } from "./found_job.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object(JOB_MEMBERS, { additionalProperties: false });

/** Input of the operation. */
export type JobsShowInput = Static<typeof INPUT>;

/** Shows a job. */
export const jobsShow = {
  name: "jobs_show",
  summary: "One job: its plan, how far it is, and what it did",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: JOB_OUTPUT,
  http: { method: "GET", path: "/sources/{source}/jobs/{id}" },
  async run(context: OperatorContext, input: JobsShowInput): Promise<JobOutput> {
    const { source, job: { id } } = await findJob(context, input);
    return await describeJob(source, { id, clock: context.clock });
  },
} satisfies Operation<OperatorContext, JobsShowInput, JobOutput>;
