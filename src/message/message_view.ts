/** One message as people and queries see it. Computed when it is asked for, because most queries look at few members. Pure. */
import { type StandingMark, stoodThere } from "../cycle/standing.ts";
import { eventTimeIn } from "./preview.ts";
import { GroupTexts } from "./group_texts.ts";
import { findMember, type JsonObject, objectOf, stringOf } from "./json_object.ts";
import { type Letter, openLetter, openReplayed } from "./letter.ts";
import { Mask } from "./mask.ts";
import type { MemberPath, MemberRef } from "./member_path.ts";
import { type MemberValue, readMember } from "./member_value.ts";
import { pathsOf } from "./policy_paths.ts";
import { type ReadableMessage, readMessage, type UnreadableMessage } from "./read_message.ts";
import { findStamp, type FoundStamp } from "./stamp.ts";
import { findReplayStamp, liveRecord, type RecordedStamp } from "./stamp_record.ts";
import { fold, hasInOrder } from "./text_search.ts";
import {
  DEAD_REASONS,
  type ListName,
  type MessageDisplay,
  REMEDIATION_MEMBER,
  SHED_MEMBER,
  type SourcePolicy,
  takesAnyBytes,
} from "./source_policy.ts";

/** What lists, queries and groups need of one message. */
export interface MessageView {
  readonly id: string;
  /** From 1 at the oldest. */
  readonly place: number;
  /** `null`: too large to read. */
  readonly bytes: Uint8Array | null;
  readonly sizeBytes: number;
  /** Name of the source that has the list. */
  readonly source: string;
  /**
   * Why the message is dead, by its stamp: one of `DEAD_REASONS`, or `other`, because any client may have written the stamp. Else
   * `shed`, if the consumer shed it under load; `unreadable`, `malformed` or `oversize`, if no consumer can read it; else `null`.
   */
  readonly reason: string | null;
  /** Failed replays by the stamp. The return to the DLQ after the last replay counts as one, unless it was shed. */
  readonly failures: number;
  /** Time since the event's own time, in milliseconds; `null` if it has none. */
  readonly ageMs: number | null;
  /** Text that it shares with its group: the members that the source groups by, without secrets, masked. */
  readonly groupText: string;
  /** The service's stamp; `null` if there is none. */
  readonly stamp: FoundStamp | null;
  /** Id of the job that buried it; `null`: none did. */
  readonly buriedBy: string | null;
  /** The whole message as text without secrets. */
  readonly text: string;
  /** Whether {@link text} has each of these folded pieces behind the one before, in any case. */
  holds(pieces: readonly string[]): boolean;
  /** A member, by its path from the whole message. Its secrets are hidden. */
  member(ref: MemberRef): MemberValue;
}

/** A message where it was read. */
export interface PlacedMessage {
  readonly id: string;
  readonly place: number;
  readonly bytes: Uint8Array | null;
  readonly length: number;
  /** Its recorded stamp; `null`: it has none. Absent: its stamp, if any, is inside of it. */
  readonly recorded?: RecordedStamp | null | undefined;
}

/** What the views of a list depend on beside the messages. */
export interface ViewContext {
  readonly source: string;
  /** Where the messages are: a stamp in the DLQ shows one more return; in the target, the inner messages lie alone. */
  readonly list: ListName;
  /** What the messages are; default: JSON objects with their stamps inside, not wrapped. */
  readonly policy?: Partial<Pick<SourcePolicy, "beside" | "required" | "unwrap">>;
  readonly display: Pick<MessageDisplay, "groupBy" | "secret">;
  readonly nowMs: number;
  /** Which messages stood in the DLQ when a cycle began; default: not known. */
  readonly standing?: readonly StandingMark[];
}

/** Returns a function that views messages. It remembers texts of groups ({@link GroupTexts}), so keep it for one walk only. */
export function createViewer(
  { display: { groupBy, secret }, policy = {}, ...context }: ViewContext,
): (message: PlacedMessage) => MessageView {
  const mask = new Mask(secret), groupTexts = new GroupTexts(groupBy, mask);
  const { list } = context, { unwrap } = pathsOf(policy);
  const shared = {
    ...{ ...context, mask, groupTexts, unwrap },
    // A burial encloses what is no object.
    takesAnyBytes: list !== "dead" && takesAnyBytes(list === "target" ? { ...policy, unwrap: null } : policy),
  };
  return (message) => new LazyView(message, shared);
}

interface Shared extends Omit<ViewContext, "display" | "policy"> {
  /** The path of the inner messages; `null`: they are not wrapped. */
  readonly unwrap: MemberPath | null;
  /** Whether bytes that are no JSON object have nothing wrong. */
  readonly takesAnyBytes: boolean;
  readonly mask: Mask;
  readonly groupTexts: GroupTexts;
}

