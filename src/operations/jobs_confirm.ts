/** Operation `jobs_confirm`: runs a plan as it is, and nothing else. */
import Type, { type Static } from "typebox";
import { MAX_OPERATOR_NAME, toLine } from "../cycle/pause.ts";
import { requireRole } from "./require_role.ts";
import type { OperatorContext } from "./context.ts";
import {
  describeJob,
  findJob,
  type FoundJob,
  JOB_MEMBERS,
  JOB_OUTPUT,
  type JobOutput,
  nameRunning,
  roleFor,
} from "./found_job.ts";
import { takeCensus } from "./census.ts";
import { recordJob } from "./job_plan.ts";
import { type Operation, OperationError } from "./operation.ts";
import { openSelection } from "./selection.ts";
import { findUndo } from "./undo.ts";

const INPUT = Type.Object({
  ...JOB_MEMBERS,
  allowChange: Type.Optional(Type.Integer({
    minimum: 0,
    description: "a whole number from 0: by how many messages the count may differ from the plan; default: 0",
  })),
}, { additionalProperties: false });

/** Input of the operation. */
export type JobsConfirmInput = Static<typeof INPUT>;

/**
 * Counts again up to the plan's newest message, and starts the job if the count is still that of the plan. Of two operators that
 * confirm at once, one starts it.
 */
export const jobsConfirm = {
  name: "jobs_confirm",
  summary: "Run a planned job; refused if what it would take has changed since",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: JOB_OUTPUT,
  http: { method: "POST", path: "/sources/{source}/jobs/{id}/confirm" },
  run: confirm,
} satisfies Operation<OperatorContext, JobsConfirmInput, JobOutput>;

async function confirm(context: OperatorContext, input: JobsConfirmInput): Promise<JobOutput> {
  const found = await findJob(context, input), { source, job, loop } = found;
  requireRole(context.actor, roleFor(job), `confirming this job (${describeNeed(found)})`);
  if (job.status !== "planned") throw notPlanned(found);
  const running = await source.jobs.running();
  if (running) {
    throw new OperationError(
      "conflict",
      `${nameRunning(running)} works on the source: wait until it ends, or cancel it`,
    );
  }
  const undo = job.undoes && await findUndo(context, { source, id: job.undoes.id }), { allowChange = 0 } = input;
  // What an import has staged does not change; its start checks that all of it is there.
  const isImport = job.verb === "import";
  const counted = undo ? undo.draft.count : isImport ? job.planned : await recount(context, found);
  if (Math.abs(counted - job.planned) > allowChange) {
    const change = Math.abs(counted - job.planned);
    const sentence = `the plan took ${job.planned} messages, and now it would take ${counted}`;
    throw new OperationError("stale", `${sentence}: plan again, or allow a change of ${change}`, [
      { field: "allowChange", value: allowChange, wanted: `at least ${change}` },
    ]);
  }
  if (undo?.way.act) await undo.way.act(undo, job.id);
  else await start(context, found);
  loop.wake();
  const result = `confirmed: ${counted} messages`;
  await recordJob(context, {
    operation: "jobs_confirm",
    job,
    result,
    input: { verb: job.verb, planned: job.planned, allowChange },
  });
  return await describeJob(source, { id: job.id, clock: context.clock });
}

/** Returns what the plan would take now. @throws OperationError `stale` if the list has moved on */
async function recount(context: OperatorContext, { source, job }: FoundJob): Promise<number> {
  const { selection, watermark } = job;
  if (watermark.newestDigest !== "" && await source.lists.findWatermark(selection.list, watermark) === null) {
    throw new OperationError("stale", "the list has moved on: its newest message of the plan has left it; plan again");
  }
  const { list, query, ids, atMs } = selection;
  const more = { ...(ids ? { ids } : {}), ...(atMs === undefined ? {} : { atMs }) };
  const open = openSelection(context, { source: selection.source, list, query }, more);
  return (await takeCensus(open, { watermark, signal: context.signal })).count;
}

async function start(context: OperatorContext, { source, job }: FoundJob): Promise<void> {
  const result = await source.jobs.start(job.id, { by: nameOf(context) });
  switch (result) {
    case "ok":
      return;
    case "missing":
      throw new OperationError("not_found", `the plan ${job.id} has expired: plan again`);
    case "started":
      throw notPlanned({ job: await source.jobs.get(job.id) ?? job });
    case "turned":
      throw new OperationError("stale", "the source's push has changed since the plan: plan again");
    case "drill":
      throw new OperationError("conflict", "a drill runs on the source: wait until it ends, or cancel it");
    case "busy": {
      const running = await source.jobs.running();
      const list = job.selection.list;
      throw new OperationError(
        "conflict",
        running
          ? `${nameRunning(running)} works on the ${list}: wait until it ends, or cancel it`
          : `another job has claimed the ${list}: another source's, or one whose source has lost its state (docs/redis.md)`,
      );
    }
    case "wrong_type":
      throw new OperationError("unavailable", "a key of the source has the wrong type: run check");
  }
}

function nameOf({ actor }: OperatorContext): string {
  return toLine(actor.name, MAX_OPERATOR_NAME);
}

function notPlanned({ job: { id, status, startedBy } }: Pick<FoundJob, "job">): OperationError {
  return new OperationError(
    "conflict",
    `job ${id} is ${status} already; ${startedBy || "another operator"} confirmed it`,
  );
}

function describeNeed({ job: { verb, overrides } }: FoundJob): string {
  return overrides.length > 0 ? `${verb}, which overrides ${overrides.map(({ gate }) => gate).join(", ")}` : verb;
}
