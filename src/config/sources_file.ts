/** Parses and validates the sources file (`REMEDIATION_SOURCES_PATH`). Pure. */
import Type from "typebox";
import { isBelow, leadsThrough, memberPath } from "../message/member_path.ts";
import type { Push } from "../message/source_policy.ts";
import { FIELDS, type Settings } from "./fields.ts";
import { findFaults } from "./file_fields.ts";
import { describeSyntax, formatPath, isObject, Problems, showValue } from "./file_problems.ts";
import { quote } from "./redact.ts";
import {
  BUILT_IN_ENTRY,
  DECLARED_ENTRY,
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
import {
  createWindowsSchema,
  findWindowFaults,
  warnOfWindows,
  WINDOW_ENTRY,
  type WindowEntry,
  type WindowFault,
} from "./window_fields.ts";
import { readYaml, type YamlPath } from "./yaml_text.ts";

/** Pattern of source names. */
export const SOURCE_NAME_PATTERN = "^[a-z][a-z0-9_-]{0,31}$";
/** Maximum number of sources in a file: each has its own loop and metrics, and takes time of the connections. */
export const MAX_SOURCES = 100;
/** What the file must be; completes "is not". */
const FILE_WANTS = 'an object {"sources": {…}}';
/** Depth of the objects that are searched for duplicate names: the file, its `sources`, each source, its windows, and each window. */
const LEVELS = 5;
const SOURCES_WANTS = "an object with a member for each source";

const FILE_MEMBERS: readonly string[] = ["$schema", "sources", "windows"];

const ROLE_WORDS: Readonly<Record<ListRole, string>> = { dlq: "DLQ", target: "target", dead: "dead list" };

/** The file's schema, for TypeBox and as JSON Schema (2020-12). It cannot express that each list has only one role. */
export const SOURCES_SCHEMA = Type.Object({
  $schema: Type.Optional(Type.String()),
  windows: Type.Optional(createWindowsSchema("Windows of all sources.")),
  sources: Type.Optional(Type.Object(
    Object.fromEntries(Object.keys(BUILT_IN_LISTS).map((name) => [name, Type.Optional(Type.Ref("#/$defs/builtIn"))])),
    {
      maxProperties: MAX_SOURCES,
      propertyNames: { pattern: SOURCE_NAME_PATTERN },
      additionalProperties: Type.Ref("#/$defs/declared"),
    },
  )),
}, {
  anyOf: ["sources", "windows"].map((name) => ({ properties: { [name]: true }, required: [name] })),
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Sources of mutt-remediation (REMEDIATION_SOURCES_PATH)",
  additionalProperties: false,
  $defs: { builtIn: BUILT_IN_ENTRY, declared: DECLARED_ENTRY, window: WINDOW_ENTRY },
});

/**
 * Parses the text of a sources file, YAML or JSON. Compares its lists with those of the built-in sources in `settings`,
 * or not at all if that is `null`. `nowMs`: this machine's clock, to warn of windows that are over; default: none is. Never throws.
 */
export function parseSources(
  text: string,
  settings: Settings | null,
  { nowMs = 0 }: { nowMs?: number } = {},
): ParsedSources {
  const read = readYaml(text);
  if (!read.ok) return { ok: false, problems: [describeSyntax(text, { problem: read.problem, wants: FILE_WANTS })] };
  const problems = new Problems();
  for (const { path, offset } of read.places.findDuplicates(LEVELS)) {
    problems.add(path, "is defined twice", offset);
  }
  const file = readSourcesValue(read.value, { settings, problems });
  if (file === null || problems.count > 0) return { ok: false, problems: problems.tell(text, read.places) };
  const { sources, windows } = file;
  return {
    ...{ ok: true, file },
    warnings: [
      ...settings === null ? [] : [...sources.keys()].flatMap((name) => warnOf(name, settings)),
      ...warnOfOver(["windows"], windows, nowMs),
      ...[...sources].flatMap(([name, entry]) => warnOfOver(["sources", name, "windows"], entry.windows ?? [], nowMs)),
    ],
  };
}

/** Reads and checks the value of a sources file, as {@link parseSources} does; adds what is wrong. `null`: it is none at all. */
export function readSourcesValue(
  value: unknown,
  { settings, problems }: { readonly settings: Settings | null; readonly problems: Problems },
): SourcesFile | null {
  const file = readFile(value, problems);
  if (file !== null && settings !== null) {
    checkCount(file.sources, { settings, problems });
    checkLists(file.sources, { settings, problems });
  }
  return file;
}

/** Adds a problem of the value at a path. */
function addFault(path: YamlPath, fault: WindowFault, problems: Problems): void {
  const at = [...path, ...fault.path];
  if ("text" in fault) problems.add(at, fault.text);
  else problems.addValue(at, fault.value, fault.wants);
}

function warnOf(name: string, { sources }: Settings): string[] {
  return isBuiltIn(name) && !sources.includes(name)
    ? [`sources.${name} has no effect: ${FIELDS.sources.variable} does not name ${name}`]
    : [];
}

function warnOfOver(path: YamlPath, windows: readonly WindowEntry[], nowMs: number): string[] {
  return warnOfWindows(windows, nowMs).map(({ at, text }) => `${formatPath([...path, at])} ${text}`);
}

/** Reads all valid members of the file; `null` if the text is not a sources file at all. */
function readFile(root: unknown, problems: Problems): SourcesFile | null {
  if (!isObject(root)) {
    problems.addValue([], root, FILE_WANTS);
    return null;
  }
  for (const name of Object.keys(root)) {
    if (!FILE_MEMBERS.includes(name)) problems.add([name], `is unknown: use one of ${FILE_MEMBERS.join(", ")}`);
  }
  if (Object.hasOwn(root, "$schema") && typeof root.$schema !== "string") {
    problems.addValue(["$schema"], root.$schema, "a string");
  }
  const hasWindows = Object.hasOwn(root, "windows"), faults = hasWindows ? findWindowFaults(root.windows) : [];
  for (const fault of faults) addFault(["windows"], fault, problems);
  const windows = hasWindows && faults.length === 0 ? root.windows as readonly WindowEntry[] : [];
  const sources = Object.hasOwn(root, "sources") ? root.sources : hasWindows ? {} : undefined;
  if (!isObject(sources)) {
    if (sources === undefined) problems.add(["sources"], `is missing: ${SOURCES_WANTS}`);
    else problems.addValue(["sources"], sources, SOURCES_WANTS);
    return null;
  }
  const names = Object.keys(sources);
  if (names.length > MAX_SOURCES) problems.add(["sources"], `has ${names.length} members, more than ${MAX_SOURCES}`);
  const entries = names.slice(0, MAX_SOURCES).map((name) => [name, readEntry(name, sources[name], problems)] as const);
  return { sources: new Map(entries), windows };
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
      const faults = member === "windows"
        ? findWindowFaults(value[member])
        : findFaults(SOURCE_FIELDS[member], value[member]);
      if (faults.length === 0) read.push([member, value[member]]);
      for (const fault of faults) addFault([...path, member], fault, problems);
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
  if (entry.push === "RPUSH" && isBuiltIn(name)) {
    problems.addValue([...path, "push"], "RPUSH", "LPUSH, by which MUTT pushes");
  }
  checkPaths(entry, { path, problems });
  checkRecord(entry, { path, problems });
}

/** Checks the paths of members with each other. */
function checkPaths(
  { required = [], cutOnReplay = [], unwrap = null }: SourceEntry,
  { path, problems }: { path: YamlPath; problems: Problems },
) {
  const pathOf = (member: SourceMember) => formatPath([...path, member]);
  const cuts = cutOnReplay.map((text) => ({ text, cut: memberPath(text) }));
  required.forEach((member, at) => {
    const found = cuts.find(({ cut }) => leadsThrough(memberPath(member), cut));
    if (!found) return;
    const inside = found.text === member ? "" : ` with ${showValue(found.text)}`;
    const text = `${showValue(member)} is in ${pathOf("cutOnReplay")} too${inside}: no replay could succeed`;
    problems.add([...path, "required", at], text);
  });
  if (unwrap === null) return;
  cuts.forEach(({ text, cut }, at) => {
    if (isBelow(cut, memberPath(unwrap))) return;
    const why = `only the value of ${showValue(unwrap)} is replayed (${pathOf("unwrap")})`;
    problems.add([...path, "cutOnReplay", at], `${showValue(text)} is not in what is replayed: ${why}`);
  });
}

/** Checks what a source says about records beside its messages. */
function checkRecord(
  { record, recordId, recordFor, cutOnReplay = [], counter = null }: SourceEntry,
  { path, problems }: { path: YamlPath; problems: Problems },
) {
  const at = (member: SourceMember) => formatPath([...path, member]);
  if (record !== "beside") {
    for (const [member, value] of Object.entries({ recordId, recordFor })) {
      if (value !== undefined) problems.add([...path, member], `has no effect: ${at("record")} is not "beside"`);
    }
  }
  if (recordId === undefined) return;
  const id = memberPath(recordId), cut = cutOnReplay.find((text) => leadsThrough(id, memberPath(text)));
  const other = cut !== undefined ? "cutOnReplay" : counter === recordId ? "counter" : null;
  if (other === null) return;
  const inside = cut === undefined || cut === recordId ? "" : ` with ${showValue(cut)}`;
  const text = `${showValue(recordId)} is in ${
    at(other)
  } too${inside}: it would not be the same when a message comes back`;
  problems.add([...path, "recordId"], text);
}

/** If the built-in sources are disabled, a file that only overrides them leaves no source. */
function checkCount(entries: SourceEntries, { settings, problems }: Comparison): void {
  if (settings.sources.length > 0 || [...entries.keys()].some((name) => !isBuiltIn(name))) return;
  const none = `and ${FIELDS.sources.variable} is none: no source would be left`;
  problems.add(["sources"], `names no source of its own, ${none}`);
}

type SourceEntries = SourcesFile["sources"];

interface Comparison {
  readonly settings: Settings;
  readonly problems: Problems;
}

/** A list of an enabled source and the origin of its name. */
interface NamedList {
  readonly source: string;
  readonly role: ListRole;
  readonly key: string;
  readonly push: Push;
  /** The variable, or the path in the file. */
  readonly from: string | YamlPath;
}

/**
 * Checks that each list has one role and each DLQ one source: so no message moves into a DLQ, and no dead message is
 * processed.
 */
function checkLists(entries: SourceEntries, { settings, problems }: Comparison): void {
  const names = [...settings.sources, ...[...entries.keys()].filter((name) => !isBuiltIn(name))];
  const lists = names.flatMap((name) => listsOf(name, { entry: entries.get(name) ?? {}, settings }));
  // The alerter passes messages on to the forwarder's queue even if the source moog is disabled.
  if (names.includes("alerter") && !names.includes("moog")) {
    const from = FIELDS.alertQueue.variable;
    lists.push({ source: "moog", role: "target", key: settings.alertQueue, push: "LPUSH", from });
  }
  const pairs = lists.flatMap((one, at) => lists.slice(at + 1).map((other) => [one, other] as const));
  const shared = pairs.filter(([one, other]) => one.key === other.key);
  for (const [one, other] of shared.filter(([one, other]) => isClash(one, other))) {
    // Report at the list that the file names. If it names neither, the rules of the settings report the clash.
    const [first, second] = typeof other.from === "string" ? [one, other] : [other, one];
    if (typeof first.from === "string") continue;
    const from = typeof second.from === "string" ? second.from : formatPath(second.from);
    const role = `the ${ROLE_WORDS[second.role]} of source ${formatPath([second.source])} (${from})`;
    problems.add(first.from, `${quote(first.key)} is also ${role}: it needs a list of its own`);
  }
  for (const [one, other] of shared.filter(([one, other]) => !isClash(one, other) && one.push !== other.push)) {
    const [right, left] = one.push === "RPUSH" ? [one, other] : [other, one];
    const list = `the ${ROLE_WORDS[right.role]} ${quote(right.key)}`;
    problems.add(
      ["sources", right.source, "push"],
      `"RPUSH" differs from source ${formatPath([left.source])} (LPUSH), which shares ${list}`,
    );
  }
}

/** Sources may share a target or a dead list, but no DLQ. */
function isClash(one: NamedList, other: NamedList): boolean {
  return one.source === other.source || one.role !== other.role || one.role === "dlq";
}

function listsOf(name: string, { entry, settings }: { entry: SourceEntry; settings: Settings }): NamedList[] {
  const { push = "LPUSH" } = entry;
  return LIST_ROLES.flatMap((role): NamedList[] => {
    const own = entry[role];
    if (own !== undefined) return [{ source: name, role, key: own, push, from: ["sources", name, role] }];
    if (!isBuiltIn(name)) return [];
    const setting = BUILT_IN_LISTS[name][role];
    return [{ source: name, role, key: settings[setting], push, from: FIELDS[setting].variable }];
  });
}
