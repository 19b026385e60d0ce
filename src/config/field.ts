/** What a setting is, and the types of value that one can have. Pure. */
import { parseRedisUrl, parseServers } from "./redis_url.ts";
import { KEY_PATTERN, KEY_WANTS, LIST_KEY_PATTERN, LIST_KEY_WANTS } from "./key_names.ts";
import { parseNetwork } from "./networks.ts";
import { parsePairs } from "./pairs.ts";
import { parseProxyUrl } from "./proxy.ts";
import { Secret } from "../runtime/secret.ts";

/** Headings of the pages, in their order. */
export const GROUPS = [
  "Replay",
  "Replicas",
  "Lists",
  "Gates",
  "Pace",
  "Moogsoft",
  "HTTP proxy",
  "Redis",
  "Vault",
  "Objectives",
  "Notifications",
  "Ports and process",
  "API",
  "Command line",
  "Logs",
  "Tracing",
] as const;
/** One of {@link GROUPS}. */
export type Group = (typeof GROUPS)[number];

/** One setting: its variable, the values it takes, and its documentation. */
export interface Field<T> {
  /** The environment variable. */
  readonly variable: string;
  /** Other names of the variable; an earlier name wins. */
  readonly aliases: readonly string[];
  readonly group: Group;
  /** For users: what it does, its unit, when to change it. */
  readonly doc: string;
  /** Unit of a number, `""` where there is none. */
  readonly unit: string;
  /** The value when nothing is set. */
  readonly default: T;
  /** The default as an environment file would say it; `null` if no text means the default. */
  readonly defaultText: string | null;
  /** Name behind `mutt:config:` that overrides the value at run time, or `null`. */
  readonly dynamicKey: string | null;
  /** Whether the value is never shown. */
  readonly secret: boolean;
  /** Whether a file can hold the value (`NAME_FILE`): all secrets, except where that name is another setting. */
  readonly inFile: boolean;
  /** Whether text after white space and `#` is cut as a comment: everything but passwords and keys. */
  readonly commentable: boolean;
  /**
   * Whether an invalid value causes only a warning and the default applies. The OpenTelemetry standard requires it, and a file
   * shared with other services may hold values that only they understand.
   */
  readonly lenient: boolean;
  /** Describes a valid value; reads well after "is not". */
  readonly expected: string;
  /** Parses a text, which is never empty; `undefined` if it is invalid. */
  parse(text: string): T | undefined;
  /** The inverse of `parse`. Empty for `null`. */
  format(value: T): string;
}

interface Spec<D> {
  readonly variable: string;
  readonly aliases?: readonly string[];
  readonly group: Group;
  readonly doc: string;
  readonly default: D;
  readonly dynamicKey?: string;
  readonly lenient?: boolean;
  readonly inFile?: false;
}

/** A type of value: how to parse, print and describe it. */
export interface FieldType<T> {
  /** Describes a valid value; reads well after "is not". */
  readonly expected: string;
  readonly unit?: string;
  readonly secret?: boolean;
  readonly commentable?: boolean;
  /** Parses a text; `undefined` if it is invalid. */
  parse(text: string): T | undefined;
  /** The inverse of `parse`. Default: `String`. */
  format?(value: T): string;
}

function createField<T>(spec: Spec<T>, type: FieldType<T>): Field<T> {
  const format = (value: T) => value === null ? "" : type.format?.(value) ?? String(value);
  return {
    variable: spec.variable,
    aliases: spec.aliases ?? [],
    group: spec.group,
    doc: spec.doc,
    default: spec.default,
    defaultText: spec.default === null ? null : format(spec.default),
    dynamicKey: spec.dynamicKey ?? null,
    unit: type.unit ?? "",
    secret: type.secret ?? false,
    inFile: spec.inFile ?? type.secret ?? false,
    commentable: type.commentable ?? true,
    lenient: spec.lenient ?? false,
    expected: type.expected,
    parse: type.parse,
    format,
  };
}

const TRUE_WORDS = ["true", "1", "yes", "on"];
const FALSE_WORDS = ["false", "0", "no", "off"];

/** A boolean. The original knows only the word `true`; this takes the common words and refuses all others. */
export function boolean<D extends boolean | null>(spec: Spec<D>): Field<boolean | D> {
  return createField<boolean | D>(spec, {
    expected: "true or false (or 1/0, yes/no, on/off)",
    parse(text) {
      const word = text.trim().toLowerCase();
      return TRUE_WORDS.includes(word) ? true : FALSE_WORDS.includes(word) ? false : undefined;
    },
  });
}

