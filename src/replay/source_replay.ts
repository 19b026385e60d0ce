/** A source's turn: asks the gates, reads, judges and commits chunk after chunk until the cycle's budget is used up. */
import type { DeadReason, SourcePolicy } from "../message/source_policy.ts";
import type { BoardReading, GateStatus, TurnGates } from "../gates/board.ts";
import { hasTrait } from "../gates/gate.ts";
import type { DepthReading } from "../gates/depth.ts";
import type { Log } from "../observability/log.ts";
import type { Chunk, ChunkBounds, Commit } from "../cycle/chunk.ts";
import type { Buffer } from "node:buffer";
import type { Reading, Verdict } from "../message/verdict.ts";
import { commitResult, commitSpan, cycleFacts, cycleSpan } from "../observability/spans.ts";
import type { Span, Tracer } from "../observability/tracing.ts";
import { StoreError, wrongTypeError } from "../redis/errors.ts";
import { drillListKey, oversizeKey } from "../redis/keys.ts";
import { type CycleState, isCycleWanted, isUnderTest, type Snapshot } from "../cycle/cycle_state.ts";
import { jobFields } from "../cycle/running_job.ts";
import { drillMoveFields } from "../cycle/running_drill.ts";
import { carriedMarks, formatMarks, formatStanding, STANDING_FIELD, standingAfter } from "../cycle/standing.ts";
import { findDrillMark } from "../message/drill_mark.ts";
import { pathsOf } from "../message/policy_paths.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { type Account, noteOf } from "./account.ts";
import { planCycle } from "../cycle/plan_cycle.ts";
import { DroppedStamps } from "./dropped_stamps.ts";
import { readEnds } from "./ends.ts";
import type { Leadership } from "./leadership.ts";
import type { StoppedBy, TurnOutcome } from "./outcome.ts";
import {
  createJudge,
  firstMessages,
  isCareful,
  judgeChunk,
  type JudgeContext,
  type JudgedChunk,
  judgePicks,
  loadOf,
} from "./judge_chunk.ts";
import { lookForReturns, type ReadReturns } from "./returns.ts";
import type { ReplayStore } from "./store.ts";

/** A commit may run until this long after it was sent, in milliseconds of the server's clock. */
const COMMIT_DEADLINE_MS = 5_000;
/** After more conflicts in a row, the turn ends, and the next one goes on with the cycle. */
const MAX_CONFLICTS = 5;
/** After more refused attempts to begin a cycle, the turn ends: other instances commit that fast, or people edit the state. */
const MAX_REFUSALS = 100;
/** Pause before a retry after another instance was faster, in milliseconds. */
const AGAIN_MS = 5;
/** First and maximum pause after a failure, in milliseconds. */
const RETRY_MS = 1_000, MAX_RETRY_MS = 30_000;

/**
 * Minimum time for the consumer after it has taken a canary group or a step of the ramp. After that the next step may begin
 * before the interval is over. And how often the target is checked until then. In milliseconds.
 */
const STEP_MS = 3_000, STEP_POLL_MS = 500;
/**
 * After the target was empty once: messages in it for this long at every look are failed ones that the consumer retries, in
 * milliseconds. For a shorter time they are live ones that pass.
 */
const BUSY_MS = 10_000;

/** A new leader begins a cycle at once, unless one began within this time, in milliseconds. */
const RESTART_MS = 5_000;

/** The settings of a turn. They are read anew each time. */
export interface ReplaySettings {
  readonly intervalMs: number;
  /** Maximum time from a replay until a failed message is back in the DLQ, in milliseconds. */
  readonly consumerLagMs: number;
  readonly batchSize: number;
  /** Minimum length of an outage before a canary group, in milliseconds; 0: never. */
  readonly canaryAfterMs: number;
  /** Whether the brake limits cycles. */
  readonly brakeEnabled: boolean;
  readonly maxPoisonRetries: number;
  readonly chunkMessages: number;
  readonly chunkBytes: number;
  readonly maxMessageBytes: number;
}

