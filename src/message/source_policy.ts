/** What a source of dead letters is, and the closed sets that describe what happens to its messages. */

/** Why a message went to the dead list. Closed: metric labels, logs and summaries use exactly these. */
export const DEAD_REASONS = ["poison", "malformed", "unreadable", "oversize"] as const;
/** One of {@link DEAD_REASONS}. */
export type DeadReason = (typeof DEAD_REASONS)[number];

/** The top-level member that carries this service's own record of a message's replays. */
export const REMEDIATION_MEMBER = "_remediation";
/** The top-level member that says when a message died; MUTT's retention reads it (contract §8). */
export const FAILED_AT_MEMBER = "failed_at";
/** The top-level member that MUTT's alerter adds to a message it shed under load (contract §1.3). */
export const SHED_MEMBER = "shedding_reason";

/** One dead-letter queue, where its messages go, and how they are judged. Key names are full Redis keys. */
export interface SourcePolicy {
  /** Short name, used in metric labels, logs and `--source`. */
  readonly name: string;
  /** The dead-letter queue (list; newest left, oldest right). */
  readonly dlq: string;
  /** The work queue that replays go to (list). */
  readonly target: string;
  /** The terminal list of messages that are not replayed any more. */
  readonly dead: string;
  /** Top-level number that counts as failures beside the own counter; `null`: only the own counter is read. */
  readonly counter: string | null;
  /** Top-level members to cut on replay, so that the consumer does not dead-letter the message unread. */
  readonly cutOnReplay: readonly string[];
  /** Top-level members that must be present and truthy (Python's sense), else the consumer would discard the message. */
  readonly required: readonly string[];
}
