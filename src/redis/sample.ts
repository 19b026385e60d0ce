/** What stands for a message that is too large to be read, or to be kept: its length and a digest of both its ends. */
import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { CycleState } from "../cycle/cycle_state.ts";

/** Bytes of either end that stand for a message (a short one's ends overlap). */
export const SAMPLE_BYTES = 4_096;

/** SHA-1 of both ends, as the scripts make it; hexadecimal. */
export function sampleDigest(message: Uint8Array): string {
  return sha1([message.subarray(0, SAMPLE_BYTES), message.subarray(-SAMPLE_BYTES)]);
}

/** Whether a message is the one whose length and digest the record holds. */
export function isNewest(message: Buffer, { newestBytes, newestDigest }: CycleState): boolean {
  return message.length === newestBytes && sampleDigest(message) === newestDigest;
}

/** SHA-1 of all parts in a row; hexadecimal. */
export function sha1(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha1");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
