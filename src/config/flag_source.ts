/** A source that is described by flags instead of a file. One code path with the file: the same value goes to the same checks. Pure. */
import { defaultDeadList, sourceNameOf } from "./dlq_names.ts";
import { DEFAULT_SETTINGS } from "./fields.ts";
import { Problems } from "./file_problems.ts";
import { escapeHidden } from "../runtime/control_characters.ts";
import { isBuiltIn, type SourcesFile } from "./sources.ts";
import { readSourcesValue } from "./sources_file.ts";
import type { SourceEntry, SourceMember } from "./source_fields.ts";

/** The source as a file would name it, or every problem with the flag, its value and the expected value. */
export type FlagSource =
  | { readonly ok: true; readonly name: string; readonly entry: SourceEntry; readonly file: SourcesFile }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Checks the members that flags gave a source. There are no other sources. Without a name, or a dead list, makes one from the
 * names of the other lists. Never throws.
 */
export function readFlagSource(
  given: string | undefined,
  flags: Readonly<Partial<Record<SourceMember, unknown>>>,
): FlagSource {
  const { dlq, target } = flags;
  const name = given ?? (typeof dlq === "string" ? sourceNameOf(dlq) : "source");
  const made = typeof dlq === "string" && typeof target === "string" ? { dead: defaultDeadList({ dlq, target }) } : {};
  if (isBuiltIn(name)) {
    return { ok: false, problems: [`--name "${name}" is a built-in source of this service: use another name`] };
  }
  const problems = new Problems();
  const file = readSourcesValue({ sources: { [name]: { ...made, ...flags } } }, {
    ...{ settings: { ...DEFAULT_SETTINGS, sources: [] }, problems },
  });
  if (file !== null && problems.count === 0) return { ok: true, name, entry: file.sources.get(name)!, file };
  const all = problems.list(), others = all.filter(({ path: [, , member] }) => member !== "dead");
  // A default dead list is made from the other names. If one of those is wrong, the error about it is enough.
  const told = flags.dead === undefined && others.length > 0 ? others : all;
  return { ok: false, problems: told.map((problem) => describe(problem, name)) };
}

/** The flag that sets a member: `--max-replays` for `maxReplays`. */
export function flagOf(member: string): string {
  return `--${member.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function describe({ path, text }: ReturnType<Problems["list"]>[number], name: string): string {
  const [, , member] = path;
  const flag = typeof member === "string" ? flagOf(member) : "--name";
  // The text may point at another member by its path in a file.
  const shown = text.replaceAll(
    /\bof source \S+ \(sources\.[\w-]+\.(\w+)\)/g,
    (_, other: string) => `(${flagOf(other)})`,
  )
    .replaceAll(/\bsources\.[\w-]+\.(\w+)/g, (_, other: string) => flagOf(other));
  return flag === "--name" ? `--name ${escapeHidden(JSON.stringify(name))} ${shown}` : `${flag} ${shown}`;
}
