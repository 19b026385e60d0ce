/** Identifies a message that is too large to read or keep by its length and a digest of its two ends. */
import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { CycleState } from "../cycle/cycle_state.ts";

/** Bytes of each end in the sample (the ends of a short message overlap). */
export const SAMPLE_BYTES = 4_096;

/** Returns the SHA-1 of both ends in hexadecimal, as the scripts compute it. */
export function sampleDigest(message: Uint8Array): string {
  return sha1([message.subarray(0, SAMPLE_BYTES), message.subarray(-SAMPLE_BYTES)]);
}

/** Returns whether a message matches the length and digest in the state: the newest one when the cycle began. */
export function isNewest(message: Buffer, { newestBytes, newestDigest }: CycleState): boolean {
  return message.length === newestBytes && sampleDigest(message) === newestDigest;
}

/** Returns the SHA-1 of all parts joined, in hexadecimal. */
export function sha1(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha1");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