/** Bounds of a number, both included. */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly unit?: string;
}

/** A whole number from `min` to `max`, decimal digits only. */
export function integer<D extends number | null>(spec: Spec<D> & Range): Field<number | D> {
  return createField<number | D>(spec, integerType(spec));
}

/** The type of {@link integer}. */
export function integerType(range: Range): FieldType<number> {
  return {
    unit: range.unit ?? "",
    expected: describeRange("a whole number", range),
    parse: (text) => parseInteger(text, range),
  };
}

/** Units that a duration may have in its variable, in milliseconds. */
const UNIT_MS = { seconds: 1_000, hours: 3_600_000 } as const;

/** Bounds of a duration in the variable's unit, both included. */
export interface DurationRange extends Range {
  readonly unit: keyof typeof UNIT_MS;
  /** Whether the variable may have decimals. Default: false. */
  readonly decimals?: boolean;
}

/** A duration. Its variable, bounds and default are in `unit`; the setting is a whole number of milliseconds. */
export function duration<D extends number | null>(spec: Spec<D> & DurationRange): Field<number | D> {
  const defaultMs = spec.default === null ? spec.default : spec.default * UNIT_MS[spec.unit];
  return createField<number | D>({ ...spec, default: defaultMs }, durationType(spec));
}

/** The type of {@link duration}. */
export function durationType({ unit, decimals = false, ...bounds }: DurationRange): FieldType<number> {
  const type = decimals ? decimalType({ ...bounds, unit }) : integerType({ ...bounds, unit });
  return {
    ...type,
    parse(text) {
      const value = type.parse(text);
      return value === undefined ? undefined : Math.round(value * UNIT_MS[unit]);
    },
    // Twelve digits: exact for whole milliseconds, and without the noise of a division.
    format: (value) => String(Number((value / UNIT_MS[unit]).toPrecision(12))),
  };
}

/** A number from `min` to `max`, with or without decimals. */
export function decimal(spec: Spec<number> & Range): Field<number> {
  return createField<number>(spec, decimalType(spec));
}

function decimalType({ min, max, unit }: Range): FieldType<number> {
  return {
    unit: unit ?? "",
    expected: describeRange("a number", { min, max, ...(unit ? { unit } : {}) }),
    parse: (text) => /^\s*\d+(\.\d+)?\s*$/.test(text) ? within(Number(text), min, max) : undefined,
  };
}

/** A whole number within a range, `undefined` for any other text. */
function parseInteger(text: string, { min, max }: Range): number | undefined {
  return /^\s*\d+\s*$/.test(text) ? within(Number(text), min, max) : undefined;
}

/** Describes a range: `a whole number from 1 to 86400 (seconds)`. */
function describeRange(what: string, { min, max, unit }: Range): string {
  return `${what} from ${min} to ${max}${unit ? ` (${unit})` : ""}`;
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}

/** The word `auto`, `min` (off), or a number from `smallest` on, with or without decimals. */
export function autoOrNumber(
  spec: Spec<"auto" | number> & Range & { smallest: number },
): Field<"auto" | number> {
  const { min, smallest, max, unit } = spec;
  return createField<"auto" | number>(spec, {
    unit: unit ?? "",
    expected: `auto, ${min} or ${describeRange("a number", { min: smallest, max, ...(unit ? { unit } : {}) })}`,
    parse(text) {
      if (text.trim().toLowerCase() === "auto") return "auto";
      if (!/^\s*\d+(\.\d+)?\s*$/.test(text)) return undefined;
      const value = Number(text);
      return value === min ? value : within(value, smallest, max);
    },
  });
}

/** One word out of a closed set, in any case. `synonyms` maps further words, in lower case. */
export function choice<T extends string, D extends T | null = T>(
  spec: Spec<D> & { choices: readonly T[]; synonyms?: ReadonlyMap<string, T> },
): Field<T | D> {
  return createField<T | D>(spec, {
    expected: `one of ${spec.choices.join(", ")}`,
    parse(text) {
      const word = text.trim().toLowerCase();
      return spec.choices.find((one) => one.toLowerCase() === word) ?? spec.synonyms?.get(word);
    },
  });
}

