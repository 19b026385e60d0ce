/** Judges the messages of one chunk, and computes its moves. Pure. */
import type { Buffer } from "node:buffer";
import type { DeadReason, SourcePolicy } from "../message/source_policy.ts";
import { type DrillMark, findDrillMark } from "../message/drill_mark.ts";
import { pathsOf } from "../message/policy_paths.ts";
import type { RecordChange, StampRecords } from "../message/stamp_record.ts";
import { decide, type Reading, type Verdict, type VerdictContext } from "../message/verdict.ts";
import { isNewest } from "../redis/sample.ts";
import type { Chunk, DrillWay, Move } from "../cycle/chunk.ts";
import type { CycleState } from "../cycle/cycle_state.ts";
import type { RunningDrill } from "../cycle/running_drill.ts";

/** One message that goes to the dead list. */
export interface BuriedMessage {
  readonly reason: DeadReason;
  readonly detail: string;
  readonly bytes: number;
  /** The message as it was read; `null` if it was too large to read. */
  readonly message: Buffer | null;
}

/** The moves of one chunk, oldest first, and their totals. */
export interface JudgedChunk {
  /** Number of the cycle. */
  readonly cycle: number;
  readonly messages: readonly Buffer[];
  readonly oversize: Chunk["oversize"];
  readonly moves: readonly Move[];
  readonly replayed: number;
  readonly deaths: readonly BuriedMessage[];
  /** How many of the messages are replayed for the first time. */
  readonly firsts: number;
  /** Places of the messages, from 1 at the oldest; `null`: they are the oldest in a row. */
  readonly places: readonly number[] | null;
  /** How many of the messages use the cycle's budget. */
  readonly spent: number;
  /** Total size of the messages as they were read. */
  readonly bytes: number;
  /** Whether these moves include the message that was newest when the cycle began. */
  readonly endsCycle: boolean;
  /** The messages are all of drills; `null`: none is. */
  readonly drill: DrilledMessages | null;
  /** What becomes of the records of the messages, one a key; empty: their stamps are inside of them. */
  readonly recordChanges: readonly RecordChange[];
}

/** Messages of drills in a chunk. They are neither replayed nor dead. */
export interface DrilledMessages {
  readonly to: DrillWay;
  /** Numbers of those that the running drill moves downstream; the others are leftovers, or have come back. */
  readonly numbers: readonly number[];
}

/** The input of {@link judgeChunk} beside the chunk. */
export interface JudgeContext {
  readonly policy: SourcePolicy;
  readonly record: CycleState;
  readonly maxPoisonRetries: number;
  readonly maxMessageBytes: number;
  /** The server's clock. */
  readonly nowMs: number;
  /** ISO 8601, for `failed_at`. */
  readonly failedAt: string;
  /** Makes a message new before it is judged: nothing that is recorded about it counts. Default: it is judged as it is. */
  readonly prepare?: ((message: Buffer) => Uint8Array) | undefined;
  /** Messages that were skipped before the chunk; default: 0. */
  readonly skipped?: number;
}

/** Tells whether the cycle is a canary group or a step of the ramp. Then dead messages use none of its budget. */
export function isCareful({ brake }: Pick<CycleState, "brake">): boolean {
  return brake.allowance !== null;
}

/** Returns the chunk as a read with a bound of `count` messages would return it. */
export function firstMessages(chunk: Chunk, count: number): Chunk {
  const { messages } = chunk, following = messages[count];
  if (!following) return chunk;
  return { ...chunk, messages: messages.slice(0, count), goesOnEqual: following.equals(messages[count - 1]!) };
}

