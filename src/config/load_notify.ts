/** Reads the notify file (`REMEDIATION_NOTIFY_PATH`). Its parser is loaded only if there is a file. */
import { fileMode, readTextFile } from "../runtime/process.ts";
import { FIELDS, type Settings } from "./fields.ts";
import { errorName } from "./layers.ts";
import {
  MAX_NOTIFY_BYTES,
  NO_NOTIFY_FILE,
  type NotifyContext,
  type NotifyParser,
  type ParsedNotify,
} from "./notify.ts";
import { quote } from "./redact.ts";
import { isBuiltIn, type SourcesFile } from "./sources.ts";

const FILE_EXPECTED = `a regular file of at most ${MAX_NOTIFY_BYTES} bytes that this user may read`;

/** Loads the parser with its libraries. */
export async function loadNotifyParser(): Promise<NotifyParser> {
  return (await import("./notify_file.ts")).parseNotify;
}

/**
 * Reads and parses the notify file as it is now, and reads the secrets' files that it names to check them. Without a file the result
 * is {@link NO_NOTIFY_FILE}. Does not throw; every problem and warning begins with the variable and the path. Two results are equal
 * if their JSON is.
 */
export async function loadNotify(
  settings: Pick<Settings, "notifyPath">,
  known: Pick<NotifyContext, "gates" | "sources">,
): Promise<ParsedNotify> {
  if (settings.notifyPath === "") return { ok: true, file: NO_NOTIFY_FILE, warnings: [] };
  return readNotify(settings, { ...known, readFile: readTextFile, fileMode, parse: await loadNotifyParser() });
}

/** Reads and parses the file; see {@link loadNotify}. @throws TypeError if a file is named and `parse` is missing */
export function readNotify(
  { notifyPath }: Pick<Settings, "notifyPath">,
  { parse, ...context }: NotifyContext & { readonly parse: NotifyParser | undefined },
): ParsedNotify {
  if (notifyPath === "") return { ok: true, file: NO_NOTIFY_FILE, warnings: [] };
  const file = `${FIELDS.notifyPath.variable} ${quote(notifyPath)}`;
  let text: string;
  try {
    text = context.readFile(notifyPath);
  } catch (error) {
    return { ok: false, problems: [`${file} cannot be read: ${errorName(error)} (expected: ${FILE_EXPECTED})`] };
  }
  if (parse === undefined) throw new TypeError("A notify file is named, but the layers have no parser for it");
  const parsed = parse(text, context);
  return parsed.ok
    ? { ...parsed, warnings: parsed.warnings.map((one) => `${file}: ${one}`) }
    : { ok: false, problems: parsed.problems.map((one) => `${file}: ${one}`) };
}

/** Names of all sources that the settings and their file enable. */
export function namesOfSources({ sources }: Pick<Settings, "sources">, file: SourcesFile): readonly string[] {
  return [...sources, ...[...file.sources.keys()].filter((name) => !isBuiltIn(name))];
}
