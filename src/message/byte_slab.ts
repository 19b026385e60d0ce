/** Memory for many small results. Allocating an array for each would cost more than everything else done to a message. */

const SLAB_BYTES = 65_536;
/** Longer arrays get memory of their own, in bytes. */
const LONGEST = 4_096;

let slab = new Uint8Array(0);
let used = 0;

/** Returns `length` bytes to write to. The arrays of one slab are freed together, once none of them is in use. */
export function allocateBytes(length: number): Uint8Array {
  if (length > LONGEST) return new Uint8Array(length);
  if (used + length > slab.length) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  const bytes = new Uint8Array(slab.buffer, used, length);
  used += length;
  return bytes;
}

/** A view of the bytes from `start` to `end`, without a copy. `Buffer.subarray` would make a slower kind of array. */
export function viewBytes(bytes: Uint8Array, { start, end }: { start: number; end: number }): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}
