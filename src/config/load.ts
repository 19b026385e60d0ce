/** Reads the settings: pure in {@link parseSettings}, with its IO in {@link loadSettings}. */
import {
  absolutePath,
  fileMode,
  findUnreadable,
  MAX_FILE_BYTES,
  ownUserId,
  readEnvironment,
  readFile,
  readFileIfAny,
  readTextFile,
  type TextFile,
} from "../runtime/process.ts";
import { type Field, NONE } from "./field.ts";
import { FIELDS, knownVariables, SETTING_KEYS, type SettingKey, type Settings } from "./fields.ts";
import {
  errorName,
  findText,
  type Found,
  type Layers,
  type Notes,
  type Origin,
  type Origins,
  parseDotEnv,
  showMode,
  warnOfReaders,
} from "./layers.ts";
import { parseApiKeys, type ParsedApiKeys } from "./api_keys.ts";
import { certificateProblem, pairProblem } from "./pem.ts";
import { quote, redactCredentials } from "./redact.ts";
import { readAuthority } from "./authority.ts";
import { judgeRuntime } from "./runtime_variables.ts";
import { loadNotifyParser, namesOfSources, readNotify } from "./load_notify.ts";
import type { NotifyFile } from "./notify.ts";
import { checkTogether, LIST_SETTINGS, TLS_FILES, usesMoogAuthority, usesTls } from "./rules.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { Secret } from "../runtime/secret.ts";
import {
  MAX_SOURCES_BYTES,
  NO_SOURCES_FILE,
  type ParsedSources,
  type SourcesFile,
  type SourcesParser,
} from "./sources.ts";
import { wantsSpans, warnOfUnsupported } from "./tracing.ts";
import { isServiceLink, warnOfUnknown } from "./unknown.ts";
import { warnOfVault } from "./vault.ts";

/** Settings, or all problems with them. No text shows a secret. */
export type Loaded =
  | {
    readonly ok: true;
    readonly settings: Settings;
    /** The content of the file of `REMEDIATION_SOURCES_PATH`. */
    readonly sourcesFile: SourcesFile;
    /** The content of the file of `REMEDIATION_NOTIFY_PATH`. */
    readonly notifyFile: NotifyFile;
    readonly origins: Origins;
    /** Path of the `.env` that was read; empty if none. */
    readonly dotEnvPath: string;
    readonly warnings: readonly string[];
    readonly readSecret: SecretReader;
  }
  | { readonly ok: false; readonly problems: readonly string[]; readonly warnings: readonly string[] };

/** Rereads a secret from its file; `null` if it did not come from a file. Does not throw, and shows no secret. */
export type SecretReader = (
  key: SettingKey,
) => { readonly ok: true; readonly value: Secret | null } | { readonly ok: false; readonly problem: string } | null;

/**
 * Reads the process's environment over the file `.env` in the working directory, and the files that `NAME_FILE` variables
 * name. Does not throw: problems are in the result. A `.env` that this user may not read is only a warning, because under systemd
 * it often belongs to root and has been read already; so is a folder of that name. Any other unreadable `.env` is a problem,
 * because the defaults would silently apply. `loadGates` names all gates, to check those of the notify file; it is called only if
 * there is one. `sourcesFile`: the only sources; no file is read, and no built-in source is enabled.
 */
export async function loadSettings(
  { loadGates, sourcesFile }: {
    readonly loadGates?: () => Promise<readonly string[]>;
    readonly sourcesFile?: SourcesFile;
  } = {},
): Promise<Loaded> {
  const found = readDotEnv();
  const dotEnv = parseDotEnv(found.file?.text ?? "");
  const layers = {
    ...{ environment: readEnvironment(), dotEnv: dotEnv.variables, dotEnvPath: found.path },
    ...(sourcesFile ? onlyThese(sourcesFile) : {}),
    ...{ readFile: readTextFile, readSourcesFile, fileMode },
  };
  const loaded = parseSettings({
    ...layers,
    ...(isSet(FIELDS.sourcesPath, layers) ? { parseSources: await loadParser() } : {}),
    ...(isSet(FIELDS.notifyPath, layers) ? { parseNotify: await loadNotifyParser() } : {}),
    ...(isSet(FIELDS.notifyPath, layers) && loadGates ? { gates: await loadGates() } : {}),
  });
  // Neither shown nor treated as unset: it may be the right password, or name another Redis.
  const unreadable = findUnreadable(knownVariables()).map((name) => `${name} is not UTF-8 text`);
  const problems = [...found.problems, ...dotEnv.problems, ...unreadable, ...loaded.ok ? [] : loaded.problems];
  const warnings = [...found.warnings, ...dotEnv.warnings, ...loaded.warnings];
  return loaded.ok && problems.length === 0 ? { ...loaded, warnings } : { ok: false, problems, warnings };
}

