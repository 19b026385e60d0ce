/** Finds where a text stops to be JSON, for people who edit it by hand. */
import { JsonScanner } from "./json_scanner.ts";

/** A place in a text, both from 1, as editors count. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/**
 * Where a text stops to be JSON in UTF-8 (U+FFFD stands for bytes that were not); `end`: it breaks off; `null`: nowhere, or at a
 * word like `NaN` that Python takes for a number. Nothing out of the text is in the result.
 */
export function findSyntaxError(text: string): TextPosition | "end" | null {
  const replaced = text.indexOf("\uFFFD");
  if (replaced >= 0) return positionOf(text.slice(0, replaced));
  const bytes = new TextEncoder().encode(text);
  const scanner = new JsonScanner(bytes);
  scanner.skipSpace();
  if (scanner.skipValue(0)) scanner.skipToEnd();
  const { problem } = scanner;
  if (problem === null) return null;
  if (problem.at >= bytes.length) return "end";
  return positionOf(new TextDecoder().decode(bytes.subarray(0, problem.at)));
}

function positionOf(before: string): TextPosition {
  const lines = before.split("\n");
  return { line: lines.length, column: lines.at(-1)!.length + 1 };
}
