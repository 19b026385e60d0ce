/** Finds the tests that reach a file through the imports of the repository. */
import { posix } from "node:path";

/** Paths relative to the root, with their texts. */
export type Sources = ReadonlyMap<string, string>;

/** Imports and relative URLs of a file: strings after `from`, `import`, `import(` or `new URL(`, without a query. */
const IMPORT = /(?:\bfrom\s+|\bimport\s+|\bimport\(\s*|\bnew URL\(\s*)["'](\.{1,2}\/[^"'?]+)(?:\?[^"']*)?["']/g;

/** Lists the files that reach one of `targets` through imports, including the targets, sorted. */
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

/** Lists the test files of `folders` that reach one of `targets`. */
export function testsThatReach(
  targets: readonly string[],
  { sources, folders }: { sources: Sources; folders: readonly string[] },
): string[] {
  const isTest = (path: string) => path.endsWith("_test.ts") && folders.some((folder) => path.startsWith(`${folder}/`));
  return filesThatReach(targets, sources).filter(isTest);
}
