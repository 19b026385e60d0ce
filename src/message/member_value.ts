/** Values of members as people and queries see them: without secrets. Pure. */
import { type JsonMember, numberOf, stringOf } from "./json_object.ts";
import { findIn, type Letter } from "./letter.ts";
import type { MemberRef } from "./member_path.ts";
import { HIDDEN, type Mask } from "./mask.ts";

/** A value of a member; `undefined`: there is no such member, or it holds an object or an array. */
export type MemberValue = string | number | boolean | null | undefined;

/** Reads a member. Its secrets are hidden: all of it, if it or an object on its way has the name of a secret. */
export function readMember(letter: Letter, ref: MemberRef, mask: Mask): MemberValue {
  const member = findIn(letter, ref);
  if (member === null) return undefined;
  return hides(mask, ref) ? HIDDEN : valueOf(member, mask);
}

function hides(mask: Mask, ref: MemberRef): boolean {
  return typeof ref === "string" ? mask.hides(ref) : ref.some((name) => mask.hides(name));
}

const TRUE = 0x74, FALSE = 0x66, NULL = 0x6e;

function valueOf(member: JsonMember, mask: Mask): MemberValue {
  const text = stringOf(member);
  if (text !== null) return mask.text(text);
  switch (member.bytes[member.valueStart]) {
    case TRUE:
      return true;
    case FALSE:
      return false;
    case NULL:
      return null;
    default:
      return numberOf(member) ?? undefined;
  }
}
