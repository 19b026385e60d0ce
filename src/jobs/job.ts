/** A job: its states, and how Redis keeps it. Pure. */
import { JOB_LISTS, JOB_VERBS, type JobList, type JobVerb } from "../cycle/running_job.ts";
import { type GateName, hasTrait } from "../gates/gate.ts";
import type { Selection, Watermark } from "../message/selection.ts";
import { type Push, PUSHES } from "../message/source_policy.ts";

/** The states of a job: planned → running ⇄ paused → done, cancelled or failed. A plan that is not started expires. */
export const JOB_STATUSES = ["planned", "running", "paused", "done", "cancelled", "failed"] as const;
/** One of {@link JOB_STATUSES}. */
export type JobStatus = (typeof JOB_STATUSES)[number];

/** What a job did. */
export interface JobResult {
  /** Messages that the sweep passed, and picked. */
  readonly swept: number;
  readonly picked: number;
  /** Messages moved to the target, to the dead list, to the trash, and back to where they came from. */
  readonly replayed: number;
  readonly dead: number;
  readonly trashed: number;
  readonly returned: number;
  /** Messages that an import added to the DLQ; absent: it was no import. */
  readonly imported?: number;
}

/** A gate that an admin overrides for one job. */
export interface GateOverride {
  readonly gate: GateName;
  readonly reason: string;
}

/** The job that an undo brings back. */
export interface UndoneJob {
  readonly id: string;
  readonly verb: JobVerb;
}

/** A planned, running or ended job. */
export interface Job {
  readonly id: string;
  readonly verb: JobVerb;
  readonly status: JobStatus;
  readonly selection: Selection & { readonly list: JobList };
  readonly watermark: Watermark;
  /** How the source's lists were pushed at the plan. A job that runs keeps to it. */
  readonly push: Push;
  /** Messages that the plan picked. */
  readonly planned: number;
  /** The plan as it was shown, JSON of the verb's own. */
  readonly plan: unknown;
  /** Who planned it, and why. */
  readonly plannedBy: string;
  readonly reason: string;
  /** Gates that do not hold it. */
  readonly overrides: readonly GateOverride[];
  /** `null`: it is no undo. */
  readonly undoes: UndoneJob | null;
  /** Who confirmed it; empty before. */
  readonly startedBy: string;
  /** By the server's clock; `null`: not yet. */
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly result: JobResult | null;
}

/** What a plan stores. */
export type PlannedJob =
  & Pick<Job, "verb" | "selection" | "watermark" | "planned" | "plan" | "plannedBy" | "reason">
  & Partial<Pick<Job, "overrides" | "undoes">>;

/** Formats a plan as fields of the job's hash. */
export function plannedFields(job: PlannedJob): Readonly<Record<string, string>> {
  const { verb, selection, watermark, planned, plan, plannedBy, reason, overrides = [], undoes = null } = job;
  const { depth, newestBytes, newestDigest } = watermark;
  return {
    ...{ verb, list: selection.list, planned: String(planned), plannedBy, reason },
    ...{ depth: String(depth), newestBytes: String(newestBytes), newestDigest },
    selection: JSON.stringify(selection),
    plan: JSON.stringify(plan ?? null),
    ...{ overrides: JSON.stringify(overrides), overridden: overrides.map(({ gate }) => gate).join(", ") },
    ...{ undoes: undoes?.id ?? "", undoesVerb: undoes?.verb ?? "" },
  };
}

/** Every field of a job's hash. */
export const JOB_HASH_FIELDS = [
  ...["verb", "list", "status", "selection", "depth", "newestBytes", "newestDigest", "planned", "plan", "plannedBy"],
  ...["push", "overrides", "undoes", "undoesVerb"],
  ...["reason", "startedBy", "createdAtMs", "startedAtMs", "endedAtMs", "result"],
];

/** Parses a job's hash. `null`: it is missing, or not a job of ours. Never throws. */
export function parseJob(id: string, fields: Readonly<Record<string, string | undefined>>): Job | null {
  const verb = JOB_VERBS.find((one) => one === fields.verb), list = JOB_LISTS.find((one) => one === fields.list);
  const status = JOB_STATUSES.find((one) => one === fields.status);
  const selection = parseJson(fields.selection) as Selection | null;
  if (!verb || !list || !status || selection === null || typeof selection.query !== "string") return null;
  const number = (name: string) => /^\d{1,15}$/.test(fields[name] ?? "") ? Number(fields[name]) : null;
  const createdAtMs = number("createdAtMs") ?? 0;
  const undoesVerb = JOB_VERBS.find((one) => one === fields.undoesVerb);
  return {
    ...{ id, verb, status, selection: { atMs: createdAtMs, ...selection, list } },
    watermark: {
      depth: number("depth") ?? 0,
      newestBytes: number("newestBytes") ?? 0,
      newestDigest: fields.newestDigest ?? "",
    },
    // The plan of an earlier version has none.
    push: PUSHES.find((one) => one === fields.push) ?? "LPUSH",
    planned: number("planned") ?? 0,
    plan: parseJson(fields.plan),
    ...{ plannedBy: fields.plannedBy ?? "", reason: fields.reason ?? "", startedBy: fields.startedBy ?? "" },
    overrides: parseOverrides(fields.overrides),
    undoes: undoesVerb && fields.undoes ? { id: fields.undoes, verb: undoesVerb } : null,
    ...{ createdAtMs, startedAtMs: number("startedAtMs"), endedAtMs: number("endedAtMs") },
    result: parseJson(fields.result) as JobResult | null,
  };
}

/** Any client may have written them, so only gates that can be overridden count. */
function parseOverrides(text: string | undefined): readonly GateOverride[] {
  const found = parseJson(text);
  if (!Array.isArray(found)) return [];
  return found.flatMap((one: Partial<GateOverride> | null) => {
    const { gate, reason } = one ?? {};
    return gate && hasTrait(gate, "canBeOverridden") && typeof reason === "string" ? [{ gate, reason }] : [];
  });
}

/** An override ends with its job, or this long after the job's start, in milliseconds. */
export const OVERRIDE_MS = 24 * 3_600_000;

/** Returns the gates that do not hold the job now. */
export function overriddenGates(job: Pick<Job, "overrides" | "startedAtMs">, nowMs: number): readonly GateName[] {
  const isOver = job.startedAtMs !== null && nowMs - job.startedAtMs >= OVERRIDE_MS;
  return isOver ? [] : job.overrides.map(({ gate }) => gate);
}

function parseJson(text: string | undefined): unknown {
  try {
    return text === undefined ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
