/** The envelope in which a message that cannot be stamped goes to the dead list, exact bytes inside; and the way back from it and from stamps. */
import { isNamed, type JsonMember, membersText, objectOf, quoteAscii, stringOf } from "./json_object.ts";
import { editMessage } from "./edit.ts";
import { readMessage } from "./read_message.ts";
import { type DeathStamp, type ReplayStamp, stampText } from "./stamp.ts";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER } from "./source_policy.ts";

const TEXT_MEMBER = "payload";
const BYTES_MEMBER = "payload_b64";
const QUOTE = 0x22, BACKSLASH = 0x5c;
/** `\b \t \n \f \r` */
const SHORT_ESCAPES = [0x08, 0x09, 0x0a, 0x0c, 0x0d];
/** A short text is more use as a text, however many of its characters are escaped. */
const SLACK_BYTES = 1_024;
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Puts any bytes into `{"failed_at": …, "_remediation": {…}, "payload": "<the text>"}`, or `"payload_b64"` (standard
 * Base64) where they are not UTF-8, or where control characters would make the text longer than that: escaped, 4 MiB of them
 * were 24. Any JSON reader reads the result, whatever is inside.
 */
export function sealEnvelope(
  bytes: Uint8Array,
  { record, death }: { record: ReplayStamp; death: DeathStamp },
): Uint8Array {
  const text = escapedBytes(bytes) > 4 / 3 * bytes.length + SLACK_BYTES ? null : decodeExactly(bytes);
  const members = membersText([
    [FAILED_AT_MEMBER, quoteAscii(death.failedAt)],
    [REMEDIATION_MEMBER, stampText(record, death.reason)],
    text === null ? [BYTES_MEMBER, quoteAscii(bytes.toBase64())] : [TEXT_MEMBER, JSON.stringify(text)],
  ]);
  return new TextEncoder().encode(`{${members}}`);
}

/** The exact bytes inside an envelope of {@link sealEnvelope}; null where `bytes` are none. */
export function openEnvelope(bytes: Uint8Array): Uint8Array | null {
  const message = readMessage(bytes);
  if (!message.readable || message.members.length !== 3) return null;
  const [failedAt, record, payload] = [...message.members] as [JsonMember, JsonMember, JsonMember];
  if (!isNamed(failedAt, FAILED_AT_MEMBER) || stringOf(failedAt) === null) return null;
  if (!isNamed(record, REMEDIATION_MEMBER) || objectOf(record) === null) return null;
  const text = stringOf(payload);
  if (text === null) return null;
  if (isNamed(payload, TEXT_MEMBER)) return text.isWellFormed() ? new TextEncoder().encode(text) : null;
  return isNamed(payload, BYTES_MEMBER) ? decodeBase64(text) : null;
}

/**
 * The bytes without this service's stamps: an envelope opened, else every `_remediation`, `failed_at` and member of
 * `extraNames` cut. What cannot be read comes back as it is. Safe to call twice on what {@link stampReplay} and
 * {@link stampDeath} made.
 */
export function withoutStamps(bytes: Uint8Array, extraNames: readonly string[] = []): Uint8Array {
  const enclosed = openEnvelope(bytes);
  if (enclosed !== null) return enclosed;
  const message = readMessage(bytes);
  if (!message.readable) return bytes;
  return editMessage(message, { cut: [REMEDIATION_MEMBER, FAILED_AT_MEMBER, ...extraNames], append: [] });
}

/** How long `JSON.stringify` makes a text, without its quotes. */
function escapedBytes(bytes: Uint8Array): number {
  let length = bytes.length;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE || byte === BACKSLASH || SHORT_ESCAPES.includes(byte)) length++;
    else if (byte < 0x20) length += 5;
  }
  return length;
}

/** The text of the bytes, a byte order mark included; null where they are not UTF-8. */
function decodeExactly(bytes: Uint8Array): string | null {
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    return null;
  }
}

function decodeBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    return null;
  }
}
