/** The lossless edit: top-level members cut from and appended to a message, every other byte as it was. */
import { isNamed, type JsonObject } from "./json_members.ts";
import { membersText } from "./json_text.ts";

/** What to change. Both parts may be empty. */
export interface MessageEdit {
  /** Names of top-level members; every occurrence goes, however its key is escaped. */
  readonly cut: readonly string[];
  /** Members to put last, in this order: name and value, the latter as JSON text. */
  readonly append: readonly (readonly [name: string, json: string])[];
}

/** A run of bytes to keep; the end is exclusive. */
interface Run {
  start: number;
  end: number;
}

/**
 * A copy of the message's bytes with the edit done as a splice. A kept member keeps the separator before it (the first one
 * left: none), so cutting what was appended gives the bytes from before, and the order of two cuts does not matter.
 */
export function editMessage(message: JsonObject, edit: MessageEdit): Uint8Array {
  const { bytes, members } = message;
  const kept = keptRuns(message, edit.cut);
  const appended = membersText(edit.append);
  const comma = appended !== "" && kept.length > 0 ? ", " : "";
  const head = { start: 0, end: members.at(0)?.keyStart ?? message.open + 1 };
  const tail = { start: members.at(-1)?.valueEnd ?? message.open + 1, end: bytes.length };
  return concat([
    ...[head, ...kept].map((run) => bytes.subarray(run.start, run.end)),
    new TextEncoder().encode(comma + appended),
    bytes.subarray(tail.start, tail.end),
  ]);
}

/** The members that stay, each with the separator before it; neighbours make one run. */
function keptRuns({ members }: JsonObject, cut: readonly string[]): Run[] {
  const runs: Run[] = [];
  let behindPrevious = 0;
  for (const member of members) {
    if (!cut.some((name) => isNamed(member, name))) {
      const start = runs.length === 0 ? member.keyStart : behindPrevious;
      const last = runs.at(-1);
      if (last?.end === start) last.end = member.valueEnd;
      else runs.push({ start, end: member.valueEnd });
    }
    behindPrevious = member.valueEnd;
  }
  return runs;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
