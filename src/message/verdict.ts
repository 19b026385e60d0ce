/** Judges one dead letter: replay it, or bury it with a reason. */
import { sealEnvelope } from "./envelope.ts";
import { type CycleTally, weigh } from "../cycle/evidence.ts";
import { findMember, isContainer, isFalsy, type JsonObject, numberOf } from "./json_object.ts";
import {
  type DeathStamp,
  findStamp,
  type FoundStamp,
  MAX_COUNT,
  type ReplayStamp,
  stampDeath,
  stampReplay,
} from "./stamp.ts";
import { readMessage } from "./read_message.ts";
import { type DeadReason, FAILED_AT_MEMBER, SHED_MEMBER, type SourcePolicy } from "./source_policy.ts";

/** This many sheds count as one failure, so that a message cannot be shed for ever. */
const SHEDS_PER_FAILURE = 10;

/**
 * Evidence that makes a message poison, in bits: a thousand to one against chance (9.97), minus the loss by rounding. With the
 * default of ten messages a cycle, a message reaches it if it is the only one of ten to come back three times.
 */
export const POISON_EVIDENCE = 9.9;
/**
 * If there are no other messages to compare with, there is no evidence. Then this many failures over at least this time, in
 * milliseconds, make a message poison, so that its replays are limited. A shorter outage never kills a message without evidence.
 */
export const EXHAUSTED_FAILURES = 24, EXHAUSTED_MS = 12 * 3_600_000;

/** Everything that a verdict depends on, except the message. */
export interface VerdictContext {
  readonly policy: SourcePolicy;
  /** Minimum failures of a poison message (`MAX_POISON_RETRIES`, 1 to 1,000). */
  readonly maxPoisonRetries: number;
  /** Number of the current cycle, 0 to 2^53-1, and its start, by the server's clock. */
  readonly cycle: number;
  readonly cycleStartedAtMs: number;
  /** The server's clock. */
  readonly nowMs: number;
  /** The tally of a cycle that replayed messages; `undefined` if it is not known. */
  tallyOf(cycle: number): CycleTally | undefined;
  /** Time of death for the stamps: ISO 8601 in UTC with milliseconds. */
  readonly failedAt: string;
}

/** The decision about a message, and the bytes to write. */
export type Verdict = Judgement & {
  /** Number of replays so far, according to the stamp. */
  readonly tries: number;
  /** The cycle of this source that replayed it last, according to the stamp; `null`: none. */
  readonly cameBackFrom: number | null;
};

type Judgement =
  | { readonly action: "replay"; readonly payload: Uint8Array; readonly record: ReplayStamp }
  | {
    readonly action: "dead";
    readonly reason: DeadReason;
    readonly payload: Uint8Array;
    /** The reason in words for the log, without any content of the message. */
    readonly detail: string;
  };

/** Judges one message. Pure; never throws; does not change the bytes; linear in their number. */
export function decide(bytes: Uint8Array, context: VerdictContext): Verdict {
  const message = readMessage(bytes);
  if (!message.readable) {
    const { reason, detail } = message;
    return { ...enclose(bytes, { reason, detail, context }), tries: 0, cameBackFrom: null };
  }
  const found = findStamp(message);
  return {
    ...judge(message, { found, context }),
    tries: found === null ? 0 : found.failures + found.sheds + 1,
    cameBackFrom: cycleOf(found, context),
  };
}

/** Buries a message because an operator wants it in the dead list. Pure, like {@link decide}. */
export function buryAsAsked(
  bytes: Uint8Array,
  { context, detail, job }: { context: VerdictContext; detail: string; job: string },
): { readonly payload: Uint8Array } {
  const message = readMessage(bytes);
  if (!message.readable) return enclose(bytes, { reason: "buried", detail, context, job });
  const record = nextRecord(message, { found: findStamp(message), context });
  return bury(message, { reason: "buried", detail, record, context, job });
}

/** Returns the cycle in a stamp; null if it cannot be a cycle of this source. Any producer may write a stamp. */
export function cycleOf(
  found: FoundStamp | null,
  { policy, cycle }: Pick<VerdictContext, "policy" | "cycle">,
): number | null {
  return found?.source === policy.name && found.cycle !== null && found.cycle <= cycle ? found.cycle : null;
}

function judge(
  message: JsonObject,
  { found, context }: { found: FoundStamp | null; context: VerdictContext },
): Judgement {
  const record = nextRecord(message, { found, context });
  const lacking = findLacking(message, context.policy.required);
  if (lacking !== null) return bury(message, { reason: "malformed", detail: lacking, record, context });
  const detail = whyPoison(record, context, readCounter(message, context.policy.counter));
  if (detail !== null) return bury(message, { reason: "poison", detail, record, context });
  return { action: "replay", payload: stampReplay(message, { record, cut: context.policy.cutOnReplay }), record };
}

