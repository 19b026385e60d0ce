/** Finds names that an object gives twice, which `JSON.parse` would pass over in silence. */
import type { JsonObject } from "./json_members.ts";
import { objectOf } from "./json_values.ts";
import { readMessage } from "./read_message.ts";

/**
 * The names that stand twice in one object, each as the path to it, down to objects `levels` deep (1: the outermost alone).
 * Empty where the text is no JSON object.
 */
export function findDuplicates(text: string, levels: number): readonly (readonly string[])[] {
  const message = readMessage(new TextEncoder().encode(text));
  return message.readable ? duplicatesOf(message, { levels, path: [] }) : [];
}

function duplicatesOf(object: JsonObject, at: { levels: number; path: readonly string[] }): (readonly string[])[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  const found: (readonly string[])[] = [];
  for (const member of object.members) {
    const name: string = JSON.parse(new TextDecoder().decode(object.bytes.subarray(member.keyStart, member.keyEnd)));
    const path = [...at.path, name];
    if (seen.has(name) && !twice.has(name)) {
      twice.add(name);
      found.push(path);
    }
    seen.add(name);
    const inner = at.levels > 1 ? objectOf(member) : null;
    if (inner !== null) found.push(...duplicatesOf(inner, { levels: at.levels - 1, path }));
  }
  return found;
}
