/** The messages that an operator has chosen. Pure. */

/** Lists of a source to choose from. The target is for looking only. */
export const SELECTABLE_LISTS = ["dlq", "dead", "target"] as const;
/** One of {@link SELECTABLE_LISTS}. */
export type SelectableList = (typeof SELECTABLE_LISTS)[number];

/** A choice of messages in one list. Whoever runs a job decides again by it on the bytes that it reads. */
export interface Selection {
  /** Name of the source. */
  readonly source: string;
  readonly list: SelectableList;
  /** Query that a message must match; empty: every message. */
  readonly query: string;
  /** Ids of which a message must have one; absent: any. */
  readonly ids?: readonly string[];
  /** The instant that ages count to, in milliseconds since the epoch, so that every run decides alike; absent: now. */
  readonly atMs?: number;
  /** Id of the job that must have buried a message; absent: any, or none. */
  readonly buriedBy?: string;
}

/** Most ids of a selection. */
export const MAX_SELECTED_IDS = 10_000;
