/** The outages that a cycle met: what they mean for its judgement, and their text in the source's record. Pure. */

/** The time for which a gate was closed that tells of the systems behind; milliseconds since the epoch. */
export interface Outage {
  readonly gate: string;
  readonly reason: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Whether the gate has opened since; else `untilMs` is when it was last asked. */
  readonly isOver: boolean;
  /** Whether what was replayed meanwhile and came back is not to blame; a full queue, for one, excuses nothing. */
  readonly excusesFailures: boolean;
}

/** Most outages kept in the record. */
const MAX_OUTAGES = 16;

/** How long an outage lasted, in milliseconds. */
export function lengthMs({ fromMs, untilMs }: Pick<Outage, "fromMs" | "untilMs">): number {
  return untilMs - fromMs;
}

/** Adds outages that a cycle met to the text of the record, `gate reason fromMs-untilMs cycle;…`, newest last, bounded. */
export function addOutages(text: string, { outages, cycle }: { outages: readonly Outage[]; cycle: number }): string {
  const added = outages.map(({ gate, reason, fromMs, untilMs }) => `${gate} ${reason} ${fromMs}-${untilMs} ${cycle}`);
  return [...text.split(";").filter((entry) => entry !== ""), ...added].slice(-MAX_OUTAGES).join(";");
}