class LazyView implements MessageView {
  readonly #message: PlacedMessage;
  readonly #context: Shared;
  #read: ReadableMessage | UnreadableMessage | null = null;
  #opened: Letter | null | undefined;
  #text: string | null = null;
  #folded: string | null = null;
  #foldedRaw: string | null = null;
  #stamp: FoundStamp | null | undefined;

  constructor(message: PlacedMessage, context: Shared) {
    this.#message = message;
    this.#context = context;
  }

  get id(): string {
    return this.#message.id;
  }

  get place(): number {
    return this.#message.place;
  }

  get bytes(): Uint8Array | null {
    return this.#message.bytes;
  }

  get sizeBytes(): number {
    return this.#message.length;
  }

  get source(): string {
    return this.#context.source;
  }

  get reason(): string | null {
    if (this.bytes === null) return "oversize";
    const read = this.#reading();
    if (!read.readable) return this.#context.takesAnyBytes ? null : read.reason;
    const reason = deathMember(read, "reason");
    if (reason !== null) return KNOWN_REASONS.has(reason) ? reason : "other";
    return findMember(read, SHED_MEMBER) === null ? null : "shed";
  }

  get failures(): number {
    const { stamp } = this;
    if (stamp === null) return 0;
    const isReturned = this.#context.list === "dlq" && stamp.source === this.source && this.reason !== "shed" &&
      !this.#isCopy();
    return stamp.failures + (isReturned ? 1 : 0);
  }

  get ageMs(): number | null {
    const letter = this.#letter(), { nowMs } = this.#context;
    const atMs = letter === null ? undefined : eventTimeIn(letter, nowMs);
    return atMs === undefined ? null : Math.max(0, nowMs - atMs);
  }

  get groupText(): string {
    const letter = this.#letter();
    return letter === null ? "" : this.#context.groupTexts.of(letter);
  }

  get stamp(): FoundStamp | null {
    if (this.#stamp === undefined) {
      const letter = this.#letter();
      // A burial stamps the whole message.
      this.#stamp = this.#context.list === "dead"
        ? letter && findStamp(letter.whole)
        : findReplayStamp(letter, liveRecord(this.#message.recorded));
    }
    return this.#stamp;
  }

  get buriedBy(): string | null {
    const object = this.#object();
    return object === null ? null : deathMember(object, "job");
  }

  get text(): string {
    return this.#text ??= this.bytes === null ? "" : this.#context.mask.message(this.bytes, this.#reading());
  }

  holds(pieces: readonly string[]): boolean {
    return this.#mayHold(pieces) && hasInOrder(this.#folded ??= fold(this.text), pieces);
  }

  /** Looks at the bytes first, because most messages do not have the pieces, and masking takes longer than all else. */
  #mayHold(pieces: readonly string[]): boolean {
    if (this.bytes === null || pieces.some((piece) => OF_THE_MASK.test(piece))) return true;
    const raw = this.#foldedRaw ??= fold(UTF8.decode(this.bytes));
    return hasInOrder(raw, pieces) || WRITTEN_ANEW.test(raw);
  }

  member(ref: MemberRef): MemberValue {
    const letter = this.#letter();
    return letter === null ? undefined : readMember(letter, ref, this.#context.mask);
  }

  /** Whether it only shares its record with a message that was replayed. */
  #isCopy(): boolean {
    const { recorded, place } = this.#message, { standing = [] } = this.#context;
    return recorded != null && stoodThere(standing, { cycle: recorded.firstCycle, place });
  }

  #reading(): ReadableMessage | UnreadableMessage {
    return this.#read ??= readMessage(this.bytes!);
  }

  #object(): JsonObject | null {
    if (this.bytes === null) return null;
    const read = this.#reading();
    return read.readable ? read : null;
  }

  #letter(): Letter | null {
    if (this.#opened === undefined) {
      const object = this.#object(), { list, unwrap } = this.#context;
      this.#opened = object && (list === "target" ? openReplayed : openLetter)(object, unwrap);
    }
    return this.#opened;
  }
}

const KNOWN_REASONS: ReadonlySet<string> = new Set(DEAD_REASONS);
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
/** Characters that the mask adds. */
const OF_THE_MASK = /["•]/;
/** What the mask may write in other characters: escapes, control characters, and bytes that are not UTF-8. */
// deno-lint-ignore no-control-regex
const WRITTEN_ANEW = /\\[u/]|[\0-\x08\x0b-\x1f\x7f-\x9f\ufffd]/;

/** A text in the stamp of a dead message; `null`: it has none. */
function deathMember(message: JsonObject, name: "reason" | "job"): string | null {
  const member = findMember(message, REMEDIATION_MEMBER), record = member && objectOf(member);
  const text = record && findMember(record, name);
  return text && stringOf(text);
}
