/** The report of a drill. Pure. */
import type { DrillTarget } from "../cycle/running_drill.ts";
import { describeDuration } from "../lifecycle/outage_log.ts";
import { toIso } from "../runtime/clock.ts";
import type { DrillCount } from "./count.ts";
import type { Drill, DrillOutcome } from "./drill.ts";
import type { SentNotices } from "./notices.ts";

/** What a drill has shown. Times are in milliseconds; `null`: it has not happened, or is not known. */
export interface DrillReport extends DrillCount {
  readonly id: string;
  readonly source: string;
  readonly target: DrillTarget;
  readonly gate: string;
  readonly by: string;
  readonly reason: string;
  readonly outcome: DrillOutcome;
  /** ISO 8601, by the server's clock. */
  readonly startedAt: string;
  readonly endedAt: string;
  /** Messages that were wanted, and those that were pushed to the DLQ. */
  readonly messages: number;
  readonly seeded: number;
  /** Length of the simulated outage. */
  readonly outageMs: number;
  /** From the beginning of the outage until the leader found the gate closed. */
  readonly noticeMs: number | null;
  /** From the beginning of the outage until an incident about the gate was journalled. */
  readonly incidentMs: number | null;
  /** From the end of the outage until the last message arrived. */
  readonly healMs: number | null;
  /** Notices during the drill; `null`: notifications are not configured. */
  readonly notices: readonly SentNotices[] | null;
}

/** What is known at the end of a drill, beside the drill itself. */
export interface DrillEnd {
  readonly source: string;
  readonly count: DrillCount;
  readonly endedAtMs: number;
  /** When the last message was moved downstream; `null`: never. */
  readonly takenAtMs: number | null;
  readonly incidentAtMs: number | null;
  readonly notices: readonly SentNotices[] | null;
}

/** Makes the report. */
export function makeReport(
  drill: Drill,
  { source, count, endedAtMs, takenAtMs, incidentAtMs, notices }: DrillEnd,
): DrillReport {
  const { id, target, gate, by, reason, messages, seeded, startedAtMs, heldUntilMs, noticedAtMs } = drill;
  const outcome = drill.outcome ?? "timed_out";
  // A cancelled drill frees the gate early.
  const openedAtMs = outcome === "cancelled" ? Math.min(heldUntilMs, drill.decidedAtMs ?? heldUntilMs) : heldUntilMs;
  const since = (atMs: number | null, fromMs: number) => atMs === null ? null : Math.max(0, atMs - fromMs);
  return {
    ...{ id, source, target, gate, by, reason, outcome, messages, seeded, ...count, notices },
    ...{ startedAt: toIso(startedAtMs), endedAt: toIso(endedAtMs), outageMs: Math.max(0, openedAtMs - startedAtMs) },
    noticeMs: since(noticedAtMs, startedAtMs),
    incidentMs: since(incidentAtMs, startedAtMs),
    healMs: outcome === "healed" ? since(takenAtMs, openedAtMs) : null,
  };
}

/** Whether the drill has found a fault: a message was lost or is there twice. */
export function hasFault({ lost, doubled }: Pick<DrillReport, "lost" | "doubled">): boolean {
  return lost + doubled > 0;
}

/** Describes a report in one sentence. */
export function describeReport(report: DrillReport): string {
  const { outcome, arrived, seeded, lost, doubled, left, returned, noticeMs, healMs, notices } = report;
  const sent = notices?.reduce((sum, one) => sum + one.sent, 0);
  return [
    `${arrived} of ${seeded} messages arrived, ${lost} lost, ${doubled} doubled`,
    ...(left > 0 ? [`${left} still in the DLQ, which can never reach the target`] : []),
    ...(returned > 0 ? [`${returned} came back from the consumer`] : []),
    noticeMs === null ? "the outage was not noticed" : `noticed after ${describeDuration(noticeMs)}`,
    ...(outcome === "healed" ? [`healed${healMs === null ? "" : ` after ${describeDuration(healMs)}`}`] : []),
    sent === undefined ? "notifications are not configured" : `${sent} notices sent`,
  ].join("; ");
}
