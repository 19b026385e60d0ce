/**
 * The mark of a synthetic dead letter of a drill: the top-level member `_remediation_drill` with the drill's id and the message's
 * number, as `"d_0123456789abcdef/17"`; in an envelope, that of the inner message, because that comes back. Anything else in that member
 * is no mark, and its message is a real one. Pure.
 */
import { findMember, type JsonMember, stringOf } from "./json_object.ts";
import { openLetter } from "./letter.ts";
import type { MemberPath } from "./member_path.ts";
import { readMessage } from "./read_message.ts";

/** The top-level member with the mark. */
export const DRILL_MEMBER = "_remediation_drill";
/** Most messages of a drill. */
export const MAX_DRILL_MESSAGES = 10_000;
/** Pattern of a drill's id. */
export const DRILL_ID_PATTERN = "^d_[0-9a-f]{16}$";

/** The member's name as it stands in a message, and for each byte how far the search may move on behind it (Horspool). */
const NAME = new TextEncoder().encode(DRILL_MEMBER), LAST = NAME.length - 1;
const SKIPS = new Uint8Array(256).fill(NAME.length);
NAME.subarray(0, LAST).forEach((byte, at) => SKIPS[byte] = LAST - at);
const MARK = /^(d_[0-9a-f]{16})\/([1-9]\d{0,4})$/;

/** A mark: the id of the drill, and the number of the message, from 1. */
export interface DrillMark {
  readonly id: string;
  readonly number: number;
}

/** Formats a mark as the value of its member. */
export function formatDrillMark({ id, number }: DrillMark): string {
  return `${id}/${number}`;
}

/**
 * Finds the mark of a message; `null`: it is a real one. `unwrap`: the path of the inner message; default: it is not wrapped. Only bytes
 * that hold the member's name are parsed. Never throws.
 */
export function findDrillMark(message: Uint8Array, unwrap: MemberPath | null = null): DrillMark | null {
  if (!holdsName(message)) return null;
  const read = readMessage(message);
  if (!read.readable) return null;
  const { inner } = openLetter(read, unwrap);
  return inner && readMark(findMember(inner, DRILL_MEMBER));
}

function readMark(member: JsonMember | null): DrillMark | null {
  const [, id, digits] = MARK.exec(member === null ? "" : stringOf(member) ?? "") ?? [];
  const number = Number(digits);
  return id !== undefined && number <= MAX_DRILL_MESSAGES ? { id, number } : null;
}

/** Whether the bytes hold the name. Each message of a chunk is searched: this reads about one byte in twenty. */
function holdsName(bytes: Uint8Array): boolean {
  for (let end = LAST; end < bytes.length; end += SKIPS[bytes[end]!]!) {
    let at = LAST;
    while (at >= 0 && bytes[end - LAST + at] === NAME[at]) at--;
    if (at < 0) return true;
  }
  return false;
}
