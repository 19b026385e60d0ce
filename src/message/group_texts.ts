/**
 * The text that a message shares with its group. Messages of one kind differ in their digits, and masking ({@link maskText}) takes
 * longer than everything else, so a masked text is remembered by its bytes with every digit replaced by the same one. Three details
 * matter:
 *
 * - Masking does not depend on which digit a digit is, except that `0x` begins an id. So the `x` of `0x` has a mark of its own.
 * - Hiding secrets may depend on it: an escape may spell a name, and a name may have a digit. Such a text is not remembered.
 * - A number is not remembered, because it is reformatted: `1e21` has other letters than `1e20`.
 *
 * `tests/property/find_property_test.ts` compares it with masking every text.
 */
import { maskText } from "./group.ts";
import { findIn, type Letter } from "./letter.ts";
import type { Mask } from "./mask.ts";
import { type MemberRef, memberRef } from "./member_path.ts";
import { readMember } from "./member_value.ts";

/** Longer texts are not remembered, in bytes of JSON. */
const MAX_KEY_BYTES = 1_024;
/** Most texts that are remembered: 4 MiB at worst. A power of two. */
const SLOTS = 4_096;

const QUOTE = 0x22, ZERO = 0x30, NINE = 0x39, BACKSLASH = 0x5c, LOWER_U = 0x75, LOWER_X = 0x78, LOWER = 0x20;
/** Bytes that no JSON string has: the end of a member, no member, and the `x` of `0x`. */
const END = 0, ABSENT = 1, X_OF_ID = 2;
const ALIKE = Uint8Array.from({ length: 256 }, (_, byte) => byte >= ZERO && byte <= NINE ? ZERO : byte);
/** FNV-1a, 32 bits. */
const HASH_START = 0x811c9dc5 | 0, HASH_PRIME = 0x01000193;

interface Remembered {
  readonly hash: number;
  readonly key: Uint8Array;
  readonly text: string;
}

/** Computes the texts of a source's messages. For one walk over a list: it keeps up to 4 MiB. */
export class GroupTexts {
  readonly #groupBy: readonly MemberRef[];
  readonly #mask: Mask;
  readonly #remembered: (Remembered | undefined)[] = Array.from({ length: SLOTS });
  readonly #key = new Uint8Array(MAX_KEY_BYTES);
  #keyBytes = 0;
  #hash = 0;

  /** `groupBy`: paths of the members that make up the text. */
  constructor(groupBy: readonly string[], mask: Mask) {
    this.#groupBy = groupBy.map(memberRef);
    this.#mask = mask;
  }

  /** Returns the members of the message that its source groups by, without secrets, masked. */
  of(letter: Letter): string {
    if (!this.#readKey(letter)) return maskText(this.#read(letter));
    const hash = this.#hash, slot = hash & (SLOTS - 1), known = this.#remembered[slot];
    if (known !== undefined && known.hash === hash && this.#isKey(known.key)) return known.text;
    const read = this.#read(letter), text = maskText(read);
    if (!this.#mask.dependsOnDigits(read) && !this.#hasEscape()) {
      this.#remembered[slot] = { hash, key: this.#key.slice(0, this.#keyBytes), text };
    }
    return text;
  }

  #read(letter: Letter): string {
    return this.#groupBy.map((ref) => readMember(letter, ref, this.#mask) ?? "").join(" ").trim();
  }

  /** Returns whether the text may be remembered. */
  #readKey(letter: Letter): boolean {
    const key = this.#key;
    let length = 0, hash = HASH_START;
    for (const ref of this.#groupBy) {
      const member = findIn(letter, ref);
      if (member === null) {
        if (length === MAX_KEY_BYTES) return false;
        hash = Math.imul(hash ^ ABSENT, HASH_PRIME);
        key[length++] = ABSENT;
        continue;
      }
      const { bytes, valueStart, valueEnd } = member, end = valueEnd - 1;
      if (bytes[valueStart] !== QUOTE || length + end - valueStart > MAX_KEY_BYTES) return false;
      for (let at = valueStart + 1; at < end; at++) {
        let byte = ALIKE[bytes[at]!]!;
        if (byte === LOWER_X && bytes[at - 1] === ZERO) byte = X_OF_ID;
        hash = Math.imul(hash ^ byte, HASH_PRIME);
        key[length++] = byte;
      }
      hash = Math.imul(hash ^ END, HASH_PRIME);
      key[length++] = END;
    }
    this.#keyBytes = length;
    this.#hash = hash;
    return true;
  }

  #isKey(known: Uint8Array): boolean {
    const key = this.#key, length = this.#keyBytes;
    if (known.length !== length) return false;
    for (let at = 0; at < length; at++) if (known[at] !== key[at]) return false;
    return true;
  }

  /** Whether the key may have an escape with digits: `\uXXXX`, or `\xNN` inside the text. */
  #hasEscape(): boolean {
    const key = this.#key.subarray(0, this.#keyBytes);
    for (let at = key.indexOf(BACKSLASH); at >= 0; at = key.indexOf(BACKSLASH, at + 1)) {
      const letter = key[at + 1]! | LOWER;
      if (letter === LOWER_U || letter === LOWER_X) return true;
    }
    return false;
  }
}
