/** Strict UTF-8, one character at a time. */

/**
 * Length in bytes of the character beyond ASCII that starts at `at`: 2, 3 or 4; 0 where there is none in UTF-8's strict
 * sense, which knows no overlong forms, no surrogates and nothing above U+10FFFF.
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
