/** Walks over JSON text in bytes exactly as CPython's `json.loads` reads it, without building any value. */

/** Containers nested deeper than this make CPython's reader (and so a consumer) fail; the outermost one counts as 1. */
export const MAX_DEPTH = 500;
/** Most digits of an integer literal; CPython's `sys.int_info.default_max_str_digits`. */
export const MAX_INTEGER_DIGITS = 4300;

/** What stopped a scan, and at which byte (0-based). */
export interface JsonProblem {
  readonly kind: "syntax" | "depth" | "digits";
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
/** In ASCII `]` and `}` stand two behind `[` and `{`. */
const OPEN_TO_CLOSE = 2;
const ESCAPED_AS_ONE = new Set(Array.from('"\\/bfnrt', (character) => character.charCodeAt(0)));

/**
 * A cursor over JSON bytes. Each `skip…` either moves {@link at} behind what it names and answers true, or sets
 * {@link problem} and answers false; after that the scanner is spent. Not recursive, linear in time; it does not check
 * UTF-8, only notes in {@link hasHighBytes} that somebody must. Outside a string any byte from 0x80 up is a problem.
 */
export class JsonScanner {
  readonly bytes: Uint8Array;
  /** The next byte to look at. */
  at: number;
  problem: JsonProblem | null = null;
  /** Whether a byte from 0x80 up was seen inside a string. */
  hasHighBytes = false;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Moves over JSON's white space: space, tab, line feed, carriage return, and nothing else. */
  skipSpace(): void {
    const { bytes } = this;
    let at = this.at;
    for (;;) {
      const byte = bytes[at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at++;
    }
    this.at = at;
  }

  /** Whether nothing but white space is left; moves over it. */
  skipToEnd(): boolean {
    this.skipSpace();
    return this.at === this.bytes.length || this.fail();
  }

  /** A string literal with its quotes. */
  skipString(): boolean {
    const { bytes } = this;
    if (bytes[this.at] !== QUOTE) return this.fail();
    let at = this.at + 1;
    let byte = bytes[at];
    while (byte !== QUOTE) {
      if (byte === undefined || byte < 0x20) return this.#failAt(at);
      if (byte === BACKSLASH) {
        const length = escapeLength(bytes, at);
        if (length === 0) return this.#failAt(at);
        at += length;
      } else {
        if (byte >= 0x80) this.hasHighBytes = true;
        at++;
      }
      byte = bytes[at];
    }
    this.at = at + 1;
    return true;
  }

  /** What stands between a key and its value: a colon with white space around it. */
  skipColon(): boolean {
    this.skipSpace();
    if (this.bytes[this.at] !== COLON) return this.fail();
    this.at++;
    this.skipSpace();
    return true;
  }

  /** One value of any kind. `depth`: how many containers are open around it. */
  skipValue(depth: number): boolean {
    const byte = this.bytes[this.at];
    return isOpening(byte) ? this.#skipContainer(depth) : this.#skipScalar(byte);
  }

  /** Notes that the byte at the cursor does not belong there; always false. */
  fail(kind: JsonProblem["kind"] = "syntax"): false {
    this.problem = { kind, at: this.at };
    return false;
  }

  /** A container and all in it; the stack of closing brackets stands in for recursion. */
  #skipContainer(depth: number): boolean {
    const closers: number[] = [];
    do {
      const byte = this.bytes[this.at];
      if (isOpening(byte)) {
        if (depth + closers.length >= MAX_DEPTH) return this.fail("depth");
        closers.push(byte + OPEN_TO_CLOSE);
        if (!this.#enter(byte)) return false;
      } else if (!this.#skipScalar(byte)) return false;
      if (!this.#leave(closers)) return false;
    } while (closers.length > 0);
    return true;
  }

  /** Moves over an opening bracket to what follows: the closing one, or the first value (in an object: behind its key). */
  #enter(opening: number): boolean {
    this.at++;
    this.skipSpace();
    const byte = this.bytes[this.at];
    if (byte === opening + OPEN_TO_CLOSE) return true;
    return opening === OPEN_BRACE ? this.#skipKey() : true;
  }

  /** Behind a value (or before the closing bracket of an empty container): closes what ends here, else finds the next value. */
  #leave(closers: number[]): boolean {
    for (;;) {
      const closer = closers.at(-1);
      if (closer === undefined) return true;
      this.skipSpace();
      const byte = this.bytes[this.at];
      if (byte === closer) {
        closers.pop();
        this.at++;
      } else if (byte === COMMA) {
        this.at++;
        this.skipSpace();
        return closer === CLOSE_BRACE ? this.#skipKey() : true;
      } else return this.fail();
    }
  }

  #skipKey(): boolean {
    return this.skipString() && this.skipColon();
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

  /** The part that makes a number a float, if there; a half one is left for the caller's caller to stumble over, as in CPython. */
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

  #failAt(at: number): false {
    this.at = at;
    return this.fail();
  }
}

function isOpening(byte: number | undefined): byte is number {
  return byte === OPEN_BRACE || byte === OPEN_BRACKET;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

/** Length of the escape whose backslash stands at `at`, or 0 when it is none. */
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
