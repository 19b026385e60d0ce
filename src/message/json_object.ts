/**
 * A JSON object in bytes: finds its members, reads their values as Python does, and writes members as Python does, so that a
 * consumer that loads and dumps a message changes no byte of them.
 */
import { JsonScanner } from "./json_scanner.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const UPPER_I = 0x49;
const UPPER_N = 0x4e;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_TO_CLOSE = 2;
const UTF8 = new TextDecoder();
const SHORT_ESCAPES: Readonly<Record<string, number>> = { b: 0x08, f: 0x0c, n: 0x0a, r: 0x0d, t: 0x09 };

/** One `"key": value` inside `bytes`, as offsets. Ends are exclusive; the key includes its quotes. */
export interface JsonMember {
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** Members in order. An array is a `MemberList`. */
export interface MemberList extends Iterable<JsonMember> {
  readonly length: number;
  /** A negative `index` counts from the end. */
  at(index: number): JsonMember | undefined;
}

/** An object inside `bytes`: the offsets of its braces, and its own members in order, without nested ones. */
export interface JsonObject {
  readonly bytes: Uint8Array;
  /** Offset of `{`. */
  readonly open: number;
  /** Offset of `}`. */
  readonly close: number;
  readonly members: MemberList;
}

/**
 * Reads the object at the scanner's cursor, which must be at its `{`, and moves the cursor behind its `}`. The object counts as
 * the outermost container. Returns null, and sets the scanner's `problem`, if the object is not well-formed.
 */
export function scanObject(scanner: JsonScanner): JsonObject | null {
  const { bytes } = scanner;
  const open = scanner.at;
  scanner.at++;
  scanner.skipSpace();
  const members = bytes[scanner.at] === CLOSE_BRACE ? [] : scanMembers(scanner);
  if (members === null) return null;
  const close = scanner.at;
  scanner.at++;
  return { bytes, open, close, members };
}

/** Reads the members, and stops at the closing brace. */
function scanMembers(scanner: JsonScanner): MemberList | null {
  const few: JsonMember[] = [];
  let many: PackedMembers | null = null;
  for (;;) {
    const member = scanMember(scanner);
    if (member === null) return null;
    if (few.length < FEW) few.push(member);
    else (many ??= new PackedMembers(few)).push(member);
    scanner.skipSpace();
    const byte = scanner.bytes[scanner.at];
    if (byte === CLOSE_BRACE) return many ?? few;
    if (byte !== COMMA) {
      scanner.fail();
      return null;
    }
    scanner.at++;
    scanner.skipSpace();
  }
}

/** Members beyond this number are kept as bare offsets, which take 16 bytes each instead of about 80. */
const FEW = 4_096;

/** Keeps the first members as objects, and creates the others on access. */
class PackedMembers implements MemberList {
  readonly #first: readonly JsonMember[];
  #offsets = new Int32Array(4 * FEW);
  #packed = 0;

  constructor(first: readonly JsonMember[]) {
    this.#first = first;
  }

  get length(): number {
    return this.#first.length + this.#packed;
  }

  push({ keyStart, keyEnd, valueStart, valueEnd }: JsonMember): void {
    const at = 4 * this.#packed++;
    if (at === this.#offsets.length) {
      const grown = new Int32Array(2 * at);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    this.#offsets[at] = keyStart;
    this.#offsets[at + 1] = keyEnd;
    this.#offsets[at + 2] = valueStart;
    this.#offsets[at + 3] = valueEnd;
  }

  at(index: number): JsonMember | undefined {
    const place = index < 0 ? this.length + index : index;
    if (place < this.#first.length) return this.#first[place];
    if (place >= this.length) return undefined;
    const at = 4 * (place - this.#first.length);
    const [keyStart, keyEnd] = [this.#offsets[at]!, this.#offsets[at + 1]!];
    const [valueStart, valueEnd] = [this.#offsets[at + 2]!, this.#offsets[at + 3]!];
    return { bytes: this.#first[0]!.bytes, keyStart, keyEnd, valueStart, valueEnd };
  }

  *[Symbol.iterator](): Generator<JsonMember> {
    for (let index = 0; index < this.length; index++) yield this.at(index)!;
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

/** Finds the last member with that name, because Python keeps the last of equal keys; null if there is no such member. */
export function findMember(object: JsonObject, name: string): JsonMember | null {
  const { members } = object;
  for (let i = members.length - 1; i >= 0; i--) {
    const member = members.at(i)!;
    if (isNamed(member, name)) return member;
  }
  return null;
}

/** Tells whether the member's key is `name`, however it is escaped. Stops at the first difference. */
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

/** The UTF-16 unit of the escape at `at`. */
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

/** Tells whether the value is falsy in Python: `null`, `false`, `""`, `[]`, `{}`, or a number equal to 0 (also `-0`, `1e-400`). */
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

/** Returns the value if it is a number, else null. `NaN` and `Infinity` are numbers; integers are rounded to a double. */
export function numberOf(member: JsonMember): number | null {
  return isNumber(member.bytes[member.valueStart]!) ? Number(rawValueOf(member)) : null;
}

/** Returns the value if it is digits only and at most `max` (up to 2^53-1), else null; so `1.0` and `1e2` are null. */
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

/** Returns the decoded value if it is a string, else null. Lone surrogate escapes stay lone surrogates. */
export function stringOf(member: JsonMember): string | null {
  return member.bytes[member.valueStart] === QUOTE ? JSON.parse(rawValueOf(member)) : null;
}

/** Returns the value if it is an object, else null. Its offsets refer to the same bytes. */
export function objectOf(member: JsonMember): JsonObject | null {
  if (member.bytes[member.valueStart] !== OPEN_BRACE) return null;
  return scanObject(new JsonScanner(member.bytes, member.valueStart));
}

/** Returns the value's JSON text, unchanged. */
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

/** Text that needs no escape in a string literal: printable ASCII without quote and backslash. */
const PLAIN_TEXT = /^[ !#-[\]-~]*$/;

/** Encodes a text as a JSON string literal in ASCII. Other characters become `\uXXXX`, as with Python's `ensure_ascii`. */
export function quoteAscii(text: string): string {
  if (PLAIN_TEXT.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, escapeUnit);
}

/** Joins the entries as `"name": value, "name": value`. The values are JSON text. */
export function membersText(entries: readonly (readonly [name: string, json: string])[]): string {
  return entries.map(([name, json]) => `${quoteAscii(name)}: ${json}`).join(", ");
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
