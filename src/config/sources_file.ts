/** Parses and validates the sources file (`REMEDIATION_SOURCES_PATH`). Pure. */
import Type from "typebox";
import { FIELDS, type Settings } from "./fields.ts";
import { looksSecret, quote } from "./redact.ts";
import {
  BUILT_IN_ENTRY,
  DECLARED_ENTRY,
  findFaults,
  SOURCE_FIELDS,
  SOURCE_MEMBERS,
  type SourceEntry,
  type SourceMember,
} from "./source_fields.ts";
import {
  BUILT_IN_LISTS,
  isBuiltIn,
  LIST_ROLES,
  type ListRole,
  type ParsedSources,
  type SourcesFile,
} from "./sources.ts";
import { describePlace, readYaml, type YamlPath, type YamlPlaces, type YamlProblem } from "./yaml_text.ts";

/** Pattern of source names. */
export const SOURCE_NAME_PATTERN = "^[a-z][a-z0-9_-]{0,31}$";
/** Maximum number of sources in a file: each has its own loop and metrics, and takes time of the connections. */
export const MAX_SOURCES = 100;
/** Maximum number of problems reported one by one: a file of 1 MiB could fill the log. */
export const MAX_PROBLEMS = 100;
/** What the file must be; completes "is not". */
const FILE_WANTS = 'an object {"sources": {…}}';
/** Depth of the objects that are searched for duplicate names: the file, its `sources`, and each source. */
const LEVELS = 3;
const SOURCES_WANTS = "an object with a member for each source";

const ROLE_WORDS: Readonly<Record<ListRole, string>> = { dlq: "DLQ", target: "target", dead: "dead list" };

/** The file's schema, for TypeBox and as JSON Schema (2020-12). It cannot express that each list has only one role. */
export const SOURCES_SCHEMA = Type.Object({
  $schema: Type.Optional(Type.String()),
  sources: Type.Object(
    Object.fromEntries(Object.keys(BUILT_IN_LISTS).map((name) => [name, Type.Optional(Type.Ref("#/$defs/builtIn"))])),
    {
      maxProperties: MAX_SOURCES,
      propertyNames: { pattern: SOURCE_NAME_PATTERN },
      additionalProperties: Type.Ref("#/$defs/declared"),
    },
  ),
}, {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Sources of mutt-remediation (REMEDIATION_SOURCES_PATH)",
  additionalProperties: false,
  $defs: { builtIn: BUILT_IN_ENTRY, declared: DECLARED_ENTRY },
});

/**
 * Parses the text of a sources file, YAML or JSON. Compares its lists with those of the built-in sources in `settings`,
 * or not at all if that is `null`. Never throws.
 */
export function parseSources(text: string, settings: Settings | null): ParsedSources {
  const read = readYaml(text);
  if (!read.ok) return { ok: false, problems: [describeSyntax(text, read.problem)] };
  const problems = new Problems();
  for (const { path, offset } of read.places.findDuplicates(LEVELS)) {
    problems.add(path, "is defined twice", offset);
  }
  const entries = readEntries(read.value, problems);
  if (entries !== null && settings !== null) {
    checkCount(entries, { settings, problems });
    checkLists(entries, { settings, problems });
  }
  if (entries === null || problems.count > 0) return { ok: false, problems: problems.tell(text, read.places) };
  const warnings = settings === null ? [] : [...entries.keys()].flatMap((name) => warnOf(name, settings));
  return { ok: true, file: entries, warnings };
}

/** Problems in the order in which they were found, each with its path, line and column. */
class Problems {
  readonly #all: { path: YamlPath; text: string; offset: number | undefined }[] = [];

  get count(): number {
    return this.#all.length;
  }

  /** Adds a problem. `text` follows the path in the message. The default of `offset` is the position of `path`. */
  add(path: YamlPath, text: string, offset?: number): void {
    this.#all.push({ path, text, offset });
  }

