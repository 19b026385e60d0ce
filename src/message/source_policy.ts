/** A source of dead letters, its lists, the reasons for a dead message, and the members that this service reads and writes. */

/**
 * Why a message went to the dead list; `buried`: an operator sent it there. A closed set: metric labels, logs and summaries use
 * exactly these.
 */
export const DEAD_REASONS = ["poison", "malformed", "unreadable", "oversize", "buried"] as const;
/** One of {@link DEAD_REASONS}. */
export type DeadReason = (typeof DEAD_REASONS)[number];

/** The lists of a source. The target is for looking only. */
export const LIST_NAMES = ["dlq", "dead", "target"] as const;
/** One of {@link LIST_NAMES}. */
export type ListName = (typeof LIST_NAMES)[number];
/** What people call each list. */
export const LIST_WORDS: Readonly<Record<ListName, string>> = { dlq: "DLQ", dead: "dead list", target: "target" };

/** The top-level member with this service's stamp. */
export const REMEDIATION_MEMBER = "_remediation";
/** The top-level member with the time of a message's death. MUTT's retention reads it (contract §8). */
export const FAILED_AT_MEMBER = "failed_at";
/** The top-level member that MUTT's alerter adds to a message that it shed under load (contract §1.3). */
export const SHED_MEMBER = "shedding_reason";

/** One dead-letter queue, the lists that its messages move to, and the rules for them. Key names are full Redis keys. */
export interface SourcePolicy {
  /** Short name, used in metric labels, logs and `--source`. */
  readonly name: string;
  /** The dead-letter queue (list; newest left, oldest right). */
  readonly dlq: string;
  /** The work queue for replays (list). */
  readonly target: string;
  /** The terminal list for messages that are not replayed any more. */
  readonly dead: string;
  /** Top-level member in which the consumer counts failures; `null`: only the stamp counts them. */
  readonly counter: string | null;
  /** Top-level members to cut on replay, because the consumer would dead-letter a message with them unread. */
  readonly cutOnReplay: readonly string[];
  /** Top-level members that must be present and truthy in Python, because the consumer discards a message without them. */
  readonly required: readonly string[];
}

/** How people see the messages of a source. All names are of top-level members. */
export interface MessageDisplay {
  /** Members to show in lists. */
  readonly show: readonly string[];
  /** Members with the text that messages are grouped by. */
  readonly groupBy: readonly string[];
  /** Members to hide at any depth, in addition to `SECRET_MEMBERS`. */
  readonly secret: readonly string[];
}
