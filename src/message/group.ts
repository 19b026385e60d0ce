/** Groups messages that failed alike: same source, same reason, and the same text once numbers, addresses, ids and times are masked. Pure. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";

/** Maximum length of a masked text, in UTF-16 units. */
export const MAX_GROUP_CHARACTERS = 200;
/** What stands for a masked part. */
export const MASK = "•";

/** What puts a message into a group. */
export interface GroupFacts {
  /** Name of the source. */
  readonly source: string;
  readonly reason: string | null;
  /** Result of {@link maskText}. */
  readonly groupText: string;
}

/** Returns the name of a group: `g_` and 12 hex digits. */
export function groupId({ source, reason, groupText }: GroupFacts): string {
  const facts = JSON.stringify([source, reason, groupText]);
  return `g_${createHash("sha1").update(facts).digest("hex").slice(0, 12)}`;
}

/** Longer texts differ in what is not shown, in UTF-16 units. */
const MAX_READ = 1_000;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9A-Za-z])/iy;
/** IPv6 and MAC addresses: hex digits and at least two colons. */
const COLONS = /(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![0-9A-Za-z:])/iy;
/** A MAC address may have no decimal digit. */
const MAC = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i;
/** An id in quotes: no spaces in it. */
const QUOTED = /'[^'\s]{1,64}'|"[^"\s]{1,64}"|`[^`\s]{1,64}`/y;
const DIGIT = /[0-9]/, HEX = /^[0-9a-f]+$/i;
/** A run of hex digits with a decimal one is an id as a whole from this length on. */
const HEX_ID = 6;
/** Any run that changes this often between letters and digits is an id as a whole from this length on. */
const LONG_ID = 16, LONG_ID_CHANGES = 3;
const MONTHS = new Set("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" "));

const BULLET = 0x2022,
  SPACE = 0x20,
  COLON = 0x3a,
  DASH = 0x2d,
  ZERO = 0x30,
  NINE = 0x39,
  UPPER_Z = 0x5a,
  LOWER_X = 0x78,
  DELETE = 0x7f;
/** Kinds of ASCII characters. A table, because masking spends most of its time here. */
const OTHER = 0, DECIMAL = 1, LETTER = 2, QUOTE = 3, BLANK = 4;
const KINDS = Uint8Array.from({ length: 128 }, (_, code) => kindOf(code));
/** Between two masked parts, these belong to the same date, address or path. `T` is that of ISO 8601. */
const IS_CONNECTOR = Uint8Array.from(
  { length: 128 },
  (_, code) => "./:,_-+T".includes(String.fromCharCode(code)) ? 1 : 0,
);

function kindOf(code: number): number {
  const character = String.fromCharCode(code);
  if (code <= SPACE || code === DELETE) return BLANK;
  if (/[0-9]/.test(character)) return DECIMAL;
  if (/[A-Za-z]/.test(character)) return LETTER;
  return /['"`]/.test(character) ? QUOTE : OTHER;
}

/**
 * Replaces numbers, IP and MAC addresses, UUIDs, hex ids, times, and quoted ids with a digit by `•`; joins neighbours such as
 * `•.•.•.•`; and turns white space and control characters into single spaces. At most {@link MAX_GROUP_CHARACTERS} long.
 * Linear; never throws; masking a masked text changes nothing (`tests/property/find_property_test.ts`).
 */
export function maskText(text: string): string {
  masker.read(text);
  return masker.result();
}

/** Masks one text after the other, in the same memory. */
class Masker {
  readonly #out = new Uint16Array(MAX_GROUP_CHARACTERS + MAX_READ + 8);
  readonly #outBytes = Buffer.from(this.#out.buffer);
  #length = 0;
  #text = "";

  read(text: string): void {
    this.#text = text;
    this.#length = 0;
    const end = Math.min(text.length, MAX_READ);
    for (let at = 0; at < end && this.#length <= MAX_GROUP_CHARACTERS;) {
      const next = this.#words(at, end);
      at = next > at ? next : this.#step(at, end);
    }
    if (this.#length > 0 && this.#out[this.#length - 1] === SPACE) this.#length--;
  }

  /** Copies words, and what is between them, up to anything that needs a closer look. Returns where that is. */
  #words(at: number, end: number): number {
    const text = this.#text, out = this.#out;
    let length = this.#length;
    while (at < end && length <= MAX_GROUP_CHARACTERS) {
      const code = text.charCodeAt(at), kind = code < 128 ? KINDS[code] : QUOTE;
      if (kind === LETTER) {
        let size = 1, next = -1;
        out[length] = code;
        // Copies the word at once; it is written over if it is none.
        while (at + size < text.length) {
          next = text.charCodeAt(at + size);
          if (at + size === end || next >= 128 || KINDS[next] !== LETTER) break;
          out[length + size++] = next;
        }
        const isAddress = (next === COLON && size <= 4) || (next === DASH && size === 8);
        if (size === 1 || isAddress || (next >= ZERO && next <= NINE)) break;
        length += size;
        at += size;
      } else if (kind === OTHER && code !== COLON) {
        out[length++] = code;
        at++;
      } else if (kind === BLANK) {
        if (length > 0 && out[length - 1] !== SPACE) out[length++] = SPACE;
        at++;
      } else break;
    }
    this.#length = length;
    return at;
  }

  result(): string {
    if (this.#length <= MAX_GROUP_CHARACTERS) return this.#first(this.#length);
    const cut = this.#first(MAX_GROUP_CHARACTERS - 1).replace(/[\ud800-\udbff]$/, "");
    // Behind the cut, the letter would be the end of a time.
    return `${cut.replace(/•Z$/, MASK)}…`;
  }

  #first(length: number): string {
    return this.#outBytes.toString("utf16le", 0, 2 * length);
  }

  /** Reads what is at `at`; returns where to go on. */
  #step(at: number, end: number): number {
    const code = this.#text.charCodeAt(at);
    switch (code < 128 ? KINDS[code] : OTHER) {
      case LETTER:
      case DECIMAL:
        return this.#run(at, end);
      case BLANK:
        return this.#blank(at);
      case QUOTE:
        return this.#quoted(at, code);
    }
    if (code === BULLET) this.#mask();
    else if (code > 0x7f && isBlank(code)) return this.#blank(at);
    else if (code === COLON && this.#text.charCodeAt(at + 1) === COLON) {
      return this.#address(COLONS, at) || this.#put(at, at + 1);
    } else this.#out[this.#length++] = code;
    return at + 1;
  }

  /** A run of letters and digits, or an address that starts with it. */
  #run(at: number, end: number): number {
    const text = this.#text, out = this.#out, start = this.#length;
    let to = at, length = start, hasDigit = false;
    // Copies the run at once, because most are words; others are taken back.
    for (; to < end; to++) {
      const code = text.charCodeAt(to), kind = code < 128 ? KINDS[code] : OTHER;
      if (kind === DECIMAL) hasDigit = true;
      else if (kind !== LETTER) break;
      out[length++] = code;
    }
    const next = text.charCodeAt(to), size = to - at;
    const after = next === COLON && size <= 4
      ? this.#address(COLONS, at)
      : next === DASH && size === 8
      ? this.#address(UUID, at)
      : 0;
    if (after > 0) return after;
    if (hasDigit) {
      if (this.#isId(at, to)) this.#mask();
      else this.#numbered(at, to);
    } else if (size === 1) this.#word(at, to);
    else this.#length = length;
    return to;
  }

  /** Whether a run with a digit is an id as a whole. */
  #isId(at: number, to: number): boolean {
    const text = this.#text, length = to - at;
    if (length >= LONG_ID && this.#changes(at, to) >= LONG_ID_CHANGES) return true;
    if (text.charCodeAt(at) === ZERO && text.charCodeAt(at + 1) === LOWER_X) return true;
    return length >= HEX_ID && HEX.test(text.slice(at, to));
  }

  /** How often a run changes between letters and digits. */
  #changes(at: number, to: number): number {
    let changes = 0;
    for (let next = at + 1; next < to; next++) {
      if (KINDS[this.#text.charCodeAt(next)] !== KINDS[this.#text.charCodeAt(next - 1)]) changes++;
    }
    return changes;
  }

  /** Masks the address at `at`. Returns where it ends, or 0 if there is none. */
  #address(pattern: RegExp, at: number): number {
    pattern.lastIndex = at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return 0;
    if (pattern === COLONS && !DIGIT.test(found) && !MAC.test(found)) return 0;
    this.#mask();
    return at + found.length;
  }

  #quoted(at: number, quote: number): number {
    QUOTED.lastIndex = at;
    const found = QUOTED.exec(this.#text)?.[0];
    this.#out[this.#length++] = quote;
    if (found === undefined || !DIGIT.test(found)) return at + 1;
    this.#mask();
    this.#out[this.#length++] = quote;
    return at + found.length;
  }

  /** A word with numbers, e.g. `eth0`. */
  #numbered(at: number, to: number): void {
    const text = this.#text;
    for (let from = at; from < to;) {
      const kind = KINDS[text.charCodeAt(from)];
      let end = from + 1;
      while (end < to && KINDS[text.charCodeAt(end)] === kind) end++;
      if (kind === DECIMAL) this.#mask();
      else if (end === to) this.#word(from, end);
      else this.#put(from, end);
      from = end;
    }
  }

  #word(at: number, to: number): void {
    const isEndOfTime = to - at === 1 && this.#text.charCodeAt(at) === UPPER_Z &&
      this.#text.charCodeAt(to) !== BULLET &&
      this.#length > 0 && this.#out[this.#length - 1] === BULLET;
    if (!isEndOfTime) this.#put(at, to);
  }

  #blank(at: number): number {
    if (this.#length > 0 && this.#out[this.#length - 1] !== SPACE) this.#out[this.#length++] = SPACE;
    return at + 1;
  }

  /** Copies a part of the text; returns its end. */
  #put(at: number, to: number): number {
    for (let from = at; from < to; from++) this.#out[this.#length++] = this.#text.charCodeAt(from);
    return to;
  }

  /** Adds a `•`, unless it goes on from the one before. Takes the month before it. */
  #mask(): void {
    const out = this.#out;
    while (this.#length > 0) {
      const last = out[this.#length - 1]!;
      if (last === BULLET) return;
      if (this.#length > 1 && out[this.#length - 2] === BULLET && last < 128 && IS_CONNECTOR[last] === 1) {
        this.#length--;
        return;
      }
      if (last !== SPACE || !this.#endsWithMonth()) break;
      this.#length -= 4;
    }
    out[this.#length++] = BULLET;
  }

  /** Whether the output ends with a month and a space. */
  #endsWithMonth(): boolean {
    const out = this.#out, start = this.#length - 4;
    if (start < 0) return false;
    const before = start === 0 ? SPACE : out[start - 1]!;
    const isWord = before >= 128 || (KINDS[before] !== LETTER && KINDS[before] !== DECIMAL);
    return isWord && MONTHS.has(String.fromCharCode(out[start]!, out[start + 1]!, out[start + 2]!));
  }
}

/** White space and control characters beyond ASCII. */
function isBlank(code: number): boolean {
  return code <= 0xa0 || code === 0x1680 || (code >= 0x2000 && code <= 0x200a) || code === 0x2028 || code === 0x2029 ||
    code === 0x202f || code === 0x205f || code === 0x3000 || code === 0xfeff;
}

const masker = new Masker();
