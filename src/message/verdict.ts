/** Judges one dead letter: replay it, or bury it with a reason. */
import { sealEnvelope } from "./envelope.ts";
import { type CycleTally, weigh } from "../cycle/evidence.ts";
import { type StandingMark, stoodThere } from "../cycle/standing.ts";
import { findMember, isContainer, isFalsy, type JsonMember, type JsonObject, numberOf } from "./json_object.ts";
import { findIn, type Letter, openLetter } from "./letter.ts";
import { pathsOf, type PolicyPaths } from "./policy_paths.ts";
import { type DeathStamp, type FoundStamp, MAX_COUNT, type ReplayStamp, stampDeath, stampReplay } from "./stamp.ts";
import {
  cutForReplay,
  findReplayStamp,
  formatRecord,
  letterKey,
  liveRecord,
  type RecordChange,
  type RecordedStamp,
  type StampRecords,
} from "./stamp_record.ts";
import { readMessage, type UnreadableMessage } from "./read_message.ts";
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

/** Where a message was read, and what is known beside it, if its source records stamps beside its messages. */
export interface Reading {
  /** Its place in the list, from 1 at the oldest message; 0: not known. */
  readonly place: number;
  readonly records: StampRecords;
  /** Which messages stood in the list when a cycle began; empty: not known. */
  readonly standing: readonly StandingMark[];
}

/** Nothing is known beside a message. */
export const NO_READING: Reading = { place: 0, records: new Map(), standing: [] };

