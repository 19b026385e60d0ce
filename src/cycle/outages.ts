/** The outages during a cycle, and their text in the cycle state. Pure. */

/** A time during which a gate was closed because a system behind it was down. In milliseconds since the epoch. */
export interface Outage {
  readonly gate: string;
  readonly reason: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Whether the gate has opened since. If not, `untilMs` is the time when it was last asked. */
  readonly isOver: boolean;
  /** Whether the outage excuses messages that were replayed meanwhile and came back. A full queue, for example, does not. */
  readonly excusesFailures: boolean;
}

/** Maximum outages in the cycle state. */
const MAX_OUTAGES = 16;

/** Returns the length of an outage, in milliseconds. */
export function lengthMs({ fromMs, untilMs }: Pick<Outage, "fromMs" | "untilMs">): number {
  return untilMs - fromMs;
}

/** Adds the outages of a cycle to the text `gate reason fromMs-untilMs cycle;…`, newest last. Keeps the last 16. */
export function addOutages(text: string, { outages, cycle }: { outages: readonly Outage[]; cycle: number }): string {
  const added = outages.map(({ gate, reason, fromMs, untilMs }) => `${gate} ${reason} ${fromMs}-${untilMs} ${cycle}`);
  return [...text.split(";").filter((entry) => entry !== ""), ...added].slice(-MAX_OUTAGES).join(";");
}

/** Returns the newest outage in the text that {@link addOutages} keeps; `null` if there is none, or it is unreadable. */
export function lastOutage(text: string): Pick<Outage, "gate" | "reason" | "fromMs" | "untilMs"> | null {
  const match = /(?:^|;)(\w+) (\w+) (\d{1,15})-(\d{1,15}) \d{1,15}$/.exec(text);
  if (!match) return null;
  return { gate: match[1]!, reason: match[2]!, fromMs: Number(match[3]), untilMs: Number(match[4]) };
}
