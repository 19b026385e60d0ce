/**
 * Runs the drill of one source, in bounded steps, on the instance that leads it. Everything that a step needs to know is in Redis, and each
 * change is one script that checks the phase. So after a kill the next leader goes on where the last one stopped.
 */
import type { Buffer } from "node:buffer";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { parseDrillMoves } from "../cycle/running_drill.ts";
import type { GateStatus } from "../gates/board.ts";
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import { type DrillMark, findDrillMark } from "../message/drill_mark.ts";
import { type DrillShape, makeDrillMessage } from "../message/drill_message.ts";
import { pathsOf } from "../message/policy_paths.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Log } from "../observability/log.ts";
import { StoreError } from "../redis/errors.ts";
import type { DrillResult, DrillStore } from "../redis/drill_store.ts";
import type { ListReader } from "../redis/list_reader.ts";
import type { Leadership } from "../replay/leadership.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { countMessages, type DrillCount } from "./count.ts";
import { CLEANING_MS, type Drill, type DrillOutcome, nextStep, parseDrill } from "./drill.ts";
import { type DrillNotices, formatNotices, noticesSince, parseNotices } from "./notices.ts";
import { describeReport, type DrillReport, makeReport } from "./report.ts";

/** Pause between two steps of a drill, between two looks for one, and after a failure, in milliseconds. */
const STEP_MS = 250, IDLE_MS = 500, RETRY_MS = 1_000;
/** How often the leader reads whether there is a drill that its snapshot does not show, in milliseconds. */
const LOOK_MS = 30_000;
/** Messages of one push: about 0.1 ms of Redis' time. */
const SEED_MESSAGES = 200;
/** Pause between two walks over the DLQ while its messages are cleaned up, in milliseconds. */
const WALK_MS = 5_000;

/** The dependencies of a {@link DrillRunner}. */
export interface DrillRunnerDeps {
  readonly drills: DrillStore;
  readonly lists: Pick<ListReader, "walk">;
  /** Reads the source's state. */
  readonly readState: () => Promise<Snapshot>;
  /** The source as replay last read it. Does no IO. */
  readonly lastSnapshot: () => Snapshot | null;
  /** The gates' last answers. Does no IO. */
  readonly gates: () => readonly GateStatus[];
  readonly leadership: Pick<Leadership, "leads" | "refused">;
  /** Members of the source's dead letters. */
  readonly shape: DrillShape;
  readonly notices: DrillNotices;
  readonly clock: Clock;
  readonly log: Log;
  /** Records an entry of the audit. */
  readonly note: (entry: DrillEndEntry) => void;
  readonly onRedisError: (error: unknown) => void;
}

/** What the audit says of the end of a drill. */
export interface DrillEndEntry {
  readonly kind: "drill";
  readonly source: string;
  readonly drill: string;
  readonly actor: string;
  readonly state: string;
  readonly detail: string;
}

/** Advances the drill of a source while this instance leads it. */
export class DrillRunner extends PeriodicTask {
  readonly #policy: SourcePolicy;
  readonly #deps: DrillRunnerDeps;
  /** Whether there was a drill at the last look. */
  #isActive = false;
  #lookedAtMs = -Infinity;
  /** Messages in the list of drills at the last look without a drill. */
  #leftovers = 0;
  #walkedAtMs = -Infinity;

  constructor(policy: SourcePolicy, deps: DrillRunnerDeps) {
    super({ clock: deps.clock });
    this.#policy = policy;
    this.#deps = deps;
  }

  protected override intervalMs(): number {
    return this.failures > 0 ? RETRY_MS : this.#isActive ? STEP_MS : IDLE_MS;
  }

  protected override async run(): Promise<RunResult> {
    const { leadership, lastSnapshot, clock, onRedisError } = this.#deps;
    if (!leadership.leads()) {
      // When it leads again, it looks at once.
      this.#isActive = false;
      this.#lookedAtMs = -Infinity;
      return "skipped";
    }
    const isDue = clock.monotonicMs() - this.#lookedAtMs >= LOOK_MS;
    if (!this.#isActive && !isDue && !lastSnapshot()?.record.drill) return "skipped";
    try {
      await this.#look();
      return "done";
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      onRedisError(error);
      return "failed";
    }
  }

  async #look(): Promise<void> {
    const { drills, clock } = this.#deps, fields = await drills.read(), drill = fields && parseDrill(fields);
    this.#lookedAtMs = clock.monotonicMs();
    this.#isActive = drill !== null;
    if (drill !== null) return await this.#step(drill);
    if (fields === null) await this.#forgetLost();
    await this.#watchLeftovers();
  }

