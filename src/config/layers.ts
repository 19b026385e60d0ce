/** Finds a setting's text: the environment before `.env`, a name before its aliases, in a value or a file. */
import { parse } from "dotenv";
import type { Field } from "./field.ts";
import { knownVariables, type SettingKey, variablesOf } from "./fields.ts";
import { quote } from "./redact.ts";
import type { NotifyParser } from "./notify.ts";
import type { SourcesFile, SourcesParser } from "./sources.ts";

/** Variables and their texts. May hold any name, `__proto__` included. */
export type Variables = Readonly<Record<string, string>>;

/** Everything that settings are read from. */
export interface Layers {
  /** The real environment. */
  readonly environment: Variables;
  /** The parsed variables of `.env`. */
  readonly dotEnv: Variables;
  /** Reads the file that a `NAME_FILE` variable names. Throws when it cannot. */
  readonly readFile: (path: string) => string;
  /** Reads the sources file. Throws when it cannot. Default: `readFile`. */
  readonly readSourcesFile?: (path: string) => string;
  /** Parses the sources file. Needed only if one is named. */
  readonly parseSources?: SourcesParser;
  /** The sources, if they do not come from a file. */
  readonly sourcesFile?: SourcesFile;
  /** Parses the notify file. Needed only if one is named. */
  readonly parseNotify?: NotifyParser;
  /** Names of all gates, for the notify file. Default: they are not checked. */
  readonly gates?: readonly string[];
  /** Path of `.env`; empty or absent if there is none. */
  readonly dotEnvPath?: string;
  /** A file's permission bits. Default: only its owner has access. */
  readonly fileMode?: (path: string) => number;
}

/** Where a value was found. */
export type LayerName = "environment" | ".env";

/** Where a setting's value comes from. `variable` is the name that was used: an alias, or a `NAME_FILE`. */
export interface Origin {
  readonly layer: "default" | LayerName;
  readonly variable: string;
}

/** Every setting's origin. */
export type Origins = Readonly<Record<SettingKey, Origin>>;

/** A setting's text and where it was found. */
export interface Found {
  readonly variable: string;
  readonly layer: LayerName;
  readonly text: string;
}

/** Problems and warnings, collected while settings are read. */
export interface Notes {
  readonly problems: string[];
  readonly warnings: string[];
}

/**
 * Finds a field's text: the environment before `.env`, and within each the name before its aliases. An empty value counts as
 * unset; in the environment it also hides the same name in `.env`. Warns when two names have different values.
 */
export function findText(field: Field<unknown>, layers: Layers, notes: Notes): Found | undefined {
  const found = [
    ...variablesOf(field).map((name) => readVariable(name, "environment", layers)),
    ...variablesOf(field).map((name) => readVariable(name, ".env", layers)),
  ].flatMap((one) => one ? [one] : []);
  const texts = found.flatMap((one) => resolve(one, { field, layers, notes }) ?? []);
  const [first, ...others] = texts;
  for (const other of others) {
    if (first && other.text !== first.text) {
      notes.warnings.push(`${other.variable} differs from ${first.variable} and is ignored: unset one of them`);
    }
  }
  return first;
}

function readVariable(variable: string, layer: LayerName, layers: Layers): Found | undefined {
  const hidden = layer === ".env" && Object.hasOwn(layers.environment, variable);
  const values = layer === ".env" ? layers.dotEnv : layers.environment;
  if (hidden || !Object.hasOwn(values, variable)) return undefined;
  return { variable, layer, text: values[variable]! };
}

/** Maximum characters of a value. Patterns are slow on longer ones. */
export const MAX_VALUE_CHARACTERS = 8_192;

/** Tidies the text, and reads the file if it names one. */
function resolve(
  found: Found,
  { field, layers, notes }: { field: Field<unknown>; layers: Layers; notes: Notes },
): Found | undefined {
  if (isTooLong(found, notes)) return undefined;
  const isFile = field.inFile && found.variable.endsWith("_FILE");
  const text = found.layer === "environment"
    ? tidy(found, { commentable: field.commentable || isFile, notes })
    : found.text;
  if (text.trim() === "") return undefined;
  return isFile ? readSecretFile({ ...found, text: text.trim() }, { layers, notes }) : { ...found, text };
}