/** The dependencies of a {@link SourceReplay}. */
export interface SourceReplayDeps {
  readonly store: ReplayStore;
  readonly board: TurnGates;
  /** The job whose own list the store drains; default: none, it drains the DLQ. */
  readonly job?: JobDrain;
  /** Returns the last reading of the depth gate, for the commit's limit on the target. */
  readonly depthReading: () => DepthReading | null;
  /** Reserves `count` replays of the pace; false if another instance or source was faster. */
  readonly reservePace: (count: number) => Promise<boolean>;
  /** Returns the fields of the cycle state that charge `count` replays to the pace. */
  readonly paceFields: (count: number) => Readonly<Record<string, string>>;
  /** Returns how many live messages got through the consumer in the last `ms` milliseconds, while messages came back. */
  readonly liveSuccesses: (ms: number) => number;
  /** Tells whether this instance leads. `refused` is called if Redis refused a call that only the leader may make. */
  readonly leadership: Pick<Leadership, "refused" | "leads" | "isFailing" | "wasHandedOver">;
  readonly settings: () => ReplaySettings;
  readonly account: Account;
  readonly clock: Clock;
  readonly createId: () => string;
  readonly log: Log;
  readonly tracer: Tracer;
}

/** A job whose own list is drained. */
export interface JobDrain {
  readonly id: string;
  /** Reads the newest messages of the DLQ, where returns arrive. */
  readonly readArrivals: ReplayStore["browseNewest"];
  /** Changes a message before it is judged; default: it is judged as it is. */
  readonly prepare?: JudgeContext["prepare"];
}

/** Options of a turn. */
export interface TurnOptions {
  /** `due`: begin a cycle if the interval has passed; `now`: begin one at once; `never`: only go on with the current one. */
  readonly begin: "due" | "now" | "never";
  /** If aborted, the turn finishes its current chunk and stops. */
  readonly signal: AbortSignal;
}

/** A verdict that moves nothing, and what it was made with. */
export interface DryVerdict {
  readonly verdict: Verdict;
  /** Id of the drill that the message is of; `null`: it is a real one. */
  readonly drill: string | null;
  readonly cycle: number;
  readonly maxPoisonRetries: number;
}

/** The moves of a turn so far. */
interface Tally {
  depthBefore: number | null;
  replayed: number;
  dead: Partial<Record<DeadReason, number>>;
  conflicts: number;
  began: boolean;
}

/** A chunk as read, and its moves. */
interface ReadAhead {
  readonly chunk: Chunk;
  readonly plan: JudgedChunk;
  /** Time of the judgement, on the monotonic clock. */
  readonly madeAtMs: number;
}

/** The result of a step, and the chunk that was read right after its commit. */
interface Step {
  readonly result: "moved" | "conflict" | "again" | "wrong_type" | "exhausted";
  readonly next?: Promise<Chunk | null>;
}

/** The parts of a commit other than its moves. */
type CommitDetails = Pick<Commit, "sequence" | "guard" | "notAfterMs" | "targetLimit" | "fields">;

/** Why a turn stops, and the time until the next one. */
interface Stop {
  by: StoppedBy;
  nextInMs: number;
}

/**
 * Replays one source. Takes one turn at a time; any number of processes may work on the same source.
 *
 * A turn works on the current cycle of the source, which is in one of three states:
 *
 * - *due*: the interval has passed since the last cycle began, an operator wants one, this process has just started, or a step was judged early
 *   (`#judgeStep`). If no gate blocks a start, `planCycle` judges the last cycle, and sets the budget and the limit of the next.
 *   Only one instance begins it. The cycle is then open, or over if its budget is 0.
 * - *open*: budget is left. The turn commits chunk after chunk, and asks the gates before each. A closed gate ends the turn, but
 *   not the cycle: the next turn goes on with it, in this process or another.
 * - *over*: the budget is used up, the DLQ is empty, the message that was newest at the start is gone, or nothing is left to
 *   pick. The turn ends, and the cycle stays over until the next one is due.
 *
 * The `CycleLimit` of a cycle is the limit that set its budget. It decides how the cycle proceeds and ends:
 *
 * - `depth`: the budget is the whole DLQ. The cycle takes the oldest messages in a row (`#step`). It ends as `empty`.
 * - `batch_size`: the same for REMEDIATION_BATCH_SIZE messages, while more are left. It ends as `batch_size`.
 * - `returns`: the brake allows less: a canary group while the source is suspect, later a step of the ramp. It ends as `returns`.
 * - `held`: the source is suspect and its next canary group is not due. The cycle is over from the start, and the gate `returns`
 *   is closed until the next one.
 * - `breaker`: a gate answered with a canary. The cycle takes one message, and its return does not count. If a gate answers so
 *   while a cycle with another limit is open, the turn ends, so that the canary gets its own cycle.
 *
 * While the brake has an allowance, with any limit, messages are picked from both ends of the DLQ (`#carefulStep`), and only
 * replays use the budget.
 */
