/** The envelope that carries a message without room for a stamp to the dead list, and the way back from envelope and stamps. */
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
/** A short message stays text, however many of its characters need an escape: text is easier to read than Base64. */
const SLACK_BYTES = 1_024;
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Wraps any bytes in `{"failed_at": …, "_remediation": {…}, "payload": "<the text>"}`. The last member is `"payload_b64"`
 * (standard Base64) if the bytes are not UTF-8, or if control characters make the escaped text longer than Base64: 4 MiB of
 * them would become 24 MiB. Any JSON reader reads the result.
 */
export function sealEnvelope(
  bytes: Uint8Array,
  { record, death }: { record: ReplayStamp; death: DeathStamp },
): Uint8Array {
  const members = membersText([
    [FAILED_AT_MEMBER, quoteAscii(death.failedAt)],
    [REMEDIATION_MEMBER, stampText(record, death)],
    payloadMember(bytes),
  ]);
  return new TextEncoder().encode(`{${members}}`);
}

/** A member that holds any bytes, as its name and JSON text of at most 4/3 of their length and 1 KiB: see {@link sealEnvelope}. */
export function payloadMember(bytes: Uint8Array): readonly [name: "payload" | "payload_b64", json: string] {
  const text = escapedBytes(bytes) > 4 / 3 * bytes.length + SLACK_BYTES ? null : decodeExactly(bytes);
  return text === null ? [BYTES_MEMBER, quoteAscii(bytes.toBase64())] : [TEXT_MEMBER, JSON.stringify(text)];
}

/** Returns the bytes in the value of a {@link payloadMember}; null if it holds none. */
export function payloadBytes(name: string, text: string): Uint8Array | null {
  if (name === TEXT_MEMBER) return text.isWellFormed() ? new TextEncoder().encode(text) : null;
  return name === BYTES_MEMBER ? decodeBase64(text) : null;
}

/** Returns the exact bytes inside an envelope of {@link sealEnvelope}; null if `bytes` are not such an envelope. */
export function openEnvelope(bytes: Uint8Array): Uint8Array | null {
  const message = readMessage(bytes);
  if (!message.readable || message.members.length !== 3) return null;
  const [failedAt, record, payload] = [...message.members] as [JsonMember, JsonMember, JsonMember];
  if (!isNamed(failedAt, FAILED_AT_MEMBER) || stringOf(failedAt) === null) return null;
  if (!isNamed(record, REMEDIATION_MEMBER) || objectOf(record) === null) return null;
  const text = stringOf(payload);
  if (text === null) return null;
  const name = [TEXT_MEMBER, BYTES_MEMBER].find((name) => isNamed(payload, name));
  return name === undefined ? null : payloadBytes(name, text);
}

/**
 * Removes this service's stamps: opens an envelope, or else cuts every `_remediation`, `failed_at` and member of
 * `extraNames`. An unreadable message is returned unchanged. Safe to call twice on the results of `stampReplay` and
 * `stampDeath`.
 */
export function withoutStamps(bytes: Uint8Array, extraNames: readonly string[] = []): Uint8Array {
  const enclosed = openEnvelope(bytes);
  if (enclosed !== null) return enclosed;
  const message = readMessage(bytes);
  if (!message.readable) return bytes;
  return editMessage(message, { cut: [REMEDIATION_MEMBER, FAILED_AT_MEMBER, ...extraNames], append: [] });
}

/** Length of the text after `JSON.stringify`, without its quotes, in bytes. */
function escapedBytes(bytes: Uint8Array): number {
  let length = bytes.length;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE || byte === BACKSLASH || SHORT_ESCAPES.includes(byte)) length++;
    else if (byte < 0x20) length += 5;
  }
  return length;
}

/** Decodes the bytes, including a byte order mark; null if they are not UTF-8. */
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
