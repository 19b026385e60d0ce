/**
 * Runs the job of one source, in bounded turns, on the instance that leads it.
 *
 * - Everything that a turn needs to know is in Redis: the phase and the counts in the source's state, the selection in the job's
 *   hash, the messages in their lists. So any instance can resume where the last one stopped.
 * - Each step is one script, all or nothing, at the sequence number that it was decided on. A lost reply is settled by the receipt
 *   before anything else is done.
 * - A job's own list is drained by the normal replay (`SourceReplay`): gates, pace, verdict and brake stay as they are.
 */
import type { Buffer } from "node:buffer";
import type { Chunk, ChunkBounds, CommitResult } from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { jobFields, type JobVerb, type RunningJob } from "../cycle/running_job.ts";
import type { GateStatus, TurnGates } from "../gates/board.ts";
import { type GateName, hasTrait } from "../gates/gate.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Log } from "../observability/log.ts";
import { StoreError, wrongTypeError } from "../redis/errors.ts";
import type { ReadBudget } from "../redis/read_budget.ts";
import type { JobStores } from "../redis/source_store.ts";
import type { Addition, JobMove, JobMoveResult } from "../redis/sweep_store.ts";
import { type Account, noteOf } from "../replay/account.ts";
import type { Leadership } from "../replay/leadership.ts";
import type { StoppedBy, TurnOutcome } from "../replay/outcome.ts";
import type { ReplaySettings, SourceReplay, TurnOptions } from "../replay/source_replay.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { buryChunk } from "./bury.ts";
import { type Job, type JobStatus, overriddenGates } from "./job.ts";
import { describeResult, resultOf } from "./job_result.ts";
import { JOB_EXPIRES_MS, type JobStore, PLAN_EXPIRES_MS, TRASH_EXPIRES_MS } from "./job_store.ts";
import type { CreatePicker, Picker } from "./picker.ts";
import { revivedMessage } from "./revive.ts";
import { sweepTurn } from "./sweep_turn.ts";

/** Length of a turn of the sweep, after which gates and lease are looked at again, in milliseconds. */
const TURN_MS = 1_000;
/** Most messages of one move: about 0.3 ms of Redis' time. */
const CHUNK_MESSAGES = 200;
/** A move may run until this long after it was sent, in milliseconds of the server's clock. */
const MOVE_DEADLINE_MS = 5_000;
/** Longest pause until the job's state is read again, because another instance may pause or cancel it. In milliseconds. */
const LOOK_MS = 1_000;
/** Pause until a new connection is asked again, and after another instance was faster, in milliseconds. */
const SOON_MS = 20;
/** First and longest pause after a failure, in milliseconds. */
const RETRY_MS = 1_000, MAX_RETRY_MS = 30_000;
/** Moves in a row that change nothing, after which the log says so: more than other clients of the lists cause. */
const STUCK_AFTER = 10;

/** The verbs that drain the job's own list to the target, and all verbs that a runner knows. */
const DRAINS: readonly JobVerb[] = ["redrive", "revive"],
  VERBS_RUN: readonly JobVerb[] = [...DRAINS, "bury", "purge", "import", "undo"];

/** The replay that drains a job's own list. */
export type JobReplay = Pick<
  SourceReplay,
  "runOnce" | "hasUnsettled" | "lastSnapshot" | "lastProgressMs" | "nextCycleInMs"
>;

/** The dependencies of a {@link JobRunner}. */
export interface JobRunnerDeps {
  readonly jobs: Pick<JobStore, "get" | "request">;
  /** Opens the job's connection and stores. The runner releases them. `policy`: the source's, pushed as at the job's plan. */
  readonly open: (job: RunningJob, parts: { policy: SourcePolicy; trashOf: string | null }) => JobStores;
  /** Creates the replay that drains the job's own list. `isOverridden`: whether a gate does not hold it now. */
  readonly createReplay: (
    job: RunningJob,
    parts: { policy: SourcePolicy; stores: JobStores; isOverridden: (gate: GateName) => boolean },
  ) => JobReplay;
  readonly createPicker: CreatePicker;
  /** Bounds the messages that all sources hold. */
  readonly readBudget: Pick<ReadBudget, "take">;
  /** Reads the source's state. */
  readonly look: () => Promise<Snapshot>;
  /** The gates of a confirmed job. */
  readonly gates: TurnGates;
  readonly leadership: Pick<Leadership, "refused" | "isFailing">;
  readonly settings: () => ReplaySettings;
  readonly account: Account;
  readonly clock: Clock;
  readonly createId: () => string;
  readonly log: Log;
  /** Records an entry of the audit. */
  readonly note: (entry: NewJobEntry) => void;
}

