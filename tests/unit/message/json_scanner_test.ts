import assert from "node:assert/strict";
import { utf8LengthAt } from "../../../src/message/json_scanner.ts";

/** Every byte at which some rule of UTF-8 changes, and its neighbours. */
const EDGES = [0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe1, 0xff];

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const ENCODER = new TextEncoder();

/** Whether the platform reads the bytes as one character. (Decoding strictly would throw, which is slow.) */
function isOneCharacter(bytes: Uint8Array): boolean {
  const text = DECODER.decode(bytes);
  if (text.length !== (text.codePointAt(0)! > 0xffff ? 2 : 1)) return false;
  const again = ENCODER.encode(text);
  return again.length === bytes.length && again.every((byte, i) => byte === bytes[i]);
}

Deno.test("utf8LengthAt: agrees with TextDecoder when given every lead and every edge behind it", () => {
  for (let lead = 0x80; lead <= 0xff; lead++) {
    for (const second of EDGES) {
      for (const third of EDGES) {
        for (const fourth of [0x7f, 0x80, 0xbf, 0xc0]) {
          const bytes = Uint8Array.of(lead, second, third, fourth);
          const expected = [2, 3, 4].find((length) => isOneCharacter(bytes.subarray(0, length))) ?? 0;
          if (utf8LengthAt(bytes, 0) !== expected) assert.fail(`${bytes}: ${utf8LengthAt(bytes, 0)}, not ${expected}`);
        }
      }
    }
  }
});

Deno.test("utf8LengthAt: finds nothing when the bytes end inside a character", () => {
  for (const cut of [[0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98]]) {
    assert.equal(utf8LengthAt(Uint8Array.from(cut), 0), 0);
  }
});