/** Text without control characters. */
export function text(spec: Spec<string>): Field<string> {
  return matching(spec, { pattern: /^[^\p{Cc}]+$/u, expected: "text without control characters" });
}

/** Name or prefix of a Redis key that is only read. White space is refused: it is a typo, and nothing would be found. */
export function redisKey(spec: Spec<string>): Field<string> {
  return matching(spec, { pattern: new RegExp(KEY_PATTERN, "u"), expected: KEY_WANTS });
}

/** Name of a list of a source. */
export function listKey(spec: Spec<string>): Field<string> {
  return matching(spec, { pattern: new RegExp(LIST_KEY_PATTERN, "u"), expected: LIST_KEY_WANTS });
}

/** Host name or address, without port, scheme or brackets. */
export function host(spec: Spec<string>): Field<string> {
  return matching(spec, {
    // Checks the length first: on a long run of colons the rest takes quadratic time.
    pattern: /^(?=.{1,255}$)([\w.-]{1,253}|[0-9a-f.]*:[0-9a-f:.]*:[0-9a-f:.%\w]*)$/i,
    expected: "a host name or IP address",
  });
}

/** A path of Vault, used in a URL: no `.` or `..` segment. */
export function vaultPath(spec: Spec<string>): Field<string> {
  return matching(spec, {
    pattern: /^(?!.*(?:^|\/)(?:\.{0,2})(?:\/|$))[\w./-]{1,512}$/,
    expected: "a path of letters, digits, _, - and ., separated by single /, such as secret/mutt",
  });
}

function matching(spec: Spec<string>, { pattern, expected }: { pattern: RegExp; expected: string }): Field<string> {
  return createField<string>(spec, {
    expected,
    parse(value) {
      const trimmed = value.trim();
      return pattern.test(trimmed) ? trimmed : undefined;
    },
  });
}

/** An `http:` or `https:` URL; `""` when nothing is set. */
export function httpUrl(spec: Spec<string>): Field<string> {
  return createField<string>(spec, {
    expected: "an http:// or https:// URL",
    parse(value) {
      const trimmed = value.trim();
      // `URL` silently drops line feeds and tabs.
      return /^https?:\/\/[^\p{Cc}]+$/iu.test(trimmed) && URL.canParse(trimmed) ? trimmed : undefined;
    },
  });
}

/** A proxy, as {@link parseProxyUrl} reads it; `""` when nothing is set. */
export function proxyUrl(spec: Omit<Spec<string>, "default" | "group">): Field<string> {
  return createField<string>({ ...spec, group: "HTTP proxy", default: "" }, {
    expected: "a proxy URL (http://, https:// or socks5://, without a path) or host:port",
    parse: (value) => parseProxyUrl(value.trim()) && value.trim(),
  });
}

/** A share from 0 to 1, in decimal digits. */
export function share(spec: Spec<number>): Field<number> {
  return createField<number>(spec, {
    expected: "a number from 0 to 1",
    parse: (value) => /^\s*(\d+(\.\d*)?|\.\d+)\s*$/.test(value) ? within(Number(value), 0, 1) : undefined,
  });
}

const PAIRS = "comma-separated name=value pairs (special characters percent-encoded)";

/** Names and values, as {@link parsePairs} reads them. */
export function pairs(spec: Spec<string>): Field<string> {
  return createField<string>(spec, {
    expected: PAIRS,
    parse: (value) => parsePairs(value) && value.trim(),
  });
}

/** HTTP headers that may carry a key, as {@link parsePairs} reads them. */
export function secretHeaders(spec: Omit<Spec<null>, "default">): Field<Secret | null> {
  return createField<Secret | null>({ ...spec, default: null }, {
    secret: true,
    commentable: false,
    expected: PAIRS,
    parse(value) {
      const headers = parsePairs(value);
      const isGood = headers?.every(([name, one]) =>
        /^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\t\x20-\x7e]*$/.test(one)
      );
      return isGood ? new Secret(value.trim()) : undefined;
    },
  });
}

/**
 * Where a collector of OpenTelemetry is: an http: or https: URL. Also taken is what means gRPC (other schemes, `host:port`), so
 * that there can be said what to set instead.
 */
