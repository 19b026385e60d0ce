/** Parses the file that `REMEDIATION_SOURCES_PATH` names, and finds what does not go together in it. Pure. */
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
import { describePlace, readYaml, type YamlPath, type YamlPlaces, type YamlProblem } from "./yaml_text.ts";

/** A built-in source's name. */
export type BuiltInName = Settings["sources"][number];

/** What a sources file says: entries by the source's name, declared ones and overrides of built-in ones. */
export type SourcesFile = ReadonlyMap<string, SourceEntry>;

/** No file, or one that says nothing. */
export const NO_SOURCES_FILE: SourcesFile = new Map();

/** What a file says, or all that is wrong with it, each with its path, value and what is wanted. */
export type ParsedSources =
  | { readonly ok: true; readonly file: SourcesFile; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** A name of a source. */
export const SOURCE_NAME_PATTERN = "^[a-z][a-z0-9_-]{0,31}$";
/** Most sources of one file: each has loops, connections' time and metrics of its own. */
export const MAX_SOURCES = 100;
/** Largest file that is read, in bytes. */
export const MAX_SOURCES_BYTES = 1_048_576;
/** Most problems that are told one by one: a file of a megabyte would fill the log. */
export const MAX_PROBLEMS = 100;
/** What the file must be, to be read after "is not". */
const FILE_WANTS = 'an object {"sources": {…}}';
/** The file, its `sources`, and one source: objects in which a name must not stand twice. */
const LEVELS = 3;
const SOURCES_WANTS = "an object with a member for each source";

/** The lists of a source: its roles in the order in which they are told. */
export const LIST_ROLES = ["dlq", "target", "dead"] as const;
type ListRole = (typeof LIST_ROLES)[number];

const ROLE_WORDS: Readonly<Record<ListRole, string>> = { dlq: "DLQ", target: "target", dead: "dead list" };

/** Which settings name the lists of the built-in sources. */
export const BUILT_IN_LISTS: Readonly<Record<BuiltInName, Readonly<Record<ListRole, ListSetting>>>> = {
  alerter: { dlq: "alerterDlq", target: "ingestQueue", dead: "deadList" },
  moog: { dlq: "moogDlq", target: "alertQueue", dead: "deadList" },
};
type ListSetting = "alerterDlq" | "moogDlq" | "ingestQueue" | "alertQueue" | "deadList";

/** Whether a source is one of the built-in ones. */
export function isBuiltIn(name: string): name is BuiltInName {
  return Object.hasOwn(BUILT_IN_LISTS, name);
}

/** The file as TypeBox and JSON Schema (2020-12) have it; that no list has two roles they cannot say. */
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
 * Parses the text of a sources file, YAML or JSON. Lists are compared with those of the built-in sources in `settings`; `null`: those
 * are not known, and nothing is compared. Never throws, whatever the text.
 */
export function parseSources(text: string, settings: Settings | null): ParsedSources {
  const read = readYaml(text);
  if (!read.ok) return { ok: false, problems: [describeSyntax(text, read.problem)] };
  const problems = new Problems();
  for (const { path, offset } of read.places.findDuplicates(LEVELS)) {
    problems.add(path, "stands there twice", offset);
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

/** What is wrong, in the order in which it was found, each with the path and, at the end, line and column. */
class Problems {
  readonly #all: { path: YamlPath; text: string; offset: number | undefined }[] = [];

  get count(): number {
    return this.#all.length;
  }

  /** `text` is read after the path; the empty path shows nothing. Without an offset the problem is where the path leads. */
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
    return more > 0 ? [...told, `there are ${more} more problems`] : told;
  }
}

function warnOf(name: string, { sources }: Settings): string[] {
  return isBuiltIn(name) && !sources.includes(name)
    ? [`sources.${name} has no effect: ${FIELDS.sources.variable} does not name ${name}`]
    : [];
}

/** What can be read of the file's sources, or `null` where it is no such file at all. */
function readEntries(root: unknown, problems: Problems): Map<string, SourceEntry> | null {
  if (!isObject(root)) {
    problems.addValue([], root, FILE_WANTS);
    return null;
  }
  for (const name of Object.keys(root)) {
    if (name !== "sources" && name !== "$schema") problems.add([name], "is not known: only sources is");
  }
  if (Object.hasOwn(root, "$schema") && typeof root.$schema !== "string") {
    problems.addValue(["$schema"], root.$schema, "a text");
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
      problems.add([...path, member], `is not known: one of ${SOURCE_MEMBERS.join(", ")}`);
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
    // The room that it keeps to is that of the Moog forwarder, which other sources do not feed.
    problems.addValue([...path, "maxPerSecond"], "auto", SOURCE_FIELDS.maxPerSecond.wants);
  }
  entry.required?.forEach((member, at) => {
    if (!entry.cutOnReplay?.includes(member)) return;
    const cut = formatPath([...path, "cutOnReplay"]);
    problems.add([...path, "required", at], `${showValue(member)} is in ${cut} too: no replay could succeed`);
  });
}

/** With the built-in sources off, a file that only overrides them leaves nothing to do. */
function checkCount(entries: SourcesFile, { settings, problems }: Comparison): void {
  if (settings.sources.length > 0 || [...entries.keys()].some((name) => !isBuiltIn(name))) return;
  const none = `and ${FIELDS.sources.variable} is none: there would be no source at all`;
  problems.add(["sources"], `names no source of its own, ${none}`);
}

interface Comparison {
  readonly settings: Settings;
  readonly problems: Problems;
}

/** One list of a source that is on, and where its name comes from. */
interface NamedList {
  readonly source: string;
  readonly role: ListRole;
  readonly key: string;
  /** The variable, or the path in the file. */
  readonly from: string | YamlPath;
}

/** A list has one role, and a DLQ belongs to one source: so nothing is moved into any DLQ, and no dead message is worked on. */
function checkLists(entries: SourcesFile, { settings, problems }: Comparison): void {
  const names = [...settings.sources, ...[...entries.keys()].filter((name) => !isBuiltIn(name))];
  const lists = names.flatMap((name) => listsOf(name, { entry: entries.get(name) ?? {}, settings }));
  // What the alerter is fed goes on into the forwarder's queue, whether or not the source moog is on.
  if (names.includes("alerter") && !names.includes("moog")) {
    lists.push({ source: "moog", role: "target", key: settings.alertQueue, from: FIELDS.alertQueue.variable });
  }
  const pairs = lists.flatMap((one, at) => lists.slice(at + 1).map((other) => [one, other] as const));
  for (const [one, other] of pairs.filter(([one, other]) => one.key === other.key && isClash(one, other))) {
    // The one that the file names is told first; what it does not name at all the settings' own rules tell.
    const [first, second] = typeof other.from === "string" ? [one, other] : [other, one];
    if (typeof first.from === "string") continue;
    const from = typeof second.from === "string" ? second.from : formatPath(second.from);
    const role = `the ${ROLE_WORDS[second.role]} of source ${formatPath([second.source])} (${from})`;
    problems.add(first.from, `${quote(first.key)} is also ${role}: it needs a list of its own`);
  }
}

/** Sources may share a target or a dead list. */
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

/** Why a text is no YAML, and where; `null`: it is empty. */
function describeSyntax(text: string, problem: YamlProblem | null): string {
  if (problem === null) return `it is empty and not ${FILE_WANTS}`;
  return `it cannot be read as YAML or JSON: ${problem.text} (${describePlace(text, problem.offset)})`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value for a problem: short, without credentials, and never what is nested in it. */
function showValue(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  return isObject(value) ? "(an object)" : String(value);
}

/** `sources.orders.required[1]`; a name that is no plain word stands in brackets and quotes, shortened; `$` is the whole file. */
function formatPath(path: YamlPath): string {
  if (path.length === 0) return "$";
  const isWord = (name: string) => /^[\w$-]{1,64}$/.test(name) && !looksSecret(name);
  return path.map((step, at) => {
    if (typeof step === "number") return `[${step}]`;
    return isWord(step) ? `${at > 0 ? "." : ""}${step}` : `[${quote(step)}]`;
  }).join("");
}