export class SourceReplay {
  readonly policy: SourcePolicy;
  readonly #deps: SourceReplayDeps;
  #snapshot: Snapshot | null = null;
  #unsettled: { id: string; plan: JudgedChunk } | null = null;
  #failures = 0;
  #lastProgressMs = 0;
  /** The gate that stopped the last turn. */
  #heldAt: GateStatus["name"] | null = null;
  readonly #droppedStamps: DroppedStamps;
  /** Time when the consumer had emptied the target after a canary group or a step of the ramp, on the monotonic clock. */
  #taken: { cycle: number; atMs: number } | null = null;
  /** Since when every look found messages in the target, on the monotonic clock; `null`: the last one found none. */
  #busySinceMs: number | null = null;
  /** Whether this process has begun a cycle, or has gone on with one. */
  #hasBegun = false;
  /** The cycle that was judged early and had come back, and the cycle with nothing left to pick. */
  #judgedBad = -1;
  #exhausted = -1;
  /** Whether all messages of the last chunk were dead. */
  #areDying = false;

  constructor(policy: SourcePolicy, deps: SourceReplayDeps) {
    this.policy = policy;
    this.#deps = deps;
    this.#droppedStamps = new DroppedStamps(policy);
  }

  /** Returns the source as last read; `null` before the first read. */
  lastSnapshot(): Snapshot | null {
    return this.#snapshot;
  }

  /** Returns the time of the last read that Redis answered, on the monotonic clock. */
  lastProgressMs(): number {
    return this.#lastProgressMs;
  }

  /** Returns the time until the next cycle is due, in milliseconds, by the last read. */
  nextCycleInMs(): number {
    return this.#snapshot && this.#isWanted(this.#snapshot) ? 0 : this.#intervalLeftMs();
  }

  /**
   * Whether an operator wants a cycle now. A canary group or a step of the ramp is judged first: a cycle that begins before its
   * messages can be back would take it for a good one.
   */
  #isWanted({ record }: Pick<Snapshot, "record">): boolean {
    return isCycleWanted(record) && (!isUnderTest(record) || record.cycle === this.#judgedBad);
  }

  #intervalLeftMs(): number {
    if (!this.#snapshot) return 0;
    const { nowMs, record } = this.#snapshot;
    const elapsedMs = nowMs - record.startedAtMs;
    return elapsedMs < 0 ? 0 : Math.max(0, this.#deps.settings().intervalMs - elapsedMs);
  }

  /** Tells whether the current cycle is over, by the last read. */
  isCycleOver(): boolean {
    return this.#snapshot === null || this.#isOver(this.#snapshot);
  }

  /** Tells whether the reply to a commit was lost, and its result is still unknown. */
  hasUnsettled(): boolean {
    return this.#unsettled !== null;
  }

  /** Reads the source. Rejects with a `StoreError`. */
  async look(): Promise<Snapshot> {
    // The snapshot's instant is between request and reply. Counting from the request, a pause in between cannot shorten a cycle.
    const askedAtMs = this.#deps.clock.monotonicMs();
    return this.#saw(await this.#deps.store.readState(), askedAtMs);
  }

  #saw(snapshot: Snapshot, atMs = this.#deps.clock.monotonicMs()): Snapshot {
    this.#snapshot = snapshot;
    this.#lastProgressMs = atMs;
    this.#deps.account.stateRead(snapshot, { isDlq: this.#deps.job === undefined });
    return snapshot;
  }

  /**
   * Asks the gates without a turn. Returns true if the gate that stopped the last turn is open now, or an operator wants a cycle and
   * it may begin. Never rejects.
   */
  async askGates(): Promise<boolean> {
    // The gates use the last read of the source, and report a failed read themselves.
    const snapshot = await this.look().catch(() => null);
    const { closed } = await this.#deps.board.ask();
    if (snapshot && this.#isWanted(snapshot) && !closed.some(({ name }) => hasTrait(name, "blocksStart"))) {
      return true;
    }
    return this.#heldAt !== null && closed.every(({ name }) => name !== this.#heldAt);
  }