export function collector(spec: Spec<string>): Field<string> {
  return matching(spec, {
    pattern: /^([a-z][a-z0-9+.-]*:\/\/[^\s\p{Cc}]+|[\w.-]{1,253}:\d{1,5}|\[[0-9a-f:.]+\]:\d{1,5})$/iu,
    expected: "an http:// or https:// URL",
  });
}

/** The name of an HTTP header, in lower case. */
export function headerName(spec: Spec<string>): Field<string> {
  const field = matching(spec, { pattern: /^[\w!#$%&'*+.^`|~-]{1,64}$/, expected: "the name of an HTTP header" });
  return { ...field, parse: (value) => field.parse(value)?.toLowerCase() };
}

/** A comma-separated list of origins as browsers send them: scheme and host, no path; empty when nothing is set. */
export function origins(spec: Spec<readonly string[]>): Field<readonly string[]> {
  return createField<readonly string[]>(spec, {
    expected: `${NONE} or a comma-separated list of origins such as https://console.example.com, without a path`,
    parse(value) {
      if (value.trim().toLowerCase() === NONE) return [];
      const list = value.split(",").map((part) => part.trim());
      return list.every((one) => /^https?:/.test(one) && URL.parse(one)?.origin === one) ? list : undefined;
    },
  });
}

/** A comma-separated list of addresses and networks; empty when nothing is set. */
export function networks(spec: Spec<readonly string[]>): Field<readonly string[]> {
  return createField<readonly string[]>(spec, {
    expected: `${NONE} or a comma-separated list of addresses and networks such as 10.1.2.3 or 10.0.0.0/8`,
    parse(value) {
      if (value.trim().toLowerCase() === NONE) return [];
      const list = value.split(",").map((part) => part.trim());
      return list.every((one) => parseNetwork(one) !== undefined) ? list : undefined;
    },
  });
}

/** The word for an empty list, because an empty value counts as unset. */
export const NONE = "none";

/** A comma-separated list of words out of a closed set, each once, in any case; or {@link NONE}. */
export function choicesOrNone<T extends string>(
  spec: Spec<readonly T[]> & { choices: readonly T[] },
): Field<readonly T[]> {
  return createField<readonly T[]>(spec, {
    expected: `${NONE} or a comma-separated list of ${spec.choices.join(", ")}`,
    parse(value) {
      if (value.trim().toLowerCase() === NONE) return [];
      const words = value.split(",").map((part) => spec.choices.find((one) => one === part.trim().toLowerCase()));
      return words.every((word) => word !== undefined) && new Set(words).size === words.length ? words : undefined;
    },
  });
}

/** A comma-separated list of HTTP status codes. */
export function statusCodes(spec: Spec<readonly number[]>): Field<readonly number[]> {
  return createField<readonly number[]>(spec, {
    expected: "a comma-separated list of HTTP status codes from 200 to 599",
    parse(value) {
      const codes = value.split(",").map((part) => parseInteger(part, { min: 200, max: 599 }));
      return codes.every((code) => code !== undefined) ? codes : undefined;
    },
  });
}

/** A password or key: one line, used unchanged. */
export function secret(spec: Omit<Spec<null>, "default">): Field<Secret | null> {
  return createField<Secret | null>({ ...spec, default: null }, {
    secret: true,
    commentable: false,
    expected: "one line of text without control characters",
    parse: (value) => /^[^\p{Cc}]+$/u.test(value) ? new Secret(value) : undefined,
  });
}

/** A URL of Redis, secret because it may carry a password. */
export function redisUrl(spec: Omit<Spec<null>, "default">): Field<Secret | null> {
  return createField<Secret | null>({ ...spec, default: null }, {
    secret: true,
    expected:
      "a redis://, rediss://, redis+sentinel:// or unix:/// URL without a query (special characters in the password " +
      "percent-encoded)",
    parse: (value) => parseRedisUrl(value.trim()) ? new Secret(value.trim()) : undefined,
  });
}

/** A comma-separated list of `host:port`; empty when nothing is set. */
export function servers(spec: Spec<readonly string[]>): Field<readonly string[]> {
  return createField<readonly string[]>(spec, {
    expected: `${NONE} or a comma-separated list of host:port (IPv6 in brackets, port optional)`,
    parse(value) {
      if (value.trim().toLowerCase() === NONE) return [];
      return parseServers(value) && value.split(",").map((part) => part.trim());
    },
  });
}