/** Judges every message of a chunk, up to the one that was newest when the cycle began. */
export function judgeChunk(chunk: Chunk, context: JudgeContext): JudgedChunk {
  if (chunk.oversize) return judgeOversize(chunk, chunk.oversize, context);
  const { count, endsCycle } = withinCycle(chunk, context.record);
  const judge = createJudge(context), readingOf = readingsOf(chunk, context), judged: Judged[] = [];
  let way: Way | null = null;
  for (const [i, message] of chunk.messages.slice(0, count).entries()) {
    const one = { message, verdict: judge(message, readingOf(i)) }, own = wayOf(one, context);
    // A commit has one target, so the moves end where the way changes.
    if (own !== (way ??= own)) break;
    judged.push(one);
  }
  return { ...toPlan(judged, context, way ?? "own"), endsCycle: endsCycle && judged.length === count };
}

/**
 * Returns what is known beside each message of a chunk, by its index; `undefined`: stamps are inside the messages. The marks of the state
 * say which messages stood there only if the newest of the cycle is at its place: then nobody else has taken any, or put any before it.
 */
export function readingsOf(
  { records, newestAt }: { readonly records?: StampRecords | undefined; readonly newestAt: number },
  { record: { standing }, skipped = 0 }: Pick<JudgeContext, "record" | "skipped">,
): (index: number) => Reading | undefined {
  if (!records) return () => undefined;
  const known = newestAt > 0 ? standing : [];
  return (index) => ({ place: skipped + index + 1, records, standing: known });
}

/** A message, and its verdict. */
interface Judged {
  readonly message: Buffer;
  readonly verdict: Verdict;
}

/** Where a message goes: as its own verdict says, or as one of a drill. */
type Way = "own" | DrillWay;

/**
 * A marked message goes to the target only if its own drill runs, with the real target, and it has not been there before. Every other one
 * goes to the drill's list, whatever its verdict is: so it neither reaches the consumer nor the dead list.
 */
function wayOf({ message, verdict }: Judged, { policy, record: { drill } }: JudgeContext): Way {
  const mark = markOf(message, policy);
  if (mark === null) return "own";
  const isFirst = verdict.action === "replay" && verdict.tries === 0;
  return isOf(drill, mark) && drill?.target === "real" && isFirst ? "target" : "list";
}

/** Whether the message goes the way of drills. */
export function isDrilled(message: Buffer, policy: SourcePolicy): boolean {
  return markOf(message, policy) !== null;
}

function markOf(message: Buffer, policy: SourcePolicy): DrillMark | null {
  return findDrillMark(message, pathsOf(policy).unwrap);
}

function isOf(drill: RunningDrill | null, mark: DrillMark): boolean {
  return drill?.id === mark.id;
}

/** Returns the plan of messages that go to the list of drills. Pure. */
export function drilledPlan(messages: readonly Buffer[], context: JudgeContext): Omit<JudgedChunk, "endsCycle"> {
  return planOf({ messages, moves: messages.map(() => ({ to: "dead", payload: null })), way: "list" }, context);
}

/** How many messages of a plan go to the target. */
export function loadOf({ replayed, drill, moves }: Pick<JudgedChunk, "replayed" | "drill" | "moves">): number {
  return drill?.to === "target" ? moves.length : replayed;
}

/** A message near an end of the DLQ, and its verdict. */
export interface Candidate extends Judged {
  /** Its place, from 1 at the oldest. */
  readonly place: number;
}

/** Returns what the verdicts of one chunk depend on. */
export function verdictContext({ policy, record, maxPoisonRetries, nowMs, failedAt }: JudgeContext): VerdictContext {
  const tallies = new Map(record.tallies.map((tally) => [tally.cycle, tally]));
  return {
    ...{ policy, maxPoisonRetries, nowMs, failedAt },
    ...{ cycle: record.cycle, cycleStartedAtMs: record.startedAtMs, tallyOf: (cycle) => tallies.get(cycle) },
  };
}

/** Creates a function that judges messages of one source as {@link judgeChunk} does. */
export function createJudge({ prepare, ...judging }: JudgeContext) {
  const context = verdictContext(judging);
  return (message: Buffer, reading?: Reading): Verdict =>
    prepare ? decide(prepare(message), context) : decide(message, context, reading);
}

