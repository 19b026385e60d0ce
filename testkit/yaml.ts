/** Reads YAML as Kubernetes and compose do. */
import { parseAllDocuments } from "yaml";
import { ROOT } from "../scripts/child.ts";

/** Every document of a text, merge keys (`<<`) resolved. @throws Error with what is wrong in it, equal keys included. */
export function parseYaml<T>(text: string): T[] {
  return parseAllDocuments(text, { merge: true }).map((document) => {
    for (const problem of document.errors) throw problem;
    return document.toJS() as T;
  });
}

/** Every document of a file of the repository. */
export function readYaml<T>(path: string): T[] {
  return parseYaml(Deno.readTextFileSync(ROOT + path));
}
