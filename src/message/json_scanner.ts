/** Scans JSON text in bytes exactly as CPython's `json.loads` reads it, without building values. */

/** Maximum nesting of containers; the outermost counts as 1. Well below CPython's recursion limit. */
export const MAX_DEPTH = 500;
/** Maximum digits of an integer literal: CPython's `sys.int_info.default_max_str_digits`. */
export const MAX_INTEGER_DIGITS = 4300;

/** The reason why a scan stopped, and the offset of the byte. */
export interface JsonProblem {
  readonly kind: "syntax" | "utf8" | "depth" | "digits";
  readonly at: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** In ASCII, `]` and `}` come two after `[` and `{`. */
const OPEN_TO_CLOSE = 2;
const ESCAPED_AS_ONE = new Set(Array.from('"\\/bfnrt', (character) => character.charCodeAt(0)));
/** 1 for each byte that needs no escape inside a string. A table, because a scan spends most of its time here. */
const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) => byte < 0x20 || byte >= 0x80 ? 0 : 1);
IS_PLAIN[QUOTE] = 0;
IS_PLAIN[BACKSLASH] = 0;

/**
 * A cursor over JSON bytes. Each `skip…` method moves {@link at} behind the item in its name and returns true, or sets
 * {@link problem} and returns false; do not use the scanner after that. One pass, linear in time, not recursive.
 */
export class JsonScanner {
  readonly bytes: Uint8Array;
  /** Offset of the next byte. */
  at: number;
  problem: JsonProblem | null = null;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Skips JSON's white space: space, tab, line feed and carriage return only. */
  skipSpace(): void {
    const { bytes } = this;
    while (isSpace(bytes[this.at])) this.at++;
  }

  /** Skips white space, which must be all that is left. */
  skipToEnd(): boolean {
    this.skipSpace();
    return this.at === this.bytes.length || this.fail();
  }

  /** Skips a string literal with its quotes. */
  skipString(): boolean {
    const { bytes } = this;
    if (bytes[this.at] !== QUOTE) return this.fail();
    this.at = skipPlain(bytes, this.at + 1);
    while (bytes[this.at] !== QUOTE) {
      if (!this.#skipSpecial()) return false;
      this.at = skipPlain(bytes, this.at);
    }
    this.at++;
    return true;
  }

  /** Skips the colon between a key and its value, with white space around it. */
  skipColon(): boolean {
    this.skipSpace();
    if (this.bytes[this.at] !== COLON) return this.fail();
    this.at++;
    this.skipSpace();
    return true;
  }

  /** Skips one value of any kind. `depth` is the number of open containers around it. */
  skipValue(depth: number): boolean {
    const byte = this.bytes[this.at];
    return isOpening(byte) ? this.#skipContainer(depth) : this.#skipScalar(byte);
  }

  /** Sets {@link problem} for the byte at the cursor. Always returns false. */
  fail(kind: JsonProblem["kind"] = "syntax"): false {
    this.problem = { kind, at: this.at };
    return false;
  }

  /** Skips a container with its contents. A stack of closing brackets replaces recursion. */
  #skipContainer(depth: number): boolean {
    const closers: number[] = [];
    do {
      const byte = this.bytes[this.at];
      if (isOpening(byte)) {
        if (depth + closers.length >= MAX_DEPTH) return this.fail("depth");
        const closer = byte + OPEN_TO_CLOSE;
        closers.push(closer);
        this.at++;
        this.skipSpace();
        if (this.bytes[this.at] !== closer) {
          if (!this.#skipToValue(closer)) return false;
          continue;
        }
      } else if (!this.#skipScalar(byte)) return false;
      if (!this.#leaveValue(closers)) return false;
    } while (closers.length > 0);
    return true;
  }

  /** Behind a value, or at the end of an empty container: closes the containers that end here, or moves to the next value. */
  #leaveValue(closers: number[]): boolean {
    for (;;) {
      const closer = closers.at(-1);
      if (closer === undefined) return true;
      this.skipSpace();
      const byte = this.bytes[this.at];
      if (byte !== closer && byte !== COMMA) return this.fail();
      this.at++;
      if (byte === COMMA) {
        this.skipSpace();
        return this.#skipToValue(closer);
      }
      closers.pop();
    }
  }

  /** In an object, skips the key and colon before the value; in an array, nothing. `closer` tells which it is. */
  #skipToValue(closer: number): boolean {
    return closer !== CLOSE_BRACE || (this.skipString() && this.skipColon());
  }

  #skipScalar(byte: number | undefined): boolean {
    switch (byte) {
      case QUOTE:
        return this.skipString();
      case 0x74:
        return this.#skipWord("true");
      case 0x66:
        return this.#skipWord("false");
      case 0x6e:
        return this.#skipWord("null");
      case 0x4e:
        return this.#skipWord("NaN");
      default:
        return this.#skipNumber();
    }
  }

