/** The lossless edit: cuts members of a message, appends top-level ones, and leaves every other byte as it was. */
import { allocateBytes, viewBytes } from "./byte_slab.ts";
import { type JsonObject, type Members, membersText } from "./json_object.ts";
import { type MemberPath, type MemberRef, toRef } from "./member_path.ts";

/** An edit of one message. Both parts may be empty. */
export interface MessageEdit {
  /** Members to cut. Every occurrence of a name is cut, and looked into on the way of a path, however its key is escaped. */
  readonly cut: readonly MemberRef[];
  /** Members to append, in this order. The value is JSON text in ASCII. */
  readonly append: readonly (readonly [name: string, json: string])[];
}

/** Bytes from `start` to before `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const COMMA = ", ";
const ENCODER = new TextEncoder();
const APPENDED = new WeakMap<MessageEdit, Uint8Array>();
const NOTHING = new Uint8Array(0);
/** A run shorter than this is copied byte by byte, which is faster than a call. */
const SHORT_RUN = 24;

/**
 * Returns an edited copy of the message's bytes. Each kept member keeps the separator before it, except the first of its object. So
 * cutting an appended member restores the bytes from before, and the order of two cuts does not matter.
 */
export function editMessage(message: JsonObject, edit: MessageEdit): Uint8Array {
  const { bytes, members } = message;
  const insideEnd = members.at(-1)?.valueEnd ?? message.open + 1;
  const { ranges, hasKept } = findCuts(message, edit.cut);
  const appended = appendedBytes(edit);
  // Without a member before it, it needs no comma.
  return splice(bytes, { ranges, inserted: hasKept ? appended : appended.subarray(COMMA.length), at: insideEnd });
}

/** Returns a copy of the bytes without these ranges, which are in order and do not overlap. */
export function cutRanges(bytes: Uint8Array, ranges: readonly ByteRange[]): Uint8Array {
  return splice(bytes, { ranges, inserted: NOTHING, at: bytes.length });
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

/** The bytes that go with the cut members, in order; and whether the object keeps a member of its own. */
export function findCuts(
  object: JsonObject,
  cut: readonly MemberRef[],
): { readonly ranges: readonly ByteRange[]; readonly hasKept: boolean } {
  const { members } = object, places = cutPlaces(members, cut), ranges: ByteRange[] = [];
  for (let at = 0; at < places.length;) {
    const first = places[at]!;
    let last = first;
    while (places[++at] === last + 1) last++;
    ranges.push(rangeOf(members, { first, last }));
  }
  const hasKept = members.length > places.length, paths = cut.filter(isPath);
  if (paths.length === 0) return { ranges, hasKept };
  return { ranges: [...ranges, ...cutsInside(members, paths, new Set(places))].sort(byStart), hasKept };
}

function isPath(ref: MemberRef): ref is MemberPath {
  return typeof ref !== "string";
}

function byStart(a: ByteRange, b: ByteRange): number {
  return a.start - b.start;
}

/** The bytes of neighbouring members that are cut: with the separator before them, or with the one behind them if they are the first. */
function rangeOf(members: Members, { first, last }: { first: number; last: number }): ByteRange {
  const { valueEnd: end } = members.at(last)!;
  if (first > 0) return { start: members.at(first - 1)!.valueEnd, end };
  const next = last + 1 < members.length ? members.at(last + 1)! : null;
  return { start: members.at(0)!.keyStart, end: next?.keyStart ?? end };
}

/** The places of all members with one of these names, in order. */
function cutPlaces(members: Members, cut: readonly MemberRef[]): number[] {
  const places: number[] = [];
  for (const name of cut) {
    if (typeof name !== "string") continue;
    for (let at = members.lastIndexOf(name); at >= 0; at = members.lastIndexOf(name, at)) places.push(at);
  }
  return places.length < 2 ? places : [...new Set(places)].sort((a, b) => a - b);
}

/** What is cut inside of members that stay. `cut`: the places of those that do not. */
function cutsInside(members: Members, paths: readonly MemberPath[], cut: ReadonlySet<number>): ByteRange[] {
  return [...Map.groupBy(paths, ([first]) => first!)].flatMap(([name, those]) => {
    const rests = those.map((path) => toRef(path.slice(1))), found: (readonly ByteRange[])[] = [];
    for (let at = members.lastIndexOf(name); at >= 0; at = members.lastIndexOf(name, at)) {
      const object = cut.has(at) ? null : members.objectAt(at);
      if (object !== null) found.push(findCuts(object, rests).ranges);
    }
    return found.flat();
  });
}

/** Copies the bytes without the ranges, which are all before `at`, and with the inserted ones there. */
function splice(
  bytes: Uint8Array,
  { ranges, inserted, at }: { ranges: readonly ByteRange[]; inserted: Uint8Array; at: number },
): Uint8Array {
  let length = inserted.length + bytes.length;
  for (const { start, end } of ranges) length -= end - start;
  const whole = allocateBytes(length);
  let from = 0, to = 0;
  for (const { start, end } of ranges) {
    to = copyRun(bytes, { start: from, end: start }, { whole, at: to });
    from = end;
  }
  to = copyRun(bytes, { start: from, end: at }, { whole, at: to });
  whole.set(inserted, to);
  copyRun(bytes, { start: at, end: bytes.length }, { whole, at: to + inserted.length });
  return whole;
}

/** Copies a run to `at`. @returns the offset behind it */
function copyRun(
  bytes: Uint8Array,
  { start, end }: ByteRange,
  { whole, at }: { whole: Uint8Array; at: number },
): number {
  if (end - start < SHORT_RUN) {
    for (let from = start; from < end; from++) whole[at++] = bytes[from]!;
    return at;
  }
  whole.set(viewBytes(bytes, { start, end }), at);
  return at + end - start;
}
