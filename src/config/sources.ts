/**
 * Names of sources and of their lists: what every command needs. The file of `REMEDIATION_SOURCES_PATH` and its parser are
 * in `sources_file.ts`, which is loaded only if there is a file.
 */
import type { Settings } from "./fields.ts";
import type { SourceEntry } from "./source_fields.ts";
import type { WindowEntry } from "./window_fields.ts";

/** Name of a built-in source. */
export type BuiltInName = Settings["sources"][number];

/** A parsed sources file. */
export interface SourcesFile {
  /** Declared sources and overrides of built-in ones, by source name. */
  readonly sources: ReadonlyMap<string, SourceEntry>;
  /** Windows of all sources. */
  readonly windows: readonly WindowEntry[];
}

/** A missing or empty file. */
export const NO_SOURCES_FILE: SourcesFile = { sources: new Map(), windows: [] };

/** The parsed file, or every problem with its path, value and the expected value. */
export type ParsedSources =
  | { readonly ok: true; readonly file: SourcesFile; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Parses the text of a sources file. Compares its lists with those of the built-in sources in `settings`, unless `null`. */
export type SourcesParser = (text: string, settings: Settings | null) => ParsedSources;

/** Maximum size of the file, in bytes. */
export const MAX_SOURCES_BYTES = 1_048_576;

/** The roles of a source's lists, in the order of reports. */
export const LIST_ROLES = ["dlq", "target", "dead"] as const;
/** One of {@link LIST_ROLES}. */
export type ListRole = (typeof LIST_ROLES)[number];

/** The settings that name the lists of the built-in sources. */
export const BUILT_IN_LISTS: Readonly<Record<BuiltInName, Readonly<Record<ListRole, ListSetting>>>> = {
  alerter: { dlq: "alerterDlq", target: "ingestQueue", dead: "deadList" },
  moog: { dlq: "moogDlq", target: "alertQueue", dead: "deadList" },
};
type ListSetting = "alerterDlq" | "moogDlq" | "ingestQueue" | "alertQueue" | "deadList";

/** Whether a source is built in. */
export function isBuiltIn(name: string): name is BuiltInName {
  return Object.hasOwn(BUILT_IN_LISTS, name);
}
