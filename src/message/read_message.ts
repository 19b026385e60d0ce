/** Reads the bytes of one dead letter: whether it is readable, and the offsets of its top-level members. */
import { type JsonObject, scanObject } from "./json_object.ts";
import { type JsonProblem, JsonScanner, MAX_DEPTH, MAX_INTEGER_DIGITS } from "./json_scanner.ts";

/** A message that `json.loads` in a consumer reads as an object. */
export interface ReadableMessage extends JsonObject {
  readonly readable: true;
}

/** A message that no consumer can use: `unreadable` is not JSON, `malformed` is JSON but not an object. */
export interface UnreadableMessage {
  readonly readable: false;
  readonly reason: "unreadable" | "malformed";
  /** The problem in words, without any content of the message. */
  readonly detail: string;
}

/**
 * Reads a message as CPython's `json.loads(bytes.decode("utf-8"))` does. Equal keys, `NaN`, `Infinity` and lone surrogate
 * escapes are valid; a byte order mark, control characters in strings and bytes after the value are not. A message with
 * containers deeper than {@link MAX_DEPTH} or integers longer than {@link MAX_INTEGER_DIGITS} digits is unreadable too.
 * Never throws; linear in the number of bytes. The result refers to `bytes`, so do not change them.
 */
export function readMessage(bytes: Uint8Array): ReadableMessage | UnreadableMessage {
  const scanner = new JsonScanner(bytes);
  const object = scanText(scanner);
  if (scanner.problem !== null) return { readable: false, reason: "unreadable", detail: describe(scanner.problem) };
  if (object === null) return { readable: false, reason: "malformed", detail: "JSON, but not an object" };
  return { readable: true, bytes, open: object.open, close: object.close, members: object.members };
}

/** Scans the whole text. Returns its object, or null if it is another value or the scanner has a problem. */
function scanText(scanner: JsonScanner): JsonObject | null {
  scanner.skipSpace();
  const isObject = scanner.bytes[scanner.at] === 0x7b;
  const object = isObject ? scanObject(scanner) : null;
  const scanned = isObject ? object !== null : scanner.skipValue(0);
  return scanned && scanner.skipToEnd() ? object : null;
}

function describe({ kind, at }: JsonProblem): string {
  if (kind === "depth") return `nested deeper than ${MAX_DEPTH}`;
  if (kind === "digits") return `an integer of more than ${MAX_INTEGER_DIGITS} digits`;
  return `not ${kind === "utf8" ? "UTF-8" : "JSON"} at byte ${at}`;
}
