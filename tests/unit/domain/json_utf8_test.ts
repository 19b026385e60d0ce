import assert from "node:assert/strict";
import { utf8LengthAt } from "../../../src/domain/json_utf8.ts";

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Every byte at which some rule of UTF-8 changes, and its neighbours. */
const EDGES = [0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe1, 0xff];

function isOneCharacter(bytes: Uint8Array): boolean {
  try {
    return Array.from(STRICT.decode(bytes)).length === 1;
  } catch {
    return false;
  }
}

Deno.test("utf8LengthAt: agrees with TextDecoder when given every lead, every second byte and the edges behind", () => {
  for (let lead = 0x80; lead <= 0xff; lead++) {
    for (let second = 0; second <= 0xff; second++) {
      for (const third of EDGES) {
        for (const fourth of EDGES) {
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
