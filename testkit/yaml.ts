/** Parses YAML like Kubernetes and compose. */
import { parseAllDocuments } from "yaml";
import { ROOT } from "../scripts/child.ts";

/**
 * Parses every document of a text and resolves merge keys (`<<`). @throws Error for invalid YAML, including duplicate
 * keys
 */
export function parseYaml<T>(text: string): T[] {
  return parseAllDocuments(text, { merge: true }).map((document) => {
    for (const problem of document.errors) throw problem;
    return document.toJS() as T;
  });
}

/** Parses every document of a file of the repository. */
export function readYaml<T>(path: string): T[] {
  return parseYaml(Deno.readTextFileSync(ROOT + path));
}
