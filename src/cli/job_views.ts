/** How plans and jobs look to people. */
import { LIST_WORDS, type ListName } from "../message/source_policy.ts";
import { describeDuration } from "../lifecycle/outage_log.ts";
import { type Cell, formatBytes, formatCount, formatNumber, formatTable, paint, textOf } from "./table.ts";

/** A job as the API shows it. */
export interface Job {
  readonly id: string;
  readonly source: string;
  readonly verb: string;
  readonly list: ListName;
  readonly status: "planned" | "running" | "paused" | "done" | "cancelled" | "failed";
  readonly query: string;
  readonly planned: number;
  readonly plannedBy: string;
  readonly reason: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly progress: Progress | null;
  readonly result: Readonly<Record<string, number>> | null;
}

/** How far a job is. */
export interface Progress {
  readonly phase: string;
  readonly isPaused: boolean;
  readonly toSweep: number;
  readonly swept: number;
  readonly picked: number;
  readonly left: number;
  readonly perSecond: number | null;
  readonly secondsLeft: number | null;
}

/** A plan as the API shows it. */
export interface Plan {
  readonly count: number;
  readonly bytes: number;
  readonly scanned: number;
  readonly oversize?: number;
  readonly byReason?: Readonly<Record<string, number>>;
  readonly groups?: readonly {
    readonly group: string;
    readonly reason: string | null;
    readonly text: string;
    readonly count: number;
  }[];
  readonly heldBy?: readonly { readonly gate: string; readonly words: string; readonly isOverridden: boolean }[];
  readonly estimate?: { readonly seconds: number | null; readonly reason: string | null };
  readonly undo?: string;
  readonly cannot?: readonly string[];
}

/** Whether a job has ended. */
export function hasEnded({ status }: Pick<Job, "status">): boolean {
  return status === "done" || status === "cancelled" || status === "failed";
}

/** A list of jobs. */
export function viewJobs(answer: unknown): string {
  const { jobs } = answer as { jobs: readonly Job[] };
  if (jobs.length === 0) return "No jobs\n";
  const rows = jobs.map((
    job,
  ) => [job.id, job.source, job.verb, job.status, formatNumber(job.planned), job.plannedBy, job.createdAt, job.reason]);
  return formatTable(["id", "source", "verb", "status", "planned", "by", "created", "reason"], rows);
}

/** A job in some lines. */
export function viewJob(answer: unknown): string {
  const { job = answer } = answer as { job?: unknown };
  return `${describeJob(job as Job)}\n`;
}

/** A job in one sentence. */
export function describeJob({ id, verb, source, status, progress, result, planned, expiresAt }: Job): string {
  const what = `Job ${textOf(id)} (${verb}, ${textOf(source)}) is ${status}`;
  if (progress) return `${what}: ${describeProgress(progress)}`;
  if (result) {
    const parts = Object.entries(result).filter(([, count]) => count > 0).map(([name, count]) =>
      `${formatNumber(count)} ${name}`
    );
    return `${what}: ${parts.join(", ") || "nothing moved"}`;
  }
  return expiresAt === null ? what : `${what}: ${formatCount(planned, "message")}; the plan expires at ${expiresAt}`;
}

/** Progress in words. */
export function describeProgress({ phase, swept, toSweep, picked, left, perSecond, secondsLeft }: Progress): string {
  const what = phase === "sweep"
    ? `looked at ${formatNumber(swept)} of ${formatNumber(swept + toSweep)}, ${formatNumber(picked)} picked`
    : `${formatNumber(picked - left)} of ${formatNumber(picked)} done`;
  const rate = perSecond === null ? "" : `, ${formatNumber(Math.round(perSecond))}/s`;
  return `${phase}: ${what}${rate}${secondsLeft === null ? "" : `, ${describeDuration(secondsLeft * 1_000)} left`}`;
}

/** A plan: what would happen, what holds it, what can be undone. */
export function viewPlan({ job, plan }: { readonly job: Job; readonly plan: Plan }): string {
  const { verb, list, source, id, expiresAt } = job, { count, bytes, scanned, oversize = 0 } = plan;
  const lines = [
    scanned > 0
      ? `${paint("bold", verb)} of ${formatCount(count, "message")} (${formatBytes(bytes)}) out of ${
        formatNumber(scanned)
      } in the ${LIST_WORDS[list]} of ${textOf(source)}`
      // It takes them from what a job kept.
      : `${paint("bold", verb)} of ${formatCount(count, "message")}, ${LIST_WORDS[list]} of ${textOf(source)}`,
    ...(oversize > 0 ? [`${formatCount(oversize, "message")} too large to be read: they stay`] : []),
    ...describeReasons(plan),
    ...describeTime(plan),
    ...(plan.heldBy ?? []).map((gate) =>
      `${paint("yellow", gate.isOverridden ? "overridden" : "held by")} ${gate.gate}: ${textOf(gate.words)}`
    ),
    ...(plan.undo ? [textOf(plan.undo)] : []),
    ...(plan.cannot ?? []).map((text) => textOf(text)),
    `Plan ${textOf(id)}${expiresAt === null ? "" : ` expires at ${expiresAt}`}; nothing has moved yet`,
  ];
  return `${lines.join("\n")}\n${formatGroups(plan)}`;
}

function describeReasons({ byReason = {} }: Plan): string[] {
  const parts = Object.entries(byReason).map(([reason, count]) => `${formatNumber(count)} ${textOf(reason)}`);
  return parts.length === 0 ? [] : [`By reason: ${parts.join(", ")}`];
}

function describeTime({ estimate }: Plan): string[] {
  if (!estimate) return [];
  if (estimate.seconds !== null) {
    return [
      `Takes about ${describeDuration(estimate.seconds * 1_000)} if every gate stays open and the consumer keeps up`,
    ];
  }
  return estimate.reason === null ? [] : [`Time: ${textOf(estimate.reason)}`];
}

function formatGroups({ groups = [] }: Plan): string {
  if (groups.length === 0) return "";
  const rows = groups.map((one): Cell[] => [one.group, formatNumber(one.count), one.reason, one.text]);
  return `\n${formatTable(["group", "count", "reason", "text"], rows)}`;
}
