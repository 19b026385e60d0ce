/**
 * Watches for incidents, and has them told. Three details:
 *
 * - One instance does this, under a lease of its own, for all sources. What it goes by is in Redis: the histories and the journals, read with a
 *   cursor. What it knows is written in one step with the journal's entries, so a crash neither loses nor repeats an incident.
 * - Each receiver has its own {@link Outbox}: one that hangs delays no other, and none delays a replay.
 * - While Redis is away nothing can be read or written. The instance that held the lease then tells that one incident from memory.
 */
import type { IncidentRules, Route, Severity } from "../config/notify.ts";
import type { NewEntry } from "../journal/entries.ts";
import { describeDuration } from "../lifecycle/outage_log.ts";
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { createId, type RandomFraction } from "../runtime/random.ts";
import type { Memory } from "./conditions.ts";
import { createMemory, type Due } from "./delivery.ts";
import type { Incident, IncidentGroup, Notice } from "./notice.ts";
import type { Observation } from "./observation.ts";
import { Outbox } from "./outbox.ts";
import type { Receiver } from "./receiver.ts";
import { formatTracking, parseReceiver, parseTracking } from "./saved.ts";
import { type Change, isOpen, NOTHING_TRACKED, track, type TrackedIncident, type Tracking } from "./tracker.ts";

/** How often it looks, in milliseconds. */
const LOOK_MS = 5_000;
/** A process that has not looked for this long may have missed things, in milliseconds. */
const GAP_MS = 60_000;
/** How long the lease lasts, in milliseconds: three looks. */
export const LEASE_MS = 15_000;
/** Field with what is tracked. */
export const TRACKING_FIELD = "tracking";
/** How long the stop waits for the release of the lease, in milliseconds. */
const LAST_MS = 1_000;

/** What the notifier keeps in Redis. No call rejects: `null` means that Redis could not be asked. */
export interface NoticeStore {
  /** Takes or renews the lease. */
  take(durationMs: number): Promise<boolean | null>;
  release(): Promise<void>;
  /** From now on only this instance may save. False: another one holds the lease. */
  enter(): Promise<boolean | null>;
  /** Reads fields; a field that is missing is empty. */
  read(fields: readonly string[]): Promise<Readonly<Record<string, string>> | null>;
  /**
   * Writes fields and appends entries to the journal of incidents, in one step. False: another instance holds the lease, or has entered.
   * After `null` it was done or not.
   */
  save(fields: Readonly<Record<string, string>>, entries: readonly NewEntry[]): Promise<boolean | null>;
}

/** What is to be told to whom. */
export interface NotifyPlan {
  readonly rules: IncidentRules;
  /** Least time between two updates of an incident in the journal, in milliseconds. */
  readonly updateMs: number;
  readonly routes: readonly Route[];
  readonly receivers: readonly PlannedReceiver[];
}

/** A receiver and how it wants to be told. */
export interface PlannedReceiver {
  readonly receiver: Receiver;
  readonly updateMs: number;
  /** Whether notices of this severity are held at this instant (milliseconds since the epoch). */
  readonly isQuiet: (severity: Severity, nowMs: number) => boolean;
  readonly compose: (due: Due, id: string, nowMs: number) => Notice;
}

/** Dependencies of a {@link Notifier}. */
export interface NotifierDeps {
  readonly store: NoticeStore;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  /** What happened since the cursor (empty: lately), and since what is remembered. `null`: Redis could not be asked. */
  readonly observe: (
    cursor: string,
    memory: Memory,
  ) => Promise<
    {
      readonly observation: Omit<Observation, "watchingSinceMs">;
      readonly cursor: string;
      /** False: there is more to observe now. */
      readonly isComplete: boolean;
    } | null
  >;
  /** Reads one message of the dead list that died of this reason; `null`: none could be read. Never rejects. */
  readonly readSample: (source: string, reason: string) => Promise<IncidentGroup["sample"]>;
  /** Writes an entry when Redis is back. */
  readonly note: (entry: NewEntry) => void;
  readonly onResult: (receiver: string, result: "sent" | "failed" | "dropped") => void;
  readonly clock: Clock;
  readonly random: RandomFraction;
  readonly log: Log;
  readonly onBug: (error: unknown) => void;
}

/** The one notifier of an instance. */
export class Notifier extends PeriodicTask {
  readonly #deps: NotifierDeps;
  #plan: NotifyPlan;
  #outboxes: readonly Outbox[] = [];
  /** What is tracked while this instance holds the lease; `null`: it does not. */
  #tracking: Tracking | null = null;
  /** What it tracked last, also before it lost the lease. */
  #known: Tracking | null = null;
  #cursor = "";
  /** The text that was saved last. */
  #saved = "";
  #watching: { readonly sinceMs: number; readonly monotonicMs: number } | null = null;
  /** Incidents and sources whose example has been requested. */
  readonly #sampled = new Set<string>();
  /** Since when Redis is away, by the monotonic clock; `null`: it is not. */
  #awaySinceMs: number | null = null;
  /** The incident of Redis being away, until it is sent; only in the memory of this process. */
  #away: TrackedIncident | null = null;

