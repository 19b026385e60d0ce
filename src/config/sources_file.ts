/** Parses the file that `REMEDIATION_SOURCES_PATH` names, and finds what does not go together in it. Pure. */
import { findDuplicates } from "../message/json_duplicates.ts";
import { findSyntaxError } from "../message/json_position.ts";
import { FIELDS, type Settings } from "./fields.ts";
import { looksSecret, quote } from "./redact.ts";
import {
  type JsonPath,
  type Report,
  SOURCE_FIELDS,
  SOURCE_MEMBERS,
  type SourceEntry,
  type SourceMember,
} from "./source_fields.ts";

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

/**
 * Parses the text of a sources file. Lists are compared with those of the built-in sources in `settings`; `null`: those are not
 * known, and nothing is compared. Never throws, whatever the text.
 */
export function parseSources(text: string, settings: Settings | null): ParsedSources {
  const problems: string[] = [];
  const report: Report = (path, value, wants) => void problems.push(`${path} ${showJson(value)} is not ${wants}`);
  const entries = readEntries(text, { problems, report });
  if (entries !== null && settings !== null) {
    problems.push(...checkCount(entries, settings), ...checkLists(entries, settings));
  }
  if (entries === null || problems.length > 0) return { ok: false, problems: shorten(problems) };
  const warnings = settings === null ? [] : [...entries.keys()].flatMap((name) => warnOf(name, settings));
  return { ok: true, file: entries, warnings };
}

function shorten(problems: readonly string[]): readonly string[] {
  const more = problems.length - MAX_PROBLEMS;
  return more > 0 ? [...problems.slice(0, MAX_PROBLEMS), `there are ${more} more problems`] : problems;
}

function warnOf(name: string, { sources }: Settings): string[] {
  return isBuiltIn(name) && !sources.includes(name)
    ? [`sources.${name} has no effect: ${FIELDS.sources.variable} does not name ${name}`]
    : [];
}

interface Notes {
  readonly problems: string[];
  readonly report: Report;
}

/** What can be read of the file's sources, or `null` where it is no such file at all. */
function readEntries(text: string, { problems, report }: Notes): Map<string, SourceEntry> | null {
  const root = parseJson(text);
  if (root === undefined) {
    problems.push(describeSyntax(text));
    return null;
  }
  for (const path of findDuplicates(text, LEVELS)) problems.push(`${formatPath(path)} stands there twice`);
  if (!isObject(root)) {
    report("$", root, FILE_WANTS);
    return null;
  }
  for (const name of Object.keys(root)) {
    if (name !== "sources" && name !== "$schema") problems.push(`${formatPath([name])} is not known: only sources is`);
  }
  if (Object.hasOwn(root, "$schema") && typeof root.$schema !== "string") report("$schema", root.$schema, "a text");
  const sources = Object.hasOwn(root, "sources") ? root.sources : undefined;
  if (!isObject(sources)) {
    if (sources === undefined) problems.push("sources is missing: an object with a member for each source");
    else report("sources", sources, "an object with a member for each source");
    return null;
  }
  const names = Object.keys(sources);
  if (names.length > MAX_SOURCES) problems.push(`sources has ${names.length} members, more than ${MAX_SOURCES}`);
  return new Map(
    names.slice(0, MAX_SOURCES).map((name) => [name, readEntry(name, sources[name], { problems, report })]),
  );
}

function readEntry(name: string, value: unknown, { problems, report }: Notes): SourceEntry {
  const path = formatPath(["sources", name]);
  if (!new RegExp(SOURCE_NAME_PATTERN).test(name)) {
    problems.push(`${path} is not a source's name: a to z, then up to 31 of a to z, 0 to 9, "_" and "-"`);
  }
  if (!isObject(value)) {
    report(path, value, "an object");
    return {};
  }
  for (const member of Object.keys(value)) {
    if (!Object.hasOwn(SOURCE_FIELDS, member)) {
      problems.push(`${formatPath(["sources", name, member])} is not known: one of ${SOURCE_MEMBERS.join(", ")}`);
    }
  }
  const read: [SourceMember, unknown][] = [];
  for (const member of SOURCE_MEMBERS) {
    const at = `${path}.${member}`;
    if (Object.hasOwn(value, member)) {
      const good = SOURCE_FIELDS[member].check(value[member], { path: at, report });
      if (good !== undefined) read.push([member, good]);
    } else if (SOURCE_FIELDS[member].initialText === null && !isBuiltIn(name)) {
      problems.push(`${at} is missing: ${SOURCE_FIELDS[member].wants}`);
    }
  }
  const entry: SourceEntry = Object.fromEntries(read);
  checkEntry(entry, { name, path, problems, report });
  return entry;
}

