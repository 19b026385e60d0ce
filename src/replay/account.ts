/** Tells what a source's replay did: metrics and log. Everything that moves is counted here and nowhere else. */
import {
  BRAKE_REASON_TEXTS,
  BRAKE_REASONS,
  BRAKE_STATES,
  type BrakeReason,
  type BrakeState,
  brakeState,
} from "../cycle/brake.ts";
import { correlationIdOf, previewMessage } from "../message/preview.ts";
import type { DeadReason, SourcePolicy } from "../message/source_policy.ts";
import { lengthMs, type Outage } from "../cycle/outages.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { CommitResult } from "../cycle/chunk.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { describeRedisError, type RedisErrorCode } from "../redis/errors.ts";
import { describeDuration, OutageLog } from "../lifecycle/outage_log.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { type CycleOutcome, type NextCycle, stateOf } from "../cycle/plan_cycle.ts";
import type { BuriedMessage, JudgedChunk } from "./judge_chunk.ts";

/** Dead messages that get a line of their own, each cycle; the rest is counted. */
const MAX_DEATH_LINES = 20;

/** A cycle that goes on for longer tells of its progress so often, in milliseconds. */
const PROGRESS_MS = 60_000;

/** What was moved and is not told yet. */
interface Moves {
  readonly cycle: number;
  readonly sinceMs: number;
  replayed: number;
  dead: Partial<Record<DeadReason, number>>;
  bytes: number;
}

/** What is told of a brake. */
interface ToldBrake {
  readonly state: BrakeState;
  readonly reason: BrakeReason;
  readonly allowance: number | null;
}

/** What an {@link Account} needs. */
export interface AccountDeps {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: Clock;
  /** Told each time that messages were replayed (`events`), or were seen to have come back (`bad`). */
  readonly countRedrive: (counts: { readonly events?: number; readonly bad?: number }) => void;
}

/** The account of one source. */
export class Account {
  readonly #policy: SourcePolicy;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #countRedrive: AccountDeps["countRedrive"];
  #deathCycle = -1;
  #deathLines = 0;
  #deathsUntold = 0;
  /** Outages of Redis, by the code of the last failure. */
  readonly #outages: OutageLog;
  #toldBatch = false;
  #moved = 0;
  #untold: Moves | null = null;
  /** The brake as this instance last told or saw it. */
  #brake: ToldBrake | null = null;

  constructor(policy: SourcePolicy, { metrics, log, clock, countRedrive }: AccountDeps) {
    this.#policy = policy;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#log = log;
    this.#outages = new OutageLog({ clock, log });
    this.#countRedrive = countRedrive;
  }

  /** The source as just read: whichever instance began the cycle, each shows the same. */
  stateRead({ depth, record }: Snapshot): void {
    const { name: source, dlq } = this.#policy, state = stateOf(record), { allowance, reason } = record.brake;
    this.#metrics.dlqDepth.set({ dlq_name: dlq }, depth);
    this.#metrics.queueDepth.set({ source, queue: dlq, role: "dlq" }, depth);
    for (const one of BRAKE_STATES) this.#metrics.brakeState.set({ source, state: one }, one === state ? 1 : 0);
    for (const one of BRAKE_REASONS) this.#metrics.brakeReason.set({ source, reason: one }, one === reason ? 1 : 0);
    this.#metrics.allowance.set({ source }, allowance ?? -1);
    this.#metrics.stampsDropped.set({ source }, record.stampsDropped ? 1 : 0);
    this.#logBrakeChange({ state, reason, allowance }, { isOwn: false });
  }