/** An empty value in the environment hides the one in `.env`. */
function onlyThese(sourcesFile: SourcesFile): Pick<Layers, "environment" | "sourcesFile"> {
  const { sources, sourcesPath } = FIELDS;
  return { environment: { ...readEnvironment(), [sources.variable]: NONE, [sourcesPath.variable]: "" }, sourcesFile };
}

function isSet(field: Field<unknown>, layers: Layers): boolean {
  return findText(field, layers, { problems: [], warnings: [] }) !== undefined;
}

/** Loads the parser of the sources file. Few installations have one, and its libraries take a fifth of the start. */
async function loadParser(): Promise<SourcesParser> {
  const { parseSources } = await import("./sources_file.ts");
  return (text, settings) => parseSources(text, settings, { nowMs: SYSTEM_CLOCK.nowMs() });
}

const DOT_ENV_EXPECTED = `a regular file of at most ${MAX_FILE_BYTES} bytes`;

/** The `.env` of the working directory, with problems and warnings about the file. `path` is empty if none was read. */
function readDotEnv(): { path: string; file?: TextFile; problems: string[]; warnings: string[] } {
  const none = { path: "", problems: [], warnings: [] };
  try {
    const file = readFileIfAny(".env");
    if (!file) return none;
    const path = absolutePath(".env");
    return { ...none, path, file, warnings: warnOfWriters(path, file) };
  } catch (error) {
    const name = errorName(error);
    if (name === "PermissionDenied" || (error as { isFolder?: boolean }).isFolder) {
      return { ...none, warnings: [`.env cannot be read and is ignored: ${name}`] };
    }
    return { ...none, problems: [`.env cannot be read: ${name} (expected: ${DOT_ENV_EXPECTED}, or no file)`] };
  }
}

/** Who can write the file decides where passwords are sent. */
function warnOfWriters(path: string, { ownerId, mode }: TextFile): string[] {
  const own = ownUserId();
  const isForeign = own !== null && ownerId !== own && ownerId !== 0;
  return [
    ...(isForeign
      ? [`${quote(path)} belongs to another user (${ownerId}), who can change every setting: change the owner`]
      : []),
    ...((mode & 0o002) === 0
      ? []
      : [`${quote(path)} is writable by every user (mode ${showMode(mode)}): run chmod o-w`]),
  ];
}

const FILE_EXPECTED = `a regular file of at most ${MAX_SOURCES_BYTES} bytes that this user may read`;

/** A regular file of bounded size, because it is reread while the service runs. */
function readSourcesFile(path: string): string {
  return readFile(path, MAX_SOURCES_BYTES).text;
}

/** Reads and parses the sources file as it is now. Does not throw; every problem and warning begins with the variable and the path. */
export async function loadSources(settings: Settings): Promise<ParsedSources> {
  return readSources(settings, { readFile: readSourcesFile, parseSources: await loadParser(), isComparable: true });
}

function readSources(
  settings: Settings,
  { readFile, parseSources = refuseToParse, isComparable }: {
    readFile: (path: string) => string;
    parseSources: SourcesParser | undefined;
    isComparable: boolean;
  },
): ParsedSources {
  const { sourcesPath } = settings;
  if (sourcesPath === "") return { ok: true, file: NO_SOURCES_FILE, warnings: [] };
  const file = `${FIELDS.sourcesPath.variable} ${quote(sourcesPath)}`;
  let text: string;
  try {
    text = readFile(sourcesPath);
  } catch (error) {
    return { ok: false, problems: [`${file} cannot be read: ${errorName(error)} (expected: ${FILE_EXPECTED})`] };
  }
  const parsed = parseSources(text, isComparable ? settings : null);
  return parsed.ok
    ? { ...parsed, warnings: parsed.warnings.map((one) => `${file}: ${one}`) }
    : { ok: false, problems: parsed.problems.map((one) => `${file}: ${one}`) };
}