  /** Without this, a drill whose hash is lost would keep jobs from starting for ever. */
  async #forgetLost(): Promise<void> {
    const { drills, note, log } = this.#deps,
      { name: source } = this.#policy,
      { result, id } = await drills.forgetLost();
    this.#heed(result);
    if (id === "") return;
    const detail = "its record in Redis was evicted or deleted, or has expired, so there is no report";
    note({ kind: "drill", source, drill: id, actor: "unknown", state: "lost", detail });
    log.warning("drill_lost", `Remediation: drill ${id} is over: ${detail}`, { source, drill: id });
  }

  /** Leftovers of ended drills make the list anew, without an expiry. */
  async #watchLeftovers(): Promise<void> {
    const { drills } = this.#deps, found = await drills.countKept();
    if (found !== this.#leftovers) await drills.expireLeftovers();
    this.#leftovers = found;
  }

  async #step(drill: Drill): Promise<void> {
    const { record, nowMs } = await this.#deps.readState();
    if (drill.phase !== "cleaning") {
      await this.#countNotices(drill);
      await this.#noteNotice(drill, nowMs);
    }
    const taken = record.drill?.id === drill.id ? record.drill : null;
    const arrived = drill.target === "real" ? taken?.taken ?? 0 : await this.#deps.drills.countKept();
    switch (nextStep(drill, { nowMs, arrived })) {
      case "seed":
        return await this.#seed(drill, nowMs);
      case "wait":
        return;
      case "heal":
        return this.#heed(await this.#advance(drill, "healing", {}));
      case "compare": {
        const count = await this.#count(drill, { sent: taken?.sent ?? "", sentTwice: 0, waiting: [] });
        if (count.arrived >= drill.messages) return await this.#decide(drill, "healed", nowMs);
        return nowMs < drill.healUntilMs ? undefined : await this.#decide(drill, "timed_out", nowMs);
      }
      case "give_up":
        return await this.#decide(drill, "timed_out", nowMs);
      case "clean":
        // A job may hold some of its messages in a list of its own.
        return record.job === null ? await this.#clean(drill, nowMs) : undefined;
    }
  }

  /** Pushes all messages, chunk by chunk, until a push is refused. */
  async #seed({ id, messages, seeded }: Drill, nowMs: number): Promise<void> {
    const { drills, shape } = this.#deps, at = toIso(nowMs);
    for (let offset = seeded; offset < messages && !this.stopping.aborted; offset += SEED_MESSAGES) {
      const count = Math.min(SEED_MESSAGES, messages - offset);
      const chunk = Array.from(
        { length: count },
        (_, i): Buffer => makeDrillMessage({ id, number: offset + i + 1 }, { policy: this.#policy, shape, at }),
      );
      const result = await drills.seed({ id, offset, messages: chunk });
      this.#heed(result);
      if (result !== "ok") return;
    }
  }

  /** Notes when this instance found the gate closed, once. */
  async #noteNotice(drill: Drill, nowMs: number): Promise<void> {
    const { gates, clock } = this.#deps;
    // A gate that is closed for a reason of its own hides the simulated outage.
    const held = gates().find(({ name, open, reason }) => name === drill.gate && !open && reason === "drill");
    if (drill.noticedAtMs !== null || !held || nowMs >= drill.heldUntilMs) return;
    const closedAtMs = nowMs - (clock.nowMs() - held.sinceMs);
    // It was closed for that reason before, and has closed for this one since the last step.
    const noticedAtMs = Math.round(closedAtMs < drill.startedAtMs ? nowMs : closedAtMs);
    this.#heed(await this.#deps.drills.advance({ id: drill.id, from: [drill.phase], fields: { noticedAtMs } }));
  }

  /** Counts the notices at the beginning, once. */
  async #countNotices({ id, phase, noticesBefore }: Drill): Promise<void> {
    const { drills, notices } = this.#deps;
    if (noticesBefore !== "") return;
    const fields = { noticesBefore: formatNotices(await notices.sent()) };
    this.#heed(await drills.advance({ id, from: [phase], fields }));
  }

  async #decide(drill: Drill, outcome: DrillOutcome, nowMs: number): Promise<void> {
    this.#walkedAtMs = -Infinity;
    this.#heed(await this.#advance(drill, "cleaning", { outcome, decidedAtMs: Math.round(nowMs) }));
  }

  #advance({ id, phase }: Drill, to: string, fields: Readonly<Record<string, string | number>>): Promise<DrillResult> {
    return this.#deps.drills.advance({ id, from: [phase], to, fields });
  }

  /** Waits until none of its messages is in the DLQ, then ends the drill. A commit in hand was refused when cleaning began. */
  async #clean(drill: Drill, nowMs: number): Promise<void> {
    const { clock, drills } = this.#deps;
    if (clock.monotonicMs() - this.#walkedAtMs < WALK_MS) return;
    const waiting = await this.#findWaiting(drill.id);
    this.#walkedAtMs = clock.monotonicMs();
    if (waiting === null || (waiting.length > 0 && nowMs < (drill.decidedAtMs ?? 0) + CLEANING_MS)) return;
    const { sent, doubled, takenAtMs } = parseDrillMoves(drill.moves);
    // Read after the DLQ: a message that was moved meanwhile is here.
    const count = await this.#count(drill, { sent, sentTwice: doubled, waiting });
    const report = await this.#report(drill, { count, nowMs, takenAtMs });
    const result = await drills.finish({ id: drill.id, report: JSON.stringify(report) });
    this.#heed(result);
    if (result === "ok") this.#tell(report);
  }

  async #report(
    drill: Drill,
    { count, nowMs, takenAtMs }: { count: DrillCount; nowMs: number; takenAtMs: number },
  ): Promise<DrillReport> {
    const { notices } = this.#deps, { name: source } = this.#policy, sent = await notices.sent();
    return makeReport(drill, {
      ...{ source, count, endedAtMs: nowMs, takenAtMs: takenAtMs === 0 ? null : takenAtMs },
      notices: sent && noticesSince(parseNotices(drill.noticesBefore), sent),
      incidentAtMs: sent && await notices.gateIncidentSince({ source, gate: drill.gate }, drill.startedAtMs),
    });
  }

  #tell(report: DrillReport): void {
    const { id, source, by, outcome } = report, detail = describeReport(report);
    this.#isActive = false;
    this.#leftovers = 0;
    this.#deps.note({ kind: "drill", source, drill: id, actor: by, state: outcome, detail });
    this.#deps.log.info("drill_ended", `Remediation: drill ${id} of ${by} is over (${outcome}): ${detail}`, {
      ...{ source, drill: id, by, outcome, seeded: report.seeded, arrived: report.arrived, lost: report.lost },
      ...{ doubled: report.doubled, left: report.left, notice_ms: report.noticeMs, heal_ms: report.healMs },
    });
  }

  async #count(
    { id, target, seeded }: Drill,
    found: { sent: string; sentTwice: number; waiting: readonly number[] },
  ): Promise<DrillCount> {
    const kept: number[] = [];
    for await (const block of this.#deps.drills.readKept()) kept.push(...this.#numbersOf(id, block));
    return countMessages({ seeded, kept, ...found }, { isReal: target === "real" });
  }

  /** The numbers of its messages in the DLQ; `null`: the walk was stopped. */
  async #findWaiting(id: string): Promise<readonly number[] | null> {
    const waiting: number[] = [];
    for await (const { rows } of this.#deps.lists.walk("dlq", { signal: this.stopping })) {
      waiting.push(...this.#numbersOf(id, rows.flatMap(({ bytes }) => bytes === null ? [] : [bytes])));
    }
    return this.stopping.aborted ? null : waiting;
  }

  #numbersOf(id: string, messages: readonly Buffer[]): readonly number[] {
    const { unwrap } = pathsOf(this.#policy);
    const isOwn = (mark: DrillMark | null): mark is DrillMark => mark?.id === id;
    return messages.map((message) => findDrillMark(message, unwrap)).filter(isOwn).map(({ number }) => number);
  }

  #heed(result: DrillResult): void {
    if (result === "not_leader") this.#deps.leadership.refused();
  }
}