/** What the audit says of the end of a job. */
export interface NewJobEntry {
  readonly kind: "job";
  readonly source: string;
  readonly job: string;
  readonly actor: string;
  readonly verb: string;
  readonly state: string;
  readonly detail: string;
}

/** The job that this instance works on. */
interface Work {
  readonly id: string;
  readonly stores: JobStores;
  readonly replay: JobReplay;
  /** `null`: its hash is gone, so that its selection is not known. */
  readonly job: Job | null;
  /** `null`: not known, or its selection cannot be read. */
  readonly picks: Picker | null;
  hasBegun: boolean;
}

/** A move of which no reply came. */
interface Unsettled {
  /** Finds out whether it ran, and makes sure that it does not run later. */
  readonly resolve: () => Promise<boolean>;
  /** Called if it ran. */
  readonly ran: () => void;
}

/** Why a turn ended, and the pause until the next one. */
interface Rest {
  readonly by: StoppedBy;
  readonly nextInMs: number;
}

/** The job goes on; a move was refused; the list that a move takes from is empty. */
const GO_ON: Rest = { by: "job", nextInMs: 0 }, AGAIN: Rest = { by: "job", nextInMs: SOON_MS }, EMPTY = "empty";

/** Runs a source's job. One turn at a time. */
export class JobRunner {
  readonly #policy: SourcePolicy;
  readonly #deps: JobRunnerDeps;
  #work: Work | null = null;
  /** The move of which no reply came. */
  #unsettled: Unsettled | null = null;
  #depth = 0;
  #failures = 0;
  /** Turns in a row that ended because a move was refused. */
  #refusals = 0;

  constructor(policy: SourcePolicy, deps: JobRunnerDeps) {
    this.#policy = policy;
    this.#deps = deps;
  }

  /** The source as the replay of the job's own list last read it; `null`: no such replay works. */
  lastSnapshot(): Snapshot | null {
    return this.#work?.replay.lastSnapshot() ?? null;
  }

  /** Time until the next cycle of that replay is due, in milliseconds. */
  nextCycleInMs(): number {
    return this.#work?.replay.nextCycleInMs() ?? 0;
  }

  /** Returns the time of that replay's last progress, on the monotonic clock. */
  lastProgressMs(): number {
    return this.#work?.replay.lastProgressMs() ?? 0;
  }

  /** Returns true while it is not known whether a move ran, because its reply was lost. */
  hasUnsettled(): boolean {
    return this.#unsettled !== null || (this.#work?.replay.hasUnsettled() ?? false);
  }

