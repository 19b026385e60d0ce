/** The books of one simulation: what became of every event, by the id that it carries. Does no IO. */
import type { DlqName } from "../../testkit/mutt/keys.ts";
import type { MuttObserver } from "../../testkit/mutt/observer.ts";
import { type EventKind, idIn, type SimEvent } from "../../testkit/mutt/traffic.ts";
import { type Entered, findDifferences, type Found } from "../../testkit/oracle.ts";

/** Lists as they are at the end, each message once for every time it is there. */
export interface Leftovers {
  /** On its way: in a work queue. */
  readonly queued: readonly Uint8Array[];
  /** In the processing list of a consumer whose loop raised on it. */
  readonly wedged: readonly Uint8Array[];
  readonly dlqAlerter: readonly Uint8Array[];
  readonly dlqMoog: readonly Uint8Array[];
  readonly dead: readonly Uint8Array[];
}

/** Where an event ended. */
export type Fate = "delivered" | "destroyed" | "discarded" | keyof Leftovers;

/** The account of one run. It is exact when `unaccounted`, `doubled` and `strangers` are 0. */
export interface SimAccount {
  readonly entered: number;
  readonly fates: Readonly<Record<Fate, number>>;
  /** Events without any fate. */
  readonly unaccounted: number;
  /** Fates beyond the first of an event. */
  readonly doubled: number;
  /** Messages found that never entered. */
  readonly strangers: number;
  /** Events gone for good that would not be, had nothing been replayed. */
  readonly lostByReplays: number;
  /** Events that the pipeline destroyed or threw away by itself. */
  readonly lostByPipeline: number;
  /** Healthy events in the dead list. */
  readonly wronglyDead: number;
  /** Times that an event came to a dead-letter queue in which it had been before. */
  readonly bounced: number;
}

/** Whether every event that entered has exactly one fate. */
export function isExact({ unaccounted, doubled, strangers }: SimAccount): boolean {
  return unaccounted + doubled + strangers === 0;
}

/** Healthy events may be anywhere but in the dead list. */
const ENDS_OF_HEALTHY: readonly Fate[] = [
  ...["delivered", "destroyed", "discarded", "queued", "wedged", "dlqAlerter", "dlqMoog"] as const,
];

interface Entry extends Entered {
  readonly kind: EventKind;
  readonly enteredAtMs: number;
  readonly dlqVisits: Record<DlqName, number>;
  /** Whether it was delivered, destroyed or discarded. */
  isGone: boolean;
  deliveredAtMs: number | null;
}

/** When the healthy events that entered before an instant were all delivered. */
export interface Healing {
  /** The last of those deliveries, in simulated milliseconds since the incident began; `null`: none was. */
  readonly lastDeliveryMs: number | null;
  /** How many are still on their way, in a dead-letter queue or in the dead list. */
  readonly open: number;
}

/** Written by the stand-ins while they run. */
export class Ledger implements MuttObserver {
  readonly #entries = new Map<string, Entry>();
  /** What is gone from every list. */
  readonly #gone: (Found & { readonly place: Fate })[] = [];
  readonly #elapsedMs: () => number;
  readonly #rateWindowMs: number;
  /** What the limiter let through of late. */
  #admitted: { readonly id: string; readonly atMs: number }[] = [];
  #bounced = 0;
  #lostByReplays = 0;
  #lostByPipeline = 0;
  /** Unknown messages that went to a dead-letter queue. */
  #strangers = 0;

  /** `rateWindowMs`: the limiter's window in real milliseconds. */
  constructor({ elapsedMs, rateWindowMs }: { elapsedMs: () => number; rateWindowMs: number }) {
    this.#elapsedMs = elapsedMs;
    this.#rateWindowMs = rateWindowMs;
  }

