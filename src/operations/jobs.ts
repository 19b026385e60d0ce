/** Operation `jobs`: the jobs of operators. Changes nothing. */
import Type, { type Static } from "typebox";
import type { OperatorContext, RunningSource } from "./context.ts";
import { findSource, SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { flowOfJob, JOB, showJob, type ShownJob } from "./shown_job.ts";

const INPUT = Type.Object({ source: Type.Optional(SOURCE) }, { additionalProperties: false });
const OUTPUT = Type.Object({ jobs: Type.Array(JOB) }, { additionalProperties: false });

/** Input of the operation. */
export type JobsInput = Static<typeof INPUT>;
/** Planned, running and ended jobs, the newest first. */
export type JobsOutput = Static<typeof OUTPUT>;

/** Lists the jobs of one source or of all. */
export const jobs = {
  name: "jobs",
  summary: "Planned, running and ended jobs, the newest first",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/jobs" },
  run: listJobs,
} satisfies Operation<OperatorContext, JobsInput, JobsOutput>;

async function listJobs(context: OperatorContext, input: JobsInput): Promise<JobsOutput> {
  const all = context.sources().map(({ parts }) => parts);
  const chosen = input.source === undefined ? all : [findSource<RunningSource["parts"]>(context, input.source)];
  const found = await Promise.all(chosen.map((source) => jobsOf(source, context)));
  return { jobs: found.flat().toSorted((one, other) => one.createdAt < other.createdAt ? 1 : -1) };
}

async function jobsOf(
  source: RunningSource["parts"],
  { clock }: OperatorContext,
): Promise<readonly ShownJob[]> {
  const [kept, running] = await Promise.all([source.jobs.list(), source.jobs.running()]);
  return kept.map((job) => showJob(job, { running, flow: flowOfJob(source), nowMs: clock.nowMs() }));
}
