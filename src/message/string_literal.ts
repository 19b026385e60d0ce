/** Where the text of a JSON string stands in its literal. Pure. */
import { escapedUnit, type JsonMember } from "./json_object.ts";

const BACKSLASH = 0x5c, LOWER_U = 0x75;

/**
 * Returns for each offset in the text of a string, in bytes of UTF-8, the offset in the member's bytes. The offsets are in order and at
 * the beginning of characters; the text has no half of a surrogate pair. Linear.
 */
export function literalOffsets({ bytes, valueStart }: JsonMember, offsets: readonly number[]): number[] {
  let at = valueStart + 1, before = 0;
  return offsets.map((offset) => {
    while (before < offset) {
      const escape = bytes[at] !== BACKSLASH ? null : escapedUnit(bytes, at);
      before += escape === null ? 1 : utf8Length(escape);
      at += escape === null ? 1 : bytes[at + 1] === LOWER_U ? 6 : 2;
    }
    return at;
  });
}

/** Bytes of a UTF-16 unit in UTF-8. Each half of a surrogate pair is half of its four. */
function utf8Length(unit: number): number {
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  return unit >= 0xd800 && unit < 0xe000 ? 2 : 3;
}
