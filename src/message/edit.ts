/** The lossless edit: cuts and appends top-level members of a message, and leaves every other byte as it was. */
import { allocateBytes, viewBytes } from "./byte_slab.ts";
import { type JsonObject, type Members, membersText } from "./json_object.ts";

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

/**
 * Returns an edited copy of the message's bytes. Each kept member keeps the separator before it, except the first. So cutting
 * an appended member restores the bytes from before, and the order of two cuts does not matter.
 */
export function editMessage(message: JsonObject, edit: MessageEdit): Uint8Array {
  const { bytes, members } = message;
  const insideStart = members.at(0)?.keyStart ?? message.open + 1;
  const insideEnd = members.at(-1)?.valueEnd ?? message.open + 1;
  const { runs, hasKept } = keptRuns(members, { cut: edit.cut, insideStart, insideEnd });
  const appended = appendedBytes(edit);
  // Without a member before it, it needs no comma.
  return splice(bytes, { runs, inserted: hasKept ? appended : appended.subarray(COMMA.length), insideEnd });
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

/** The bytes up to `insideEnd` without the cut members, as starts and ends in turn; and whether a member is among them. */
function keptRuns(
  members: Members,
  { cut, insideStart, insideEnd }: { cut: readonly string[]; insideStart: number; insideEnd: number },
): { runs: number[]; hasKept: boolean } {
  const places = cutPlaces(members, cut), runs = [0];
  if (places.length === 0) return { runs: [0, insideEnd], hasKept: members.length > 0 };
  let hasKept = false, next = 0;
  // Between two cut members, from the end of the one to the end of the last kept one before the other.
  for (const place of [...places, members.length]) {
    if (place > next) {
      // The first kept member loses the separator before it.
      const start = hasKept ? members.at(next - 1)!.valueEnd : members.at(next)!.keyStart;
      if (!hasKept && next > 0) runs.push(insideStart, start);
      else if (hasKept) runs.push(start);
      runs.push(members.at(place - 1)!.valueEnd);
      hasKept = true;
    }
    next = place + 1;
  }
  if (!hasKept) runs.push(insideStart);
  return { runs, hasKept };
}

/** The places of all members with one of these names, in order. */
function cutPlaces(members: Members, cut: readonly string[]): number[] {
  const places: number[] = [];
  for (const name of cut) {
    for (let at = members.lastIndexOf(name); at >= 0; at = members.lastIndexOf(name, at)) places.push(at);
  }
  return places.length < 2 ? places : [...new Set(places)].sort((a, b) => a - b);
}

/** Joins the runs, the inserted bytes and everything behind `insideEnd`. */
function splice(
  bytes: Uint8Array,
  { runs, inserted, insideEnd }: { runs: readonly number[]; inserted: Uint8Array; insideEnd: number },
): Uint8Array {
  let length = inserted.length + bytes.length - insideEnd;
  for (let i = 0; i < runs.length; i += 2) length += runs[i + 1]! - runs[i]!;
  const whole = allocateBytes(length);
  let at = 0;
  for (let i = 0; i < runs.length; i += 2) at = copyRun(bytes, { start: runs[i]!, end: runs[i + 1]! }, { whole, at });
  whole.set(inserted, at);
  copyRun(bytes, { start: insideEnd, end: bytes.length }, { whole, at: at + inserted.length });
  return whole;
}

/** Copies a run to `at`. @returns the offset behind it */
function copyRun(
  bytes: Uint8Array,
  { start, end }: { start: number; end: number },
  { whole, at }: { whole: Uint8Array; at: number },
): number {
  if (end - start < SHORT_RUN) {
    for (let from = start; from < end; from++) whole[at++] = bytes[from]!;
    return at;
  }
  whole.set(viewBytes(bytes, { start, end }), at);
  return at + end - start;
}
