/** Says why a source moves messages or not: one sentence, each gate in words, and the time until its DLQ is empty. Pure. */
import type { Brake } from "../cycle/brake.ts";
import { isCycleWanted, isUnderTest, type Snapshot } from "../cycle/cycle_state.ts";
import { lastOutage, lengthMs } from "../cycle/outages.ts";
import { type Freeze, type Pause, pauseLeftMs } from "../cycle/pause.ts";
import type { GateStatus } from "../gates/board.ts";
import { hasTrait, isStandby } from "../gates/gate.ts";
import { HELD_MS } from "../gates/holding.ts";
import type { LeadershipStatus } from "../gates/leader.ts";
import { describeDuration } from "../lifecycle/outage_log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RunningSource, SourceFlow } from "./context.ts";
import { gateWords, WAITS_FOR } from "./gate_words.ts";

/** A standby knows what the leader moves from readings that are younger than this, in milliseconds. */
const CURRENT_MS = 15_000;

/** What a source does, as a closed set. */
export const ACTIVITIES = [
  "unknown",
  "off",
  "paused",
  "frozen",
  "window",
  "idle",
  "waiting",
  "testing",
  "ramping",
  "draining",
  "resting",
] as const;
/**
 * One of {@link ACTIVITIES}.
 *
 * - `unknown`: nothing has been read yet. `off`: replay is switched off. `paused`, `frozen`: by an operator. `window`: a window of the
 *   sources file forbids replay. `idle`: the DLQ is empty.
 * - `waiting`: a gate is closed. `testing`: a canary group. `ramping`: the amount grows. `draining`: without a limit.
 * - `resting`: messages wait for the next cycle.
 */
export type Activity = typeof ACTIVITIES[number];

/** What is known about a source. Instants are in milliseconds since the epoch. */
export interface SourceFacts {
  /** This machine's clock, which the gates' instants are by. */
  readonly nowMs: number;
  readonly leadership: Pick<LeadershipStatus, "role" | "holder">;
  /** The last answers of its gates. */
  readonly gates: readonly GateStatus[];
  /** The source as last read; `null` before. */
  readonly snapshot: Snapshot | null;
  /** Time since it was read, in milliseconds. */
  readonly snapshotAgeMs: number;
  /** Time until the next cycle was due when it was read, in milliseconds. */
  readonly nextCycleInMs: number;
  /** Whether the current cycle was over when it was read. */
  readonly isCycleOver: boolean;
  readonly flow: SourceFlow;
}

/** The time until the DLQ is empty, if nothing arrives meanwhile. */
export interface Estimate {
  /** `null`: it cannot be said. */
  readonly seconds: number | null;
  readonly perSecond: number | null;
  /** What the rate is from: the moves of the last minutes, the limit of the pace, or batch size and interval. */
  readonly basis: "observed" | "pace" | "batch" | null;
  /** Why it cannot be said; `null` if it can. */
  readonly reason: string | null;
}

/** The explanation of one source. */
export interface Explanation {
  readonly activity: Activity;
  readonly sentence: string;
  readonly estimate: Estimate;
  readonly pause: Pause | null;
  readonly freeze: Freeze | null;
}

interface Story {
  readonly activity: Activity;
  readonly text: string;
}

/** Reads the facts about a running source. Does no IO. */
export function readFacts(
  { parts: { leadership, board, replay, flow } }: RunningSource,
  clock: Pick<Clock, "nowMs" | "monotonicMs">,
): SourceFacts {
  return {
    nowMs: clock.nowMs(),
    leadership: leadership.status(),
    gates: board.last().statuses,
    snapshot: replay.lastSnapshot(),
    snapshotAgeMs: Math.max(0, clock.monotonicMs() - replay.lastProgressMs()),
    nextCycleInMs: replay.nextCycleInMs(),
    isCycleOver: replay.isCycleOver(),
    flow: flow(),
  };
}

/** Explains a source from what was observed, and says nothing else. */
export function explainSource(facts: SourceFacts): Explanation {
  const { snapshot, leadership: { role, holder } } = facts;
  const lasting = (one: "pause" | "freeze") =>
    snapshot && pauseLeftMs(snapshot.record[one], snapshot.nowMs) > 0 ? snapshot.record[one] : null;
  const { activity, text } = tell(facts);
  const seenBy = role === "standby" ? `${holder || "Another instance"} leads; as this standby sees it: ` : "";
  return {
    ...{ activity, sentence: `${seenBy}${seenBy === "" ? text : text[0]!.toLowerCase() + text.slice(1)}` },
    estimate: estimate(facts, activity),
    ...{ pause: lasting("pause"), freeze: lasting("freeze") },
  };
}