/** Why the message is poison, in words; null if it is not. */
function whyPoison(
  { failures, evidence, since }: ReplayStamp,
  { policy, maxPoisonRetries: limit, nowMs }: VerdictContext,
  counter: number,
): string | null {
  if (counter >= limit) return `${policy.counter} is ${counter}, limit ${limit}`;
  if (failures < limit) return null;
  if (evidence >= POISON_EVIDENCE) {
    const through = Math.floor(100 * (1 - 2 ** (-evidence / failures)));
    return `failed ${failures} times, limit ${limit}, while about ${through} % of the others got through`;
  }
  const forMs = nowMs - since * 1_000;
  if (failures < EXHAUSTED_FAILURES || forMs < EXHAUSTED_MS) return null;
  return `failed ${failures} times in ${
    Math.floor(forMs / 3_600_000)
  } h, with too few other messages to compare it with`;
}

/** Reads the consumer's failure counter: a number above 0, which may be `Infinity`; anything else, `NaN` too, reads as 0. */
export function readCounter(message: JsonObject, name: string | null): number {
  const member = name === null ? null : findMember(message, name);
  const value = member === null ? null : numberOf(member);
  return value !== null && value > 0 ? value : 0;
}

/** The message's next stamp: the one that it came with, plus this return. */
function nextRecord(
  message: JsonObject,
  { found, context }: { found: FoundStamp | null; context: VerdictContext },
): ReplayStamp {
  const { cycle, policy, cycleStartedAtMs, nowMs } = context;
  if (found === null) {
    return { ...NO_COUNTS, since: Math.floor(cycleStartedAtMs / 1_000), cycle, source: policy.name };
  }
  const since = found.since ?? Math.floor(nowMs / 1_000);
  return { ...countReturn(message, { found, context }), since, cycle, source: policy.name };
}

type Counts = Pick<ReplayStamp, "failures" | "evidence" | "sheds">;
const NO_COUNTS: Counts = { failures: 0, evidence: 0, sheds: 0 };

/** Adds one return to the counts: a shed, or a failure with its evidence. */
function countReturn(
  message: JsonObject,
  { found, context }: { found: FoundStamp; context: VerdictContext },
): Counts {
  const { failures, evidence, sheds } = found;
  // The member proves a shed since the last replay only if replays cut it.
  if (context.policy.cutOnReplay.includes(SHED_MEMBER) && findMember(message, SHED_MEMBER) !== null) {
    const shedsNow = addOne(sheds);
    return { failures: shedsNow % SHEDS_PER_FAILURE === 0 ? addOne(failures) : failures, evidence, sheds: shedsNow };
  }
  const cycle = cycleOf(found, context), tally = cycle === null ? undefined : context.tallyOf(cycle);
  if (tally?.says === "uncounted") return { failures, evidence, sheds };
  const bits = tally ? weigh(tally, { isFirst: isFirstReturn(found) }) : 0;
  return { failures: addOne(failures), evidence: roundDown(Math.min(MAX_COUNT, evidence + bits)), sheds };
}

/** Tells whether the replay in the stamp was the message's first. */
export function isFirstReturn({ failures, sheds }: FoundStamp): boolean {
  return failures === 0 && sheds === 0;
}

/** Rounds down to hundredths, so that a stamp stays short. */
function roundDown(bits: number): number {
  return Math.floor(bits * 100) / 100;
}

function addOne(count: number): number {
  return Math.min(count + 1, MAX_COUNT);
}

/** The first required member that is missing or empty, in words; null if the message has all of them. */
export function findLacking(message: JsonObject, required: readonly string[]): string | null {
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
  readonly record: ReplayStamp;
  readonly context: VerdictContext;
  readonly job?: string;
}

function bury(message: JsonObject, { reason, detail, record, context, job }: Burial): Judgement {
  const death = deathOf({ reason, context, job });
  const stamped = stampDeath(message, { record, death });
  // The message's own `failed_at` is one level deeper now. If it is a container, it may exceed the maximum nesting.
  const mayBeTooDeep = hasContainer(message, FAILED_AT_MEMBER) && !readMessage(stamped).readable;
  const payload = mayBeTooDeep ? sealEnvelope(message.bytes, { record, death }) : stamped;
  return { action: "dead", reason, payload, detail };
}

function hasContainer(message: JsonObject, name: string): boolean {
  const member = findMember(message, name);
  return member !== null && isContainer(member);
}

function deathOf(
  { reason, context, job }: Pick<Burial, "reason" | "context"> & { job: string | undefined },
): DeathStamp {
  return { reason, failedAt: context.failedAt, ...(job === undefined ? {} : { job }) };
}

function enclose(bytes: Uint8Array, { reason, detail, context, job }: Omit<Burial, "record">): Judgement {
  const since = Math.floor(context.cycleStartedAtMs / 1_000);
  const record = { ...NO_COUNTS, since, cycle: context.cycle, source: context.policy.name };
  const payload = sealEnvelope(bytes, { record, death: deathOf({ reason, context, job }) });
  return { action: "dead", reason, payload, detail };
}
