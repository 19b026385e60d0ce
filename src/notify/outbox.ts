/**
 * Sends the notices of one receiver, one at a time. A failure is tried again with a growing, jittered pause, and given up after a day or, if the
 * receiver refuses the notice itself, after three tries. What only a person can mend, such as a wrong password, is tried rarely. Nothing waits for it. What was sent is saved after each notice: after a crash
 * between a notice and its record, that notice comes twice, with the same id.
 */
import { growingPauseMs, PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import { OutageLog } from "../lifecycle/outage_log.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RandomFraction } from "../runtime/random.ts";
import {
  countWaiting,
  type DeliveryOptions,
  type Due,
  mergeMemories,
  nextNotice,
  noteTold,
  noticeId,
  type ReceiverMemory,
} from "./delivery.ts";
import type { Notice } from "./notice.ts";
import { type Receiver, ReceiverError, type ReceiverFailure } from "./receiver.ts";
import type { TrackedIncident } from "./tracker.ts";

/** How often an outbox looks for notices, in milliseconds. It is also woken. */
const LOOK_MS = 5_000;
/** Least time between two notices: Slack takes one a second, in milliseconds. */
const BETWEEN_MS = 1_000;
/** Pauses after a failure, and when a notice is given up, in milliseconds. */
const RETRY_MS = 5_000, MAX_RETRY_MS = 600_000, GIVE_UP_MS = 86_400_000;
/** Failures that are about the notice itself, and how often it is tried then. */
const REFUSALS: readonly ReceiverFailure[] = ["refused", "too_large"], MOST_REFUSALS = 3;

/** Dependencies of an {@link Outbox}. */
export interface OutboxDeps {
  readonly receiver: Receiver;
  /** What there is to tell; `null`: another instance tells it. */
  readonly incidents: () => readonly TrackedIncident[] | null;
  /** All incidents that are known, those too that cannot be told now. What was sent of any other is forgotten. */
  readonly kept: () => readonly TrackedIncident[];
  readonly options: () => Pick<DeliveryOptions, "routes" | "updateMs" | "isQuiet">;
  /** Puts a notice into words. */
  readonly compose: (due: Due, id: string, nowMs: number) => Notice;
  /** Saves what was sent; false: it could not be saved now. Never rejects. */
  readonly save: (memory: ReceiverMemory) => Promise<boolean>;
  readonly onResult: (result: "sent" | "failed" | "dropped") => void;
  readonly clock: Clock;
  readonly random: RandomFraction;
  readonly log: Log;
  readonly onBug: (error: unknown) => void;
}

/** Tells one receiver. */
export class Outbox extends PeriodicTask {
  readonly #deps: OutboxDeps;
  readonly #outages: OutageLog;
  #memory: ReceiverMemory | null = null;
  /** What this instance knows of what it told itself, which may not have been saved. */
  #own: ReceiverMemory | null = null;
  #isSaved = true;

  constructor(deps: OutboxDeps) {
    super({ clock: deps.clock, minPauseMs: BETWEEN_MS, onBug: deps.onBug });
    this.#deps = deps;
    this.#outages = new OutageLog(deps);
  }

  /** Name of the receiver. */
  get name(): string {
    return this.#deps.receiver.name;
  }

  /** What was sent; `null`: not known yet. */
  get memory(): ReceiverMemory | null {
    return this.#memory;
  }

  /** Takes over what was sent, as it was saved, and adds what only this instance knows. */
  adopt(saved: ReceiverMemory): void {
    this.#memory = this.#own === null ? saved : mergeMemories(saved, this.#own);
    this.#isSaved = this.#own === null;
  }

  /** Stops telling until the next {@link Outbox.adopt}. */
  release(): void {
    this.#memory = null;
  }

  /** Counts the notices that wait. */
  waiting(): number {
    const { incidents, clock } = this.#deps;
    return this.#memory === null ? 0 : countWaiting(this.#memory, incidents() ?? [], this.#options(clock.nowMs()));
  }

  override async stop(): Promise<void> {
    await super.stop();
    this.#deps.receiver.close();
  }

  protected async run(): Promise<RunResult> {
    const { incidents, kept, clock, save, compose } = this.#deps;
    const all = incidents(), memory = this.#memory, nowMs = clock.nowMs();
    if (all === null || memory === null) return "skipped";
    if (!this.#isSaved) this.#isSaved = await save(memory);
    const due = nextNotice(memory, all, this.#options(nowMs));
    if (due === null || (memory.failing !== null && memory.failing.nextMs > nowMs)) return "skipped";
    const next = await this.#send(memory, due, compose(due, noticeId(memory, due), nowMs), kept());
    if (next === null) return "skipped";
    this.#own = next;
    // Another instance may have taken over meanwhile.
    if (this.#memory !== memory) return "skipped";
    this.#memory = next;
    this.#isSaved = await save(next);
    this.wake();
    return "done";
  }

  protected intervalMs(): number {
    const nextMs = this.#memory?.failing?.nextMs;
    return nextMs === undefined ? LOOK_MS : Math.max(0, Math.min(LOOK_MS, nextMs - this.#deps.clock.nowMs()));
  }

  #options(nowMs: number): DeliveryOptions {
    const { receiver: { name, repeatMs }, options } = this.#deps;
    return { receiver: name, repeatMs, nowMs, ...options() };
  }

  /** Returns the memory afterwards; `null`: the send was cut off by a stop. */
  async #send(
    memory: ReceiverMemory,
    due: Due,
    notice: Notice,
    kept: readonly TrackedIncident[],
  ): Promise<ReceiverMemory | null> {
    const { receiver, clock, onResult } = this.#deps;
    try {
      await receiver.send(notice, this.stopping);
    } catch (error) {
      if (this.stopping.aborted) return null;
      if (!(error instanceof ReceiverError)) throw error;
      return this.#fail(memory, due, error, kept);
    }
    onResult("sent");
    this.#outages.up(({ lasted }) => ({
      event: "receiver_works",
      message: `Remediation: receiver ${this.name} takes notices again after ${lasted}`,
      fields: { receiver: this.name },
    }));
    return noteTold(memory, due, { nowMs: clock.nowMs(), kept });
  }

  #fail(memory: ReceiverMemory, due: Due, error: ReceiverError, kept: readonly TrackedIncident[]): ReceiverMemory {
    const { clock, random, onResult } = this.#deps, nowMs = clock.nowMs(), incident = due.incident.id;
    const before = memory.failing?.incident === incident ? memory.failing : null;
    const sinceMs = before?.sinceMs ?? nowMs, tries = (before?.tries ?? 0) + 1;
    const isRefusal = REFUSALS.includes(error.code);
    const isHopeless = (isRefusal && tries >= MOST_REFUSALS) || nowMs - sinceMs >= GIVE_UP_MS;
    onResult(isHopeless ? "dropped" : "failed");
    this.#outages.down(error.code, {
      event: "receiver_fails",
      message: `Remediation: receiver ${this.name} does not take notices (${error.code}): ${error.message}; retrying`,
      fields: { receiver: this.name, code: error.code },
    });
    if (isHopeless) {
      const message = `Remediation: gave up a notice to ${this.name} about incident ${incident} after ${tries} tries`;
      this.#deps.log.warning("notice_dropped", message, { receiver: this.name, incident, code: error.code });
      return noteTold(memory, due, { nowMs, isDropped: true, kept });
    }
    const isQuick = error.retryable || isRefusal;
    const wholeMs = isQuick ? growingPauseMs(tries, { firstMs: RETRY_MS, maxMs: MAX_RETRY_MS }) : MAX_RETRY_MS;
    const pauseMs = wholeMs * (0.5 + random() / 2);
    const nextMs = nowMs + Math.max(pauseMs, Math.min(error.retryAfterMs ?? 0, MAX_RETRY_MS));
    return {
      ...memory,
      failing: { incident, sinceMs, tries, nextMs, code: error.code, problem: error.message },
    };
  }
}
