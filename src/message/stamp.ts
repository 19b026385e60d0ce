/** Finds, formats and adds the stamp: the member `_remediation`, in which this service counts a message's failures. */
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
import type { MemberRef } from "./member_path.ts";
import { type DeadReason, FAILED_AT_MEMBER, REMEDIATION_MEMBER } from "./source_policy.ts";

/** Maximum count. This service never writes a higher one, so a higher one in a message reads as 0. */
export const MAX_COUNT = 1000;

/** A stamp to write: counts from 0 to 1,000, and the cycle and source of the replay. */
export interface ReplayStamp {
  /** Number of failures: replays after which the message came back. */
  readonly failures: number;
  /** Evidence that the message, not the consumer, causes these failures; in bits (`weigh`), rounded to hundredths. */
  readonly evidence: number;
  /** Number of returns because the consumer shed load. */
  readonly sheds: number;
  /** Time of the first replay, in seconds since the epoch, by the server's clock. */
  readonly since: number;
  /** Number of the cycle that replayed it, 0 to 2^53-1. */
  readonly cycle: number;
  /** Name of the source that replayed it. */
  readonly source: string;
}

/** A stamp found in a message. Invalid counts read as 0, other invalid members as null. */
export interface FoundStamp extends Omit<ReplayStamp, "cycle" | "source" | "since"> {
  readonly since: number | null;
  readonly cycle: number | null;
  readonly source: string | null;
}

/** The reason for a message's death, and its time. */
export interface DeathStamp {
  readonly reason: DeadReason;
  /** ISO 8601 in UTC with milliseconds. */
  readonly failedAt: string;
  /** Id of the job that buried it; absent: the service did. */
  readonly job?: string;
}

/** Finds the stamp in the last top-level `_remediation`; null if it is missing or not an object. */
export function findStamp(message: JsonObject): FoundStamp | null {
  const member = findMember(message, REMEDIATION_MEMBER);
  const record = member === null ? null : objectOf(member);
  if (record === null) return null;
  const source = findMember(record, "source");
  return {
    // Stamps from before `evidence` counted a failure in one of two members.
    failures: Math.min(MAX_COUNT, countIn(record, "failures") + countIn(record, "excused")),
    evidence: amountIn(record, "evidence"),
    sheds: countIn(record, "sheds"),
    since: wholeNumberIn(record, { name: "since", max: Number.MAX_SAFE_INTEGER }),
    cycle: wholeNumberIn(record, { name: "cycle", max: Number.MAX_SAFE_INTEGER }),
    source: source === null ? null : stringOf(source),
  };
}

/** Tells whether two stamps are equal. */
export function isSameStamp(a: ReplayStamp, b: ReplayStamp): boolean {
  return a.failures === b.failures && a.evidence === b.evidence && a.sheds === b.sheds && a.since === b.since &&
    a.cycle === b.cycle && a.source === b.source;
}

/**
 * Formats a stamp as JSON text, as Python writes it. `sheds` is present only above 0. A dead message's stamp ends with the
 * `reason`, the `job` if one buried it, and the message's own `failed_at` (JSON text; null: the message has none). `failures` is written as `3.0`, because
 * older builds without `evidence` bury a message after three failures even in an outage. They read `3.0` as 0, so a rollback
 * buries nothing.
 */
export function stampText(
  record: ReplayStamp,
  death?: Pick<DeathStamp, "reason" | "job">,
  failedAt: string | null = null,
): string {
  const { failures, evidence, since, cycle, source } = record;
  const sheds = record.sheds > 0 ? `, "sheds": ${record.sheds}` : "";
  const own = failedAt === null ? "" : `, "failed_at": ${failedAt}`;
  const job = death?.job === undefined ? "" : `, "job": ${quoteAscii(death.job)}`;
  const ending = death === undefined ? "" : `, "reason": ${quoteAscii(death.reason)}${job}${own}`;
  return `{"failures": ${
    failures === 0 ? 0 : failures.toFixed(1)
  }, "evidence": ${evidence}${sheds}, "since": ${since}, ` +
    `"cycle": ${cycle}, "source": ${quoteAscii(source)}${ending}}`;
}

/** Stamps a message for replay: cuts the members in `cut` and every `_remediation`, and appends the new stamp. */
export function stampReplay(
  message: JsonObject,
  { record, cut }: { record: ReplayStamp; cut: readonly MemberRef[] },
): Uint8Array {
  return editMessage(message, replayEdit(record, cut));
}

/** The last edit of a replay. Most messages of a chunk take the same edit. */
let lastReplay: { record: ReplayStamp; cut: readonly MemberRef[]; edit: MessageEdit } | null = null;

function replayEdit(record: ReplayStamp, cut: readonly MemberRef[]): MessageEdit {
  if (lastReplay?.cut === cut && isSameStamp(lastReplay.record, record)) return lastReplay.edit;
  const edit = { cut: [...cut, REMEDIATION_MEMBER], append: [[REMEDIATION_MEMBER, stampText(record)]] as const };
  lastReplay = { record, cut, edit };
  return edit;
}

/**
 * Stamps a message for the dead list: cuts earlier stamps only, and appends `failed_at` and the stamp with its reason. MUTT's
 * retention reads the top-level `failed_at`, so the message's own `failed_at` moves into the stamp unchanged. It is one level
 * deeper there, so the result may exceed the maximum nesting.
 */
export function stampDeath(
  message: JsonObject,
  { record, death }: { record: ReplayStamp; death: DeathStamp },
): Uint8Array {
  return editMessage(message, {
    cut: [FAILED_AT_MEMBER, REMEDIATION_MEMBER],
    append: [
      [FAILED_AT_MEMBER, quoteAscii(death.failedAt)],
      [REMEDIATION_MEMBER, stampText(record, death, ownFailedAt(message))],
    ],
  });
}

/** The JSON text of the message's own `failed_at`; null if it has none. An earlier burial moved it into the stamp. */
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
  const amount = amountIn(record, name);
  return Number.isInteger(amount) ? amount : 0;
}

/** A number above 0 and up to 1,000; anything else, `-0` too, reads as 0. */
function amountIn(record: JsonObject, name: string): number {
  const member = findMember(record, name), value = member === null ? null : numberOf(member);
  return value !== null && value > 0 && value <= MAX_COUNT ? value : 0;
}

function wholeNumberIn(record: JsonObject, { name, max }: { name: string; max: number }): number | null {
  const member = findMember(record, name);
  return member === null ? null : wholeNumberOf(member, max);
}
