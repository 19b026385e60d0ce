/**
 * Stamps that are recorded beside their messages, for consumers that refuse or drop an unknown member, and for messages that are no
 * JSON objects. A record says what the stamp in a message would. Three details:
 *
 * - A record is found by its key: the digest of the bytes as a replay sends them, or of the member that names the message.
 * - Byte-equal messages share a record. So it also names the first cycle whose replays have not been counted yet: a message that has
 *   stood in the DLQ since before then has not come back (`standing.ts`).
 * - If a message is dead, its equals in the DLQ are too. For them the record stays, marked; it says nothing about messages that arrive later.
 *
 * Pure.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { editMessage, findCuts } from "./edit.ts";
import { type JsonMember, type JsonObject, numberOf, rawValueOf, stringOf } from "./json_object.ts";
import { findIn, type Letter, openLetter } from "./letter.ts";
import type { MemberRef } from "./member_path.ts";
import { pathsOf } from "./policy_paths.ts";
import { readMessage } from "./read_message.ts";
import { findStamp, type FoundStamp, MAX_COUNT, type ReplayStamp } from "./stamp.ts";
import { REMEDIATION_MEMBER, type SourcePolicy } from "./source_policy.ts";

/** A recorded stamp. Its source is the one whose records were read. */
export interface RecordedStamp extends FoundStamp {
  readonly since: number;
  readonly cycle: number;
  readonly source: string;
  /** The first cycle whose replays have not been counted as returned; `cycle` is the last one. */
  readonly firstCycle: number;
  /** Whether a message of this key is dead. */
  readonly isDead: boolean;
}

/** Recorded stamps by their keys. */
export type StampRecords = ReadonlyMap<string, RecordedStamp>;

/** What becomes of a record: its text (see {@link formatRecord}), or `null` to delete it. */
export interface RecordChange {
  readonly key: string;
  readonly text: string | null;
}

/** The parts of a policy that records depend on. */
export type RecordPolicy = Pick<SourcePolicy, "name" | "beside" | "counter" | "cutOnReplay" | "unwrap">;

/** Digits of a key: as many as in a message's id. A message that no replay changes has its id as its key, without `m_`. */
const DIGITS = 16;
const RECORD = /^(\d{0,4}):(\d{0,4}(?:\.\d{1,2})?):(\d{0,4}):(\d{1,15}):(?:(\d{1,15})-)?(\d{1,15})(x?)(?::\d{1,15})?$/;
/** The name of the stamp as this service writes it. */
const OWN_STAMP = JSON.stringify(REMEDIATION_MEMBER);

/** Returns the key of a message's record, as {@link letterKey} does. */
export function recordKey(bytes: Uint8Array, policy: RecordPolicy): string {
  const message = needsObject(bytes, policy) ? readMessage(bytes) : null;
  return letterKey(message?.readable ? openLetter(message, pathsOf(policy).unwrap) : null, { bytes, policy });
}

/**
 * Returns the key of a message's record, 16 hexadecimal digits. Without a member that names it, that is the digest of the bytes that are
 * replayed, without the consumer's counter and what replays cut: a consumer may add these, and wrap the bytes in an envelope, but change no
 * other byte. `letter`: `null`: the message is no JSON object. Never throws.
 */
export function letterKey(
  letter: Letter | null,
  { bytes, policy }: { bytes: Uint8Array; policy: RecordPolicy },
): string {
  if (letter === null) return digest(bytes);
  const { id, changing } = pathsOf(policy), name = id && idIn(findIn(letter, id));
  if (name) return digest(`\0${policy.beside!.idMember}\0${name}`);
  const { inner, content } = letter;
  return digest(inner === null ? content ?? bytes : cutMembers(inner, policy, changing));
}

/** Returns the bytes that a replay sends: the content without the members to cut, the same array if none is cut. `null` if there is no content. */
export function cutForReplay(
  { inner, content }: Pick<Letter, "inner" | "content">,
  policy: RecordPolicy,
): Uint8Array | null {
  return inner === null ? content : cutMembers(inner, policy, pathsOf(policy).cut);
}

function cutMembers(message: JsonObject, { name }: RecordPolicy, members: readonly MemberRef[]): Uint8Array {
  // A stamp from when this source had them inside its messages: its consumer may refuse it.
  const cut = findStamp(message)?.source === name ? [...members, REMEDIATION_MEMBER] : members;
  return findCuts(message, cut).ranges.length === 0 ? message.bytes : editMessage(message, { cut, append: [] });
}

/** Finds the stamp of the last replay: what is recorded, or else what the message that comes back has inside. */
export function findReplayStamp(
  letter: Pick<Letter, "inner"> | null,
  recorded: RecordedStamp | null = null,
): FoundStamp | null {
  return recorded ?? (letter?.inner ? findStamp(letter.inner) : null);
}

/** The record, if it is not that of a dead message. */
export function liveRecord(recorded: RecordedStamp | null | undefined): RecordedStamp | null {
  return recorded && !recorded.isDead ? recorded : null;
}

/** Formats a record: `failures:evidence:sheds:since:firstCycle-cycle`, where 0 and an equal first cycle are left out, and `x` if it is dead. */
export function formatRecord(
  { failures, evidence, sheds, since, cycle }: ReplayStamp,
  { firstCycle, isDead = false }: { firstCycle: number; isDead?: boolean },
): string {
  const counts = [failures, evidence, sheds].map((count) => count === 0 ? "" : count);
  const cycles = firstCycle === cycle ? cycle : `${firstCycle}-${cycle}`;
  return `${counts.join(":")}:${since}:${cycles}${isDead ? "x" : ""}`;
}

/** Parses a record, to which the server adds `:second`; `null` if the text is none, because any client may write there. `source`: name of the source whose record it is. */
export function parseRecord(text: string, source: string): RecordedStamp | null {
  const found = RECORD.exec(text);
  if (found === null) return null;
  const [, failures, evidence, sheds, since, first, cycle, mark] = found, last = Number(cycle);
  if ([failures, evidence, sheds].some((count) => Number(count) > MAX_COUNT)) return null;
  return {
    ...{ failures: Number(failures), evidence: Number(evidence), sheds: Number(sheds), since: Number(since) },
    ...{
      cycle: last,
      firstCycle: first === undefined ? last : Math.min(last, Number(first)),
      source,
      isDead: mark !== "",
    },
  };
}

/** Whether the key or the payload depends on members. Most messages need not be read for it. */
function needsObject(bytes: Uint8Array, policy: RecordPolicy): boolean {
  const { id, changing, unwrap } = pathsOf(policy);
  return id !== null || changing.length > 0 || unwrap !== null || holdsStamp(bytes);
}

function holdsStamp({ buffer, byteOffset, length }: Uint8Array): boolean {
  return Buffer.from(buffer, byteOffset, length).includes(OWN_STAMP);
}

/** The text or number that names the message; `null`: it has none. A text and a number differ. */
function idIn(member: JsonMember | null): string | null {
  if (member === null) return null;
  const text = stringOf(member);
  if (text !== null) return text === "" ? null : JSON.stringify(text);
  return numberOf(member) === null ? null : rawValueOf(member);
}

function digest(data: string | Uint8Array): string {
  return createHash("sha1").update(data).digest("hex").slice(0, DIGITS);
}
