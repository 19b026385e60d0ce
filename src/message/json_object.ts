/**
 * A JSON object in bytes: finds its members, reads their values as Python does, and writes members as Python does, so that a
 * consumer that loads and dumps a message changes no byte of them.
 */
import { Buffer } from "node:buffer";
import { JsonScanner, plainStringEnd } from "./json_scanner.ts";

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

/** An object inside `bytes`: the offsets of its braces, and its own members in order, without nested ones. */
export interface JsonObject {
  readonly bytes: Uint8Array;
  /** Offset of `{`. */
  readonly open: number;
  /** Offset of `}`. */
  readonly close: number;
  readonly members: Members;
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
  const members = new Members(bytes);
  if (bytes[scanner.at] !== CLOSE_BRACE && !scanMembers(scanner, members)) return null;
  const close = scanner.at;
  scanner.at++;
  return { bytes, open, close, members };
}

/** Reads the members, and stops at the closing brace. Most are plain and follow each other as Python or JSON.stringify writes. */
function scanMembers(scanner: JsonScanner, members: Members): boolean {
  const { bytes } = scanner;
  for (;;) {
    const keyStart = scanner.at;
    let keyEnd = plainStringEnd(bytes, keyStart);
    const isPlain = keyEnd > 0;
    if (isPlain) scanner.at = keyEnd;
    else if (!scanner.skipString()) return false;
    keyEnd = scanner.at;
    if (!scanner.skipColon()) return false;
    const valueStart = scanner.at, valueEnd = plainStringEnd(bytes, valueStart);
    if (valueEnd > 0) scanner.at = valueEnd;
    else if (!scanner.skipValue(1)) return false;
    members.add(keyStart, keyEnd, valueStart, scanner.at, isPlain);
    if (bytes[scanner.at] !== COMMA) scanner.skipSpace();
    const byte = bytes[scanner.at];
    if (byte === CLOSE_BRACE) return true;
    if (byte !== COMMA) return scanner.fail();
    scanner.at++;
    scanner.skipSpace();
  }
}

/** Members beyond this number are kept in a typed array, which takes half the memory. */
const FEW = 4_096;
/** Numbers kept of a member: where its key and its value start and end, and the mark of its key. */
const SIZE = 5;
/** Room for the members of most messages: growing an array takes as long as reading a message. */
const ROOM: readonly number[] = Array.from({ length: 12 * SIZE }, () => 0);
const NONE = new Int32Array(0);
/** Mark of a key with escapes or characters beyond ASCII: it must be decoded to be compared. */
const UNMARKED = -1;

/** The members of an object in order, without nested ones. Kept as numbers, because most members are never looked at. */
export class Members implements Iterable<JsonMember> {
  readonly #bytes: Uint8Array;
  readonly #few = ROOM.slice();
  #fewUsed = 0;
  #many = NONE;
  #packed = 0;
  /** The objects that were looked into, by place. Few messages have one. */
  #objects: Map<number, JsonObject | null> | null = null;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get length(): number {
    return (this.#fewUsed + this.#packed) / SIZE;
  }

  /** Adds a member. `isPlain`: its key has neither escapes nor characters beyond ASCII. */
  add(keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, isPlain: boolean): void {
    const bytes = this.#bytes, few = this.#few, length = keyEnd - keyStart - 2, at = this.#fewUsed;
    const mark = isPlain ? markOf(length, bytes[keyStart + 1]!, bytes[keyEnd - 2]!) : UNMARKED;
    if (at === FEW * SIZE) return this.#pack([keyStart, keyEnd, valueStart, valueEnd, mark]);
    few[at] = keyStart;
    few[at + 1] = keyEnd;
    few[at + 2] = valueStart;
    few[at + 3] = valueEnd;
    few[at + 4] = mark;
    this.#fewUsed = at + SIZE;
  }

  /** A negative `index` counts from the end. */
  at(index: number): JsonMember | undefined {
    const { length } = this, place = index < 0 ? length + index : index;
    return place < 0 || place >= length ? undefined : this.#member(place);
  }

  /** Returns the index of the last member with this name before `end`, or -1. Of equal keys, Python keeps the last. */
  lastIndexOf(name: string, end = this.length): number {
    const mark = markOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1)), few = this.#few;
    for (let place = end - 1; place >= 0; place--) {
      const found = place < FEW ? few[place * SIZE + 4] : this.#number(place * SIZE + 4);
      if ((found === mark || found === UNMARKED) && isNamed(this.#member(place), name)) return place;
    }
    return -1;
  }

  /** Returns the value of the member at a place if it is an object, else null. Scanned once, however many paths lead into it. */
  objectAt(place: number): JsonObject | null {
    const objects = this.#objects ??= new Map(), known = objects.get(place);
    if (known !== undefined) return known;
    const found = objectOf(this.#member(place));
    objects.set(place, found);
    return found;
  }

  *[Symbol.iterator](): Generator<JsonMember> {
    for (let place = 0; place < this.length; place++) yield this.#member(place);
  }

  #member(place: number): JsonMember {
    const at = place * SIZE;
    const keyStart = this.#number(at), keyEnd = this.#number(at + 1);
    const valueStart = this.#number(at + 2), valueEnd = this.#number(at + 3);
    return { bytes: this.#bytes, keyStart, keyEnd, valueStart, valueEnd };
  }

  #number(at: number): number {
    return at < FEW * SIZE ? this.#few[at]! : this.#many[at - FEW * SIZE]!;
  }

  #pack(numbers: readonly number[]): void {
    if (this.#packed === this.#many.length) {
      const grown = new Int32Array(Math.max(FEW * SIZE, 2 * this.#packed));
      grown.set(this.#many);
      this.#many = grown;
    }
    this.#many.set(numbers, this.#packed);
    this.#packed += SIZE;
  }
}

/** Length, first and last character of a plain key in one number: two keys with different marks differ. */
function markOf(length: number, first: number, last: number): number {
  return length === 0 ? 0 : (length & 0xfff) << 16 | (first & 0xff) << 8 | last & 0xff;
}

/** Finds the last member with that name, because Python keeps the last of equal keys; null if there is no such member. */
export function findMember({ members }: JsonObject, name: string): JsonMember | null {
  const place = members.lastIndexOf(name);
  return place < 0 ? null : members.at(place)!;
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
export function escapedUnit(bytes: Uint8Array, at: number): number {
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
  const { bytes, valueStart, valueEnd } = member;
  if (bytes[valueStart] !== QUOTE) return null;
  // Most are plain ASCII, and need neither a decoder nor a parser.
  if (plainStringEnd(bytes, valueStart) !== valueEnd) return JSON.parse(rawValueOf(member));
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString("latin1", valueStart + 1, valueEnd - 1);
}

/** Tells whether the value is an object or an array. */
export function isContainer({ bytes, valueStart }: JsonMember): boolean {
  return bytes[valueStart] === OPEN_BRACE || bytes[valueStart] === OPEN_BRACKET;
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
