/**
 * The drill of a source: what its hash in Redis says, and what the leader does next. Pure.
 *
 * - `holding`: a gate is held. The synthetic messages are pushed to the DLQ.
 * - `healing`: the gate is free again. The drill waits until replay has moved its messages, or its time is over.
 * - `cleaning`: the outcome is decided, and none of its messages can reach the target any more. What is left in the DLQ goes to the list of
 *   drills when replay comes to it. Then the list is dropped, and the report is kept.
 */
import { DRILL_TARGETS, type DrillTarget } from "../cycle/running_drill.ts";

/** The phases of a drill. */
export const DRILL_PHASES = ["holding", "healing", "cleaning"] as const;
/** One of {@link DRILL_PHASES}. */
export type DrillPhase = (typeof DRILL_PHASES)[number];

/** How a drill ends: all its messages have arrived, they have not in time, or an operator has cancelled it. */
export const DRILL_OUTCOMES = ["healed", "timed_out", "cancelled"] as const;
/** One of {@link DRILL_OUTCOMES}. */
export type DrillOutcome = (typeof DRILL_OUTCOMES)[number];

/** Longest time for cleaning up, in milliseconds. What is still in the DLQ then goes to the list of drills whenever replay comes to it. */
export const CLEANING_MS = 3_600_000;

/** A drill that runs or is being cleaned up. Instants are by the server's clock, in milliseconds since the epoch. */
export interface Drill {
  readonly id: string;
  readonly phase: DrillPhase;
  readonly target: DrillTarget;
  /** Name of the gate that it holds. */
  readonly gate: string;
  readonly by: string;
  readonly reason: string;
  /** Messages to push, and those that were pushed. */
  readonly messages: number;
  readonly seeded: number;
  readonly startedAtMs: number;
  readonly heldUntilMs: number;
  readonly healUntilMs: number;
  /** When the leader found the gate closed; `null`: not yet. */
  readonly noticedAtMs: number | null;
  /** `null`: not decided. */
  readonly outcome: DrillOutcome | null;
  readonly decidedAtMs: number | null;
  /** Notices sent before it, as text; empty: not counted yet. */
  readonly noticesBefore: string;
  /** The field `drillMoves` of the source's state when the outcome was decided; empty: nothing was moved. */
  readonly moves: string;
}

/** Parses the hash. A member that cannot be read counts as unset. @returns `null` if it names no drill of this program */
export function parseDrill(fields: Readonly<Record<string, string>>): Drill | null {
  const text = (name: string) => fields[name] ?? "";
  const whole = (name: string) => /^\d{1,15}$/.test(text(name)) ? Number(text(name)) : null;
  const phase = DRILL_PHASES.find((one) => one === text("phase"));
  const target = DRILL_TARGETS.find((one) => one === text("target"));
  if (text("id") === "" || phase === undefined || target === undefined) return null;
  return {
    ...{ id: text("id"), phase, target, gate: text("gate"), by: text("by"), reason: text("reason") },
    ...{ messages: whole("messages") ?? 0, seeded: whole("seeded") ?? 0, startedAtMs: whole("startedAtMs") ?? 0 },
    ...{ heldUntilMs: whole("heldUntilMs") ?? 0, healUntilMs: whole("healUntilMs") ?? 0 },
    ...{ noticedAtMs: whole("noticedAtMs"), decidedAtMs: whole("decidedAtMs"), moves: text("moves") },
    noticesBefore: text("noticesBefore"),
    outcome: DRILL_OUTCOMES.find((one) => one === text("outcome")) ?? null,
  };
}

/**
 * What the leader does next: push messages; wait; let the drill heal; compare the numbers of what has arrived, because it may be all; give up;
 * or clean up.
 */
export type DrillStep = "seed" | "wait" | "heal" | "compare" | "give_up" | "clean";

/** Returns the next step. `arrived`: messages that have arrived downstream, counted and not compared. */
export function nextStep(drill: Drill, { nowMs, arrived }: { nowMs: number; arrived: number }): DrillStep {
  const { phase, messages, seeded, heldUntilMs, healUntilMs } = drill;
  if (phase === "cleaning") return "clean";
  if (phase === "healing" && arrived >= messages && seeded >= messages) return "compare";
  if (nowMs >= healUntilMs) return "give_up";
  if (seeded < messages) return "seed";
  if (phase === "holding") return nowMs < heldUntilMs ? "wait" : "heal";
  return "wait";
}
