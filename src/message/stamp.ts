/**
 * The stamp: this service's own record inside a message, how often it was replayed and what came of it. How it is found, written, and
 * put into messages that can be read.
 */
import { editMessage, type MessageEdit } from "./edit.ts";
import {
  findMember,
  type JsonObject,
  numberOf,
  objectOf,
  quoteAscii,
  rawValueOf,
  stringOf,
  wholeNumberOf,
} from "./json_object.ts";
import { type DeadReason, FAILED_AT_MEMBER, REMEDIATION_MEMBER } from "./source_policy.ts";

/** Highest count that is believed or written; a higher one in a message is somebody else's and reads as 0. */
export const MAX_COUNT = 1000;

/** The record that a message is given: counts of 0-1,000, and the replay whose outcome is open. */
export interface ReplayStamp {
  /** How often it came back. */
  readonly failures: number;
  /** What these failures tell against the message rather than the consumer, in bits (`weigh`); hundredths. */
  readonly evidence: number;
  /** Returns because the consumer shed load. */
  readonly sheds: number;
  /** When it was first replayed, in seconds since the epoch, by the server's clock. */
  readonly since: number;
  /** Number of the cycle that replayed it, 0 to 2^53-1. */
  readonly cycle: number;
  /** Name of the source that replayed it. */
  readonly source: string;
}

/** A record found in a message, as far as it is believed: counts that are not are 0, the rest null. */
export interface FoundStamp extends Omit<ReplayStamp, "cycle" | "source" | "since"> {
  readonly since: number | null;
  readonly cycle: number | null;
  readonly source: string | null;
}

/** When and why a message died. */
export interface DeathStamp {
  readonly reason: DeadReason;
  /** ISO 8601 in UTC with milliseconds. */
  readonly failedAt: string;
}

/** The record in the last top-level `_remediation`; null where there is none or it is no object. */
export function findStamp(message: JsonObject): FoundStamp | null {
  const member = findMember(message, REMEDIATION_MEMBER);
  const record = member === null ? null : objectOf(member);
  if (record === null) return null;
  const source = findMember(record, "source");
  return {
    // Stamps without `evidence` counted a failure in one of two members, and did not say what it tells.
    failures: Math.min(MAX_COUNT, countIn(record, "failures") + countIn(record, "excused")),
    evidence: evidenceIn(record),
    sheds: countIn(record, "sheds"),
    since: wholeNumberIn(record, { name: "since", max: Number.MAX_SAFE_INTEGER }),
    cycle: wholeNumberIn(record, { name: "cycle", max: Number.MAX_SAFE_INTEGER }),
    source: source === null ? null : stringOf(source),
  };
}

/** Whether two records say the same. */
export function isSameStamp(a: ReplayStamp, b: ReplayStamp): boolean {
  return a.failures === b.failures && a.evidence === b.evidence && a.sheds === b.sheds && a.since === b.since &&
    a.cycle === b.cycle && a.source === b.source;
}

/**
 * The record as JSON text, as Python would write it; `reason` last, on the dead, and the message's own `failed_at` as JSON text. A count of sheds stands there only above 0.
 * `failures` is written as `3.0`: builds that knew no `evidence`, and for which three failures are death whatever the outage, read
 * that as 0. So the way back kills nothing either.
 */
export function stampText(record: ReplayStamp, reason?: DeadReason, failedAt: string | null = null): string {
  const { failures, evidence, since, cycle, source } = record;
  const sheds = record.sheds > 0 ? `, "sheds": ${record.sheds}` : "";
  const own = failedAt === null ? "" : `, "failed_at": ${failedAt}`;
  const ending = reason === undefined ? "" : `, "reason": ${quoteAscii(reason)}${own}`;
  return `{"failures": ${
    failures === 0 ? 0 : failures.toFixed(1)
  }, "evidence": ${evidence}${sheds}, "since": ${since}, ` +
    `"cycle": ${cycle}, "source": ${quoteAscii(source)}${ending}}`;
}

/** The message as it goes back to work: `cut` and every `_remediation` out, the record in as the last member. */
export function stampReplay(
  message: JsonObject,
  { record, cut }: { record: ReplayStamp; cut: readonly string[] },
): Uint8Array {
  return editMessage(message, replayEdit(record, cut));
}

/** The last edit of a replay: most messages of a chunk take the same. */
let lastReplay: { record: ReplayStamp; cut: readonly string[]; edit: MessageEdit } | null = null;

function replayEdit(record: ReplayStamp, cut: readonly string[]): MessageEdit {
  if (lastReplay?.cut === cut && isSameStamp(lastReplay.record, record)) return lastReplay.edit;
  const edit = { cut: [...cut, REMEDIATION_MEMBER], append: [[REMEDIATION_MEMBER, stampText(record)]] as const };
  lastReplay = { record, cut, edit };
  return edit;
}

/**
 * The message as it goes to the dead list: only earlier stamps cut, `failed_at` and the record with its reason last. A `failed_at` of its
 * own stands in the record from then on, as it was: MUTT's retention reads the top-level one. That is one level deeper, so the
 * result may be nested deeper than can be read.
 */
export function stampDeath(
  message: JsonObject,
  { record, death }: { record: ReplayStamp; death: DeathStamp },
): Uint8Array {
  return editMessage(message, {
    cut: [FAILED_AT_MEMBER, REMEDIATION_MEMBER],
    append: [
      [FAILED_AT_MEMBER, quoteAscii(death.failedAt)],
      [REMEDIATION_MEMBER, stampText(record, death.reason, ownFailedAt(message))],
    ],
  });
}

/** The JSON text of the message's own `failed_at`; null where it has none, or an earlier burial of ours has put it there. */
function ownFailedAt(message: JsonObject): string | null {
  const failedAt = findMember(message, FAILED_AT_MEMBER), stamp = findMember(message, REMEDIATION_MEMBER);
  const record = stamp && objectOf(stamp), isBuried = record !== null && findMember(record, "reason") !== null;
  if (isBuried) {
    const kept = findMember(record, FAILED_AT_MEMBER);
    return kept && rawValueOf(kept);
  }
  return failedAt && rawValueOf(failedAt);
}

function countIn(record: JsonObject, name: string): number {
  const count = findMember(record, name), value = count === null ? null : numberOf(count);
  return value !== null && Number.isInteger(value) && value >= 0 && value <= MAX_COUNT ? value : 0;
}

function evidenceIn(record: JsonObject): number {
  const evidence = findMember(record, "evidence"), value = evidence === null ? null : numberOf(evidence);
  return value !== null && value >= 0 && value <= MAX_COUNT ? value : 0;
}

function wholeNumberIn(record: JsonObject, { name, max }: { name: string; max: number }): number | null {
  const member = findMember(record, name);
  return member === null ? null : wholeNumberOf(member, max);
}
