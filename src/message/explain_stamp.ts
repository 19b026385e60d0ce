/** Says in words what the service's stamp on a message means. Pure. */
import { POISON_EVIDENCE } from "./verdict.ts";
import type { FoundStamp } from "./stamp.ts";

/** What an explanation depends on beside the stamp. */
export interface StampContext {
  /** Failures with the return to the DLQ after the last replay (`MessageView`). */
  readonly failures: number;
  /** Failures that make a message poison; `null`: the message is not going to be judged. */
  readonly limit: number | null;
  /** Evidence with that return, in bits; `null`: that of the stamp. */
  readonly evidence: number | null;
  /** Name of the source that has the list. */
  readonly source: string;
  /** Whether stamps are recorded beside the messages; default: they are inside. */
  readonly isRecorded?: boolean;
}

/** Returns one sentence: failures, sheds, the last replay, and how far the message is from being poison. */
export function explainStamp(
  stamp: FoundStamp | null,
  { failures, limit, evidence, source, isRecorded = false }: StampContext,
): string {
  if (stamp === null) {
    return isRecorded
      ? "Has no record: this service has not replayed it lately."
      : "Has no stamp: this service has never replayed it.";
  }
  const counts = [failures === 0 ? "has not failed" : `failed ${times(failures)}`];
  if (stamp.sheds > 0) counts.push(`shed ${times(stamp.sheds)}`);
  const parts = [counts.join(", "), replayText(stamp, source)];
  if (stamp.since !== null && isDate(stamp.since)) {
    parts.push(`first replayed at ${new Date(stamp.since * 1_000).toISOString()}`);
  }
  if (limit !== null) parts.push(limitText({ failures, limit, evidence: evidence ?? stamp.evidence }));
  const text = parts.join("; ");
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

function replayText({ cycle, source: by }: FoundStamp, source: string): string {
  const other = by !== null && by !== source ? " of another source" : "";
  return cycle === null ? `replayed in an unknown cycle${other}` : `replayed in cycle ${cycle}${other}`;
}

function limitText({ failures, limit, evidence }: { failures: number; limit: number; evidence: number }): string {
  if (failures < limit) return `would be poison at ${limit} failures, with enough evidence`;
  const bits = `${evidence.toFixed(1)} of ${POISON_EVIDENCE.toFixed(1)} bits`;
  return evidence < POISON_EVIDENCE
    ? `has reached the limit of ${limit} failures, but the evidence against it is ${bits}`
    : `poison: it has reached the limit of ${limit} failures, with ${bits} of evidence`;
}

/** Whether a date can have this number of seconds since the epoch. */
function isDate(seconds: number): boolean {
  return seconds <= 8.64e12;
}
