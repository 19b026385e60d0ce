/** Plans the jobs of operators: what would happen, before anything does. */
import { LIST_WORDS } from "../message/source_policy.ts";
import Type, { type Static } from "typebox";
import { GATE_NAMES, hasTrait, isStandby, yieldsToOverride } from "../gates/gate.ts";
import { JOB_LISTS, type JobList, type JobVerb } from "../cycle/running_job.ts";
import type { GateOverride, Job, PlannedJob } from "../jobs/job.ts";
import { idOfDigest } from "../message/message_id.ts";
import { MAX_QUERY_CHARACTERS } from "../message/query_syntax.ts";
import { MAX_SELECTED_IDS } from "../message/selection.ts";
import { StoreError } from "../redis/errors.ts";
import { recordDone } from "./audit.ts";
import { type Census, CENSUS_MEMBERS, takeCensus } from "./census.ts";
import { requireRole } from "./require_role.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { likelyRate } from "./explain_source.ts";
import { gateWords } from "./gate_words.ts";
import { findSource, MESSAGE_ID, SOURCE } from "./looked_source.ts";
import { type InputProblem, invalidInput, OperationError, type OperationRole } from "./operation.ts";
import { openSelection } from "./selection.ts";
import { JOB, showJob, type ShownJob } from "./shown_job.ts";
import { REASON } from "./source_action.ts";
import { STRICT, WHOLE } from "./typed_schema.ts";

/** The role that each verb needs, also to confirm it. An undo needs that of the verb that it undoes. */
export const VERB_ROLES: Readonly<Record<Exclude<JobVerb, "undo">, OperationRole>> = {
  ...{ redrive: "operator", bury: "operator", revive: "operator" },
  ...{ purge: "admin", edit: "admin", import: "admin" },
};

/** A verb over selected messages. */
type SelectingVerb = "redrive" | "bury" | "revive" | "purge";

/** What can be undone, in words. */
const UNDO_WORDS: Readonly<Record<SelectingVerb, string>> = {
  redrive: "Cannot be undone: the messages go to the consumer.",
  revive: "Cannot be undone: the messages go to the consumer.",
  bury: "Can be undone for 7 days: what is still in the dead list goes back to the DLQ, without its failure counts.",
  purge: "Can be undone for 7 days; after that, the messages are gone for good.",
};

/** Members of an input that chooses messages for a job. */
export const JOB_INPUT = {
  source: SOURCE,
  query: Type.Optional(Type.String({
    maxLength: MAX_QUERY_CHARACTERS,
    description:
      `a query of at most ${MAX_QUERY_CHARACTERS} characters, e.g. reason:poison age:>1h; default: all messages`,
  })),
  ids: Type.Optional(Type.Array(MESSAGE_ID, {
    ...{ minItems: 1, maxItems: MAX_SELECTED_IDS },
    description: `1 to ${MAX_SELECTED_IDS} ids of messages; default: any`,
  })),
  reason: REASON,
};

/** The gates that an admin may override. */
export const OVERRIDABLE_GATES = GATE_NAMES.filter((name) => hasTrait(name, "canBeOverridden"));

/** The gates that can hold a job. */
export const JOB_GATES: readonly string[] = GATE_NAMES.filter((name) => !hasTrait(name, "holdsAutomaticOnly"));

/** Schema of the gates that a job overrides. */
export const OVERRIDES = Type.Optional(Type.Array(
  Type.Object({ gate: Type.Enum([...OVERRIDABLE_GATES]), reason: REASON }, { additionalProperties: false }),
  {
    ...{ minItems: 1, maxItems: OVERRIDABLE_GATES.length },
    description: `a list of { gate, reason }, with a gate of ${OVERRIDABLE_GATES.join(", ")}: it does not hold this ` +
      "job, for at most 24 h; role admin",
  },
));

const NULL = Type.Null();

