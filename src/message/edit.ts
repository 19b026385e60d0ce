/** The lossless edit: cuts and appends top-level members of a message, and leaves every other byte as it was. */
import { allocateBytes, viewBytes } from "./byte_slab.ts";
import { isNamed, type JsonMember, type JsonObject, type MemberList, membersText } from "./json_object.ts";

/** An edit of one message. Both parts may be empty. */
export interface MessageEdit {
  /** Names of top-level members. Every occurrence is cut, however its key is escaped. */
  readonly cut: readonly string[];
  /** Members to append, in this order. The value is JSON text in ASCII. */
  readonly append: readonly (readonly [name: string, json: string])[];
}

const COMMA = ", ";
const ENCODER = new TextEncoder();
const APPENDED = new WeakMap<MessageEdit, Uint8Array>();
/** A run shorter than this is copied byte by byte, which is faster than a call. */
const SHORT_RUN = 24;

/** A run of bytes to keep; the end is exclusive. */
interface Run {
  readonly start: number;
  end: number;
}

/**
 * Returns an edited copy of the message's bytes. Each kept member keeps the separator before it, except the first. So cutting
 * an appended member restores the bytes from before, and the order of two cuts does not matter.
 */
export function editMessage(message: JsonObject, edit: MessageEdit): Uint8Array {
  const { bytes, members } = message;
  const kept = members.length === 0 ? [] : keptRuns(members, edit.cut);
  const insideStart = members.at(0)?.keyStart ?? message.open + 1;
  const insideEnd = members.at(-1)?.valueEnd ?? message.open + 1;
  const appended = appendedBytes(edit);
  // Without a member before it, it needs no comma.
  const inserted = kept.length > 0 ? appended : appended.subarray(COMMA.length);
  // The bytes before the members and the first kept member are usually one run.
  if (kept[0]?.start === insideStart) kept[0] = { start: 0, end: kept[0].end };
  else kept.unshift({ start: 0, end: insideStart });
  return splice(bytes, { before: kept, inserted, after: { start: insideEnd, end: bytes.length } });
}

/** The bytes that an edit appends, with a comma before them. Encoded once, because many messages take the same edit. */
function appendedBytes(edit: MessageEdit): Uint8Array {
  let bytes = APPENDED.get(edit);
  if (!bytes) {
    const text = membersText(edit.append);
    bytes = ENCODER.encode(text && COMMA + text);
    APPENDED.set(edit, bytes);
  }
  return bytes;
}

/** The kept members, each but the first with the separator before it. Neighbours make one run. */
function keptRuns(members: MemberList, cut: readonly string[]): Run[] {
  const runs: Run[] = [];
  let last: Run | undefined;
  let behindPrevious = 0;
  for (const member of members) {
    if (!isCut(member, cut)) {
      if (last !== undefined && last.end === behindPrevious) last.end = member.valueEnd;
      else {
        last = { start: last === undefined ? member.keyStart : behindPrevious, end: member.valueEnd };
        runs.push(last);
      }
    }
    behindPrevious = member.valueEnd;
  }
  return runs;
}

function isCut(member: JsonMember, cut: readonly string[]): boolean {
  for (const name of cut) if (isNamed(member, name)) return true;
  return false;
}

function splice(bytes: Uint8Array, parts: { before: readonly Run[]; inserted: Uint8Array; after: Run }): Uint8Array {
  const { before, inserted, after } = parts;
  let length = inserted.length + after.end - after.start;
  for (const run of before) length += run.end - run.start;
  const whole = allocateBytes(length);
  let at = 0;
  for (const run of before) at = copyRun(bytes, { run, whole, at });
  whole.set(inserted, at);
  copyRun(bytes, { run: after, whole, at: at + inserted.length });
  return whole;
}

/** Copies a run to `at`. @returns the offset behind it */
function copyRun(bytes: Uint8Array, { run, whole, at }: { run: Run; whole: Uint8Array; at: number }): number {
  if (run.end - run.start < SHORT_RUN) {
    for (let from = run.start; from < run.end; from++) whole[at++] = bytes[from]!;
    return at;
  }
  whole.set(viewBytes(bytes, run), at);
  return at + run.end - run.start;
}