function refuseToParse(): never {
  throw new TypeError("A sources file is named, but the layers have no parser for it");
}

/**
 * Turns variables into settings: defaults, under `.env`, under the environment. Reports all problems at once, each with the
 * variable, its value (never a secret's) and what is expected. Pure except for `layers.readFile`.
 * @throws TypeError if a file is named and `layers` has no parser for it
 */
export function parseSettings(layers: Layers): Loaded {
  const notes: Notes = { problems: [], warnings: [] };
  const read = SETTING_KEYS.map((key) => ({ key, ...readField(FIELDS[key], layers, notes) }));
  const names = [...Object.entries(layers.environment), ...Object.entries(layers.dotEnv)]
    .filter((one) => !isServiceLink(...one)).map(([name]) => name);
  notes.warnings.push(...warnOfUnknown(names));
  const settings = Object.freeze(Object.fromEntries(read.map(({ key, value }) => [key, value]))) as Settings;
  if (wantsSpans(settings)) notes.warnings.push(...read.flatMap(({ doubts }) => doubts), ...warnOfUnsupported(names));
  const origins = Object.fromEntries(read.map(({ key, origin }) => [key, origin])) as Origins;
  const bad = new Set(read.filter((one) => one.isBad).map((one) => one.key));
  for (const { kind, keys, text } of checkTogether(settings, origins, layers)) {
    if (!keys.some((key) => bad.has(key))) notes[kind === "problem" ? "problems" : "warnings"].push(text);
  }
  const runtime = judgeRuntime(layers.environment, settings);
  notes.problems.push(...runtime.problems);
  notes.warnings.push(...runtime.warnings, ...warnOfSecretReaders(settings, { origins, layers }));
  const isComparable = ![...LIST_SETTINGS, "sources" as const].some((key) => bad.has(key));
  const { readFile, readSourcesFile = readFile, parseSources } = layers;
  const sources: ParsedSources = layers.sourcesFile
    ? { ok: true, file: layers.sourcesFile, warnings: [] }
    : readSources(settings, { readFile: readSourcesFile, parseSources, isComparable });
  if (sources.ok) notes.warnings.push(...sources.warnings);
  else notes.problems.push(...sources.problems);
  const notify = readNotify(settings, {
    ...{ readFile, parse: layers.parseNotify, gates: layers.gates ?? null },
    ...(layers.fileMode ? { fileMode: layers.fileMode } : {}),
    sources: sources.ok ? namesOfSources(settings, sources.file) : null,
  });
  if (notify.ok) notes.warnings.push(...notify.warnings);
  else notes.problems.push(...notify.problems);
  if (notes.problems.length === 0) {
    notes.warnings.push(...warnOfVault(settings));
    notes.problems.push(...checkTlsFiles(settings, layers));
  }
  if (notes.problems.length === 0) notes.problems.push(...checkMoogAuthority(settings, layers));
  const keyFile = readApiKeysFile(settings, layers.readFile);
  notes.problems.push(...keyFile.ok ? [] : keyFile.problems);
  const { problems, warnings } = notes;
  if (!sources.ok || !notify.ok || problems.length > 0) return { ok: false, problems, warnings };
  const readSecret = createSecretReader(layers, origins), { dotEnvPath = "" } = layers;
  return {
    ok: true,
    settings,
    sourcesFile: sources.file,
    notifyFile: notify.file,
    origins,
    dotEnvPath,
    warnings,
    readSecret,
  };
}

function createSecretReader(layers: Layers, origins: Origins): SecretReader {
  return (key) => {
    const field: Field<unknown> = FIELDS[key];
    if (!field.secret || !origins[key].variable.endsWith("_FILE")) return null;
    const notes: Notes = { problems: [], warnings: [] };
    const { value } = readField(field, layers, notes);
    const [problem] = notes.problems;
    return problem === undefined ? { ok: true, value: value as Secret | null } : { ok: false, problem };
  };
}