/** The decision about a message, and the bytes to write. */
export type Verdict = Judgement & {
  /** Number of replays so far, according to the stamp. */
  readonly tries: number;
  /** The cycle of this source that replayed it last, according to the stamp; `null`: none. */
  readonly cameBackFrom: number | null;
  /** What becomes of its record; `null` if it does not change, or the source stamps inside the messages. */
  readonly recordChange: RecordChange | null;
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

/** A message to judge, and what is known about its replays. */
interface Case {
  readonly bytes: Uint8Array;
  /** `null`: it is no JSON object, which only a source that records its stamps beside the messages replays. */
  readonly letter: Letter | null;
  /** Its stamp, or its recorded one. */
  readonly found: FoundStamp | null;
  /** Its record; `null` if the stamp is inside the message, or there is no stamp. */
  readonly recorded: RecordedStamp | null;
  /** Key of its record; `null` if the source stamps inside the messages. */
  readonly key: string | null;
  /** Whether it shares a record with a replayed message, and has itself been in the list since before that replay. */
  readonly isCopy: boolean;
}

/** Judges one message. Pure; never throws; does not change the bytes; linear in their number. */
export function decide(bytes: Uint8Array, context: VerdictContext, reading: Reading = NO_READING): Verdict {
  const opened = openCase(bytes, { context, reading });
  if ("readable" in opened) {
    const { reason, detail } = opened;
    return { ...enclose(bytes, { reason, detail, context }), tries: 0, cameBackFrom: null, recordChange: null };
  }
  const { found, isCopy } = opened,
    record = nextRecord(opened, context),
    judgement = judge(opened, { record, context });
  return {
    ...judgement,
    tries: found === null ? 0 : found.failures + found.sheds + (isCopy ? 0 : 1),
    cameBackFrom: isCopy ? null : cycleOf(found, context),
    recordChange: changeOf(opened, { record, judgement }),
  };
}

/** Buries a message because an operator wants it in the dead list. Pure, like {@link decide}. */
export function buryAsAsked(
  bytes: Uint8Array,
  { context, reading = NO_READING, detail, job }: {
    context: VerdictContext;
    reading?: Reading | undefined;
    detail: string;
    job: string;
  },
): { readonly payload: Uint8Array; readonly recordChange: RecordChange | null } {
  const opened = openCase(bytes, { context, reading });
  if ("readable" in opened) {
    return { ...enclose(bytes, { reason: "buried", detail, context, job }), recordChange: null };
  }
  const { key, recorded } = opened, record = nextRecord(opened, context);
  const recordChange = key !== null && recorded !== null ? { key, text: null } : null;
  return { ...bury(opened, { reason: "buried", detail, record, context, job }), recordChange };
}

/** Opens a message, and finds its stamp. An unreadable one can only be enclosed, because no consumer of its source reads it. */
function openCase(
  bytes: Uint8Array,
  { context, reading }: { context: VerdictContext; reading: Reading },
): Case | UnreadableMessage {
  const { policy } = context, message = readMessage(bytes), { unwrap } = pathsOf(policy);
  if (!message.readable && (policy.beside === undefined || unwrap !== null)) return message;
  const letter = message.readable ? openLetter(message, unwrap) : null;
  if (policy.beside === undefined) {
    return { bytes, letter, found: findReplayStamp(letter), recorded: null, key: null, isCopy: false };
  }
  const key = letterKey(letter, { bytes, policy }), record = reading.records.get(key) ?? null;
  const { place, standing } = reading;
  // A record of a later cycle is from before the state of the source was lost. Its cycles are not those of the marks.
  const isCopy = cycleOf(record, context) !== null && place > 0 &&
    stoodThere(standing, { cycle: record!.firstCycle, place });
  // A message that arrived after the death of an equal one is a new one.
  const recorded = isCopy ? record : liveRecord(record), stamp = findReplayStamp(letter, recorded);
  // One that is inside is from when the stamps of this source were.
  const found = stamp?.source === policy.name ? stamp : null;
  return { bytes, letter, found, recorded, key, isCopy };
}

/** What becomes of the record of a message. */
function changeOf(
  { key, found, recorded, isCopy }: Case,
  { record, judgement }: { record: ReplayStamp; judgement: Judgement },
): RecordChange | null {
  if (key === null) return null;
  const firstCycle = isCopy && recorded !== null ? recorded.firstCycle : record.cycle;
  if (judgement.action === "replay") return { key, text: formatRecord(record, { firstCycle }) };
  // Its equals that stand in the DLQ are poison too, in this cycle and in later ones.
  if (judgement.reason === "poison" && found !== null) {
    return { key, text: formatRecord(record, { firstCycle, isDead: true }) };
  }
  return recorded === null ? null : { key, text: null };
}

/** Returns the cycle in a stamp; null if it cannot be a cycle of this source. Any producer may write a stamp. */
export function cycleOf(
  found: FoundStamp | null,
  { policy, cycle }: Pick<VerdictContext, "policy" | "cycle">,
): number | null {
  return found?.source === policy.name && found.cycle !== null && found.cycle <= cycle ? found.cycle : null;
}

function judge(
  opened: Case,
  { record, context }: { record: ReplayStamp; context: VerdictContext },
): Judgement {
  const { letter } = opened, { policy } = context, { counter, required } = pathsOf(policy);
  const lacking = letter?.[replayedPart(policy)] === null ? letter.problem : findLacking(letter, required);
  if (lacking !== null) return bury(opened, { reason: "malformed", detail: lacking, record, context });
  const counted = letter && counter !== null ? findIn(letter, counter) : null;
  const detail = whyPoison(record, context, readCounter(counted));
  if (detail !== null) return bury(opened, { reason: "poison", detail, record, context });
  return { action: "replay", payload: payloadOf(opened, { record, policy }), record };
}

/** What a letter must have to be replayed: an object, which carries the stamp, or any bytes. */
export function replayedPart({ beside }: Pick<SourcePolicy, "beside">): "content" | "inner" {
  return beside === undefined ? "inner" : "content";
}

/** The bytes that a replay sends, of a letter that can be replayed. */
function payloadOf(
  { bytes, letter }: Case,
  { record, policy }: { record: ReplayStamp; policy: SourcePolicy },
): Uint8Array {
  if (letter === null) return bytes;
  if (policy.beside !== undefined) return cutForReplay(letter, policy)!;
  return stampReplay(letter.inner!, { record, cut: pathsOf(policy).cut });
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
export function readCounter(member: JsonMember | null): number {
  const value = member === null ? null : numberOf(member);
  return value !== null && value > 0 ? value : 0;
}

/** The message's next stamp: the one that it came with, plus this return. */
function nextRecord(opened: Case, context: VerdictContext): ReplayStamp {
  const { found, isCopy } = opened, { cycle, policy, cycleStartedAtMs, nowMs } = context;
  if (found === null) {
    return { ...NO_COUNTS, since: Math.floor(cycleStartedAtMs / 1_000), cycle, source: policy.name };
  }
  const { failures, evidence, sheds } = found, since = found.since ?? Math.floor(nowMs / 1_000);
  const counts = isCopy ? { failures, evidence, sheds } : countReturn(opened, { found, context });
  return { ...counts, since, cycle, source: policy.name };
}

type Counts = Pick<ReplayStamp, "failures" | "evidence" | "sheds">;
const NO_COUNTS: Counts = { failures: 0, evidence: 0, sheds: 0 };

/** Adds one return to the counts: a shed, or a failure with its evidence. */
function countReturn(
  { letter, recorded }: Pick<Case, "letter" | "recorded">,
  { found, context }: { found: FoundStamp; context: VerdictContext },
): Counts {
  const { failures, evidence, sheds } = found;
  // The member proves a shed since the last replay only if replays cut it.
  const isShed = letter !== null && findMember(letter.whole, SHED_MEMBER) !== null;
  if (context.policy.cutOnReplay.includes(SHED_MEMBER) && isShed) {
    const shedsNow = addOne(sheds);
    return { failures: shedsNow % SHEDS_PER_FAILURE === 0 ? addOne(failures) : failures, evidence, sheds: shedsNow };
  }
  const last = cycleOf(found, context), tally = last === null ? undefined : context.tallyOf(last);
  if (tally?.says === "uncounted") return { failures, evidence, sheds };
  const bits = last === null || !tally ? 0 : weighCycles(found, { first: recorded?.firstCycle ?? last, last, context });
  return { failures: addOne(failures), evidence: roundDown(Math.min(MAX_COUNT, evidence + bits)), sheds };
}

/** Most cycles that one return may be from. Of more, the last ones count. */
const MOST_CYCLES = 64;

/** Weighs a return whose cycle is only known to be one of these. Returns the least evidence that any of them would give, in bits. */
function weighCycles(
  found: FoundStamp,
  { first, last, context }: { first: number; last: number; context: VerdictContext },
): number {
  const isFirst = isFirstReturn(found);
  let bits = Infinity;
  for (let cycle = Math.max(first, last - MOST_CYCLES + 1); cycle <= last; cycle++) {
    const tally = context.tallyOf(cycle);
    if (tally) bits = Math.min(bits, weigh(tally, { isFirst }));
  }
  return bits;
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

/** The first required member that is missing or empty, in words; null if the message has all of them. `null` for a letter: other bytes than a JSON object have none. */
export function findLacking(letter: Letter | null, required: PolicyPaths["required"]): string | null {
  for (const [name, ref] of required) {
    const member = letter && findIn(letter, ref);
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

function bury({ bytes, letter }: Pick<Case, "bytes" | "letter">, burial: Burial): Judgement {
  const { reason, detail, record, context, job } = burial, death = deathOf({ reason, context, job });
  if (letter === null) return { action: "dead", reason, payload: sealEnvelope(bytes, { record, death }), detail };
  const { whole: message } = letter;
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