/** Schema of a plan. */
export const PLAN = Type.Object({
  ...CENSUS_MEMBERS,
  watermark: Type.Object({ depth: WHOLE, id: Type.Union([Type.String(), NULL]) }, {
    ...STRICT,
    description: "Messages in the list, and the newest one. What arrives later is not touched",
  }),
  heldBy: Type.Array(
    Type.Object(
      { gate: Type.String(), reason: Type.String(), words: Type.String(), isOverridden: Type.Boolean() },
      STRICT,
    ),
    { description: "The closed gates that would hold it now" },
  ),
  estimate: Type.Object({
    ...{ seconds: Type.Union([WHOLE, NULL]), perSecond: Type.Union([Type.Number(), NULL]) },
    reason: Type.Union([Type.String(), NULL], { description: "Why it cannot be said" }),
  }, STRICT),
  undo: Type.String({ description: "What can be undone" }),
  cannot: Type.Array(Type.String(), { description: "What an undo cannot bring back, and why" }),
}, STRICT);
/** What a job would do. */
export type Plan = Static<typeof PLAN>;

/** Schema of a planned job. Nothing has moved. */
export const PLANNED = Type.Object({ job: JOB, plan: PLAN }, STRICT);
/** A planned job. */
export type Planned = { readonly job: ShownJob; readonly plan: Plan };

/** An input of a verb over many messages. */
export interface JobInput {
  readonly source: string;
  readonly query?: string;
  readonly ids?: string[];
  readonly reason: string;
  readonly overrides?: GateOverride[];
}

/** Plans a job over selected messages. Stores the plan, and moves nothing. */
export async function planSelected(
  context: OperatorContext,
  input: JobInput,
  { verb, list }: { verb: SelectingVerb; list: JobList },
): Promise<Planned> {
  const { query = "", ids, reason, overrides = [] } = input;
  const doubled = findDoubled(overrides);
  if (doubled.length > 0) throw invalidInput(doubled);
  requireRole(context.actor, VERB_ROLES[verb], verb);
  if (overrides.length > 0) requireRole(context.actor, "admin", "overriding a gate");
  const open = openSelection(context, { source: input.source, list, query }, ids ? { ids: [...new Set(ids)] } : {});
  const { jobs, setup } = findSource<RunningSource["parts"]>(context, input.source);
  const { maxMessageBytes } = context.live.current();
  const watermark = await jobs.readWatermark(list, { maxMessageBytes });
  const census = await takeCensus(open, { watermark, signal: context.signal });
  if (census.count === 0) {
    const rest = census.oversize + census.ofOthers;
    const why = rest === 0 ? "" : ` that a job can take (${describeRest(census)})`;
    throw new OperationError(
      "conflict",
      `no message of the ${LIST_WORDS[list]} of source ${setup.policy.name} matches${why}`,
    );
  }
  return await storePlan(context, {
    ...{ verb, watermark, planned: census.count, reason, overrides, undoes: null },
    selection: { ...open.selection, query: open.query.canonical, list },
  }, { ...census, undo: UNDO_WORDS[verb], cannot: [] });
}

/** Adds what holds at this moment to the plan, stores and records it. `id`: of what was staged for it; default: a new one. */
export async function storePlan(
  context: OperatorContext,
  job: Omit<PlannedJob, "plan" | "plannedBy">,
  counted: Census & Pick<Plan, "undo" | "cannot">,
  { id: staged, input = {} }: { id?: string; input?: Readonly<Record<string, unknown>> } = {},
): Promise<Planned> {
  const { verb, selection, watermark, planned, reason, overrides = [], undoes } = job;
  const source = findSource<RunningSource["parts"]>(context, selection.source), { jobs, flow } = source;
  const { depth, newestDigest } = watermark, nowMs = context.clock.nowMs();
  const plan: Plan = {
    ...counted,
    watermark: { depth, id: newestDigest === "" ? null : idOfDigest(newestDigest) },
    heldBy: findHolds(source, { verb, overrides }),
    estimate: estimate(source, { verb, planned }),
  };
  const id = await jobs.plan({ ...job, plan, plannedBy: context.actor.name }, staged);
  const stored = await jobs.get(id);
  if (stored === null) throw new OperationError("unavailable", "the plan was not kept by Redis");
  await recordPlan(context, jobs, {
    ...{ operation: undoes ? "jobs_undo" : verb, job: stored },
    result: depth > 0 ? `planned: ${planned} of ${depth} messages` : `planned: ${planned} messages`,
    input: {
      ...{ list: selection.list, query: selection.query, ids: selection.ids?.length ?? null, reason },
      ...(overrides.length > 0 ? { overrides } : {}),
      ...(undoes ? { undoes: undoes.id } : {}),
      ...input,
    },
  });
  return { job: showJob(stored, { running: null, flow: flow(), nowMs }), plan };
}