  #skipNumber(): boolean {
    if (this.bytes[this.at] === MINUS) this.at++;
    const first = this.bytes[this.at];
    if (first === 0x49) return this.#skipWord("Infinity");
    if (!isDigit(first)) return this.fail();
    const start = this.at;
    if (first === ZERO) this.at++;
    else this.#skipDigits();
    const digits = this.at - start;
    const isFloat = this.#skipFraction();
    return isFloat || digits <= MAX_INTEGER_DIGITS || this.fail("digits");
  }

  /** Skips fraction and exponent, which make a number a float. Like CPython, stops before an incomplete one (`1.`, `1e+`). */
  #skipFraction(): boolean {
    const { bytes } = this;
    const start = this.at;
    if (bytes[this.at] === DOT && isDigit(bytes[this.at + 1])) {
      this.at++;
      this.#skipDigits();
    }
    const letter = bytes[this.at];
    if (letter === 0x65 || letter === 0x45) {
      const sign = bytes[this.at + 1];
      const firstDigit = this.at + (sign === 0x2b || sign === MINUS ? 2 : 1);
      if (isDigit(bytes[firstDigit])) {
        this.at = firstDigit;
        this.#skipDigits();
      }
    }
    return this.at > start;
  }

  #skipDigits(): void {
    while (isDigit(this.bytes[this.at])) this.at++;
  }

  #skipWord(word: string): boolean {
    for (let i = 0; i < word.length; i++) {
      if (this.bytes[this.at + i] !== word.charCodeAt(i)) return this.fail();
    }
    this.at += word.length;
    return true;
  }

  /** Skips one escape or one character beyond ASCII inside a string. */
  #skipSpecial(): boolean {
    const byte = this.bytes[this.at];
    if (byte === undefined || byte < 0x20) return this.fail();
    const isEscape = byte === BACKSLASH;
    const length = isEscape ? escapeLength(this.bytes, this.at) : utf8LengthAt(this.bytes, this.at);
    this.at += length;
    return length > 0 || this.fail(isEscape ? "syntax" : "utf8");
  }
}

/** Returns the offset behind the string literal at `at` if it is plain ASCII without escapes; else 0. */
export function plainStringEnd(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== QUOTE) return 0;
  const end = skipPlain(bytes, at + 1);
  return bytes[end] === QUOTE ? end + 1 : 0;
}

/** The first offset from `at` on with a byte other than plain ASCII. */
function skipPlain(bytes: Uint8Array, at: number): number {
  const { length } = bytes;
  while (at < length && IS_PLAIN[bytes[at]!] === 1) at++;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte !== undefined && byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}

function isOpening(byte: number | undefined): byte is number {
  return byte === OPEN_BRACE || byte === OPEN_BRACKET;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

/** Length of the escape with its backslash at `at`; 0 if it is not a valid escape. */
function escapeLength(bytes: Uint8Array, at: number): number {
  const letter = bytes[at + 1];
  if (letter === undefined) return 0;
  if (letter !== LOWER_U) return ESCAPED_AS_ONE.has(letter) ? 2 : 0;
  for (let i = at + 2; i < at + 6; i++) if (!isHexDigit(bytes[i])) return 0;
  return 6;
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

/**
 * Returns the length of the non-ASCII character at `at`: 2, 3 or 4 bytes, or 0 if it is not valid UTF-8. Strict UTF-8 excludes
 * overlong forms, surrogates and everything above U+10FFFF.
 */
export function utf8LengthAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  const length = lengthAfter(lead);
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  const second = bytes[at + 1];
  if (second === undefined || second < lowest || second > highest) return 0;
  for (let i = at + 2; i < at + length; i++) if (!isContinuation(bytes[i])) return 0;
  return length;
}

function lengthAfter(lead: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 0;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
