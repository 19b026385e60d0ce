/** Counts messages by group while a list is read, oldest first. Bounded memory. Pure. */
import { groupId } from "./group.ts";
import type { MessageView } from "./message_view.ts";

/** Most groups that are told apart. Messages of further ones are counted together. */
export const MAX_GROUPS = 5_000;
/** Parts of the list that a trend counts by. */
export const TREND_PARTS = 4;

/** Messages that failed alike. Times are by the messages' own time, in milliseconds since the epoch; `null`: they have none. */
export interface CountedGroup<Sample> {
  readonly group: string;
  readonly reason: string | null;
  /** The text that they share. */
  readonly text: string;
  readonly count: number;
  /** Time of the oldest one in the list. */
  readonly firstSeenAtMs: number | null;
  /** Time of the newest one in the list. */
  readonly lastSeenAtMs: number | null;
  /** Count in each quarter of the list, from the oldest quarter to the newest. */
  readonly trend: readonly number[];
  /** The oldest one in the list. */
  readonly sample: Sample;
}

interface Entry<Sample> {
  readonly reason: string | null;
  readonly text: string;
  readonly sample: Sample;
  readonly firstSeenAtMs: number | null;
  lastSeenAtMs: number | null;
  count: number;
  readonly trend: number[];
}

/** Groups of one list. */
export class GroupTable<Sample> {
  readonly #source: string;
  readonly #nowMs: number;
  readonly #sampleOf: (view: MessageView) => Sample;
  /** By reason, then by text. */
  readonly #entries = new Map<string | null, Map<string, Entry<Sample>>>();
  #size = 0;
  #ungrouped = 0;

  /** `sampleOf`: what to keep of a group's oldest message; called once a group. */
  constructor(
    source: string,
    { nowMs, sampleOf }: { nowMs: number; sampleOf: (view: MessageView) => Sample },
  ) {
    this.#source = source;
    this.#nowMs = nowMs;
    this.#sampleOf = sampleOf;
  }

  /** Messages of groups beyond {@link MAX_GROUPS}. */
  get ungrouped(): number {
    return this.#ungrouped;
  }

  /** Counts messages, oldest first. `end`: place of the list's newest message. */
  add(views: readonly MessageView[], end: number): void {
    // Only the time of the last one is wanted, and reading it takes as long as everything else.
    const last = new Map<Entry<Sample>, MessageView>();
    for (const view of views) {
      const entry = this.#entryOf(view);
      if (entry === null) {
        this.#ungrouped++;
        continue;
      }
      const part = Math.floor((view.place - 1) * TREND_PARTS / Math.max(1, end));
      entry.count++;
      entry.trend[Math.min(TREND_PARTS - 1, part)]!++;
      last.set(entry, view);
    }
    for (const [entry, view] of last) entry.lastSeenAtMs = this.#timeOf(view) ?? entry.lastSeenAtMs;
  }

  /** The groups, largest first. */
  list(): CountedGroup<Sample>[] {
    const entries = [...this.#entries.values()].flatMap((ofReason) => [...ofReason.values()]);
    return entries.sort((a, b) => b.count - a.count).map((entry) => ({
      group: groupId({ source: this.#source, reason: entry.reason, groupText: entry.text }),
      ...entry,
    }));
  }

  #entryOf(view: MessageView): Entry<Sample> | null {
    const { reason, groupText: text } = view;
    let ofReason = this.#entries.get(reason);
    if (!ofReason) this.#entries.set(reason, ofReason = new Map());
    const known = ofReason.get(text);
    if (known) return known;
    if (this.#size === MAX_GROUPS) return null;
    this.#size++;
    const atMs = this.#timeOf(view);
    const entry: Entry<Sample> = {
      ...{ reason, text, sample: this.#sampleOf(view), firstSeenAtMs: atMs, lastSeenAtMs: atMs, count: 0 },
      trend: Array.from({ length: TREND_PARTS }, () => 0),
    };
    ofReason.set(text, entry);
    return entry;
  }

  #timeOf({ ageMs }: MessageView): number | null {
    return ageMs === null ? null : this.#nowMs - ageMs;
  }
}
