/** Names messages: lists have no ids, so a message is named by the digest of its bytes. Byte-equal messages share an id. */
import { createHash } from "node:crypto";

/** Pattern of a message's id. */
export const MESSAGE_ID_PATTERN = "^m_[0-9a-f]{16}$";
/** Hexadecimal digits of the digest in an id. */
const DIGITS = 16;

/** Returns the id of a message: `m_` and the first 16 hexadecimal digits of the SHA-1 of its bytes. */
export function messageId(bytes: Uint8Array): string {
  return idOfDigest(createHash("sha1").update(bytes).digest("hex"));
}

/** Returns the id for a SHA-1 in hexadecimal. */
export function idOfDigest(sha1: string): string {
  return `m_${sha1.slice(0, DIGITS)}`;
}
