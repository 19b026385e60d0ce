/** Reports a source's replay in metrics and log. All moves are counted here and nowhere else. */
import {
  BRAKE_REASON_TEXTS,
  BRAKE_REASONS,
  BRAKE_STATES,
  type BrakeReason,
  type BrakeState,
  brakeState,
} from "../cycle/brake.ts";
import { oversizeKey } from "../redis/keys.ts";
import { pathsOf } from "../message/policy_paths.ts";
import { correlationIdOf, previewMessage } from "../message/preview.ts";
import type { DeadReason, SourcePolicy } from "../message/source_policy.ts";
import { lengthMs, type Outage } from "../cycle/outages.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { CommitNote, CommitResult, RecordCount } from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { explainRedisError } from "../redis/advice.ts";
import type { RedisErrorCode } from "../redis/errors.ts";
import { describeDuration, OutageLog } from "../lifecycle/outage_log.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { type CycleOutcome, type NextCycle, stateOf } from "../cycle/plan_cycle.ts";
import type { BuriedMessage, DrilledMessages, JudgedChunk } from "./judge_chunk.ts";
import { MoveRate } from "./move_rate.ts";

/** Maximum log lines for dead messages per cycle. The others are only counted. */
const MAX_DEATH_LINES = 20;

/** A long cycle logs its progress this often, in milliseconds. */
const PROGRESS_MS = 60_000;

/** Moves that are not logged yet. */
interface Moves {
  readonly cycle: number;
  readonly sinceMs: number;
  replayed: number;
  dead: Partial<Record<DeadReason, number>>;
  bytes: number;
}

/** Messages since the start of this instance. They only grow. */
export interface Totals {
  /** Taken out of the DLQ, or out of a job's own list. */
  readonly moved: number;
  readonly replayed: number;
  /** Moved to the dead list or to the list of oversize messages. */
  readonly dead: number;
  /** Replayed messages that have failed again, as cycles have found them in the DLQ. */
  readonly cameBack: number;
}

/** The logged properties of a brake. */
interface ToldBrake {
  readonly state: BrakeState;
  readonly reason: BrakeReason;
  readonly allowance: number | null;
}

/** The dependencies of an {@link Account}. */
export interface AccountDeps {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: Clock;
  /** Called with the number of messages that were replayed (`events`) or that came back (`bad`). */
  readonly countRedrive: (counts: { readonly events?: number; readonly bad?: number }) => void;
}

/** Counts and logs what one source's replay does. */
export class Account {
  readonly #policy: SourcePolicy;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #countRedrive: AccountDeps["countRedrive"];
  #deathCycle = -1;
  #deathLines = 0;
  #deathsUntold = 0;
  /** Outages of Redis; the cause is the code of the last failure. */
  readonly #outages: OutageLog;
  #toldBatch = false;
  #toldEviction = false;
  #total: Totals = { moved: 0, replayed: 0, dead: 0, cameBack: 0 };
  readonly #rate: MoveRate;
  #untold: Moves | null = null;
  /** The brake as this instance last read or logged it. */
  #brake: ToldBrake | null = null;

  constructor(policy: SourcePolicy, { metrics, log, clock, countRedrive }: AccountDeps) {
    this.#policy = policy;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#log = log;
    this.#outages = new OutageLog({ clock, log });
    this.#rate = new MoveRate(clock);
    this.#countRedrive = countRedrive;
  }

  /**
   * Shows the source as just read in the metrics, so that all instances show the same values. `isDlq`: whether the depth is the
   * DLQ's, and not that of a job's own list.
   */
  stateRead({ depth, record }: Snapshot, { isDlq = true } = {}): void {
    const { name: source, dlq } = this.#policy, state = stateOf(record), { allowance, reason } = record.brake;
    if (isDlq) {
      this.#metrics.dlqDepth.set({ dlq_name: dlq }, depth);
      this.#metrics.queueDepth.set({ source, queue: dlq, role: "dlq" }, depth);
    }
    for (const one of BRAKE_STATES) this.#metrics.brakeState.set({ source, state: one }, one === state ? 1 : 0);
    for (const one of BRAKE_REASONS) this.#metrics.brakeReason.set({ source, reason: one }, one === reason ? 1 : 0);
    this.#metrics.allowance.set({ source }, allowance ?? -1);
    this.#metrics.stampsDropped.set({ source }, record.stampsDropped ? 1 : 0);
    this.#logBrakeChange({ state, reason, allowance }, { isOwn: false });
  }