  /** Takes a turn of the running job. @returns `null` if there is none. Rejects only with a bug. */
  async runOnce({ signal }: Pick<TurnOptions, "signal">): Promise<TurnOutcome | null> {
    try {
      const outcome = await this.#turn(signal);
      this.#failures = 0;
      if (!this.#deps.leadership.isFailing()) this.#deps.account.turnSucceeded();
      return outcome;
    } catch (error) {
      return this.#outcome(await this.#failed(error));
    } finally {
      // No chunk is kept for the next turn. While a job is paused, its share would hold up the sweeps of all sources.
      this.#work?.stores.drain.letGo();
    }
  }

  /** Closes the job's connection. Call it when no turn runs any more. Safe to call twice. */
  close(): void {
    this.#work?.stores.release();
    this.#work = null;
    this.#unsettled = null;
  }

  async #turn(signal: AbortSignal): Promise<TurnOutcome | null> {
    await this.#settle();
    const { record: { job }, depth } = await this.#deps.look();
    this.#depth = depth;
    if (job === null) {
      this.close();
      return null;
    }
    if (this.#work?.id !== job.id) this.close();
    if (job.isPaused) return this.#outcome({ by: "job", nextInMs: LOOK_MS });
    const { closed } = await this.#deps.gates.ask();
    // The others hold what goes to the target; the replay of the job's own list asks them.
    const held = closed.find(({ name }) => hasTrait(name, "holdsEveryMove"));
    if (held) return this.#outcome(heldBy(held));
    if (!job.isPhaseKnown) return this.#outcome(await this.#cancel(job));
    const work = this.#work ??= await this.#begin(job);
    if (!work.stores.isReady()) return this.#outcome({ by: "redis", nextInMs: SOON_MS });
    if (job.phase === "act" && DRAINS.includes(job.verb)) return await this.#drain(job, work, signal);
    return this.#outcome(this.#paced(await this.#advance(job, work, signal), job));
  }

  /** Waits longer and longer for moves that are refused: another client may have changed the job's state, so that none can run. */
  #paced(rest: Rest, { id }: RunningJob): Rest {
    this.#refusals = rest === AGAIN ? this.#refusals + 1 : 0;
    if (this.#refusals === STUCK_AFTER) {
      const text =
        `Remediation: job ${id} does not advance: its lists change all the time, or its state was changed; cancel it`;
      this.#deps.log.warning("job_stuck", text, { source: this.#policy.name, job: id });
    }
    if (this.#refusals === 0) return rest;
    return { by: "job", nextInMs: Math.min(SOON_MS * 2 ** Math.min(this.#refusals - 1, 15), MAX_RETRY_MS) };
  }

  async #begin(running: RunningJob): Promise<Work> {
    const { jobs, open, createReplay, log, clock } = this.#deps, { id, verb, by, planned, phase } = running;
    const job = await jobs.get(id);
    // If the source is turned round while its job runs, what the sweep has passed still goes back where it came from.
    const policy = { ...this.#policy, push: job?.push ?? this.#policy.push };
    const stores = open(running, { policy, trashOf: trashOf(job) });
    log.info("job", `Remediation: job ${id} of ${by} (${verb}, ${planned} messages): ${phase}`, {
      ...{ source: this.#policy.name, job: id, verb, by, phase, planned },
    });
    const isOverridden = (gate: GateName) => job !== null && overriddenGates(job, clock.nowMs()).includes(gate);
    const replay = createReplay(running, { policy, stores, isOverridden });
    return { id, stores, replay, job, picks: this.#pickerOf(job), hasBegun: false };
  }

  #pickerOf(job: Job | null): Picker | null {
    try {
      return job && this.#deps.createPicker(job.selection);
    } catch (error) {
      this.#deps.log.error(
        "job_unreadable",
        `Remediation: the selection of job ${job?.id} cannot be read; it is cancelled`,
        {
          ...{ source: this.#policy.name, job: job?.id, reason: error instanceof Error ? error.name : "" },
        },
      );
      return null;
    }
  }

  async #advance(job: RunningJob, work: Work, signal: AbortSignal): Promise<Rest> {
    switch (job.phase) {
      case "sweep":
        if (work.picks === null || !VERBS_RUN.includes(job.verb)) return await this.#cancel(job);
        return await this.#sweep(work, work.picks, signal);
      case "restore":
      case "back":
        // What an import has not added was in no list before, so it is not put back.
        if (job.phase === "back" && job.verb === "import") {
          return await this.#finish(work, { status: "cancelled", trashMs: PLAN_EXPIRES_MS });
        }
        // What an undo has not brought back yet stays in the trash.
        if (job.phase === "back" && trashOf(work.job) !== null) return await this.#finishCancelled(work);
        return await this.#restore(job, work, signal);
      case "act":
        if (job.verb === "import") return await this.#add(job, work, signal);
        if (job.verb === "bury") return await this.#bury(job, work, signal);
        if (job.verb === "purge") return await this.#finish(work, { status: "done", trashMs: TRASH_EXPIRES_MS });
        return await this.#undo(job, work, signal);
    }
  }

  async #undo(job: RunningJob, work: Work, signal: AbortSignal): Promise<Rest> {
    switch (work.job?.undoes?.verb) {
      case "purge":
        return await this.#restore(job, work, signal);
      case "bury":
        return await this.#unbury(work, signal);
      case "import":
        return await this.#finish(work, { status: "done", trashMs: TRASH_EXPIRES_MS });
      default:
        return await this.#cancel(job);
    }
  }

  async #cancel({ id }: RunningJob): Promise<Rest> {
    return await this.#deps.jobs.request(id, "cancel") ? GO_ON : AGAIN;
  }

  /** The limit has been lowered since the sweep, so a picked message cannot be read. It can still be put back. */
  async #cancelOversize(job: RunningJob): Promise<Rest> {
    const text = `Remediation: job ${job.id} has picked a message that is larger than the limit; it is cancelled`;
    this.#deps.log.error("job_unreadable", text, { source: this.#policy.name, job: job.id, reason: "oversize" });
    return await this.#cancel(job);
  }

  /** Holds at most two chunks: the one in hand, and the one read ahead. */
  async #sweep({ id, job, stores: { sweep } }: Work, picks: Picker, signal: AbortSignal): Promise<Rest> {
    const { clock, readBudget } = this.#deps, bounds = this.#bounds();
    const share = await readBudget.take(2 * Math.max(bounds.bytes, bounds.messageBytes));
    const endsAtMs = clock.monotonicMs() + TURN_MS;
    try {
      const hasMoved = await sweepTurn({
        ...{ sweep, picks, bounds, job: { id, watermark: job?.watermark ?? null } },
        monotonicMs: () => clock.monotonicMs(),
        isOver: () => signal.aborted || clock.monotonicMs() >= endsAtMs,
        send: async ({ sequence, nowMs, ...plan }, read) => {
          const move = this.#createMove(sequence, nowMs), sweeping = sweep.sweepAndRead({ ...plan, ...move }, read);
          const { result, next } = await this.#answered(sweeping, { resolve: () => sweep.resolveLost(move.id) });
          return { hasMoved: this.#hasMoved(result), next: await next };
        },
      });
      return hasMoved ? GO_ON : AGAIN;
    } finally {
      share.release();
    }
  }

  /** Puts back what is on the shelf; of a cancelled job, then what it had picked. */
  async #restore(job: RunningJob, work: Work, signal: AbortSignal): Promise<Rest> {
    const phase = job.phase === "sweep" ? "restore" : job.phase, next = job.isCancelled ? "back" : "act";
    const keepMs = trashOf(work.job) === null ? 0 : TRASH_EXPIRES_MS;
    const move = (bounds: Addition) => work.stores.sweep.restore({ ...bounds, phase, next, keepMs });
    const rest = await this.#moveAll(job, work, { move, signal });
    if (rest !== EMPTY) return rest;
    if (phase === "back") return await this.#finishCancelled(work);
    return phase === "act" ? await this.#finish(work, { status: "done", trashMs: 0 }) : GO_ON;
  }

