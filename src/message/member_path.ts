/**
 * Paths of members: the names of the objects on the way, from the outermost on, and then that of the member. As text, the names are joined
 * by dots; a dot or a backslash in a name has a backslash before it. A path leads into objects only: an array, or any other value on
 * the way, has no members. Pure.
 */
import { findMember, type JsonMember, type JsonObject } from "./json_object.ts";

/** Names from the outermost on; at least one. */
export type MemberPath = readonly string[];
/** A member: a text is the name of a top-level one, whatever characters it has; a {@link MemberPath} leads into objects. */
export type MemberRef = string | MemberPath;

/** Most names of a path. */
export const MAX_PATH_NAMES = 8;
/** Most characters of each. */
export const MAX_NAME_CHARACTERS = 128;

/** Pattern of a name, with the flag `u`. Excludes lone surrogates (`\p{Cs}`): their encoding replaces them, which would yield another key. */
export const MEMBER_NAME_PATTERN = `^[^\\p{Cc}\\p{Cs}]{1,${MAX_NAME_CHARACTERS}}$`;
const NAME = `(?:[^\\\\.\\p{Cc}\\p{Cs}]|\\\\[\\\\.]){1,${MAX_NAME_CHARACTERS}}`;
/** Pattern of a path as text, with the flag `u`. */
export const MEMBER_PATH_PATTERN = `^${NAME}(?:\\.${NAME}){0,${MAX_PATH_NAMES - 1}}$`;

const IS_PATH = new RegExp(MEMBER_PATH_PATTERN, "u");

/** Returns the pattern of all paths with the name `anywhere`, and those that begin with the name `first`. Neither needs an escape. */
export function pathsWith({ anywhere, first }: { anywhere: string; first: string }): string {
  return `^(?:(?:${NAME}\\.)*${anywhere}|${first})(?:\\.|$)`;
}

/** Parses a path; `null` if the text is not one. */
export function parseMemberPath(text: string): MemberPath | null {
  if (!IS_PATH.test(text)) return null;
  return (text.match(/(?:[^\\.]|\\.)+/gs) ?? []).map((name) => name.replace(/\\(.)/gs, "$1"));
}

/** Formats a path so that {@link parseMemberPath} gives it again. */
export function formatMemberPath(path: MemberPath): string {
  return path.map((name) => name.replace(/[\\.]/g, "\\$&")).join(".");
}

/** Returns the member that a path of the settings names. @throws {RangeError} if the text is not a path */
export function memberRef(text: string): MemberRef {
  return toRef(memberPath(text));
}

/** Returns the path that a setting names. @throws {RangeError} if the text is not a path */
export function memberPath(text: string): MemberPath {
  const path = parseMemberPath(text);
  if (path === null) throw new RangeError(`${JSON.stringify(text)} is not the path of a member`);
  return path;
}

/** The shorter form of a path with one name. */
export function toRef(path: MemberPath): MemberRef {
  return path.length === 1 ? path[0]! : path;
}

/** Whether a path leads to the member of another one, or into it. */
export function leadsThrough(path: MemberPath, outer: MemberPath): boolean {
  return path.length >= outer.length && outer.every((name, at) => path[at] === name);
}

/** Whether a path leads into the member of another one. */
export function isBelow(ref: MemberRef, outer: MemberPath): ref is MemberPath {
  return typeof ref !== "string" && ref.length > outer.length && leadsThrough(ref, outer);
}

/** Finds a member; of equal names the last one counts at each step, because Python keeps the last. `null`: there is no such member. */
export function findAt(object: JsonObject, ref: MemberRef): JsonMember | null {
  if (typeof ref === "string") return findMember(object, ref);
  let inside: JsonObject | null = object;
  for (const name of ref.slice(0, -1)) {
    const place: number = inside.members.lastIndexOf(name);
    inside = place < 0 ? null : inside.members.objectAt(place);
    if (inside === null) return null;
  }
  return findMember(inside, ref.at(-1)!);
}
