/** What the value of a member is, read from its bytes in the sense that Python's consumers give it. */
import { type JsonMember, type JsonObject, scanObject } from "./json_members.ts";
import { JsonScanner } from "./json_scanner.ts";

const QUOTE = 0x22;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const UPPER_I = 0x49;
const UPPER_N = 0x4e;
const OPEN_BRACKET = 0x5b;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const OPEN_BRACE = 0x7b;
const OPEN_TO_CLOSE = 2;
const UTF8 = new TextDecoder();

/** Whether Python's `if value:` would not be taken: `null`, `false`, `""`, `[]`, `{}`, and every number equal to 0 (`-0`, `0e5`, `1e-400`). */
export function isFalsy(member: JsonMember): boolean {
  const { bytes, valueStart, valueEnd } = member;
  switch (bytes[valueStart]) {
    case LOWER_N:
    case LOWER_F:
      return true;
    case QUOTE:
      return valueEnd - valueStart === 2;
    case OPEN_BRACE:
    case OPEN_BRACKET:
      return isEmptyContainer(member);
    default:
      return numberOf(member) === 0;
  }
}

/** The value where it is a number (`NaN` and `Infinity` included, integers rounded to a double), else null. */
export function numberOf(member: JsonMember): number | null {
  return isNumber(member.bytes[member.valueStart]!) ? Number(rawValueOf(member)) : null;
}

/** The value where it is written as digits only and is at most `max` (up to 2^53-1), else null: `1.0` and `1e2` are none. */
export function wholeNumberOf(member: JsonMember, max: number): number | null {
  let value = 0;
  for (let at = member.valueStart; at < member.valueEnd; at++) {
    const byte = member.bytes[at]!;
    if (byte < ZERO || byte > NINE) return null;
    value = value * 10 + (byte - ZERO);
    if (value > max) return null;
  }
  return value;
}

/** The decoded value where it is a string, else null. Lone surrogate escapes stay lone surrogates. */
export function stringOf(member: JsonMember): string | null {
  return member.bytes[member.valueStart] === QUOTE ? JSON.parse(rawValueOf(member)) : null;
}

/** The value's members where it is an object, else null. The places found are places in the same bytes. */
export function objectOf(member: JsonMember): JsonObject | null {
  if (member.bytes[member.valueStart] !== OPEN_BRACE) return null;
  return scanObject(new JsonScanner(member.bytes, member.valueStart));
}

/** The value's JSON text as it stands. */
export function rawValueOf(member: JsonMember): string {
  return UTF8.decode(member.bytes.subarray(member.valueStart, member.valueEnd));
}

function isNumber(first: number): boolean {
  return (first >= ZERO && first <= NINE) || first === MINUS || first === UPPER_N || first === UPPER_I;
}

function isEmptyContainer({ bytes, valueStart }: JsonMember): boolean {
  const inside = new JsonScanner(bytes, valueStart + 1);
  inside.skipSpace();
  return bytes[inside.at] === bytes[valueStart]! + OPEN_TO_CLOSE;
}
