/** Problems of a handwritten file: each with its path, value, line and column, all of them at once. Pure. */
import { looksSecret, quote } from "./redact.ts";
import { describePlace, type YamlPath, type YamlPlaces, type YamlProblem } from "./yaml_text.ts";

/** Maximum number of problems reported one by one: a file of 1 MiB could fill the log. */
export const MAX_PROBLEMS = 100;

/** Problems in the order in which they were found, each with its path, line and column. */
export class Problems {
  readonly #all: { path: YamlPath; text: string; offset: number | undefined }[] = [];

  /** How many there are. */
  get count(): number {
    return this.#all.length;
  }

  /** All of them, for a value that did not come from a file. */
  list(): readonly { readonly path: YamlPath; readonly text: string }[] {
    return this.#all;
  }

  /** Adds a problem. `text` follows the path in the message. The default of `offset` is the position of `path`. */
  add(path: YamlPath, text: string, offset?: number): void {
    this.#all.push({ path, text, offset });
  }

  /** Adds a value that is not what `wants` says. */
  addValue(path: YamlPath, value: unknown, wants: string): void {
    this.add(path, `${showValue(value)} is not ${wants}`);
  }

  /** The problems in words, at most {@link MAX_PROBLEMS} of them. */
  tell(text: string, places: YamlPlaces): readonly string[] {
    const told = this.#all.slice(0, MAX_PROBLEMS).map(({ path, text: problem, offset = places.offsetOf(path) }) =>
      `${formatPath(path)} ${problem} (${describePlace(text, offset)})`
    );
    const more = this.count - told.length;
    return more > 0 ? [...told, `${more} more problems`] : told;
  }
}

/** Describes a syntax error with its position; a `problem` of `null` means an empty file. `wants`: what the file must be. */
export function describeSyntax(
  text: string,
  { problem, wants }: { problem: YamlProblem | null; wants: string },
): string {
  if (problem === null) return `the file is empty, not ${wants}`;
  return `cannot parse as YAML or JSON: ${problem.text} (${describePlace(text, problem.offset)})`;
}

/** Whether a value is an object, and no list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Shows a value in a problem: shortened, without credentials or nested values. */
export function showValue(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `(a list of ${value.length})`;
  return isObject(value) ? "(an object)" : String(value);
}

/**
 * Formats a path as `sources.orders.required[1]`. A name that is not a plain word is quoted in brackets and shortened;
 * `$` is the file.
 */
export function formatPath(path: YamlPath): string {
  if (path.length === 0) return "$";
  const isWord = (name: string) => /^[\w$-]{1,64}$/.test(name) && !looksSecret(name);
  return path.map((step, at) => {
    if (typeof step === "number") return `[${step}]`;
    return isWord(step) ? `${at > 0 ? "." : ""}${step}` : `[${quote(step)}]`;
  }).join("");
}
