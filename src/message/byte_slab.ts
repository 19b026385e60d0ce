/** Memory for many small results: to allocate an array by itself costs more than all else that is done to a message. */

const SLAB_BYTES = 65_536;
/** What is longer is allocated by itself. */
const LONGEST = 4_096;

let slab = new Uint8Array(0);
let used = 0;

/** So many bytes to be written; those of one slab are freed together, once none of them is in use. */
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

/** The bytes of a run as a view; `Buffer.subarray` would make a slower kind of array. */
export function viewBytes(bytes: Uint8Array, { start, end }: { start: number; end: number }): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}