  /** An event goes into the pipeline. */
  entered({ id, kind }: SimEvent): void {
    this.#entries.set(id, {
      ...{ key: id, kind, ends: kind === "healthy" ? ENDS_OF_HEALTHY : undefined },
      ...{ enteredAtMs: this.#elapsedMs(), deliveredAtMs: null, isGone: false },
      dlqVisits: { alerter: 0, moog: 0 },
    });
  }

  /** Moogsoft took it. */
  delivered(message: string | Uint8Array): void {
    const entry = this.#close(message, "delivered");
    if (entry) entry.deliveredAtMs = this.#elapsedMs();
  }

  /** A consumer threw it away. */
  discarded(message: Uint8Array): void {
    const entry = this.#close(message, "discarded");
    if (entry) this.#countLoss(wasReplayed(entry));
  }

  /** The limiter let it through at that (real) instant. */
  admitted(message: Uint8Array, atMs: number): void {
    const id = idIn(message);
    if (id !== null) this.#admitted.push({ id, atMs });
  }

  /** A forwarder threw it away because of the limit: replays are to blame if it is one, or one took up the limit. */
  destroyed(message: Uint8Array, atMs: number): void {
    this.#admitted = this.#admitted.filter((one) => one.atMs > atMs - this.#rateWindowMs);
    const entry = this.#close(message, "destroyed");
    if (!entry) return;
    const others = this.#admitted.map(({ id }) => this.#entries.get(id));
    this.#countLoss(wasReplayed(entry) || others.some((other) => other && wasReplayed(other)));
  }

  /** It went to a dead-letter queue. */
  deadLettered(message: Uint8Array, dlq: DlqName): void {
    const entry = this.#find(message);
    if (!entry) this.#strangers++;
    else if (++entry.dlqVisits[dlq] > 1) this.#bounced++;
  }

  /** How far those that entered before `beforeMs` (simulated) have come. */
  healing(beforeMs: number): Healing {
    let open = 0, lastDeliveryMs: number | null = null;
    for (const { kind, enteredAtMs, isGone, deliveredAtMs } of this.#entries.values()) {
      if (kind !== "healthy" || enteredAtMs >= beforeMs) continue;
      if (!isGone) open++;
      if (deliveredAtMs !== null) lastDeliveryMs = Math.max(lastDeliveryMs ?? 0, deliveredAtMs);
    }
    return { open, lastDeliveryMs };
  }

  /**
   * 95th percentile of the time from entering to delivery of healthy events that entered from `fromMs` on and were never
   * dead-lettered; those still on their way count with what they have waited until `nowMs`. 0 where there were none.
   */
  liveDelayMs({ fromMs, nowMs }: { fromMs: number; nowMs: number }): number {
    const delays = [...this.#entries.values()].filter((entry) =>
      entry.kind === "healthy" && entry.enteredAtMs >= fromMs && !wasReplayed(entry)
    ).map(({ enteredAtMs, deliveredAtMs }) => (deliveredAtMs ?? nowMs) - enteredAtMs).sort((a, b) => a - b);
    return delays[Math.ceil(0.95 * delays.length) - 1] ?? 0;
  }

  /** Takes the account. Whoever moves messages must have stopped. */
  close(leftovers: Leftovers): SimAccount {
    const left = (Object.entries(leftovers) as [keyof Leftovers, Uint8Array[]][])
      .flatMap(([place, messages]) => messages.map((message) => ({ key: idIn(message) ?? "no id", place })));
    const found = [...this.#gone, ...left];
    const fates: Record<Fate, number> = {
      ...{ delivered: 0, destroyed: 0, discarded: 0 },
      ...{ queued: 0, wedged: 0, dlqAlerter: 0, dlqMoog: 0, dead: 0 },
    };
    for (const { key, place } of found) if (this.#entries.has(key)) fates[place]++;
    const { lost, doubled, strangers, misplaced } = findDifferences(this.#entries.values(), found);
    return {
      ...{ entered: this.#entries.size, fates, bounced: this.#bounced },
      ...{ lostByReplays: this.#lostByReplays, lostByPipeline: this.#lostByPipeline },
      ...{ unaccounted: lost.length, doubled: doubled.length, wronglyDead: misplaced.length },
      strangers: this.#strangers + strangers.length,
    };
  }

  #find(message: string | Uint8Array): Entry | undefined {
    return this.#entries.get(idIn(message) ?? "no id");
  }

  #close(message: string | Uint8Array, place: Fate): Entry | undefined {
    this.#gone.push({ key: idIn(message) ?? "no id", place });
    const entry = this.#find(message);
    if (entry) entry.isGone = true;
    return entry;
  }

  #countLoss(byReplay: boolean): void {
    if (byReplay) this.#lostByReplays++;
    else this.#lostByPipeline++;
  }
}

/** A consumer only ever sees again what somebody took out of a dead-letter queue. */
function wasReplayed({ dlqVisits }: Entry): boolean {
  return dlqVisits.alerter + dlqVisits.moog > 0;
}