  /** Logs the end of an outage after a turn without a failure. The next failure is logged again, even with the same code. */
  turnSucceeded(): void {
    this.#outages.up(({ cause: code, lasted }) => ({
      event: "redis_recovered",
      message: `Redis works again after ${lasted} (${code})`,
      fields: { source: this.#policy.name, code },
    }));
  }

  /** Counts the returns and logs the start of a cycle. */
  cycleBegan(next: NextCycle, { depth, record, nowMs }: Snapshot): void {
    const { number: cycle, step, last, outages, judgement, troubled, newlyReturned } = next;
    const source = this.#policy.name;
    this.#toldEviction = false;
    this.#countRedrive({ bad: newlyReturned });
    this.#total = { ...this.#total, cameBack: this.#total.cameBack + newlyReturned };
    this.#metrics.returned.inc({ source }, newlyReturned);
    if (next.stampsDropped !== record.stampsDropped) this.#tellStamps(next.stampsDropped);
    for (const outage of outages) this.#tellOutage(outage, last);
    const seconds = record.cycle === 0 ? null : Math.round((nowMs - record.startedAtMs) / 1_000);
    const fields = {
      ...{ source, cycle, depth, budget: step.budget, bound_by: step.cycleLimit, ...last },
      ...(seconds === null ? {} : { last_cycle_seconds_ago: seconds }),
    };
    const whole = troubled &&
      `${troubled.returned} of ${troubled.replayed} messages that cycle ${troubled.cycle} replayed ` +
        (next.stampsDropped ? "may have come back (that many arrived; the consumer drops the stamps)" : "came back");
    if (judgement === "consumer_works") {
      const text =
        `Remediation: ${whole}, while ${troubled?.others} live alerts got through: the messages themselves are the cause`;
      this.#log.warning("messages_fail", text, fields);
    } else if (judgement === "came_back") {
      const then = step.budget === 0 ? "this cycle takes none" : `this cycle takes at most ${step.budget}`;
      const text = `Remediation: ${whole}: they fail for a common reason and are not to blame; ${then}`;
      this.#log.warning("common_failure", text, fields);
    } else {
      const message = `Remediation cycle ${cycle}: ${depth} messages in ${this.#policy.dlq}`;
      this.#log[depth > 0 ? "info" : "debug"]("cycle", message, fields);
    }
    const { brake } = step, { allowance, reason } = brake;
    this.#logBrakeChange({ state: brakeState(brake, next.cycleLimit === "held"), reason, allowance }, { isOwn: true });
  }

  #tellStamps(areDropped: boolean): void {
    const { name: source, dlq, beside } = this.#policy;
    if (!areDropped) {
      const text = beside ? "dead-letters messages as they were again" : "keeps the member _remediation again";
      this.#log.info("stamps_kept", `Remediation: ${source}'s consumer ${text}`, { source });
      return;
    }
    const [what, advice] = beside
      ? [
        "changes the messages that it dead-letters, so that their records are not found",
        "Set recordId to a member that stays",
      ]
      : ["removes the member _remediation from the messages that it dead-letters", "Make the consumer keep the member"];
    this.#log.warning(
      "stamps_dropped",
      `Remediation: ${source}'s consumer ${what}. Every arrival in ${dlq} now counts as a return, and no message can ` +
        `become poison. ${advice}`,
      { source },
    );
  }

  /** Logs a change by any instance, or a log would end with `suspect` after another instance, or `once`, released the brake. */
  #logBrakeChange(now: ToldBrake, { isOwn }: { isOwn: boolean }): void {
    const was = this.#brake, { state, reason, allowance } = now;
    this.#brake = now;
    if (!was || (state === was.state && reason === was.reason)) return;
    const source = this.#policy.name, most = allowance === null ? "" : `, at most ${allowance} messages a cycle`;
    const changed = state === was.state ? `is still ${state}` : `changed from ${was.state} to ${state}`;
    const whose = isOwn ? "" : " (another instance began the cycle)";
    this.#log.info(
      "brake",
      `Remediation: ${source} ${changed}${most}: ${BRAKE_REASON_TEXTS[reason]}${whose}`,
      { source, from: was.state, to: state, reason, allowance, ...(isOwn ? {} : { other_instance: true }) },
    );
  }

  #tellOutage(outage: Outage, { replayed }: CycleOutcome): void {
    const { gate, reason, fromMs, excusesFailures } = outage;
    const seconds = Math.round(lengthMs(outage) / 1_000);
    const excuse = excusesFailures ? "; failures of messages that were replayed meanwhile are excused" : "";
    this.#log.info(
      "outage",
      `Remediation: gate ${gate} was closed for ${describeDuration(lengthMs(outage))}${excuse}`,
      {
        ...{ source: this.#policy.name, gate, reason, since: toIso(fromMs), outage_seconds: seconds, replayed },
      },
    );
  }

  /** Counts a commit by its result. */
  commit(result: CommitResult | "error"): void {
    this.#metrics.commits.inc({ source: this.#policy.name, result });
  }

  /** Counts the moves of a chunk, and logs its dead messages. */
  moved(plan: JudgedChunk): void {
    if (plan.drill !== null) return this.#drilled(plan.drill, plan);
    if (plan.cycle !== this.#deathCycle) this.#startCycle(plan.cycle);
    const { name: source } = this.#policy;
    const byReason = countReasons(plan.deaths);
    const { moved, replayed, dead } = this.#total;
    this.#total = {
      ...this.#total,
      moved: moved + plan.moves.length,
      replayed: replayed + plan.replayed,
      dead: dead + plan.deaths.length,
    };
    this.#rate.moved(plan.moves.length);
    this.#countRedrive({ events: plan.replayed });
    this.#metrics.replaySuccess.inc(plan.replayed);
    this.#metrics.replayed.inc({ source }, plan.replayed);
    this.#metrics.poisonMessages.inc(plan.deaths.length - (byReason.buried ?? 0));
    this.#metrics.movedBytes.inc({ source }, plan.bytes);
    for (const [reason, count] of Object.entries(byReason)) {
      this.#metrics.dead.inc({ source, reason }, count);
      // The original's label for messages that it could not process (differences-from-mutt.md).
      if (reason !== "poison" && reason !== "buried") {
        this.#metrics.replayFail.inc({ reason: "processing_error" }, count);
      }
    }
    for (const death of plan.deaths) this.#tellDeath(death);
    this.#log.debug("commit", () => this.#describeMoves({ replayed: plan.replayed, dead: byReason }), {
      ...{ source, replayed: plan.replayed, dead: byReason, bytes: plan.bytes },
    });
    this.#untold ??= { cycle: plan.cycle, replayed: 0, dead: {}, bytes: 0, sinceMs: this.#clock.monotonicMs() };
    this.#untold.replayed += plan.replayed;
    this.#untold.bytes += plan.bytes;
    for (const [reason, count] of Object.entries(byReason) as [DeadReason, number][]) {
      this.#untold.dead[reason] = (this.#untold.dead[reason] ?? 0) + count;
    }
    if (this.#clock.monotonicMs() - this.#untold.sinceMs >= PROGRESS_MS) this.tellMoves();
  }

  /** Messages of drills count neither as replayed nor as dead. */
  #drilled({ to }: DrilledMessages, { moves, bytes }: JudgedChunk): void {
    const { name: source } = this.#policy, result = to === "target" ? "sent" : "kept";
    this.#metrics.drillMessages.inc({ source, result }, moves.length);
    this.#log.debug("drill_commit", `Remediation: moved ${moves.length} messages of a drill`, {
      source,
      result,
      bytes,
    });
  }

  /** Shows how many records there are, and counts those that were deleted before their time. */
  recordsKept({ kept, evicted }: RecordCount): void {
    const { name: source } = this.#policy;
    this.#metrics.records.set({ source }, kept);
    if (evicted === 0) return;
    this.#metrics.recordEvictions.inc({ source }, evicted);
    if (this.#toldEviction) return;
    this.#toldEviction = true;
    this.#log.warning(
      "records_evicted",
      `Remediation: ${source} has replayed more messages within recordFor than it keeps records of (${kept} now), and deletes the ` +
        `oldest: a message whose record is gone counts as new when it comes back. Set recordFor to less, or replay fewer messages at a time`,
      { source, records: kept },
    );
  }

  /** Logs the moves since the last such line. Called at the end of a cycle, and every minute in a long one. */
  tellMoves(): void {
    if (this.#untold === null) return;
    const { cycle, replayed, dead, bytes } = this.#untold;
    this.#untold = null;
    this.#log.info("replayed", this.#describeMoves({ replayed, dead }), {
      ...{ source: this.#policy.name, cycle, replayed, dead, bytes },
    });
  }

  /** In words that MUTT's runbooks look for. */
  #describeMoves({ replayed, dead: byReason }: Pick<Moves, "replayed" | "dead">): string {
    const { dlq, target, dead } = this.#policy;
    const counts = Object.entries(byReason) as [DeadReason, number][];
    const lists = Map.groupBy(counts, ([reason]) => listOf(reason, { dlq, dead }));
    const deaths = [...lists].map(([list, counts]) =>
      `, ${counts.map(([reason, count]) => `${count} ${reason}`).join(", ")} to ${list}`
    );
    return `Replaying from ${dlq}: ${replayed} to ${target}${deaths.join("")}`;
  }

  /** Returns what this instance has done so far. Each call after a change returns a new object. */
  totals(): Totals {
    return this.#total;
  }

  /** Returns how many messages this instance has taken out of the DLQ a second lately; `null` if none. */
  movedPerSecond(): number | null {
    return this.#rate.perSecond();
  }

  /** Counts a failed Redis call, and logs it if its code is new. */
  redisError(code: RedisErrorCode, error: unknown): void {
    this.#metrics.redisErrors.inc({ code });
    this.#metrics.replayFail.inc({ reason: "redis_error" });
    this.#outages.down(code, {
      level: "error",
      event: "redis_error",
      message: `Redis refused a command or did not answer (${code}); no message was lost, retrying`,
      fields: { source: this.#policy.name, code, reason: explainRedisError(error) },
    });
  }

  /** Warns, once, that a cycle ended at its batch size while more messages are left. */
  batchEnded({ depth, batchSize, intervalMs }: { depth: number; batchSize: number; intervalMs: number }): void {
    if (this.#toldBatch || batchSize === 0) return;
    this.#toldBatch = true;
    const hours = Math.ceil(depth / batchSize) * intervalMs / 3_600_000;
    this.#log.warning(
      "batch_size",
      `${depth} messages are left in ${this.#policy.dlq}; at ${batchSize} per cycle of ${
        intervalMs / 1_000
      } s they take ` +
        `${hours.toFixed(1)} h. Set REMEDIATION_BATCH_SIZE=0 to replay as many as the gates allow`,
      { source: this.#policy.name, depth, batch_size: batchSize },
    );
  }

  #tellDeath({ reason, detail, bytes, message }: BuriedMessage): void {
    if (++this.#deathLines > MAX_DEATH_LINES) {
      this.#deathsUntold++;
      return;
    }
    const { name: source } = this.#policy, { unwrap } = pathsOf(this.#policy);
    const correlationId = message ? correlationIdOf(message, unwrap) : undefined;
    const kind = reason === "poison" ? "a poison message" : `a message (${reason}, not poison)`;
    this.#log.warning("dead", `Moved ${kind} to ${listOf(reason, this.#policy)}: ${detail}`, {
      source,
      reason,
      bytes,
      ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
    });
    if (message) this.#log.debug("dead_preview", () => previewMessage(message, unwrap), { source, reason });
  }

  /** Logs the rest of the last cycle. The new one may log dead messages again. */
  #startCycle(cycle: number): void {
    this.tellMoves();
    this.logRemainingDeaths();
    this.#deathCycle = cycle;
    this.#deathLines = 0;
  }

  /** Logs the number of dead messages without a line of their own. */
  logRemainingDeaths(): void {
    if (this.#deathsUntold === 0) return;
    this.#log.warning(
      "dead_more",
      `${this.#deathsUntold} more messages were given up in cycle ${this.#deathCycle}`,
      {
        source: this.#policy.name,
        count: this.#deathsUntold,
      },
    );
    this.#deathsUntold = 0;
  }
}

/** The list that a message goes to when it is given up. */
function listOf(reason: DeadReason, { dlq, dead }: Pick<SourcePolicy, "dlq" | "dead">): string {
  return reason === "oversize" ? oversizeKey(dlq) : dead;
}

/** Returns what the journal says of a commit beside its counts. */
export function noteOf({ cycle, deaths, drill, moves }: JudgedChunk): CommitNote {
  return { cycle, dead: drill === null ? countReasons(deaths) : { drill: moves.length } };
}

/** Counts dead messages by reason. */
function countReasons(deaths: readonly BuriedMessage[]): Partial<Record<DeadReason, number>> {
  const counts: Partial<Record<DeadReason, number>> = {};
  for (const { reason } of deaths) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}