function tell(facts: SourceFacts): Story {
  const { snapshot } = facts;
  // Leadership tells who moves messages, and a standby tells what it sees of them.
  const closed = facts.gates.filter((gate) => !gate.open && !isStandby(gate));
  const first = closed.find(({ name }) => name === "enabled" || name === "redis" || name === "leader");
  if (first) return waitFor(first, { closed, facts });
  if (!snapshot) return { activity: "unknown", text: "Not known yet: the source has not been read" };
  // What people have planned comes before what was observed: also while the DLQ is empty.
  const planned = closed.filter(({ name }) => name === "pause" || name === "window");
  const unread = planned.find(({ name, reason }) => !plannedActivity({ name, reason }));
  if (unread) return waitFor(unread, { closed, facts });
  if (planned.length > 0) return tellPlanned(planned);
  if (snapshot.depth === 0) return { activity: "idle", text: `Nothing to do: the DLQ is empty${lastMove(snapshot)}` };
  const held = closed.find(({ name }) => hasTrait(name, "blocksStart"));
  if (held) return waitFor(held, { closed, facts });
  if (closed.some(({ name }) => name === "returns")) return tellHeld(facts, snapshot);
  if (facts.isCycleOver) return tellRest(facts, snapshot);
  const full = closed.find(({ sinceMs }) => facts.nowMs - sinceMs >= HELD_MS);
  return full && !isMovedByLeader(facts, snapshot) ? waitFor(full, { closed, facts }) : tellCycle(facts, snapshot);
}

/** Whether another instance moves messages: the gates of flow, which it keeps closed by moving, then hold nothing. */
function isMovedByLeader({ leadership, snapshotAgeMs }: SourceFacts, { record, nowMs }: Snapshot): boolean {
  return leadership.role === "standby" && snapshotAgeMs < CURRENT_MS && nowMs - record.movedAtMs < HELD_MS;
}

/** What a source does while this gate holds it because people have planned so; `null`: they have not. */
function plannedActivity({ name, reason }: Pick<GateStatus, "name" | "reason">): Activity | null {
  if (name === "pause") return reason === "paused" ? "paused" : null;
  if (reason === "frozen") return "frozen";
  return reason === "inside" || reason === "outside" ? "window" : null;
}

/** A pause, a freeze and a window, each with its end. A freeze comes first: it holds most. */
function tellPlanned(planned: readonly GateStatus[]): Story {
  const ordered = planned.toSorted((one, other) => rankOf(one) - rankOf(other));
  const texts = ordered.map((gate) => gate.name === "pause" ? `paused ${gateWords(gate)}` : gateWords(gate));
  const text = texts.join("; also ");
  return { activity: plannedActivity(ordered[0]!)!, text: `${text[0]!.toUpperCase()}${text.slice(1)}` };
}

function rankOf(gate: GateStatus): number {
  return ["frozen", "paused", "window"].indexOf(plannedActivity(gate)!);
}

function waitFor(
  gate: GateStatus,
  { closed, facts: { nowMs } }: { closed: readonly GateStatus[]; facts: SourceFacts },
): Story {
  const { name, reason, sinceMs, nextMs } = gate;
  const forMs = nowMs - sinceMs, lasting = forMs >= 1_000 ? ` for ${describeDuration(forMs)}` : "";
  const inMs = nextMs === undefined ? 0 : nextMs - nowMs,
    again = inMs >= 1_000 ? `; asked again in ${describeDuration(inMs)}` : "";
  const others = closed.filter((other) => other !== gate).map((other) => other.name);
  const also = others.length === 0 ? "" : `; also closed: ${others.join(", ")}`;
  return {
    activity: name === "enabled" && reason === "switched_off" ? "off" : "waiting",
    text: `${WAITS_FOR[name]}${lasting}: ${gateWords(gate)}${again}${also}`,
  };
}

/** The canary group came back, and the next one is not due. */
function tellHeld(facts: SourceFacts, { record: { brake } }: Snapshot): Story {
  const inMs = untilNextCycle(facts) + brake.wait * facts.flow.intervalMs;
  return {
    activity: "testing",
    text: `Waiting after a canary group that came back; the next group in ${describeDuration(inMs)}`,
  };
}

/** The cycle is over, and messages wait for the next one. */
function tellRest(facts: SourceFacts, { record, depth }: Snapshot): Story {
  const { brake, replayed } = record,
    isTest = isUnderTest(record),
    wait = `${messages(depth)} ${depth === 1 ? "waits" : "wait"}`;
  if (!isTest && isCycleWanted(record)) return { activity: "resting", text: `${wait}; the next cycle begins at once` };
  const next = describeDuration(untilNextCycle(facts));
  if (isTest && brake.suspect) {
    const text = `Testing${after(record)}: the canary group of ${messages(replayed)} went and is judged within ${next}`;
    return { activity: "testing", text };
  }
  if (isTest) {
    return {
      activity: "ramping",
      text: `Ramping up: ${messages(replayed)} went; the next cycle begins within ${next}`,
    };
  }
  const { batchSize } = facts.flow,
    most = batchSize > 0 && batchSize < depth ? `, of at most ${messages(batchSize)}` : "";
  return { activity: "resting", text: `${wait} for the next cycle in ${next}${most}` };
}

