/** Values of members as people and queries see them: without secrets. Pure. */
import { findMember, type JsonMember, type JsonObject, numberOf, stringOf } from "./json_object.ts";
import { HIDDEN, type Mask } from "./mask.ts";

/** A value of a member; `undefined`: there is no such member, or it holds an object or an array. */
export type MemberValue = string | number | boolean | null | undefined;

/** Reads the last top-level member with that name. Its secrets are hidden. */
export function readMember(message: JsonObject, name: string, mask: Mask): MemberValue {
  const member = findMember(message, name);
  if (member === null) return undefined;
  return mask.hides(name) ? HIDDEN : valueOf(member, mask);
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