/** Warns of a `.env` with secrets, or a client key, that every user can read. */
function warnOfSecretReaders(
  settings: Settings,
  { origins, layers }: { origins: Origins; layers: Layers },
): string[] {
  const { dotEnvPath = "" } = layers, { redisClientKeyPath: key, apiKeysPath: keys } = settings;
  const secrets = SETTING_KEYS.filter((key) => FIELDS[key].secret && origins[key].layer === ".env")
    .map((key) => origins[key].variable).filter((name) => !name.endsWith("_FILE"));
  const holding = `${quote(dotEnvPath)} holds ${secrets.join(", ")} and`;
  return [
    ...(secrets.length > 0 ? warnOfReaders(holding, dotEnvPath, layers) : []),
    ...(keys === "" ? [] : warnOfReaders(`${FIELDS.apiKeysPath.variable} ${quote(keys)}`, keys, layers)),
    ...(key === "" ? [] : warnOfReaders(`${FIELDS.redisClientKeyPath.variable} ${quote(key)}`, key, layers)),
  ];
}

/** A field's value, or its default if it is unset or invalid (`isBad`; `doubts` for a lenient field). */
function readField(field: Field<unknown>, layers: Layers, notes: Notes) {
  const found = findText(field, layers, notes);
  const value = found && field.parse(found.text);
  if (!found || (value === undefined && field.lenient)) {
    const doubts = found ? [`${describeProblem(field, found)}; the default is used`] : [];
    const origin: Origin = { layer: "default", variable: field.variable };
    return { value: field.default, origin, isBad: false, doubts };
  }
  const isBad = value === undefined;
  if (isBad) notes.problems.push(describeProblem(field, found));
  const origin: Origin = { layer: found.layer, variable: found.variable };
  return { value: isBad ? field.default : value, origin, isBad, doubts: [] };
}

function describeProblem(field: Field<unknown>, { variable, text }: Found): string {
  const hint = text.startsWith("tcp://") ? " (Kubernetes sets this for a Service of that name: set it explicitly)" : "";
  return `${variable} ${field.secret ? "[redacted]" : quote(text)} is not ${field.expected}${hint}`;
}

/** A setting as its variable would say it: secrets redacted, credentials cut out of URLs, `""` if nothing is set. */
export function showValue(settings: Settings, key: SettingKey): string {
  const value = settings[key], field: Field<unknown> = FIELDS[key];
  if (value instanceof Secret) return String(value);
  if (Array.isArray(value) && value.length === 0) return NONE;
  return redactCredentials(field.format(value));
}

/** Checks certificates and keys, which are reread at every connection, together with all other settings. */
function checkTlsFiles(settings: Settings, { readFile }: Layers): string[] {
  if (!usesTls(settings)) return [];
  const problems: string[] = [], texts = new Map<typeof TLS_FILES[number], string>();
  const complain = (key: typeof TLS_FILES[number], problem: string) =>
    problems.push(`${FIELDS[key].variable} ${quote(settings[key])} ${problem}`);
  for (const key of TLS_FILES.filter((key) => settings[key] !== "")) {
    try {
      texts.set(key, readFile(settings[key]));
    } catch (error) {
      complain(key, `cannot be read: ${errorName(error)}`);
    }
  }
  const [ca, cert, key] = TLS_FILES.map((one) => texts.get(one));
  const caProblem = ca === undefined ? null : certificateProblem(ca);
  if (caProblem !== null) complain("redisCaCertPath", `cannot be used: ${caProblem}`);
  const pair = cert === undefined || key === undefined ? null : pairProblem(cert, key);
  if (pair) {
    complain(pair.file === "cert" ? "redisClientCertPath" : "redisClientKeyPath", `cannot be used: ${pair.text}`);
  }
  return problems;
}

/** Reads the file with the keys of the API; no keys if none is named. Does not throw; problems name variable and path. */
export function readApiKeysFile(
  { apiKeysPath: path }: Pick<Settings, "apiKeysPath">,
  readFile: (path: string) => string = readTextFile,
): ParsedApiKeys {
  if (path === "") return { ok: true, keys: [] };
  const file = `${FIELDS.apiKeysPath.variable} ${quote(path)}`;
  try {
    const parsed = parseApiKeys(readFile(path), "file");
    return parsed.ok ? parsed : { ok: false, problems: parsed.problems.map((one) => `${file} ${one}`) };
  } catch (error) {
    return { ok: false, problems: [`${file} cannot be read: ${errorName(error)}`] };
  }
}

function checkMoogAuthority(settings: Settings, { readFile }: Layers): string[] {
  if (!usesMoogAuthority(settings)) return [];
  const { problem } = readAuthority(settings.moogCaCertPath, { name: FIELDS.moogCaCertPath.variable, readFile });
  return problem === undefined ? [] : [problem];
}
