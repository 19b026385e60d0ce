/** Decides what becomes of one dead letter: replayed, or dead with a reason. */
import { sealEnvelope } from "./envelope.ts";
import { findMember, type JsonObject } from "./json_members.ts";
import { isFalsy, numberOf } from "./json_values.ts";
import { readMessage } from "./message.ts";
import { findRecord, type FoundRecord, MAX_COUNT, type ReplayRecord } from "./message_record.ts";
import { stampDeath, stampReplay } from "./message_stamps.ts";
import { type DeadReason, SHED_MEMBER, type SourcePolicy } from "./source.ts";

/** Every so many sheds count as one failure, so that shedding is bounded too. */
const SHEDS_PER_FAILURE = 10;

/** What a verdict depends on beside the message. */
export interface VerdictContext {
  readonly policy: SourcePolicy;
  /** A message with this many failures is poison (`MAX_POISON_RETRIES`, 1-1,000). */
  readonly maxPoisonRetries: number;
  /** How many failures of a message a common outage may excuse. */
  readonly maxExcuses: number;
  /** Number of the cycle that decides, 0 to 2^53-1. */
  readonly cycle: number;
  /** Whether what that cycle replayed came back as a whole. */
  isTroubled(cycle: number): boolean;
  /** Whether what that cycle replayed was a canary for a breaker, whose return says nothing of the message. */
  isUncounted(cycle: number): boolean;
  /** Written into the dead: ISO 8601 in UTC with milliseconds. */
  readonly failedAt: string;
}

/** What to do with a message, and the bytes to do it with. */
export type Verdict = Judgement & {
  /** The cycle of this source that replayed it before; `null`: none did, as far as it is known. */
  readonly cameBackFrom: number | null;
};

type Judgement =
  | { readonly action: "replay"; readonly payload: Uint8Array; readonly record: ReplayRecord }
  | {
    readonly action: "dead";
    readonly reason: DeadReason;
    readonly payload: Uint8Array;
    /** For the log: one phrase without anything out of the message. */
    readonly detail: string;
  };

/** Judges one message. Pure: never throws, whatever the bytes, and leaves them as they are; linear in their number. */
export function decide(bytes: Uint8Array, context: VerdictContext): Verdict {
  const message = readMessage(bytes);
  if (!message.readable) {
    return { ...enclose(bytes, { reason: message.reason, detail: message.detail, context }), cameBackFrom: null };
  }
  const found = findRecord(message);
  const cameBackFrom = found?.source === context.policy.name ? found.cycle : null;
  return { ...judge(message, { found, context }), cameBackFrom };
}

function judge(
  message: JsonObject,
  { found, context }: { found: FoundRecord | null; context: VerdictContext },
): Judgement {
  const record = nextRecord(message, { found, context });
  const lacking = findLacking(message, context.policy.required);
  if (lacking !== null) return bury(message, { reason: "malformed", detail: lacking, record, context });
  const failures = Math.max(record.failures, readCounter(message, context.policy.counter));
  if (failures >= context.maxPoisonRetries) {
    const detail = `failed ${failures} times, limit ${context.maxPoisonRetries}`;
    return bury(message, { reason: "poison", detail, record, context });
  }
  return { action: "replay", payload: stampReplay(message, { record, cut: context.policy.cutOnReplay }), record };
}

/** The counter that a message carries under that name: 0 unless it is a number above 0 (`NaN` is none), `Infinity` as it is. */
export function readCounter(message: JsonObject, name: string | null): number {
  const member = name === null ? null : findMember(message, name);
  const value = member === null ? null : numberOf(member);
  return value !== null && value > 0 ? value : 0;
}

/** The record that the message is to carry from now on: the one it came with, and its return accounted for. */
function nextRecord(
  message: JsonObject,
  { found, context }: { found: FoundRecord | null; context: VerdictContext },
): ReplayRecord {
  const { cycle, policy } = context;
  const counts = found === null ? { failures: 0, excused: 0, sheds: 0 } : countReturn(message, { found, context });
  return { ...counts, cycle, source: policy.name };
}

type Counts = Pick<ReplayRecord, "failures" | "excused" | "sheds">;

/** Adds one return to the counts: a shed, an excused failure or a failure. */
function countReturn(
  message: JsonObject,
  { found, context }: { found: FoundRecord; context: VerdictContext },
): Counts {
  const { failures, excused, sheds } = found;
  // Only where the member is cut on replay does its presence say that the message was shed since.
  if (context.policy.cutOnReplay.includes(SHED_MEMBER) && findMember(message, SHED_MEMBER) !== null) {
    const shedsNow = addOne(sheds);
    return { failures: shedsNow % SHEDS_PER_FAILURE === 0 ? addOne(failures) : failures, excused, sheds: shedsNow };
  }
  if (isOfCycle(found, context, (cycle) => context.isUncounted(cycle))) return { failures, excused, sheds };
  if (isExcused(found, context)) return { failures, excused: addOne(excused), sheds };
  return { failures: addOne(failures), excused, sheds };
}

function isExcused(found: FoundRecord, context: VerdictContext): boolean {
  return found.excused < context.maxExcuses && isOfCycle(found, context, (cycle) => context.isTroubled(cycle));
}

/** Whether the record's cycle is one of this source that the predicate holds for. */
function isOfCycle(found: FoundRecord, { policy }: VerdictContext, predicate: (cycle: number) => boolean): boolean {
  return found.source === policy.name && found.cycle !== null && predicate(found.cycle);
}

function addOne(count: number): number {
  return Math.min(count + 1, MAX_COUNT);
}

/** What the message lacks of the members a consumer requires, in words; null where it lacks none. */
function findLacking(message: JsonObject, required: readonly string[]): string | null {
  for (const name of required) {
    const member = findMember(message, name);
    if (member === null) return `required member "${name}" is missing`;
    if (isFalsy(member)) return `required member "${name}" is empty`;
  }
  return null;
}

interface Burial {
  readonly reason: DeadReason;
  readonly detail: string;
  readonly record: ReplayRecord;
  readonly context: VerdictContext;
}

function bury(message: JsonObject, { reason, detail, record, context }: Burial): Judgement {
  const payload = stampDeath(message, { record, death: { reason, failedAt: context.failedAt } });
  return { action: "dead", reason, payload, detail };
}

function enclose(bytes: Uint8Array, { reason, detail, context }: Omit<Burial, "record">): Judgement {
  const record = { failures: 0, excused: 0, sheds: 0, cycle: context.cycle, source: context.policy.name };
  const payload = sealEnvelope(bytes, { record, death: { reason, failedAt: context.failedAt } });
  return { action: "dead", reason, payload, detail };
}