/** What an operator did with a job, for log and journal. */
interface JobDeed {
  readonly operation: string;
  readonly job: Pick<Job, "id" | "selection">;
  readonly result: string;
  readonly input: Record<string, unknown>;
}

/** Records a plan. One that may not be in the journal is forgotten: nothing has moved. @throws OperationError `unavailable` */
async function recordPlan(
  context: OperatorContext,
  jobs: RunningSource["parts"]["jobs"],
  deed: JobDeed,
): Promise<void> {
  try {
    await recordJob(context, deed);
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    // If this fails too, the plan expires.
    await jobs.forget(deed.job.id).catch((failure) => {
      if (!(failure instanceof StoreError)) throw failure;
    });
    throw new OperationError("unavailable", `nothing was planned: the plan could not be recorded in the journal`);
  }
}

/** Logs and records what an operator did with a job. @throws OperationError `unrecorded` if it may not be in the journal */
export async function recordJob(
  context: OperatorContext,
  { operation, job: { id, selection: { source } }, result, input }: JobDeed,
): Promise<void> {
  const { actor, correlationId, log } = context;
  log.info(operation, `Remediation: ${actor.name}: ${source}: job ${id}: ${result}`, {
    ...{ source, job: id, actor: actor.name, correlation_id: correlationId },
  });
  await recordDone(context, { operation, source, job: id, result, input });
}

function describeRest({ oversize, ofOthers }: Pick<Census, "oversize" | "ofOthers">): string {
  const parts = [[oversize, "too large to be read"], [ofOthers, "buried by another source"]] as const;
  return parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`).join(", ");
}

function findDoubled(overrides: readonly GateOverride[]): InputProblem[] {
  const names = overrides.map(({ gate }) => gate);
  return names.filter((name, i) => names.indexOf(name) < i).map((name) => ({
    ...{ field: "overrides", value: name, wanted: "named once" },
  }));
}

/** The closed gates that would hold the job. Only what goes to the consumer waits for all of them. */
function findHolds(
  { board }: RunningSource["parts"],
  { verb, overrides }: { verb: JobVerb; overrides: readonly GateOverride[] },
): Plan["heldBy"] {
  const isDrain = verb === "redrive" || verb === "revive";
  const holds = board.last().closed.filter((gate) =>
    !hasTrait(gate.name, "holdsAutomaticOnly") && !isStandby(gate) &&
    (isDrain || hasTrait(gate.name, "holdsEveryMove"))
  );
  return holds.map((gate) => ({
    ...{ gate: gate.name, reason: gate.reason, words: gateWords(gate) },
    isOverridden: yieldsToOverride(gate) && overrides.some((one) => one.gate === gate.name),
  }));
}

function estimate(
  { flow }: RunningSource["parts"],
  { verb, planned }: { verb: JobVerb; planned: number },
): Plan["estimate"] {
  if (verb !== "redrive" && verb !== "revive") {
    return {
      seconds: null,
      perSecond: null,
      reason: "no pace limits this verb; a million messages took 21 s on a busy machine",
    };
  }
  const likely = likelyRate({ ...flow(), batchSize: 0 }, planned);
  if (!likely) {
    return { seconds: null, perSecond: null, reason: "nothing has moved lately, and the pace is not limited" };
  }
  return { seconds: Math.ceil(planned / likely.perSecond), perSecond: likely.perSecond, reason: null };
}

/** Schema of the lists that a purge takes from. */
export const JOB_LIST = Type.Enum([...JOB_LISTS], { description: `one of ${JOB_LISTS.join(", ")}; default: dlq` });