  constructor(plan: NotifyPlan, deps: NotifierDeps) {
    super({ clock: deps.clock, onBug: deps.onBug });
    this.#deps = deps;
    this.#plan = plan;
    this.#outboxes = plan.receivers.map((receiver) => this.#createOutbox(receiver));
  }

  /** The receivers, whichever instance tells them. */
  get outboxes(): readonly Outbox[] {
    return this.#outboxes;
  }

  /** Open incidents, if this instance watches for them; `null`: another one does. */
  open(): readonly Incident[] | null {
    return this.#tracking?.incidents.filter(isOpen) ?? null;
  }

  override start(): void {
    super.start();
    this.#outboxes.forEach((outbox) => outbox.start());
  }

  /** Replaces the rules and the receivers. What they were told before, under the same name, stays. */
  async replace(plan: NotifyPlan): Promise<void> {
    const before = this.#outboxes;
    this.#plan = plan;
    this.#outboxes = [];
    await Promise.all(before.map((outbox) => outbox.stop()));
    if (this.stopping.aborted) return plan.receivers.forEach(({ receiver }) => receiver.close());
    const known = new Map(before.map((outbox) => [outbox.name, outbox.memory]));
    this.#outboxes = plan.receivers.map((planned) => {
      const outbox = this.#createOutbox(planned);
      const memory = known.get(planned.receiver.name);
      if (memory) outbox.adopt(memory);
      return outbox;
    });
    this.#outboxes.forEach((outbox) => outbox.start());
    this.wake();
  }

  /** Stops telling, and leaves the lease to another instance. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    await Promise.all(this.#outboxes.map((outbox) => outbox.stop()));
    if (this.#tracking === null || !this.#deps.isReady()) return;
    const done = new AbortController();
    const releasing = this.#deps.store.release().finally(() => done.abort());
    await Promise.race([releasing, this.#deps.clock.sleep(LAST_MS, done.signal)]);
  }

  protected async run(): Promise<RunResult> {
    const { store, isReady, clock } = this.#deps;
    const isOurs = isReady() ? await store.take(LEASE_MS) : null;
    if (isOurs === null) return this.#beAway();
    if (!isOurs) {
      this.#beBack();
      this.#leave();
      return "done";
    }
    if (this.#tracking === null && !await this.#enter()) return "failed";
    const seen = await this.#deps.observe(this.#cursor, this.#tracking!.memory);
    // On a cluster, the lease may be kept while the server of a source is away.
    if (seen === null) return this.#beAway();
    this.#beBack();
    const monotonicMs = clock.monotonicMs();
    const isGap = this.#watching === null || monotonicMs - this.#watching.monotonicMs > GAP_MS;
    this.#watching = { sinceMs: isGap ? seen.observation.nowMs : this.#watching!.sinceMs, monotonicMs };
    const observation = { ...seen.observation, watchingSinceMs: this.#watching.sinceMs };
    const result = await this.#track(observation, seen.cursor);
    if (result === "done" && !seen.isComplete) this.wake();
    return result;
  }

  protected intervalMs(): number {
    return LOOK_MS;
  }

  async #track(observation: Observation, cursor: string): Promise<RunResult> {
    const { rules, updateMs } = this.#plan;
    const { tracking, changes } = track(this.#tracking!, observation, { rules, updateMs, createId: createIncidentId });
    const { text, tracking: kept } = formatTracking({ cursor, tracking: await this.#fillSamples(tracking) });
    if (text !== this.#saved) {
      // What has just happened is in the journal already.
      const entries = changes.flatMap(({ event, incident }) => event === "happened" ? [] : [toEntry(event, incident)]);
      const isSaved = await this.#deps.store.save({ [TRACKING_FIELD]: text }, entries);
      if (isSaved !== true) {
        // It may have been saved. The next run reads what is there, and finds the rest again.
        this.#leave();
        return "failed";
      }
    }
    this.#saved = text;
    this.#tracking = this.#known = kept;
    this.#cursor = cursor;
    if (!await this.#welcome()) return "failed";
    if (changes.length > 0) this.#outboxes.forEach((outbox) => outbox.wake());
    return "done";
  }

  /** Takes over what was tracked before. */
  async #enter(): Promise<boolean> {
    if (!await this.#deps.store.enter()) return false;
    const fields = await this.#deps.store.read([TRACKING_FIELD]);
    if (fields === null) return false;
    const saved = parseTracking(fields[TRACKING_FIELD] ?? "");
    // If Redis has lost it, what this process knew is better than nothing: who was notified of a begin is notified of the end.
    this.#tracking = saved?.tracking ?? this.#known ?? NOTHING_TRACKED;
    this.#cursor = saved?.cursor ?? "";
    this.#saved = "";
    this.#sampled.clear();
    this.#watching = null;
    this.#outboxes.forEach((outbox) => outbox.release());
    return true;
  }

  /** Loads the memory of receivers that this instance does not know yet. A new receiver gets the incidents that are open. */
  async #welcome(): Promise<boolean> {
    const { store, clock } = this.#deps, unknown = this.#outboxes.filter(({ memory }) => memory === null);
    if (unknown.length === 0) return true;
    const fields = await store.read(unknown.map(({ name }) => fieldOf(name)));
    if (fields === null) return false;
    for (const outbox of unknown) {
      const memory = parseReceiver(fields[fieldOf(outbox.name)] ?? "") ??
        createMemory(this.#tracking!.incidents, clock.nowMs());
      outbox.adopt(memory);
      outbox.wake();
    }
    return true;
  }

  #leave(): void {
    this.#tracking = null;
    this.#watching = null;
    if (this.#away === null) this.#outboxes.forEach((outbox) => outbox.release());
  }

  #beAway(): RunResult {
    const { clock } = this.#deps, { gate_closed: rule } = this.#plan.rules, nowMs = clock.monotonicMs();
    this.#awaySinceMs ??= nowMs;
    const awayMs = nowMs - this.#awaySinceMs;
    const isNews = rule !== "off" && !rule.except.includes("redis") && awayMs >= rule.afterSeconds * 1_000;
    if (this.#away === null && isNews && this.#tracking !== null) {
      const beganMs = clock.nowMs() - awayMs, sources = Object.keys(this.#tracking.memory.sources).toSorted();
      this.#away = {
        ...{ id: createIncidentId(), kind: "gate_closed", cause: "redis", severity: "critical", sources, groups: [] },
        ...{ beganMs, endedMs: null, untilMs: beganMs, revision: 1, journalled: { revision: 1, atMs: beganMs } },
        detail: "Gate redis is closed: Redis cannot be used",
      };
      this.#outboxes.forEach((outbox) => outbox.wake());
    }
    return "failed";
  }

  #beBack(): void {
    this.#awaySinceMs = null;
    const away = this.#away, { note, clock } = this.#deps;
    if (away === null) return;
    if (isOpen(away)) {
      this.#away = { ...away, endedMs: clock.nowMs(), revision: 2 };
      for (const event of ["began", "ended"] as const) note(toEntry(event, this.#away));
      this.#outboxes.forEach((outbox) => outbox.wake());
    } else if (this.#outboxes.every((outbox) => outbox.memory?.told[away.id]?.event !== "began")) {
      this.#away = null;
      if (this.#tracking === null) this.#leave();
    }
  }

  /** Reads an example of the messages that died, once a source: operators may have taken them away since. */
  async #fillSamples(tracking: Tracking): Promise<Tracking> {
    const { readSample } = this.#deps;
    const incidents = await Promise.all(tracking.incidents.map(async (incident): Promise<TrackedIncident> => {
      const { kind, cause, groups } = incident;
      if (kind !== "dead" || !isOpen(incident)) return incident;
      const filled = await Promise.all(groups.map(async (group) => {
        const isNew = group.sample === null && !this.#sampled.has(`${incident.id} ${group.source}`);
        this.#sampled.add(`${incident.id} ${group.source}`);
        return isNew ? { ...group, sample: await readSample(group.source, cause) } : group;
      }));
      return { ...incident, groups: filled };
    }));
    return { ...tracking, incidents };
  }

  #createOutbox({ receiver, updateMs, isQuiet, compose }: PlannedReceiver): Outbox {
    const { clock, random, log, onResult, onBug, store } = this.#deps;
    return new Outbox({
      ...{ receiver, compose, clock, random, log, onBug },
      incidents: () => this.#told(),
      kept: () => [...this.#tracking?.incidents ?? [], ...this.#away === null ? [] : [this.#away]],
      options: () => ({
        ...{ routes: this.#plan.routes, updateMs },
        isQuiet: (severity) => isQuiet(severity, clock.nowMs()),
      }),
      save: async (memory) => {
        // A standby that tells of its outage has nothing to save.
        if (this.#tracking === null) return true;
        const isSaved = await store.save({ [fieldOf(receiver.name)]: JSON.stringify(memory) }, []);
        if (isSaved === false) this.#leave();
        return isSaved === true;
      },
      onResult: (result) => onResult(receiver.name, result),
    });
  }

  /** The incidents that this instance tells; `null`: none. */
  #told(): readonly TrackedIncident[] | null {
    const away = this.#away === null ? [] : [this.#away];
    if (this.#tracking === null || this.#awaySinceMs !== null) return away.length > 0 ? away : null;
    return [...this.#tracking.incidents, ...away];
  }
}

/** Name of the field with what a receiver was sent. */
export function fieldOf(receiver: string): string {
  return `receiver:${receiver}`;
}

function createIncidentId(): string {
  return `i_${createId().slice(0, 8)}`;
}

function toEntry(
  event: Exclude<Change["event"], "happened">,
  { id, kind, cause, sources, detail, beganMs, endedMs }: Incident,
): NewEntry {
  const [source = null] = sources.length === 1 ? sources : [];
  const where = sources.length > 1 ? ` (${sources.join(", ")})` : "";
  const length = event === "ended" && endedMs !== null ? `; over after ${describeDuration(endedMs - beganMs)}` : "";
  return {
    ...{ kind: "incident", incident: id, event, source, reason: kind === cause ? kind : `${kind}:${cause}` },
    detail: `${detail}${where}${length}`,
  };
}
