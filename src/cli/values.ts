/** Values of flags and arguments: from text to what the API takes. Pure. */
import type { Member } from "./catalog.ts";

/** Thrown for a value that cannot be used; completes "NAME is not". */
export class ValueError extends Error {
  override readonly name = "ValueError";
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3_600, d: 86_400 };

/** Parses a member's text. @throws ValueError */
export function parseValue(name: string, text: string, { kind, members, in: part }: Member): unknown {
  // A URL drops such a segment, so another address would be asked.
  if (part === "path" && /^\.{0,2}$/.test(text)) throw new ValueError("a name");
  if (name.endsWith("Seconds")) return parseSeconds(text);
  if (members?.length === 2) return parsePair(text, members as readonly [string, string]);
  if (kind === "integer" || kind === "number") {
    if (!/^-?\d{1,15}(\.\d+)?$/.test(text)) throw new ValueError("a number");
    return Number(text);
  }
  if (kind !== "object") return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new ValueError("JSON");
  }
}

/** Parses a duration: `90`, `90s`, `15m`, `2h`, `1d`: seconds. @throws ValueError */
export function parseSeconds(text: string): number {
  const [, digits, unit = "s"] = /^(\d{1,9})(s|m|min|h|d)?$/.exec(text) ?? [];
  if (digits === undefined) throw new ValueError("a duration such as 90s, 15m, 2h or 1d");
  return Number(digits) * SECONDS[unit]!;
}

/** @throws ValueError */
function parsePair(text: string, [first, second]: readonly [string, string]): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new ValueError(`${first}=${second}`);
  return { [first]: text.slice(0, at), [second]: text.slice(at + 1) };
}