  addValue(path: YamlPath, value: unknown, wants: string): void {
    this.add(path, `${showValue(value)} is not ${wants}`);
  }

  tell(text: string, places: YamlPlaces): readonly string[] {
    const told = this.#all.slice(0, MAX_PROBLEMS).map(({ path, text: problem, offset = places.offsetOf(path) }) =>
      `${formatPath(path)} ${problem} (${describePlace(text, offset)})`
    );
    const more = this.count - told.length;
    return more > 0 ? [...told, `${more} more problems`] : told;
  }
}

function warnOf(name: string, { sources }: Settings): string[] {
  return isBuiltIn(name) && !sources.includes(name)
    ? [`sources.${name} has no effect: ${FIELDS.sources.variable} does not name ${name}`]
    : [];
}

/** Reads all valid members of the sources; `null` if the text is not a sources file at all. */
function readEntries(root: unknown, problems: Problems): Map<string, SourceEntry> | null {
  if (!isObject(root)) {
    problems.addValue([], root, FILE_WANTS);
    return null;
  }
  for (const name of Object.keys(root)) {
    if (name !== "sources" && name !== "$schema") problems.add([name], "is unknown: only sources is allowed");
  }
  if (Object.hasOwn(root, "$schema") && typeof root.$schema !== "string") {
    problems.addValue(["$schema"], root.$schema, "a string");
  }
  const sources = Object.hasOwn(root, "sources") ? root.sources : undefined;
  if (!isObject(sources)) {
    if (sources === undefined) problems.add(["sources"], `is missing: ${SOURCES_WANTS}`);
    else problems.addValue(["sources"], sources, SOURCES_WANTS);
    return null;
  }
  const names = Object.keys(sources);
  if (names.length > MAX_SOURCES) problems.add(["sources"], `has ${names.length} members, more than ${MAX_SOURCES}`);
  return new Map(names.slice(0, MAX_SOURCES).map((name) => [name, readEntry(name, sources[name], problems)]));
}

function readEntry(name: string, value: unknown, problems: Problems): SourceEntry {
  const path = ["sources", name];
  if (!new RegExp(SOURCE_NAME_PATTERN).test(name)) {
    problems.add(path, 'is not a source\'s name: a to z, then up to 31 of a to z, 0 to 9, "_" and "-"');
  }
  if (!isObject(value)) {
    problems.addValue(path, value, "an object");
    return {};
  }
  for (const member of Object.keys(value)) {
    if (!Object.hasOwn(SOURCE_FIELDS, member)) {
      problems.add([...path, member], `is unknown: use one of ${SOURCE_MEMBERS.join(", ")}`);
    }
  }
  const read: [SourceMember, unknown][] = [];
  for (const member of SOURCE_MEMBERS) {
    if (Object.hasOwn(value, member)) {
      const faults = findFaults(member, value[member]);
      if (faults.length === 0) read.push([member, value[member]]);
      for (const fault of faults) problems.addValue([...path, member, ...fault.path], fault.value, fault.wants);
    } else if (SOURCE_FIELDS[member].initialText === null && !isBuiltIn(name)) {
      problems.add([...path, member], `is missing: ${SOURCE_FIELDS[member].wants}`);
    }
  }
  const entry: SourceEntry = Object.fromEntries(read);
  checkEntry(entry, { name, path, problems });
  return entry;
}

function checkEntry(
  entry: SourceEntry,
  { name, path, problems }: { name: string; path: YamlPath; problems: Problems },
) {
  if (entry.maxPerSecond === "auto" && !isBuiltIn(name)) {
    // `auto` follows the rate limit of the Moog forwarder, which only built-in sources feed.
    problems.addValue([...path, "maxPerSecond"], "auto", SOURCE_FIELDS.maxPerSecond.wants);
  }
  entry.required?.forEach((member, at) => {
    if (!entry.cutOnReplay?.includes(member)) return;
    const cut = formatPath([...path, "cutOnReplay"]);
    problems.add([...path, "required", at], `${showValue(member)} is in ${cut} too: no replay could succeed`);
  });
}

