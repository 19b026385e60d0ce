/** A job as operators see it. */
import Type, { type Static } from "typebox";
import { JOB_LISTS, JOB_PHASES, JOB_VERBS, type RunningJob } from "../cycle/running_job.ts";
import { type Job, JOB_STATUSES } from "../jobs/job.ts";
import { PLAN_EXPIRES_MS } from "../jobs/job_store.ts";
import { toIso } from "../runtime/clock.ts";
import { hasTrait, isStandby } from "../gates/gate.ts";
import type { RunningSource, SourceFlow } from "./context.ts";
import { INSTANT, orNull, STRICT, WHOLE } from "./typed_schema.ts";

/** Schema of a job's id in an input. */
export const JOB_ID = Type.String({ pattern: "^[\\w-]{1,64}$", description: "the id of a job" });

/** How far a job is. */
export const PROGRESS = Type.Object({
  phase: Type.Enum([...JOB_PHASES], {
    description: "sweep: taking the messages out; restore: putting the others back; act: what the verb does; " +
      "back: it was cancelled, and the rest goes back",
  }),
  ...{ isPaused: Type.Boolean(), isCancelled: Type.Boolean() },
  toSweep: Type.Integer({ minimum: 0, description: "Messages of the list that have not been looked at" }),
  ...{ swept: WHOLE, picked: WHOLE, replayed: WHOLE, dead: WHOLE, returned: WHOLE },
  left: Type.Integer({ minimum: 0, description: "Picked messages that still have to go" }),
  perSecond: orNull(Type.Number({ minimum: 0 })),
  secondsLeft: orNull(WHOLE),
}, STRICT);

const RESULT = Type.Object({
  ...{ swept: WHOLE, picked: WHOLE, replayed: WHOLE, dead: WHOLE, trashed: WHOLE, returned: WHOLE },
  imported: Type.Optional(WHOLE),
}, STRICT);

/** Schema of a job. */
export const JOB = Type.Object({
  ...{ id: JOB_ID, source: Type.String(), verb: Type.Enum([...JOB_VERBS]), list: Type.Enum([...JOB_LISTS]) },
  status: Type.Enum([...JOB_STATUSES]),
  ...{ query: Type.String(), ids: orNull(WHOLE), planned: WHOLE },
  ...{ plannedBy: Type.String(), reason: Type.String(), startedBy: orNull(Type.String()) },
  overrides: Type.Array(Type.Object({ gate: Type.String(), reason: Type.String() }, STRICT)),
  undoes: orNull(Type.Object({ id: JOB_ID, verb: Type.Enum([...JOB_VERBS]) }, STRICT)),
  createdAt: INSTANT,
  expiresAt: Type.Union([INSTANT, Type.Null()], { description: "When the plan expires; null: it has been confirmed" }),
  ...{ startedAt: orNull(INSTANT), endedAt: orNull(INSTANT) },
  progress: orNull(PROGRESS),
  result: orNull(RESULT),
}, STRICT);
/** A job as operators see it. Instants are by the server's clock. */
export type ShownJob = Static<typeof JOB>;

/** How fast the job of a source moves: not at all while a gate is closed that does more than limit the flow. */
export function flowOfJob({ flow, board }: Pick<RunningSource["parts"], "flow" | "board">): SourceFlow {
  const isHeld = board.last().closed.some((gate) =>
    !hasTrait(gate.name, "limitsFlow") && !hasTrait(gate.name, "holdsAutomaticOnly") && !isStandby(gate)
  );
  return isHeld ? { ...flow(), movedPerSecond: null } : flow();
}

/** Describes a job. `running`: the job of the source that runs, as its state has it. */
export function showJob(
  job: Job,
  { running, flow, nowMs }: { running: RunningJob | null; flow: SourceFlow; nowMs: number },
): ShownJob {
  const { id, verb, status, selection: { source, list, query, ids }, planned, createdAtMs, overrides, undoes } = job;
  return {
    ...{ id, source, verb, list, status, query, ids: ids?.length ?? null, planned },
    ...{ plannedBy: job.plannedBy, reason: job.reason, startedBy: job.startedBy || null },
    ...{ overrides: overrides.map((one) => ({ ...one })), undoes: undoes && { ...undoes } },
    createdAt: toIso(createdAtMs),
    expiresAt: status === "planned" ? toIso(createdAtMs + PLAN_EXPIRES_MS) : null,
    ...{ startedAt: toInstant(job.startedAtMs), endedAt: toInstant(job.endedAtMs) },
    progress: running?.id === id ? showProgress(running, { startedAtMs: job.startedAtMs, flow, nowMs }) : null,
    result: job.result && { ...job.result },
  };
}

function showProgress(
  running: RunningJob,
  { startedAtMs, flow, nowMs }: { startedAtMs: number | null; flow: SourceFlow; nowMs: number },
): Static<typeof PROGRESS> {
  const { phase, isPaused, isCancelled, left: toSweep, swept, picked, replayed, dead, returned } = running;
  const isImport = running.verb === "import";
  const left = isImport ? running.planned - swept : Math.max(0, picked - replayed - dead - returned);
  const elapsedMs = startedAtMs === null ? 0 : nowMs - startedAtMs;
  const perSecond = phase === "act"
    ? flow.movedPerSecond
    : phase === "sweep" && elapsedMs >= 1_000 && swept > 0
    ? swept / elapsedMs * 1_000
    : null;
  const rest = phase === "sweep" ? toSweep : left;
  return {
    ...{ phase, isPaused, isCancelled, toSweep, swept, picked, replayed, dead, returned, left, perSecond },
    secondsLeft: perSecond === null || perSecond === 0 || isPaused ? null : Math.ceil(rest / perSecond),
  };
}

function toInstant(atMs: number | null): string | null {
  return atMs === null ? null : toIso(atMs);
}