function checkEntry(entry: SourceEntry, { name, path, problems, report }: Notes & { name: string; path: JsonPath }) {
  if (entry.maxPerSecond === "auto" && !isBuiltIn(name)) {
    // The room that it keeps to is that of the Moog forwarder, which other sources do not feed.
    report(`${path}.maxPerSecond`, "auto", SOURCE_FIELDS.maxPerSecond.wants);
  }
  entry.required?.forEach((member, at) => {
    if (!entry.cutOnReplay?.includes(member)) return;
    problems.push(`${path}.required[${at}] ${showJson(member)} is in ${path}.cutOnReplay too: no replay could succeed`);
  });
}

/** With the built-in sources off, a file that only overrides them leaves nothing to do. */
function checkCount(entries: SourcesFile, settings: Settings): string[] {
  return settings.sources.length > 0 || [...entries.keys()].some((name) => !isBuiltIn(name))
    ? []
    : [`sources names no source of its own, and ${FIELDS.sources.variable} is none: there would be no source at all`];
}

/** One list of a source that is on, and where its name comes from. */
interface NamedList {
  readonly source: string;
  readonly role: ListRole;
  readonly key: string;
  readonly from: string;
}

/** A list has one role, and a DLQ belongs to one source: so nothing is moved into any DLQ, and no dead message is worked on. */
function checkLists(entries: SourcesFile, settings: Settings): string[] {
  const names = [...settings.sources, ...[...entries.keys()].filter((name) => !isBuiltIn(name))];
  const lists = names.flatMap((name) => listsOf(name, { entry: entries.get(name) ?? {}, settings }));
  // What the alerter is fed goes on into the forwarder's queue, whether or not the source moog is on.
  if (names.includes("alerter") && !names.includes("moog")) {
    lists.push({ source: "moog", role: "target", key: settings.alertQueue, from: FIELDS.alertQueue.variable });
  }
  const pairs = lists.flatMap((one, at) => lists.slice(at + 1).map((other) => [one, other] as const));
  return pairs.filter(([one, other]) => one.key === other.key && isClash(one, other)).flatMap(([one, other]) => {
    // The one that the file names is told first; what it does not name at all the settings' own rules tell.
    const [first, second] = other.from.startsWith("sources") ? [other, one] : [one, other];
    if (!first.from.startsWith("sources")) return [];
    const role = `the ${ROLE_WORDS[second.role]} of source ${formatPath([second.source])} (${second.from})`;
    return [`${first.from} ${quote(first.key)} is also ${role}: it needs a list of its own`];
  });
}

/** Sources may share a target or a dead list. */
function isClash(one: NamedList, other: NamedList): boolean {
  return one.source === other.source || one.role !== other.role || one.role === "dlq";
}

function listsOf(name: string, { entry, settings }: { entry: SourceEntry; settings: Settings }): NamedList[] {
  return LIST_ROLES.flatMap((role): NamedList[] => {
    const own = entry[role];
    if (own !== undefined) return [{ source: name, role, key: own, from: formatPath(["sources", name, role]) }];
    if (!isBuiltIn(name)) return [];
    const setting = BUILT_IN_LISTS[name][role];
    return [{ source: name, role, key: settings[setting], from: FIELDS[setting].variable }];
  });
}

/** Why a text is no JSON, and where. */
function describeSyntax(text: string): string {
  if (text.trim() === "") return `it is empty and not ${FILE_WANTS}`;
  const at = findSyntaxError(text);
  if (at === null) return "it is not JSON (in UTF-8)";
  return at === "end"
    ? "it is not JSON (in UTF-8): it breaks off before its end"
    : `it is not JSON (in UTF-8) from line ${at.line}, column ${at.column} on`;
}

/** The value of a JSON text; `undefined` for any other. U+FFFD stands where the file was not UTF-8. */
function parseJson(text: string): unknown {
  if (text.includes("\uFFFD")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value for a problem: short, without credentials, and never what is nested in it. */
function showJson(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  return isObject(value) ? "(an object)" : String(value);
}

/** `sources.orders.dlq`; a name that is no plain word stands in brackets and quotes, shortened. */
function formatPath(names: readonly string[]): JsonPath {
  const isWord = (name: string) => /^[\w$-]{1,64}$/.test(name) && !looksSecret(name);
  return names.map((name, at) => isWord(name) ? `${at > 0 ? "." : ""}${name}` : `[${quote(name)}]`).join(
    "",
  );
}
