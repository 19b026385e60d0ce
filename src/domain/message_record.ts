/** This service's own record inside a message: how often it was replayed and what came of it. */
import { findMember, type JsonObject } from "./json_members.ts";
import { quoteAscii } from "./json_text.ts";
import { objectOf, stringOf, wholeNumberOf } from "./json_values.ts";
import { type DeadReason, REMEDIATION_MEMBER } from "./source.ts";

/** Highest count that is believed or written; a higher one in a message is somebody else's and reads as 0. */
export const MAX_COUNT = 1000;

/** The record that a message is given: counts of 0-1,000, and the replay whose outcome is open. */
export interface ReplayRecord {
  /** Returns that counted against the message. */
  readonly failures: number;
  /** Returns that were put down to a common outage. */
  readonly excused: number;
  /** Returns because the consumer shed load. */
  readonly sheds: number;
  /** Number of the cycle that replayed it, 0 to 2^53-1. */
  readonly cycle: number;
  /** Name of the source that replayed it. */
  readonly source: string;
}

/** A record found in a message, as far as it is believed: counts that are not are 0, the rest null. */
export interface FoundRecord extends Omit<ReplayRecord, "cycle" | "source"> {
  readonly cycle: number | null;
  readonly source: string | null;
}

/** When and why a message died. */
export interface Death {
  readonly reason: DeadReason;
  /** ISO 8601 in UTC with milliseconds. */
  readonly failedAt: string;
}

/** The record in the last top-level `_remediation`; null where there is none or it is no object. */
export function findRecord(message: JsonObject): FoundRecord | null {
  const member = findMember(message, REMEDIATION_MEMBER);
  const record = member === null ? null : objectOf(member);
  if (record === null) return null;
  const source = findMember(record, "source");
  return {
    failures: wholeNumberIn(record, { name: "failures", max: MAX_COUNT }) ?? 0,
    excused: wholeNumberIn(record, { name: "excused", max: MAX_COUNT }) ?? 0,
    sheds: wholeNumberIn(record, { name: "sheds", max: MAX_COUNT }) ?? 0,
    cycle: wholeNumberIn(record, { name: "cycle", max: Number.MAX_SAFE_INTEGER }),
    source: source === null ? null : stringOf(source),
  };
}

/** Whether two records say the same. */
export function isSameRecord(a: ReplayRecord, b: ReplayRecord): boolean {
  return a.failures === b.failures && a.excused === b.excused && a.sheds === b.sheds && a.cycle === b.cycle &&
    a.source === b.source;
}

/** The record as JSON text, as Python would write it; `reason` last, on the dead. A count of sheds stands there only above 0. */
export function recordText(record: ReplayRecord, reason?: DeadReason): string {
  const sheds = record.sheds > 0 ? `, "sheds": ${record.sheds}` : "";
  const ending = reason === undefined ? "" : `, "reason": ${quoteAscii(reason)}`;
  return `{"failures": ${record.failures}, "excused": ${record.excused}${sheds}, "cycle": ${record.cycle}, ` +
    `"source": ${quoteAscii(record.source)}${ending}}`;
}

function wholeNumberIn(record: JsonObject, { name, max }: { name: string; max: number }): number | null {
  const member = findMember(record, name);
  return member === null ? null : wholeNumberOf(member, max);
}
