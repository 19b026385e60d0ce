/** Reads one dead letter's bytes: what it is, and where its top-level members stand. */
import { type JsonObject, scanObject } from "./json_object.ts";
import { type JsonProblem, JsonScanner, MAX_DEPTH, MAX_INTEGER_DIGITS } from "./json_scanner.ts";

/** A message that a consumer's `json.loads` reads as an object. */
export interface ReadableMessage extends JsonObject {
  readonly readable: true;
}

/** A message that no consumer can use: `unreadable` is not read at all, `malformed` is read but is no object. */
export interface UnreadableMessage {
  readonly readable: false;
  readonly reason: "unreadable" | "malformed";
  /** What is wrong, without anything out of the message. */
  readonly detail: string;
}

/**
 * Reads a message as CPython's `json.loads(bytes.decode("utf-8"))` does: equal keys, `NaN`, `Infinity` and lone surrogate
 * escapes are fine; a byte order mark, control characters in strings and bytes behind the value are not. Containers
 * deeper than {@link MAX_DEPTH} and integers longer than {@link MAX_INTEGER_DIGITS} digits are unreadable too. Never
 * throws, whatever the bytes; linear in their number. The result refers to `bytes`, which must not change.
 */
export function readMessage(bytes: Uint8Array): ReadableMessage | UnreadableMessage {
  const scanner = new JsonScanner(bytes);
  const object = scanText(scanner);
  if (scanner.problem !== null) return { readable: false, reason: "unreadable", detail: describe(scanner.problem) };
  if (object === null) return { readable: false, reason: "malformed", detail: "JSON, but not an object" };
  return { readable: true, bytes, open: object.open, close: object.close, members: object.members };
}

/** Scans the whole text; the object it is, null where it is something else or the scanner met a problem. */
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
