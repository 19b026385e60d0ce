/** The members of one JSON object by their places in the bytes, and how one is found by its name. */
import type { JsonScanner } from "./json_scanner.ts";

const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;
const CLOSE_BRACE = 0x7d;
const UTF8 = new TextDecoder();
const SHORT_ESCAPES: Readonly<Record<string, number>> = { b: 0x08, f: 0x0c, n: 0x0a, r: 0x0d, t: 0x09 };

/** One `"key": value` inside `bytes`: offsets, ends exclusive; the key's include its quotes. */
export interface JsonMember {
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** An object inside `bytes`: where its braces are, and its own members in order. Nested ones are not among them. */
export interface JsonObject {
  readonly bytes: Uint8Array;
  /** Offset of `{`. */
  readonly open: number;
  /** Offset of `}`. */
  readonly close: number;
  readonly members: readonly JsonMember[];
}

/**
 * Reads the object whose `{` is at the scanner's cursor, counted as the outermost container, and moves behind its `}`.
 * Null, with the scanner's `problem` set, where it is not well-formed.
 */
export function scanObject(scanner: JsonScanner): JsonObject | null {
  const { bytes } = scanner;
  const open = scanner.at;
  const members: JsonMember[] = [];
  scanner.at++;
  scanner.skipSpace();
  if (bytes[scanner.at] !== CLOSE_BRACE && !scanMembers(scanner, members)) return null;
  const close = scanner.at;
  scanner.at++;
  return { bytes, open, close, members };
}

/** Adds to `members` all that stands before the closing brace, and stops there. */
function scanMembers(scanner: JsonScanner, members: JsonMember[]): boolean {
  for (;;) {
    const member = scanMember(scanner);
    if (member === null) return false;
    members.push(member);
    scanner.skipSpace();
    const byte = scanner.bytes[scanner.at];
    if (byte === CLOSE_BRACE) return true;
    if (byte !== COMMA) return scanner.fail();
    scanner.at++;
    scanner.skipSpace();
  }
}

function scanMember(scanner: JsonScanner): JsonMember | null {
  const keyStart = scanner.at;
  if (!scanner.skipString()) return null;
  const keyEnd = scanner.at;
  if (!scanner.skipColon()) return null;
  const valueStart = scanner.at;
  if (!scanner.skipValue(1)) return null;
  return { bytes: scanner.bytes, keyStart, keyEnd, valueStart, valueEnd: scanner.at };
}

/** The last member of that name, as Python keeps the last of equal keys; null where there is none. */
export function findMember(object: JsonObject, name: string): JsonMember | null {
  const { members } = object;
  for (let i = members.length - 1; i >= 0; i--) {
    if (isNamed(members[i]!, name)) return members[i]!;
  }
  return null;
}

/** Whether the member's key reads as `name`, however it is escaped. Stops at the first difference. */
export function isNamed(member: JsonMember, name: string): boolean {
  const { bytes } = member;
  const end = member.keyEnd - 1;
  let at = member.keyStart + 1;
  if (end - at < name.length) return false;
  for (let i = 0; i < name.length; i++) {
    if (at === end) return false;
    const byte = bytes[at]!;
    const wanted = name.charCodeAt(i);
    if (byte >= 0x80) return wanted >= 0x80 && decodeKey(member) === name;
    if ((byte === BACKSLASH ? escapedUnit(bytes, at) : byte) !== wanted) return false;
    at += byte !== BACKSLASH ? 1 : bytes[at + 1] === LOWER_U ? 6 : 2;
  }
  return at === end;
}

function decodeKey({ bytes, keyStart, keyEnd }: JsonMember): string {
  return JSON.parse(UTF8.decode(bytes.subarray(keyStart, keyEnd)));
}

/** The UTF-16 unit that the escape at `at` stands for. */
function escapedUnit(bytes: Uint8Array, at: number): number {
  const letter = bytes[at + 1]!;
  if (letter !== LOWER_U) return SHORT_ESCAPES[String.fromCharCode(letter)] ?? letter;
  let unit = 0;
  for (let i = at + 2; i < at + 6; i++) unit = unit * 16 + hexValue(bytes[i]!);
  return unit;
}

function hexValue(digit: number): number {
  return digit <= 0x39 ? digit - 0x30 : (digit | 0x20) - 0x57;
}
