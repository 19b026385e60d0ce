/** Reads the imports between the rooms of `src/`, for the diagram in docs/architecture.md. */
import { posix } from "node:path";
import { filesIn, ROOT } from "./child.ts";
import { roomOf, ROOMS } from "./layers.ts";

/** The rooms that each room imports, both from high to low. */
export type RoomImports = ReadonlyMap<string, readonly string[]>;

/** Reads the imports of `src/`. */
export function readRoomImports(): RoomImports {
  const imports = new Map<string, Set<string>>();
  for (const file of filesIn("src", ".ts")) {
    const from = roomOf(file.slice("src/".length));
    const targets = imports.get(from) ?? imports.set(from, new Set()).get(from)!;
    for (const [, specifier] of Deno.readTextFileSync(ROOT + file).matchAll(/\bfrom\s+"(\.{1,2}\/[^"]+)"/g)) {
      const path = posix.join(posix.dirname(file), specifier!);
      if (path.startsWith("src/")) targets.add(roomOf(path.slice("src/".length)));
    }
  }
  const downwards = ROOMS.toReversed().filter((room) => imports.has(room));
  return new Map(downwards.map((room) => [room, downwards.filter((to) => to !== room && imports.get(room)!.has(to))]));
}

/** Drops imports that another import implies, for the diagram. */
export function reduceImports(imports: RoomImports): RoomImports {
  const reaches = (from: string, to: string): boolean =>
    (imports.get(from) ?? []).some((next) => isBelow(next, from) && (next === to || reaches(next, to)));
  const isShown = (from: string, to: string) =>
    !(imports.get(from) ?? []).some((other) => other !== to && isBelow(other, from) && reaches(other, to));
  return new Map([...imports].map(([from, targets]) => [from, targets.filter((to) => isShown(from, to))]));
}

/** Follows only imports of lower rooms, because `message` and `cycle` import each other. */
function isBelow(room: string, other: string): boolean {
  return ROOMS.indexOf(room) < ROOMS.indexOf(other);
}
