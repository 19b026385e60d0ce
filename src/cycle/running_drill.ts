/**
 * The running drill of a source, as its state in Redis holds it: what replay and the gates need to know. Pure.
 *
 * - A change of the state raises its sequence number, so a commit that was decided on before a drill began or ended is refused.
 * - A marked message whose drill is not this one is a leftover. It goes to the drill's list too, never to the target.
 */
import { MAX_DRILL_MESSAGES } from "../message/drill_mark.ts";
import { formatRanges, parseRanges } from "./number_ranges.ts";

/** Where the messages of a drill go: to a list of the drill itself, or to the source's real target. */
export const DRILL_TARGETS = ["mock", "real"] as const;
/** One of {@link DRILL_TARGETS}. */
export type DrillTarget = (typeof DRILL_TARGETS)[number];

/** The longest simulated outage, in milliseconds. */
export const MAX_OUTAGE_MS = 3_600_000;
/** Most messages of a drill with the real target: their numbers are kept in one field of the state. */
export const MAX_REAL_MESSAGES = 1_000;

/** A running drill. */
export interface RunningDrill extends DrillMoves {
  readonly id: string;
  readonly target: DrillTarget;
  /** Name of the gate that it holds. */
  readonly gate: string;
  /** Until when it holds the gate, by the server's clock. */
  readonly heldUntilMs: number;
}

/** What commits have moved of a drill. */
export interface DrillMoves {
  /** Its messages that commits have moved downstream so far, and when the last one was, by the server's clock; 0: never. */
  readonly taken: number;
  readonly takenAtMs: number;
  /** With the real target: numbers that were moved to it more than once, and those that were moved, as ranges. */
  readonly doubled: number;
  readonly sent: string;
}

/** The fields of the state: the drill (`id target gate heldUntilMs`), and its moves (`taken takenAtMs doubled sent`). */
export const DRILL_FIELDS = ["drill", "drillMoves"] as const;

/** Parses the fields. `null`: no drill runs, or another client has written something else there. */
export function parseRunningDrill(text: (name: string) => string): RunningDrill | null {
  const [, id, target, gate, until] = /^(d_[0-9a-f]{16}) (mock|real) ([a-z]+) (\d{1,15})$/.exec(text("drill")) ?? [];
  if (id === undefined) return null;
  const moves = parseDrillMoves(text("drillMoves"));
  return { id, target: target as DrillTarget, gate: gate!, heldUntilMs: Number(until), ...moves };
}

/** Parses the field of the moves. What cannot be read counts as no moves. */
export function parseDrillMoves(text: string): DrillMoves {
  const [, taken = 0, takenAt = 0, doubled = 0, sent = ""] = /^(\d{1,9}) (\d{1,15}) (\d{1,9}) ([\d,-]*)$/.exec(text) ??
    [];
  return { taken: Number(taken), takenAtMs: Number(takenAt), doubled: Number(doubled), sent };
}

/**
 * Returns the fields that a commit writes which moves messages of this drill downstream. `nowMs`: the server's clock. The messages of a
 * mock target can be counted in their list afterwards; of the real target's, this is the only proof.
 */
export function drillMoveFields(
  drill: RunningDrill,
  { numbers, nowMs }: { numbers: readonly number[]; nowMs: number },
): Readonly<Record<string, string>> {
  const sent = drill.target === "real" ? parseRanges(drill.sent, MAX_DRILL_MESSAGES) : new Set<number>();
  let { doubled } = drill;
  if (drill.target === "real") {
    for (const number of numbers) {
      if (sent.has(number)) doubled++;
      sent.add(number);
    }
  }
  const taken = drill.taken + numbers.length;
  return { drillMoves: `${taken} ${Math.round(nowMs)} ${doubled} ${formatRanges(sent)}` };
}