/** The cycle has budget left. */
function tellCycle(facts: SourceFacts, { record, depth }: Snapshot): Story {
  const { brake, cycleLimit, remaining, depthAtStart, replayed } = record;
  if (cycleLimit === "breaker") {
    return { activity: "testing", text: "Testing with 1 message, which the forwarder's circuit breaker lets through" };
  }
  if (brake.suspect || brake.allowance !== null) {
    const group = messages(remaining + replayed);
    return brake.suspect ? { activity: "testing", text: `Testing with ${group} (canary)${after(record)}` } : {
      activity: "ramping",
      text: `Ramping up: up to ${group} this cycle, ${messages(depth)} in the DLQ`,
    };
  }
  const { seconds, perSecond } = estimate(facts, "draining");
  const time = seconds === null ? "" : `, about ${describeDuration(seconds * 1_000)} at ${rate(perSecond!)}`;
  const left = cycleLimit === "batch_size"
    ? `${messages(depth)} in the DLQ, ${remaining.toLocaleString("en-US")} of them in this cycle`
    : depth < depthAtStart
    ? `${depth.toLocaleString("en-US")} of ${messages(depthAtStart)} left`
    : `${messages(depth)} left`;
  return { activity: "draining", text: `Draining: ${left}${time}` };
}

/** Why the brake limits the source. */
function after(
  { brake: { reason }, outages }: { readonly brake: Pick<Brake, "reason">; readonly outages: string },
): string {
  const outage = reason === "outage" ? lastOutage(outages) : null;
  if (outage?.gate === "window") return ` after ${describeDuration(lengthMs(outage))} without replay (gate window)`;
  if (outage) return ` after an outage of ${describeDuration(lengthMs(outage))} (gate ${outage.gate})`;
  if (reason === "returns") return " after replayed messages came back";
  return "";
}

function lastMove({ record: { movedAtMs }, nowMs }: Snapshot): string {
  return movedAtMs === 0 || movedAtMs > nowMs
    ? ""
    : `; the last message was moved ${describeDuration(nowMs - movedAtMs)} ago`;
}

function untilNextCycle({ nextCycleInMs, snapshotAgeMs }: SourceFacts): number {
  return Math.max(0, nextCycleInMs - snapshotAgeMs);
}

function estimate({ snapshot, gates, flow }: SourceFacts, activity: Activity): Estimate {
  const unknown = (reason: string): Estimate => ({ seconds: null, perSecond: null, basis: null, reason });
  if (!snapshot) return unknown("the source has not been read yet");
  const { depth, record } = snapshot;
  if (depth === 0) return { seconds: 0, perSecond: null, basis: null, reason: null };
  // `depth` and `pace` open and close while messages flow.
  const isHeld = activity === "off" || activity === "paused" || activity === "frozen" || activity === "window" ||
    activity === "waiting";
  const closed = gates.find((gate) => !gate.open && !isStandby(gate) && (isHeld || hasTrait(gate.name, "blocksStart")));
  if (closed) return unknown(`the gate ${closed.name} is closed`);
  if (record.brake.suspect || record.cycleLimit === "breaker") {
    return unknown("only a few messages are replayed as a test");
  }
  if (record.brake.allowance !== null) return unknown("the amount of a cycle still grows");
  const likely = likelyRate(flow, depth);
  if (!likely) return unknown("nothing has moved lately, and the pace is not limited");
  return { ...likely, seconds: Math.ceil(depth / likely.perSecond), reason: null };
}

/** How fast this many messages would go, and what that is from; `null`: it cannot be said. */
export function likelyRate(
  { batchSize, intervalMs, mostPerSecond, movedPerSecond }: SourceFlow,
  depth: number,
): { readonly perSecond: number; readonly basis: "observed" | "pace" | "batch" } | null {
  const pace = mostPerSecond ? { perSecond: mostPerSecond, basis: "pace" as const } : null;
  if (batchSize > 0 && batchSize < depth) {
    const perSecond = batchSize / intervalMs * 1_000;
    return pace && pace.perSecond < perSecond ? pace : { perSecond, basis: "batch" };
  }
  return movedPerSecond ? { perSecond: movedPerSecond, basis: "observed" } : pace;
}

function messages(count: number): string {
  return `${count.toLocaleString("en-US")} message${count === 1 ? "" : "s"}`;
}

function rate(perSecond: number): string {
  return perSecond >= 1
    ? `${Math.round(perSecond).toLocaleString("en-US")} a second`
    : `${(perSecond * 60).toLocaleString("en-US", { maximumFractionDigits: 1 })} a minute`;
}