function readSecretFile(found: Found, { layers, notes }: { layers: Layers; notes: Notes }): Found | undefined {
  try {
    const text = layers.readFile(found.text).replace(/\r?\n$/, "");
    if (isTooLong({ ...found, text }, notes)) return undefined;
    notes.warnings.push(...warnOfReaders(`${found.variable} ${quotePath(found.text)}`, found.text, layers));
    if (!isText(text)) notes.problems.push(`${found.variable} ${quotePath(found.text)} is not UTF-8 text`);
    else if (text.trim() !== "") return { ...found, text };
    else notes.problems.push(`${found.variable} ${quotePath(found.text)} is empty`);
  } catch (error) {
    notes.problems.push(`${found.variable} ${quotePath(found.text)} cannot be read: ${errorName(error)}`);
  }
  return undefined;
}

/** Warns if every user of the machine can read a file with a secret. `what` names the file. */
export function warnOfReaders(what: string, path: string, { fileMode }: Pick<Layers, "fileMode">): string[] {
  const mode = fileMode?.(path) ?? 0;
  return (mode & 0o004) === 0
    ? []
    : [`${what} is readable by every user (mode ${showMode(mode)}): change the mode to 0400`];
}

/** Permission bits as `chmod` takes them. */
export function showMode(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** Invalid UTF-8 was decoded to U+FFFD. UTF-16 without a byte order mark is full of NUL. */
function isText(text: string): boolean {
  return !/[\uFFFD\0]/.test(text);
}

/** Quotes the path of a secret's file. A text without a folder is redacted: it may be the secret itself, set by mistake. */
export function quotePath(text: string): string {
  return text.includes("/") ? quote(text) : "[redacted]";
}

function isTooLong({ variable, text }: Found, notes: Notes): boolean {
  const isLong = text.length > MAX_VALUE_CHARACTERS;
  if (isLong) {
    notes.problems.push(
      `${variable} is ${text.length} characters long; the maximum is ${MAX_VALUE_CHARACTERS}`,
    );
  }
  return isLong;
}

/** An error's name. Its message may repeat the file's path or content. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

/**
 * Removes what systemd and Docker leave in a value, unlike a shell or dotenv: a comment after white space, and quotes around
 * the whole value. Passwords and keys only cause a warning, because both may be part of them.
 */
function tidy(found: Found, { commentable, notes }: { commentable: boolean; notes: Notes }): string {
  const { variable, text } = found;
  const quoted = /^\s*(["'])(.*)\1\s*(?:#.*)?$/s.exec(text);
  const tidied = quoted ? quoted[2]! : text.replace(/(?<!\S)#.*$/s, "").trimEnd();
  if (tidied.trim() === text.trim()) return text;
  if (!commentable && !/^\s*#\s/.test(text)) {
    notes.warnings.push(
      quoted
        ? `${variable} is used with its quotes: remove them if they are not part of the value`
        : `${variable} is used with its " #": remove the comment if it is not part of the value`,
    );
    return text;
  }
  notes.warnings.push(
    quoted
      ? `${variable} is in quotes, which are removed`
      : `${variable} has a comment after its value, which is removed`,
  );
  return tidied;
}

/** The start of UTF-16 decoded as UTF-8: an invalid byte order mark, or NUL in every other byte. */
const UTF_16 = /^(\uFFFD\uFFFD|(?:[^\0]\0){2}|(?:\0[^\0]){2})/;

/** The content of a `.env` file. */
export interface DotEnv {
  readonly variables: Variables;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Parses the text of a `.env` file. dotenv cuts an unquoted value at the first `#`, even inside a word; a warning names each
 * setting this happened to, because it may be a password. Problems: a setting that is not UTF-8, and a file in UTF-16, in which
 * no setting would be found.
 */
export function parseDotEnv(text: string): DotEnv {
  if (UTF_16.test(text)) {
    const problem = ".env is UTF-16 text: save it as UTF-8";
    return { variables: {}, problems: [problem], warnings: [] };
  }
  const known = new Set(knownVariables());
  const cut = [...text.matchAll(/^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=(?![ \t]*['"`])[^#\r\n]*(?<=\S)#/gm)]
    .map((match) => match[1]!).filter((name) => known.has(name));
  // Without blank lines and indents, on which the library takes quadratic time.
  const variables = parse(text.replace(/[\r\n]\s+/g, "\n"));
  const garbled = Object.keys(variables).filter((name) => known.has(name) && !isText(variables[name]!));
  return {
    variables,
    problems: garbled.map((name) => `${name} in .env is not UTF-8 text`),
    warnings: cut.map((name) => `${name} in .env is cut at its "#": quote the value if the "#" is part of it`),
  };
}