  /** A turn ended without a failure: tells the end of an outage, and the next failure is told again, whatever its code. */
  turnSucceeded(): void {
    this.#outages.up(({ cause: code, lasted }) => ({
      event: "redis_recovered",
      message: `Redis does what is asked again after ${lasted} (${code})`,
      fields: { source: this.#policy.name, code },
    }));
  }

  /** A cycle began on what was read. */
  cycleBegan(next: NextCycle, { depth, record, nowMs }: Snapshot): void {
    const { number: cycle, step, last, outages, judgement, troubled, newlyReturned } = next;
    const source = this.#policy.name;
    this.#countRedrive({ bad: newlyReturned });
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
        (next.stampsDropped ? "may have come back (as many arrived; the consumer drops the stamps)" : "came back");
    if (judgement === "consumer_works") {
      const text =
        `Remediation: ${whole}, while ${troubled?.others} live alerts got through: the cause lies with the messages`;
      this.#log.warning("messages_fail", text, fields);
    } else if (judgement === "came_back") {
      const then = step.budget === 0 ? "waiting" : `at most ${step.budget} go`;
      const text = `Remediation: ${whole}: the cause is common, the messages are not to blame; ${then}`;
      this.#log.warning("common_failure", text, fields);
    } else {
      const message = `Remediation cycle ${cycle}: ${depth} messages in ${this.#policy.dlq}`;
      this.#log[depth > 0 ? "info" : "debug"]("cycle", message, fields);
    }
    const { brake } = step, { allowance, reason } = brake;
    this.#logBrakeChange({ state: brakeState(brake, next.cycleLimit === "held"), reason, allowance }, { isOwn: true });
  }

  #tellStamps(areDropped: boolean): void {
    const source = this.#policy.name;
    if (areDropped) {
      this.#log.warning(
        "stamps_dropped",
        `Remediation: what ${source}'s consumer dead-letters lacks the member _remediation that it was replayed with. Whatever ` +
          `arrives in ${this.#policy.dlq} is now taken for a return, and no message can become poison: let the consumer keep it`,
        { source },
      );
    } else {
      this.#log.info("stamps_kept", `Remediation: ${source}'s consumer keeps the member _remediation again`, {
        source,
      });
    }
  }

  /** Tells a change, whoever made it: else a log would end with `suspect` where another instance, or `once`, released the brake. */
  #logBrakeChange(now: ToldBrake, { isOwn }: { isOwn: boolean }): void {
    const was = this.#brake, { state, reason, allowance } = now;
    this.#brake = now;
    if (!was || (state === was.state && reason === was.reason)) return;
    const source = this.#policy.name, most = allowance === null ? "" : `, at most ${allowance} messages a cycle`;
    const changed = state === was.state ? `is still ${state}` : `was ${was.state} and is ${state}`;
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
    const excuse = excusesFailures ? ": what was replayed meanwhile and comes back is not held against it" : "";
    this.#log.info(
      "outage",
      `Remediation: gate ${gate} was closed for ${describeDuration(lengthMs(outage))}${excuse}`,
      {
        ...{ source: this.#policy.name, gate, reason, since: toIso(fromMs), outage_seconds: seconds, replayed },
      },
    );
  }

  /** How a commit ended. */
  commit(result: CommitResult | "error"): void {
    this.#metrics.commits.inc({ source: this.#policy.name, result });
  }

  /** A chunk was moved. */
  moved(plan: JudgedChunk): void {
    if (plan.cycle !== this.#deathCycle) this.#startCycle(plan.cycle);
    const { name: source } = this.#policy;
    const byReason = countReasons(plan.deaths);
    this.#moved += plan.moves.length;
    this.#countRedrive({ events: plan.replayed });
    this.#metrics.replaySuccess.inc(plan.replayed);
    this.#metrics.replayed.inc({ source }, plan.replayed);
    this.#metrics.poisonMessages.inc(plan.deaths.length);
    this.#metrics.movedBytes.inc({ source }, plan.bytes);
    for (const [reason, count] of Object.entries(byReason)) {
      this.#metrics.dead.inc({ source, reason }, count);
      // The original's word for what it could not process (differences-from-mutt.md).
      if (reason !== "poison") this.#metrics.replayFail.inc({ reason: "processing_error" }, count);
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

  /** Tells what was moved since it was last told: once a cycle, and now and then in a long one. */
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
    const deaths = Object.entries(byReason).map(([reason, count]) => `${count} ${reason}`).join(", ");
    return `Replaying from ${dlq}: ${replayed} to ${target}${deaths && `, ${deaths} to ${dead}`}`;
  }

  /** Messages that this instance has taken out of the DLQ so far. */
  movedSoFar(): number {
    return this.#moved;
  }

  /** A Redis call failed. Logged when the code changes, counted always. */
  redisError(code: RedisErrorCode, error: unknown): void {
    this.#metrics.redisErrors.inc({ code });
    this.#metrics.replayFail.inc({ reason: "redis_error" });
    this.#outages.down(code, {
      level: "error",
      event: "redis_error",
      message: `Redis refused or did not answer (${code}); nothing was lost, trying again`,
      fields: { source: this.#policy.name, code, reason: describeRedisError(error) },
    });
  }

  /** A cycle ended at its batch size with more left; told once. */
  batchEnded({ depth, batchSize, intervalMs }: { depth: number; batchSize: number; intervalMs: number }): void {
    if (this.#toldBatch || batchSize === 0) return;
    this.#toldBatch = true;
    const hours = Math.ceil(depth / batchSize) * intervalMs / 3_600_000;
    this.#log.warning(
      "batch_size",
      `${depth} messages are left in ${this.#policy.dlq}; at ${batchSize} a cycle of ${
        intervalMs / 1_000
      } s they take ` +
        `${hours.toFixed(1)} h. REMEDIATION_BATCH_SIZE=0 takes all that the gates allow`,
      { source: this.#policy.name, depth, batch_size: batchSize },
    );
  }

  #tellDeath({ reason, detail, bytes, message }: BuriedMessage): void {
    if (++this.#deathLines > MAX_DEATH_LINES) {
      this.#deathsUntold++;
      return;
    }
    const { name: source, dead } = this.#policy;
    const correlationId = message ? correlationIdOf(message) : undefined;
    const kind = reason === "poison" ? "a poison message" : `a message (${reason}, not poison)`;
    this.#log.warning("dead", `Moved ${kind} to ${dead}: ${detail}`, {
      source,
      reason,
      bytes,
      ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
    });
    if (message) this.#log.debug("dead_preview", () => previewMessage(message), { source, reason });
  }

  /** What was left untold of the last cycle is counted, and the next may have lines again. */
  #startCycle(cycle: number): void {
    this.tellMoves();
    this.logRemainingDeaths();
    this.#deathCycle = cycle;
    this.#deathLines = 0;
  }

  /** Counts the dead messages that got no line of their own. */
  logRemainingDeaths(): void {
    if (this.#deathsUntold === 0) return;
    this.#log.warning(
      "dead_more",
      `${this.#deathsUntold} more messages went to ${this.#policy.dead} in cycle ${this.#deathCycle}`,
      {
        source: this.#policy.name,
        count: this.#deathsUntold,
      },
    );
    this.#deathsUntold = 0;
  }
}

function countReasons(deaths: readonly BuriedMessage[]): Partial<Record<DeadReason, number>> {
  const counts: Partial<Record<DeadReason, number>> = {};
  for (const { reason } of deaths) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}
