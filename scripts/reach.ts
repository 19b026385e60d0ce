/** Which tests reach a file: by the imports between the files of the repository. */
import { posix } from "node:path";

/** Paths below the root, and the text of each. */
export type Sources = ReadonlyMap<string, string>;

/** What a file imports, or reads by a relative URL: text after `from`, `import`, `import(` or `new URL(`. */
const IMPORT = /(?:\bfrom\s+|\bimport\s+|\bimport\(\s*|\bnew URL\(\s*)["'](\.{1,2}\/[^"']+)["']/g;

/** The files that reach one of `targets` through imports, the targets among them. Sorted. */
export function filesThatReach(targets: readonly string[], sources: Sources): string[] {
  const importers = new Map<string, string[]>();
  for (const [path, text] of sources) {
    for (const [, specifier] of text.matchAll(IMPORT)) {
      const imported = posix.join(posix.dirname(path), specifier!);
      importers.set(imported, [...importers.get(imported) ?? [], path]);
    }
  }
  const reached = new Set(targets);
  for (const path of reached) importers.get(path)?.forEach((importer) => reached.add(importer));
  return [...reached].sort();
}

/** Test files of `folders` that reach one of `targets`. */
export function testsThatReach(
  targets: readonly string[],
  { sources, folders }: { sources: Sources; folders: readonly string[] },
): string[] {
  const isTest = (path: string) => path.endsWith("_test.ts") && folders.some((folder) => path.startsWith(`${folder}/`));
  return filesThatReach(targets, sources).filter(isTest);
}