  /** Takes a turn. A failure of Redis is an outcome (`error`, or the gate `redis`). Rejects only with a bug. */
  async runOnce(options: TurnOptions): Promise<TurnOutcome> {
    const tally: Tally = { depthBefore: null, replayed: 0, dead: {}, conflicts: 0, began: false };
    let stop: Stop;
    this.#heldAt = null;
    try {
      stop = await this.#deps.tracer.span(cycleSpan(this.policy), (span) => this.#tracedTurn(options, tally, span));
      this.#failures = 0;
      // If Redis refused the lease, the turn asked for nothing else.
      if (!this.#deps.leadership.isFailing()) this.#deps.account.turnSucceeded();
      if (stop.by === "shutdown") this.#deps.account.logRemainingDeaths();
    } catch (error) {
      stop = await this.#failed(error);
    }
    const depthAfter = this.#snapshot?.depth ?? 0;
    const { replayed, dead, conflicts, began } = tally;
    return {
      ...{ replayed, dead, conflicts, began, depthAfter, depthBefore: tally.depthBefore ?? depthAfter },
      stoppedBy: stop.by,
      nextInMs: stop.nextInMs,
    };
  }

  async #tracedTurn(options: TurnOptions, tally: Tally, span: Span): Promise<Stop> {
    let stoppedBy: StoppedBy = "error";
    try {
      const stop = await this.#turn(options, tally, span);
      stoppedBy = stop.by;
      return stop;
    } finally {
      // After a gate that only limits flow, the cycle goes on in a moment.
      if (!hasTrait(stoppedBy, "limitsFlow")) this.#deps.account.tellMoves();
      const { depthBefore, replayed, dead, conflicts } = tally;
      span.set(cycleFacts({
        ...{ replayed, conflicts, stoppedBy, cycle: this.#snapshot?.record.cycle ?? 0, depth: depthBefore ?? 0 },
        dead: Object.values(dead).reduce((sum, count) => sum + count, 0),
      }));
    }
  }

  async #turn({ begin, signal }: TurnOptions, tally: Tally, span: Span): Promise<Stop> {
    if (this.hasUnsettled()) span.begin();
    await this.#settle(tally);
    let conflicts = 0, refusals = 0;
    let mayBegin = begin;
    let cycle: number | null = null;
    let next: Chunk | null = null;
    while (true) {
      if (signal.aborted) return { by: "shutdown", nextInMs: 0 };
      const snapshot: Snapshot = next ? this.#saw(next) : await this.look();
      tally.depthBefore ??= snapshot.depth;
      if (!this.#mayWork(snapshot.record)) return { by: "job", nextInMs: RETRY_MS };
      const asking = this.#deps.board.ask();
      // Judging changes nothing, so it need not wait for the gates.
      const ahead = next && this.#readAhead(next);
      const reading = await asking;
      next = null;
      const isDue = mayBegin === "now" ||
        (mayBegin === "due" && (this.nextCycleInMs() === 0 || this.#isRestarted(snapshot)));
      const step = mayBegin === "due" && !isDue ? await this.#judgeStep(snapshot) : null;
      if (isDue || step) {
        if (tally.began) return this.#ended(snapshot);
        // `depth` and `pace` limit chunks. They need not delay the start of a cycle, which only judges the previous one.
        const closed = reading.closed.find(({ name }) => hasTrait(name, "blocksStart"));
        if (closed) return this.#heldBy(closed);
        if (snapshot.depth > 0) span.begin();
        if (
          await this.#begin(snapshot, {
            ...{ force: mayBegin === "now" || this.#intervalLeftMs() > 0, returns: step },
            breakerCanary: reading.canary !== null,
          })
        ) {
          tally.began = true;
          this.#hasBegun = true;
          conflicts = 0;
          if (mayBegin === "now") mayBegin = "never";
        } else if (++refusals > MAX_REFUSALS) {
          return this.#contended();
        } else {
          await this.#deps.clock.sleep(AGAIN_MS, signal);
        }
        continue;
      }
      // `once` works only on the cycle that it began, not on a newer one of another instance.
      if (begin === "now" && cycle !== null && cycle !== snapshot.record.cycle) return this.#ended(snapshot);
      cycle = snapshot.record.cycle;
      if (this.#isOver(snapshot)) return this.#ended(snapshot);
      // A breaker's canary gets its own cycle, so that its return does not count as a failure.
      const blocking = reading.closed[0] ?? (snapshot.record.cycleLimit === "breaker" ? null : reading.canary);
      if (blocking) return this.#heldBy(blocking);

      span.begin();
      const details = { ahead, reading, tally, divisor: 2 ** conflicts, signal };
      const moved: Step = isCareful(snapshot.record)
        ? await this.#carefulStep(snapshot, details)
        : await this.#step(snapshot, details);
      next = await moved.next ?? null;
      if (moved.result === "exhausted") {
        this.#exhausted = snapshot.record.cycle;
        return this.#ended(snapshot);
      }
      if (moved.result === "conflict") {
        tally.conflicts++;
        if (++conflicts > MAX_CONFLICTS) return this.#contended();
      } else if (moved.result === "moved") {
        conflicts = 0;
      } else if (moved.result === "wrong_type") {
        const { dlq, target, dead } = this.policy;
        throw wrongTypeError(
          `one of ${dlq}, ${target}, ${dead}, ${
            oversizeKey(dlq)
          } is not a list, or the source's cycle state is not a hash`,
        );
      } else {
        await this.#deps.clock.sleep(AGAIN_MS, signal);
      }
    }
  }

  /**
   * Whether a cycle is due because this process has just started: people restart it to apply a change. An open cycle goes on
   * first, a suspect source keeps the distance of its canary groups, and a hand-over between instances is no start.
   */
  #isRestarted({ record, depth, nowMs }: Snapshot): boolean {
    if (this.#hasBegun || record.cycle === 0) return false;
    if (!this.#isOver({ record, depth }) || record.brake.suspect || this.#deps.leadership.wasHandedOver()) {
      this.#hasBegun = true;
      return false;
    }
    return nowMs - record.startedAtMs >= RESTART_MS;
  }

  /**
   * Judges a canary group or a step of the ramp before the interval is over, when the target is empty and failed messages have
   * had time to come back. @returns the returns if the next step may begin; `null` if not
   */
  async #judgeStep({ record, depth }: Snapshot): Promise<ReadReturns | null> {
    if (!this.#isStepOpen({ record, depth }) || record.cycle === this.#judgedBad) return null;
    const nowMs = this.#deps.clock.monotonicMs();
    this.#noteTaken(record.cycle, nowMs);
    // A message that waits has not failed yet, so the step is judged at a look that finds none.
    if (this.#taken === null || this.#busySinceMs !== null) return null;
    if (nowMs - this.#taken.atMs < this.#stepMs(record)) return null;
    const snapshot = this.#snapshot!, returns = await this.#lookForReturns(snapshot);
    if (this.#plan(snapshot, { returns, breakerCanary: false }).judgement !== "came_back") return returns;
    // After a bad result, the next canary group keeps its distance.
    this.#judgedBad = record.cycle;
    return null;
  }

  /** Notes when the consumer had emptied the target. Live messages that pass do not make the step wait anew. */
  #noteTaken(cycle: number, nowMs: number): void {
    const isEmpty = this.#waiting() === 0;
    this.#busySinceMs = isEmpty ? null : this.#busySinceMs ?? nowMs;
    if (this.#taken?.cycle !== cycle) this.#taken = null;
    if (isEmpty) this.#taken ??= { cycle, atMs: nowMs };
    else if (nowMs - this.#busySinceMs! >= BUSY_MS) this.#taken = null;
  }

  /** Whether the current cycle is a canary group or a step of the ramp that may be judged before the interval is over. */
  #isStepOpen({ record, depth }: Pick<Snapshot, "record" | "depth">): boolean {
    return isUnderTest(record) && this.#isOver({ record, depth });
  }

  /** Whether no job runs; if this drains a job's own list, whether that job acts. */
  #mayWork({ job }: CycleState): boolean {
    const own = this.#deps.job?.id ?? null;
    return job === null ? own === null : job.id === own && job.phase === "act" && !job.isPaused;
  }

  /** Whether the current cycle is over. */
  #isOver({ record, depth }: Pick<Snapshot, "record" | "depth">): boolean {
    const { remaining, cycle, push } = record;
    return depth === 0 || remaining === 0 || push !== this.policy.push || cycle === this.#exhausted;
  }

  /** Time before a step is judged. A canary group gets the consumer's maximum time; a step of the ramp follows a good group. */
  #stepMs({ brake, lagMs }: CycleState): number {
    return brake.suspect ? Math.max(STEP_MS, lagMs, this.#deps.settings().consumerLagMs) : STEP_MS;
  }

  /** Messages in the target, by the last reading of the depth gate; `Infinity` if unknown. */
  #waiting(): number {
    return this.#deps.depthReading()?.depths[0] ?? Infinity;
  }

  #lookForReturns(snapshot: Snapshot): Promise<ReadReturns> {
    const { store, settings, job } = this.#deps, { maxMessageBytes } = settings();
    const browseNewest: ReplayStore["browseNewest"] = job?.readArrivals ?? ((...given) => store.browseNewest(...given));
    const browseTarget: ReplayStore["browseTarget"] = (...given) => store.browseTarget(...given);
    return lookForReturns({ store: { browseNewest, browseTarget }, policy: this.policy, maxMessageBytes }, snapshot);
  }

  /** Plans a cycle that begins now. */
  #plan(snapshot: Snapshot, { returns, breakerCanary }: { returns: ReadReturns; breakerCanary: boolean }) {
    const { clock, board, settings, liveSuccesses } = this.#deps, { record, nowMs } = snapshot;
    const seenForMs = clock.monotonicMs() - this.#lastProgressMs;
    const lastedMs = Math.max(0, nowMs - record.startedAtMs) + seenForMs;
    const releasedMs = nowMs - record.releasedAtMs + seenForMs;
    const dropped = this.#droppedStamps.looked({ stamped: returns.found.size, unstamped: returns.unstampedRead });
    return planCycle(snapshot, {
      ...settings(),
      ...{ returns, breakerCanary, stampsDropped: dropped ?? record.stampsDropped },
      outages: record.cycle === 0 ? [] : board.outagesSince(clock.nowMs() - lastedMs),
      // By the clock of the board, which is this machine's.
      releasedAtMs: releasedMs >= 0 ? clock.nowMs() - releasedMs : 0,
      liveSuccesses: liveSuccesses(lastedMs),
    });
  }

  /** Begins a cycle. Returns false if another instance was faster. */
  async #begin(
    snapshot: Snapshot,
    { force, breakerCanary, returns }: { force: boolean; breakerCanary: boolean; returns: ReadReturns | null },
  ): Promise<boolean> {
    const { intervalMs } = this.#deps.settings();
    const plan = this.#plan(snapshot, { returns: returns ?? await this.#lookForReturns(snapshot), breakerCanary });
    const { record: { sequence, standing }, depth } = snapshot, { budget } = plan;
    const marks = this.policy.beside && { [STANDING_FIELD]: formatMarks(carriedMarks(standing, depth)) };
    const result = await this.#deps.store.begin({
      ...{ sequence, intervalMs: force ? 0 : intervalMs, budget },
      fields: { ...plan.fields, ...marks },
    });
    if (result === "wrong_type") {
      throw wrongTypeError("the DLQ is not a list, or the source's cycle state is not a hash");
    }
    if (result === "not_leader") this.#deps.leadership.refused();
    if (result === "ok") this.#deps.account.cycleBegan(plan, snapshot);
    return result === "ok";
  }

  /** Commits messages picked from both ends of the DLQ, for a canary group or a step of the ramp. */
  async #carefulStep(
    { record }: Snapshot,
    { reading, tally, divisor }: { reading: BoardReading; tally: Tally; divisor: number },
  ): Promise<Step> {
    const { clock, settings, reservePace, store } = this.#deps, { chunkMessages, chunkBytes } = settings();
    const startedAtMs = clock.monotonicMs();
    const replays = Math.max(1, Math.floor(Math.min(record.remaining, reading.room, chunkMessages) / divisor));
    const { oldest, candidates } = await readEnds(store, {
      ...{ bounds: this.#bounds(Infinity), wanted: replays },
      createJudge: (chunk) => createJudge(this.#context(chunk)),
    });
    if (oldest.record.sequence !== record.sequence) return { result: "again" };
    const bounds = { replays, messages: chunkMessages, bytes: chunkBytes };
    const plan = oldest.oversize
      ? judgeChunk(oldest, this.#context(oldest))
      : judgePicks(candidates, { ...this.#context(oldest), depth: oldest.depth }, bounds);
    if (plan === null) return { result: "exhausted" };
    if (loadOf(plan) > 0 && !await reservePace(loadOf(plan))) return { result: "again" };
    const details = this.#commitDetails(plan, { chunk: oldest, readAtMs: startedAtMs });
    return await this.#commit(plan, details, { tally, next: null });
  }

  #commitDetails(
    plan: JudgedChunk,
    { chunk, readAtMs }: { chunk: Chunk; readAtMs: number },
  ): CommitDetails {
    const { clock, paceFields } = this.#deps, { replayed, deaths, drill } = plan, load = loadOf(plan);
    const { record, nowMs } = chunk;
    return {
      sequence: record.sequence,
      notAfterMs: Math.round(nowMs + COMMIT_DEADLINE_MS + clock.monotonicMs() - readAtMs),
      targetLimit: this.#targetLimit(),
      fields: {
        ...(load > 0 ? paceFields(load) : {}),
        ...(record.cycleLimit === "breaker" ? { breakerCanaryAtMs: String(nowMs) } : {}),
        ...(record.job ? jobFields(record.job, { replayed, dead: deaths.length }) : {}),
        ...(record.drill && drill && drill.numbers.length > 0
          ? drillMoveFields(record.drill, { numbers: drill.numbers, nowMs: nowMs + clock.monotonicMs() - readAtMs })
          : {}),
        ...(this.policy.beside ? standingFields(chunk, plan) : {}),
      },
    };
  }

  /** Commits one chunk, which was read ahead or is read now, and reads the next one. */
  async #step(
    { record }: Snapshot,
    { ahead, reading, tally, divisor, signal }: {
      ahead: ReadAhead | null;
      reading: BoardReading;
      tally: Tally;
      divisor: number;
      signal: AbortSignal;
    },
  ): Promise<Step> {
    const bounds = this.#bounds(this.#mostMoves(record.remaining, reading.room));
    const most = Math.max(1, Math.floor(bounds.messages / divisor));
    const read = ahead ?? this.#readAhead(await this.#deps.store.readForCommit({ ...bounds, messages: most }));
    if (read.chunk.record.sequence !== record.sequence) return { result: "again" };
    // The chunk that was read ahead may be more than the gates allow now.
    const replays = Math.max(1, Math.floor(reading.room / divisor));
    const count = Math.min(most, countWithin(read.plan, replays));
    const { chunk, plan } = read.plan.moves.length <= count ? read : this.#readAhead(firstMessages(read.chunk, count));
    if (plan.moves.length === 0) return { result: "moved" };
    const load = loadOf(plan);
    if (load > 0 && !await this.#deps.reservePace(load)) return { result: "again" };
    this.#areDying = load === 0;
    const left = plan.endsCycle || signal.aborted
      ? 0
      : this.#mostMoves(record.remaining - plan.moves.length, reading.room - load);
    const details = this.#commitDetails(plan, { chunk, readAtMs: read.madeAtMs });
    return await this.#commit(plan, { ...details, guard: chunk.guard }, {
      tally,
      next: left > 0 ? this.#bounds(left) : null,
    });
  }

  /** Maximum messages to read. Dead messages use no gate's room, so the turn reads whole chunks while all of them are dead. */
  #mostMoves(remaining: number, room: number): number {
    return this.#areDying ? remaining : Math.min(remaining, room);
  }

  #bounds(most: number): ChunkBounds {
    const { chunkMessages, chunkBytes, maxMessageBytes } = this.#deps.settings();
    return { messages: Math.min(chunkMessages, most), bytes: chunkBytes, messageBytes: maxMessageBytes };
  }

  #readAhead(chunk: Chunk): ReadAhead {
    return { chunk, madeAtMs: this.#deps.clock.monotonicMs(), plan: judgeChunk(chunk, this.#context(chunk)) };
  }

  /**
   * Judges a message as the current cycle would, by what it knew when it began. `known`: its place, and its record (`undefined`: the stamps are
   * inside the messages). Does no IO; `null`: the state of the source has not been read yet.
   */
  judge(message: Buffer, known?: Pick<Reading, "place" | "records">): DryVerdict | null {
    const snapshot = this.lastSnapshot();
    if (snapshot === null) return null;
    const context = this.#context(snapshot);
    const verdict = createJudge(context)(message, known && { ...known, standing: context.record.standing });
    const drill = findDrillMark(message, pathsOf(this.policy).unwrap)?.id ?? null;
    return { verdict, drill, cycle: context.record.cycle, maxPoisonRetries: context.maxPoisonRetries };
  }

  /** The context for judging messages of this snapshot. */
  #context({ record, nowMs }: Snapshot): JudgeContext {
    const { clock, settings, job } = this.#deps, { maxPoisonRetries, maxMessageBytes } = settings();
    return {
      policy: this.policy,
      record,
      nowMs,
      maxPoisonRetries,
      maxMessageBytes,
      failedAt: toIso(clock.nowMs()),
      prepare: job?.prepare,
    };
  }

  async #commit(
    plan: JudgedChunk,
    details: CommitDetails,
    { tally, next: bounds }: { tally: Tally; next: ChunkBounds | null },
  ): Promise<Step> {
    const id = this.#deps.createId();
    const { messages, oversize, moves, endsCycle, places, spent, firsts } = plan, drill = plan.drill?.to ?? null;
    const { dlq, target, dead } = this.policy;
    const destination = loadOf(plan) > 0
      ? target
      : oversize
      ? oversizeKey(dlq)
      : drill === null
      ? dead
      : drillListKey(dlq);
    const chunk = { destination, replayed: plan.replayed, dead: plan.deaths.length, bytes: plan.bytes };
    const { result, next, records = null } = await this.#deps.tracer.span(
      commitSpan(this.policy, chunk),
      async (span) => {
        const done = await this.#deps.store.commitAndRead(
          {
            ...{
              id,
              messages,
              oversize,
              moves,
              endsCycle,
              places,
              spent,
              firsts,
              drill,
              note: noteOf(plan),
              ...details,
            },
            recordChanges: plan.recordChanges,
          },
          bounds,
        );
        span.set(commitResult(done.result));
        return done;
      },
    ).catch((error: unknown) => {
      this.#deps.account.commit("error");
      // Without a reply, the commit may have run or not.
      if (error instanceof StoreError && !error.isCertain) this.#unsettled = { id, plan };
      throw error;
    });
    this.#deps.account.commit(result);
    if (result === "ok" || result === "duplicate") {
      this.#add(plan, tally);
      if (records !== null) this.#deps.account.recordsKept(records);
      return { result: "moved", next };
    }
    if (result === "not_leader") this.#deps.leadership.refused();
    return { result: result === "conflict" || result === "wrong_type" ? result : "again" };
  }

  /** Finds out whether a commit ran after its reply was lost, before anything else is done with the source. */
  async #settle(tally: Tally): Promise<void> {
    if (!this.#unsettled) return;
    const { id, plan } = this.#unsettled;
    const ran = await this.#deps.store.resolveLostCommit(id);
    this.#unsettled = null;
    this.#deps.log.info("commit_settled", `The reply to a commit was lost; the commit had ${ran ? "" : "not "}run`, {
      source: this.policy.name,
      ran,
    });
    if (ran) this.#add(plan, tally);
  }

  #add(plan: JudgedChunk, tally: Tally): void {
    tally.replayed += plan.replayed;
    for (const { reason } of plan.deaths) tally.dead[reason] = (tally.dead[reason] ?? 0) + 1;
    this.#droppedStamps.replayed(plan.cycle, plan.messages.filter((_, i) => plan.moves[i]!.to === "target"));
    this.#deps.account.moved(plan);
  }

  /** Maximum messages in the target: the depth limit minus the last depths of the other queues. */
  #targetLimit(): number | null {
    const reading = this.#deps.depthReading();
    if (!reading || reading.limit === null) return null;
    const [, ...others] = reading.depths;
    return Math.max(0, reading.limit - others.reduce((a, b) => a + b, 0));
  }

  #contended(): Stop {
    return { by: "contended", nextInMs: Math.max(RETRY_MS, this.nextCycleInMs()) };
  }

  #ended({ record, depth }: Snapshot): Stop {
    const isOpen = this.#isStepOpen({ record, depth }) && record.cycle !== this.#judgedBad;
    const nextInMs = isOpen ? Math.min(STEP_POLL_MS, this.nextCycleInMs()) : this.nextCycleInMs();
    if (depth === 0) return { by: "empty", nextInMs };
    switch (record.cycleLimit) {
      case "held":
      case "returns":
        return { by: "returns", nextInMs };
      case "breaker":
        return { by: "breaker", nextInMs };
      case "depth":
        return { by: "empty", nextInMs };
      case "batch_size":
        if (this.#deps.leadership.leads()) this.#deps.account.batchEnded({ depth, ...this.#deps.settings() });
        return { by: "batch_size", nextInMs };
    }
  }

  #heldBy({ name, retryInMs }: GateStatus): Stop {
    this.#heldAt = name;
    return { by: name, nextInMs: Math.max(10, retryInMs ?? RETRY_MS) };
  }

  async #failed(error: unknown): Promise<Stop> {
    // Any other error is a bug. It ends the loop, and so the service.
    if (!(error instanceof StoreError)) throw error;
    this.#deps.account.redisError(error.code, error);
    const { closed } = await this.#deps.board.ask();
    const redis = closed.find(({ name }) => name === "redis");
    return redis ? this.#heldBy(redis) : { by: "error", nextInMs: this.#backoff() };
  }

  #backoff(): number {
    return Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#failures++, 10));
  }
}

/** How many of the plan's moves, oldest first, contain at most `replays` moves to the target. */
function countWithin({ moves, drill }: JudgedChunk, replays: number): number {
  if (drill?.to === "target") return Math.min(moves.length, replays);
  let left = replays;
  const end = moves.findIndex(({ to }) => to === "target" && left-- === 0);
  return end < 0 ? moves.length : end;
}

/**
 * The marks of the DLQ after a commit. If the newest message of the cycle is not at its place, others have taken messages or put some
 * before it, and no mark is right any more.
 */
function standingFields(
  { record: { standing, cycle, replayed, dead }, depth, newestAt }: Chunk,
  { places, moves }: JudgedChunk,
): Readonly<Record<string, string>> {
  if (standing.length === 0) return {};
  const marks = standingAfter(standing, { moved: places ?? moves.length, depth: depth - moves.length });
  const at = { cycle, moved: replayed + dead + moves.length };
  return { [STANDING_FIELD]: newestAt > 0 ? formatStanding(marks, at) : "" };
}