/** Bounds of a pick. */
export interface PickBounds {
  /** Maximum messages to replay, and to move in total. */
  readonly replays: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Maximum list elements that Redis may pass on the way to all picked messages together. */
const MOST_PASSED = 20_000;

/**
 * Picks the messages of a canary group or a step of the ramp: all dead ones, and the least tried ones. Half of these come from
 * the newest end and half from the oldest, because poison that stayed behind collects at the oldest end. Messages that came back
 * in this cycle or arrived after it began stay. Messages of drills come before all others, because a commit has one target. Returns
 * `null` if there is nothing to pick.
 */
export function judgePicks(
  candidates: readonly Candidate[],
  context: JudgeContext & { depth: number },
  bounds: PickBounds,
): JudgedChunk | null {
  const { cycle, depthAtStart, replayed, dead, standing } = context.record;
  const newest = depthAtStart - replayed - dead;
  const eligible = candidates.filter(({ place, verdict }) => place <= newest && verdict.cameBackFrom !== cycle);
  // The newest of the cycle stays if it may: by its place, the marks are proved.
  const others = standing.length > 0 ? eligible.filter(({ place }) => place < newest) : [];
  const all = others.length > 0 ? others : eligible;
  const ways = Map.groupBy(all, (candidate) => wayOf(candidate, context));
  const way = WAYS.find((one) => ways.has(one)) ?? "own", open = ways.get(way) ?? [];
  // Those that do not reach the consumer need no budget.
  const isFree = (candidate: Candidate) => way === "list" || isDead(candidate);
  const picked: Candidate[] = [];
  let replays = 0, bytes = 0, passed = 0;
  for (const one of [...open.filter(isFree), ...byTries(open.filter((candidate) => !isFree(candidate)))]) {
    bytes += one.message.length;
    passed += Math.min(one.place, context.depth - one.place);
    if (!isFree(one) && ++replays > bounds.replays) break;
    if (picked.length > 0 && (picked.length >= bounds.messages || bytes > bounds.bytes || passed > MOST_PASSED)) break;
    picked.push(one);
  }
  if (picked.length === 0) return null;
  picked.sort((a, b) => a.place - b.place);
  const plan = toPlan(picked, context, way);
  // A commit of picked messages takes all payloads from the client.
  const moves = plan.moves.map(({ to, payload }, i): Move => ({ to, payload: payload ?? plan.messages[i]! }));
  return { ...plan, moves, places: picked.map(({ place }) => place), endsCycle: false };
}

function isDead({ verdict }: Candidate): boolean {
  return verdict.action === "dead";
}

/** Sorts the least tried first, and among these alternates between the newest and the oldest. */
function byTries(candidates: readonly Candidate[]): Candidate[] {
  const groups = Map.groupBy(candidates.toSorted((a, b) => b.place - a.place), ({ verdict }) => verdict.tries);
  return [...groups].sort(([a], [b]) => a - b).flatMap(([, newestFirst]) =>
    newestFirst.map((_, i) => newestFirst.at(i % 2 === 0 ? i / 2 : -(i + 1) / 2)!)
  );
}

/** The order in which ways are picked. */
const WAYS: readonly Way[] = ["list", "target", "own"];

function toPlan(judged: readonly Judged[], context: JudgeContext, way: Way): Omit<JudgedChunk, "endsCycle"> {
  const { record } = context;
  if (way === "list") return drilledPlan(judged.map(({ message }) => message), context);
  const recordChanges = changesOf(judged);
  if (way === "target") {
    const moves = judged.map((one): Move => ({ to: "dead", payload: payloadOf(one) }));
    return { ...planOf({ messages: judged.map(({ message }) => message), moves, way }, context), recordChanges };
  }
  const messages: Buffer[] = [], moves: Move[] = [], deaths: BuriedMessage[] = [];
  let firsts = 0, bytes = 0;
  for (const { message, verdict } of judged) {
    const payload = payloadOf({ message, verdict });
    messages.push(message);
    bytes += message.length;
    if (verdict.action === "replay") {
      moves.push({ to: "target", payload });
      if (verdict.tries === 0) firsts++;
    } else {
      moves.push({ to: "dead", payload });
      deaths.push({ reason: verdict.reason, detail: verdict.detail, bytes: message.length, message });
    }
  }
  const replayed = judged.length - deaths.length;
  return {
    ...{ cycle: record.cycle, messages, oversize: null, moves, replayed, deaths, firsts, places: null, bytes },
    ...{ spent: isCareful(record) ? replayed : judged.length, drill: null, recordChanges },
  };
}

/** The bytes to write; `null`: those that were read. */
function payloadOf({ message, verdict: { payload } }: Judged): Uint8Array | null {
  return payload === message ? null : payload;
}

/** One change a key. Of messages that share one, a replay needs the record. */
function changesOf(judged: readonly Judged[]): readonly RecordChange[] {
  const changes = new Map<string, RecordChange>();
  for (const { verdict: { action, recordChange } } of judged) {
    if (recordChange && (action === "replay" || !changes.has(recordChange.key))) {
      changes.set(recordChange.key, recordChange);
    }
  }
  return [...changes.values()];
}

/** The plan of messages of drills, which count neither as replayed nor as dead. */
function planOf(
  { messages, moves, way }: { messages: readonly Buffer[]; moves: readonly Move[]; way: DrillWay },
  { record, policy }: JudgeContext,
): Omit<JudgedChunk, "endsCycle"> {
  const { drill } = record, isDownstream = drill?.target === (way === "target" ? "real" : "mock");
  const marks = messages.map((message) => markOf(message, policy)).filter((mark) => mark !== null);
  return {
    ...{ cycle: record.cycle, messages, moves, oversize: null, replayed: 0, deaths: [], firsts: 0, places: null },
    spent: way === "list" && isCareful(record) ? 0 : messages.length,
    bytes: messages.reduce((sum, { length }) => sum + length, 0),
    drill: {
      to: way,
      numbers: isDownstream ? marks.filter((mark) => isOf(drill, mark)).map(({ number }) => number) : [],
    },
    // A record of one that has been downstream expires.
    recordChanges: [],
  };
}

function judgeOversize(chunk: Chunk, oversize: NonNullable<Chunk["oversize"]>, context: JudgeContext): JudgedChunk {
  const { newestBytes, newestDigest } = context.record;
  const isLikeNewest = oversize.bytes === newestBytes && oversize.digest === newestDigest;
  const detail =
    `${oversize.bytes} bytes, more than REMEDIATION_MAX_MESSAGE_BYTES (${context.maxMessageBytes}); it was not read`;
  return {
    cycle: context.record.cycle,
    messages: [],
    oversize,
    moves: [{ to: "dead", payload: null }],
    replayed: 0,
    deaths: [{ reason: "oversize", detail, bytes: oversize.bytes, message: null }],
    ...{ firsts: 0, places: null, spent: isCareful(context.record) ? 0 : 1 },
    ...{ bytes: oversize.bytes, drill: null, recordChanges: [] },
    endsCycle: isLikeNewest && (chunk.newestAt > 0 ? chunk.newestAt === 1 : !chunk.goesOnEqual),
  };
}

/**
 * Counts the messages of the chunk up to the one that was newest when the cycle began. If its place is not known, the first equal
 * message counts, so that no newer one is taken. Of byte-equal messages in a row, the last one counts, in this chunk or a later
 * one.
 */
function withinCycle(chunk: Chunk, record: CycleState): { count: number; endsCycle: boolean } {
  const { messages, newestAt } = chunk;
  const count = newestAt > 0 ? newestAt : firstLikeNewest(chunk, record) + 1;
  return count > 0 && count <= messages.length
    ? { count, endsCycle: true }
    : { count: messages.length, endsCycle: false };
}

function firstLikeNewest({ messages, goesOnEqual }: Chunk, record: CycleState): number {
  return messages.findIndex((message, i) =>
    isNewest(message, record) && !(i + 1 < messages.length ? messages[i + 1]!.equals(message) : goesOnEqual)
  );
}