  /** Adds what an import has staged to the DLQ. */
  async #add(job: RunningJob, work: Work, signal: AbortSignal): Promise<Rest> {
    const rest = await this.#moveAll(job, work, { move: (bounds) => work.stores.sweep.add(bounds), signal });
    return rest === EMPTY ? await this.#finish(work, { status: "done", trashMs: 0 }) : rest;
  }

  /** Repeats a move that reads nothing, until the turn is over or nothing is left. `move` returns how many messages are left. */
  async #moveAll(
    job: RunningJob,
    { id, stores: { sweep } }: Work,
    { move, signal }: { move: (bounds: Addition) => Promise<number | JobMoveResult>; signal: AbortSignal },
  ): Promise<Rest | typeof EMPTY> {
    const { clock, settings } = this.#deps, endsAtMs = clock.monotonicMs() + TURN_MS;
    const { record, nowMs } = await this.#deps.look(), readAtMs = clock.monotonicMs();
    if (record.job?.phase !== job.phase || record.job.id !== id) return GO_ON;
    let sequence = record.sequence;
    do {
      const next = this.#createMove(sequence, nowMs + clock.monotonicMs() - readAtMs);
      const moving = move({ ...next, messages: CHUNK_MESSAGES, bytes: settings().chunkBytes });
      const left = await this.#answered(moving, { resolve: () => sweep.resolveLost(next.id) });
      if (typeof left === "string") {
        this.#hasMoved(left);
        return AGAIN;
      }
      if (left === 0) return EMPTY;
      sequence = String(Number(sequence) + 1);
    } while (!signal.aborted && clock.monotonicMs() < endsAtMs);
    return GO_ON;
  }

  /** Drains the job's own list to the target. Only this asks all gates. */
  async #drain(job: RunningJob, work: Work, signal: AbortSignal): Promise<TurnOutcome> {
    if (job.picked === 0) {
      return this.#outcome(this.#paced(await this.#finish(work, { status: "done", trashMs: 0 }), job));
    }
    const isFirst = !work.hasBegun && job.replayed + job.dead === 0;
    const outcome = await work.replay.runOnce({ begin: isFirst ? "now" : "due", signal });
    if (outcome.began || !isFirst) work.hasBegun = true;
    const snapshot = work.replay.lastSnapshot();
    const isEmpty = snapshot?.depth === 0 && outcome.stoppedBy === "empty" && !work.replay.hasUnsettled();
    if (isEmpty && snapshot.record.job?.id === work.id) {
      const rest = this.#paced(await this.#finish(work, { status: "done", trashMs: 0 }), job);
      return { ...outcome, nextInMs: rest.nextInMs };
    }
    return { ...outcome, nextInMs: Math.min(outcome.nextInMs, LOOK_MS) };
  }

  /** Moves the job's own list to the dead list. */
  async #bury(job: RunningJob, work: Work, signal: AbortSignal): Promise<Rest> {
    const { clock, settings, account } = this.#deps, { drain } = work.stores, endsAtMs = clock.monotonicMs() + TURN_MS;
    const { chunkMessages, chunkBytes, maxMessageBytes, maxPoisonRetries } = settings();
    const bounds = { messages: chunkMessages, bytes: chunkBytes, messageBytes: maxMessageBytes };
    let chunk: Chunk | null = null;
    while (true) {
      const readAtMs = clock.monotonicMs();
      chunk ??= await drain.readForCommit(bounds);
      const { record, nowMs } = chunk, running = record.job;
      if (running?.id !== work.id || running.phase !== "act" || running.isPaused) return GO_ON;
      if (chunk.oversize) return await this.#cancelOversize(running);
      if (chunk.messages.length === 0) return await this.#finish(work, { status: "done", trashMs: 0 });
      const context = { policy: this.#policy, record, nowMs, maxPoisonRetries, maxMessageBytes };
      const plan = buryChunk(chunk, { ...context, failedAt: toIso(clock.nowMs()), by: job.by, job: job.id });
      const move = this.#createMove(record.sequence, nowMs + clock.monotonicMs() - readAtMs);
      const { moves, messages, oversize, endsCycle, spent, firsts } = plan;
      const fields = jobFields(running, { replayed: 0, dead: plan.deaths.length });
      const isLast = signal.aborted || clock.monotonicMs() >= endsAtMs;
      const commit = {
        ...move,
        messages,
        oversize,
        guard: chunk.guard,
        moves,
        targetLimit: null,
        endsCycle,
        spent,
        firsts,
        fields,
        drill: plan.drill?.to ?? null,
        recordChanges: plan.recordChanges,
        note: noteOf(plan),
      };
      const burying = drain.commitAndRead(commit, isLast ? null : bounds);
      const { result, next, records = null } = await this.#answered(burying, {
        resolve: () => drain.resolveLostCommit(move.id),
        ran: () => account.moved(plan),
      });
      account.commit(result);
      if (!this.#hasMoved(result)) return AGAIN;
      account.moved(plan);
      if (records !== null) account.recordsKept(records);
      chunk = await next;
      if (isLast) return GO_ON;
    }
  }

  /** Puts what a job has buried back into the DLQ, as it was before. */
  async #unbury(work: Work, signal: AbortSignal): Promise<Rest> {
    const { clock, settings } = this.#deps, { sweep } = work.stores, endsAtMs = clock.monotonicMs() + TURN_MS;
    const { chunkBytes, maxMessageBytes } = settings();
    do {
      const { record, nowMs } = await this.#deps.look(), { job } = record, readAtMs = clock.monotonicMs();
      if (job?.id !== work.id || job.phase !== "act" || job.isPaused) return GO_ON;
      const bounds = { messages: CHUNK_MESSAGES, bytes: chunkBytes, messageBytes: maxMessageBytes };
      const read = await sweep.readOwn(bounds), tooLarge = read.indexOf(null);
      if (tooLarge === 0) return await this.#cancelOversize(job);
      const messages = read.slice(0, tooLarge < 0 ? read.length : tooLarge) as readonly Buffer[];
      if (messages.length === 0) return await this.#finish(work, { status: "done", trashMs: 0 });
      const move = this.#createMove(record.sequence, nowMs + clock.monotonicMs() - readAtMs);
      const payloads = messages.map((message) => revivedMessage(message, this.#policy));
      const returning = sweep.returnChanged({ ...move, messages, payloads });
      if (!this.#hasMoved(await this.#answered(returning, { resolve: () => sweep.resolveLost(move.id) }))) return AGAIN;
    } while (!signal.aborted && clock.monotonicMs() < endsAtMs);
    return GO_ON;
  }

  /** A job whose selection or verb this instance does not know has not been cancelled by an operator: it has failed. */
  #finishCancelled(work: Work): Promise<Rest> {
    const isKnown = work.picks !== null && VERBS_RUN.includes(work.job!.verb);
    const trashMs = trashOf(work.job) === null ? 0 : TRASH_EXPIRES_MS;
    return this.#finish(work, { status: isKnown ? "cancelled" : "failed", trashMs });
  }

  /** Ends the job, with what it did. */
  async #finish(work: Work, { status, trashMs }: { status: JobStatus; trashMs: number }): Promise<Rest> {
    const { record: { job, sequence }, nowMs } = await this.#deps.look();
    if (job?.id !== work.id) return GO_ON;
    const { sweep } = work.stores, { id, verb, by, phase } = job, result = resultOf(job, status);
    const move = this.#createMove(sequence, nowMs);
    const tell = () => {
      this.#deps.account.tellMoves();
      const detail = describeResult(result);
      this.#deps.note({ kind: "job", source: this.#policy.name, job: id, actor: by, verb, state: status, detail });
      this.#deps.log.info("job_ended", `Remediation: job ${id} of ${by} (${verb}) is ${status}: ${detail}`, {
        ...{ source: this.#policy.name, job: id, verb, by, status, ...result },
      });
    };
    const finishing = sweep.finish({
      ...{ ...move, phase, status, trashMs, keepMs: JOB_EXPIRES_MS },
      fields: { result: JSON.stringify(result) },
    });
    const ended = await this.#answered(finishing, { resolve: () => sweep.resolveLost(move.id), ran: tell });
    if (!this.#hasMoved(ended)) return AGAIN;
    tell();
    return GO_ON;
  }

  #createMove(sequence: string, nowMs: number): JobMove {
    return { id: this.#deps.createId(), sequence, notAfterMs: nowMs + MOVE_DEADLINE_MS };
  }

  /** Waits for the answer to a move. Without one, the next turn first finds out whether it ran. */
  async #answered<Answer>(
    answer: Promise<Answer>,
    { resolve, ran = () => {} }: Pick<Unsettled, "resolve"> & Partial<Unsettled>,
  ): Promise<Answer> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof StoreError && !error.isCertain) this.#unsettled = { resolve, ran };
      throw error;
    }
  }

  async #settle(): Promise<void> {
    if (!this.#unsettled) return;
    const { resolve, ran } = this.#unsettled;
    const hasRun = await resolve();
    this.#unsettled = null;
    if (hasRun) ran();
  }

  /** @throws if a key has the wrong type */
  #hasMoved(result: JobMoveResult | CommitResult): boolean {
    if (result === "not_leader") this.#deps.leadership.refused();
    if (result === "wrong_type") {
      throw wrongTypeError("a list of the job is not a list, or the source's cycle state is not a hash");
    }
    return result === "ok" || result === "duplicate";
  }

  #bounds(): ChunkBounds {
    const { chunkBytes, maxMessageBytes } = this.#deps.settings();
    return { messages: CHUNK_MESSAGES, bytes: chunkBytes, messageBytes: maxMessageBytes };
  }

  #outcome({ by, nextInMs }: Rest): TurnOutcome {
    const nothing = { replayed: 0, dead: {}, conflicts: 0, began: false };
    return { ...nothing, depthBefore: this.#depth, depthAfter: this.#depth, stoppedBy: by, nextInMs };
  }

  async #failed(error: unknown): Promise<Rest> {
    // Any other error is a bug. It ends the loop, and so the service.
    if (!(error instanceof StoreError)) throw error;
    this.#deps.account.redisError(error.code, error);
    const { closed } = await this.#deps.gates.ask();
    const redis = closed.find(({ name }) => name === "redis");
    const backoffMs = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#failures++, 10));
    return redis ? heldBy(redis) : { by: "error", nextInMs: backoffMs };
  }
}

function heldBy({ name, retryInMs }: GateStatus): Rest {
  return { by: name, nextInMs: Math.max(10, Math.min(retryInMs ?? LOOK_MS, LOOK_MS)) };
}

/** Id of the job whose trash this one brings back; `null`: it does not. */
function trashOf(job: Job | null): string | null {
  return job?.undoes?.verb === "purge" ? job.undoes.id : null;
}