/** If the built-in sources are disabled, a file that only overrides them leaves no source. */
function checkCount(entries: SourcesFile, { settings, problems }: Comparison): void {
  if (settings.sources.length > 0 || [...entries.keys()].some((name) => !isBuiltIn(name))) return;
  const none = `and ${FIELDS.sources.variable} is none: no source would be left`;
  problems.add(["sources"], `names no source of its own, ${none}`);
}

interface Comparison {
  readonly settings: Settings;
  readonly problems: Problems;
}

/** A list of an enabled source and the origin of its name. */
interface NamedList {
  readonly source: string;
  readonly role: ListRole;
  readonly key: string;
  /** The variable, or the path in the file. */
  readonly from: string | YamlPath;
}

/**
 * Checks that each list has one role and each DLQ one source: so no message moves into a DLQ, and no dead message is
 * processed.
 */
function checkLists(entries: SourcesFile, { settings, problems }: Comparison): void {
  const names = [...settings.sources, ...[...entries.keys()].filter((name) => !isBuiltIn(name))];
  const lists = names.flatMap((name) => listsOf(name, { entry: entries.get(name) ?? {}, settings }));
  // The alerter passes messages on to the forwarder's queue even if the source moog is disabled.
  if (names.includes("alerter") && !names.includes("moog")) {
    lists.push({ source: "moog", role: "target", key: settings.alertQueue, from: FIELDS.alertQueue.variable });
  }
  const pairs = lists.flatMap((one, at) => lists.slice(at + 1).map((other) => [one, other] as const));
  for (const [one, other] of pairs.filter(([one, other]) => one.key === other.key && isClash(one, other))) {
    // Report at the list that the file names. If it names neither, the rules of the settings report the clash.
    const [first, second] = typeof other.from === "string" ? [one, other] : [other, one];
    if (typeof first.from === "string") continue;
    const from = typeof second.from === "string" ? second.from : formatPath(second.from);
    const role = `the ${ROLE_WORDS[second.role]} of source ${formatPath([second.source])} (${from})`;
    problems.add(first.from, `${quote(first.key)} is also ${role}: it needs a list of its own`);
  }
}

/** Sources may share a target or a dead list, but no DLQ. */
function isClash(one: NamedList, other: NamedList): boolean {
  return one.source === other.source || one.role !== other.role || one.role === "dlq";
}

function listsOf(name: string, { entry, settings }: { entry: SourceEntry; settings: Settings }): NamedList[] {
  return LIST_ROLES.flatMap((role): NamedList[] => {
    const own = entry[role];
    if (own !== undefined) return [{ source: name, role, key: own, from: ["sources", name, role] }];
    if (!isBuiltIn(name)) return [];
    const setting = BUILT_IN_LISTS[name][role];
    return [{ source: name, role, key: settings[setting], from: FIELDS[setting].variable }];
  });
}

/** Describes a syntax error with its position; `null` means an empty file. */
function describeSyntax(text: string, problem: YamlProblem | null): string {
  if (problem === null) return `the file is empty, not ${FILE_WANTS}`;
  return `cannot parse as YAML or JSON: ${problem.text} (${describePlace(text, problem.offset)})`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Shows a value in a problem: shortened, without credentials or nested values. */
function showValue(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  return isObject(value) ? "(an object)" : String(value);
}

/**
 * Formats a path as `sources.orders.required[1]`. A name that is not a plain word is quoted in brackets and shortened;
 * `$` is the file.
 */
function formatPath(path: YamlPath): string {
  if (path.length === 0) return "$";
  const isWord = (name: string) => /^[\w$-]{1,64}$/.test(name) && !looksSecret(name);
  return path.map((step, at) => {
    if (typeof step === "number") return `[${step}]`;
    return isWord(step) ? `${at > 0 ? "." : ""}${step}` : `[${quote(step)}]`;
  }).join("");
}
