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
/**
 * By which command new messages enter the lists of a source. `LPUSH`: the newest is at the left, and consumers take from the right
 * (RPOP); `RPUSH`: the other way round.
 */
export const PUSHES = ["LPUSH", "RPUSH"] as const;
/** One of {@link PUSHES}. */
export type Push = (typeof PUSHES)[number];
/** Where messages are pushed, and where consumers take them. */
export const PUSH_SIDES: Readonly<Record<Push, { readonly pushed: string; readonly taken: string }>> = {
  LPUSH: { pushed: "to the left", taken: "from the right (RPOP, BRPOP)" },
  RPUSH: { pushed: "to the right", taken: "from the left (LPOP, BLPOP)" },
};
/** How the keys of this service begin. No list of a source may: it would be read and deleted as something else. `turned.lua` has it too. */
export const OWN_PREFIX = "mutt:remediation:";

/** Returns whether it is a key of this service itself. Its lists are always pushed to the left. */
export function isOwnKey(key: string): boolean {
  return key.startsWith(OWN_PREFIX);
}

/** What people call each list. */
export const LIST_WORDS: Readonly<Record<ListName, string>> = { dlq: "DLQ", dead: "dead list", target: "target" };

/** The top-level member with this service's stamp. */
export const REMEDIATION_MEMBER = "_remediation";
/** The top-level member with the time of a message's death. MUTT's retention reads it (contract §8). */
export const FAILED_AT_MEMBER = "failed_at";
/** The top-level member that MUTT's alerter adds to a message that it shed under load (contract §1.3). */
export const SHED_MEMBER = "shedding_reason";

/** Where the stamps of a source's messages are: in the messages, or recorded beside them, in Redis. */
export const RECORD_PLACES = ["inside", "beside"] as const;
/** One of {@link RECORD_PLACES}. */
export type RecordPlace = (typeof RECORD_PLACES)[number];

/** How long a record is kept by default, in hours: a week, as long as a change freeze may hold a source. */
export const DEFAULT_RECORD_HOURS = 168;

/** How the stamps of a source are recorded beside its messages. */
export interface BesideRecord {
  /** Member that names a message; `null`, and for a message without it: the digest of the bytes that are replayed does. */
  readonly idMember: string | null;
  /** How long a record is kept after the last replay of its message, in milliseconds. */
  readonly keepMs: number;
}

/**
 * One dead-letter queue, the lists that its messages move to, and the rules for them. Key names are full Redis keys; members are named by
 * their paths as text (`member_path.ts`), from the message as it lies in the DLQ.
 */
export interface SourcePolicy {
  /** Short name, used in metric labels, logs and `--source`. */
  readonly name: string;
  /** By which command messages enter all three lists. */
  readonly push: Push;
  /** The dead-letter queue (list). */
  readonly dlq: string;
  /** The work queue for replays (list). */
  readonly target: string;
  /** The terminal list for messages that are not replayed any more. */
  readonly dead: string;
  /** Member in which the consumer counts failures; `null`: only the stamp counts them. */
  readonly counter: string | null;
  /** Members to cut on replay, because the consumer would dead-letter a message with them unread. */
  readonly cutOnReplay: readonly string[];
  /** Members that must be present and truthy in Python, because the consumer discards a message without them. */
  readonly required: readonly string[];
  /** Member whose value is replayed in place of the message, because the consumer wraps what it dead-letters; `null` or absent: none. */
  readonly unwrap?: string | null;
  /** Stamps are recorded beside the messages, and any bytes may be replayed. Absent: they are members of the messages, which are JSON objects. */
  readonly beside?: BesideRecord;
}

/** Whether messages of a source may be other bytes than JSON objects. */
export function takesAnyBytes(
  { beside, required = [], unwrap = null }: Partial<Pick<SourcePolicy, "beside" | "required" | "unwrap">>,
): boolean {
  return beside !== undefined && required.length === 0 && unwrap === null;
}

/** How people see the messages of a source. Members are named by their paths, those to hide by their names. */
export interface MessageDisplay {
  /** Members to show in lists. */
  readonly show: readonly string[];
  /** Members with the text that messages are grouped by. */
  readonly groupBy: readonly string[];
  /** Members to hide at any depth, in addition to `SECRET_MEMBERS`. */
  readonly secret: readonly string[];
}
