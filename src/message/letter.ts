/**
 * A dead letter: the message as it lies in the DLQ, and the one in it that is replayed. Without `unwrap` both are the same. With it,
 * a consumer wraps what failed in an envelope of its own (Resque, Laravel), and the value of one of its members is replayed. Three details
 * matter:
 *
 * - A path is always from the whole message. Behind the path of `unwrap` it goes on inside the inner message, also if that is text.
 * - A stamp inside is a member of the inner message, because nothing else comes back in the next envelope. So the inner message must be an
 *   object. If stamps are recorded beside the messages, it may be any value.
 * - The dead list keeps the whole message, with the stamp of its death at the top.
 *
 * Pure.
 */
import { viewBytes } from "./byte_slab.ts";
import { cutRanges, editMessage, findCuts } from "./edit.ts";
import { type JsonMember, type JsonObject, stringOf } from "./json_object.ts";
import { findAt, formatMemberPath, isBelow, type MemberPath, type MemberRef } from "./member_path.ts";
import { readMessage } from "./read_message.ts";
import { literalOffsets } from "./string_literal.ts";

/** A readable message of a DLQ or a dead list. */
export interface Letter {
  readonly whole: JsonObject;
  /** The bytes to replay, before members are cut from them; `null` if there are none (see `problem`). */
  readonly content: Uint8Array | null;
  /** These bytes as an object; `null` if they are not one (see `problem`). */
  readonly inner: JsonObject | null;
  /** Why there is no inner object, in words, without any content of the message; empty: there is one. */
  readonly problem: string;
  /** The path from the whole message to the inner one; `null`: they are the same. */
  readonly unwrap: MemberPath | null;
}

/** Opens a readable message. Never throws; linear in the number of bytes. */
export function openLetter(whole: JsonObject, unwrap: MemberPath | null): Letter {
  if (unwrap === null) return openReplayed(whole, null);
  const name = `member ${JSON.stringify(formatMemberPath(unwrap))} to unwrap`, member = findAt(whole, unwrap);
  const unopened = (problem: string, content: Uint8Array | null = null): Letter => ({
    ...{ whole, content, inner: null, problem: `${name} is ${problem}`, unwrap },
  });
  if (member === null) return unopened("missing");
  const content = unwrapValue(member);
  if (content === null) return unopened("text with half a surrogate pair");
  const inner = readMessage(content);
  // The stamp is a member, so nothing but an object can carry it.
  const problem = `${kindOf(member)}: only an object, or text that is one, can carry the stamp`;
  return inner.readable ? { whole, content, inner, problem: "", unwrap } : unopened(problem, content);
}

/** Opens a message of the target, where the inner message lies alone. */
export function openReplayed(inner: JsonObject, unwrap: MemberPath | null): Letter {
  return { whole: inner, content: inner.bytes, inner, problem: "", unwrap };
}

/** Finds a member by its path from the whole message; `null`: there is no such member. */
export function findIn({ whole, inner, unwrap }: Letter, ref: MemberRef): JsonMember | null {
  if (unwrap === null || !isBelow(ref, unwrap)) return findAt(whole, ref);
  return inner === null ? null : findAt(inner, ref.slice(unwrap.length));
}

/** Returns the whole message without these members of its inner one. Lossless, also if that is text: no literal is written anew. */
export function cutInner({ whole, inner, unwrap }: Letter, cut: readonly MemberRef[]): Uint8Array {
  if (unwrap === null) return editMessage(whole, { cut, append: [] });
  const member = findAt(whole, unwrap);
  if (inner === null || member === null) return whole.bytes;
  if (!isText(member)) return editMessage(whole, { cut: cut.map((ref) => unwrap.concat(ref)), append: [] });
  const { ranges } = findCuts(inner, cut),
    ends = literalOffsets(member, ranges.flatMap(({ start, end }) => [start, end]));
  return cutRanges(whole.bytes, ranges.map((_, i) => ({ start: ends[2 * i]!, end: ends[2 * i + 1]! })));
}

/** The bytes of a value that go to the target: of text what it says, of anything else the value as it stands. `null`: it is no UTF-8. */
function unwrapValue(member: JsonMember): Uint8Array | null {
  const { bytes, valueStart, valueEnd } = member, text = stringOf(member);
  if (text === null) return viewBytes(bytes, { start: valueStart, end: valueEnd });
  return text.isWellFormed() ? new TextEncoder().encode(text) : null;
}

const KINDS: Readonly<Record<string, string>> = {
  '"': "text that is not a JSON object",
  "[": "an array",
  t: "a boolean",
  f: "a boolean",
  n: "null",
};

function kindOf({ bytes, valueStart }: JsonMember): string {
  return KINDS[String.fromCharCode(bytes[valueStart]!)] ?? "a number";
}

function isText({ bytes, valueStart }: JsonMember): boolean {
  return bytes[valueStart] === 0x22;
}
