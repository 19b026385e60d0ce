/** The routes of the API, made from the list of operations. Pure. */
import type { AnyOperation, OperationHttp } from "../operations/operation.ts";
import type { SchemaObject } from "../operations/input.ts";
import type { Part } from "./input.ts";

/** Where the API begins. */
export const API_ROOT = "/api/v1";

/** An operation at its path. */
export interface Route {
  readonly operation: AnyOperation;
  readonly http: OperationHttp;
  /** With `{name}` for each member in the path: also its label in metrics and log. */
  readonly path: string;
  /** Whether it may change something. */
  readonly isWrite: boolean;
  /** The members of the input by the part of the request that they come from. Not among them: `http.upload`. */
  readonly members: Readonly<Record<Part, readonly string[]>>;
  /** Schema of the input, without `http.upload`. */
  readonly input: SchemaObject;
  /** Schema of the output, or of an item of the stream. */
  readonly output: SchemaObject;
}

/**
 * Creates the routes of all operations that are offered over HTTP, those without a variable in a segment first.
 * @throws RangeError if an operation's path, members or method do not fit each other
 */
export function createRoutes(operations: readonly AnyOperation[]): readonly Route[] {
  const routes = operations.flatMap((operation) => operation.http ? [createRoute(operation, operation.http)] : []);
  const taken = new Set<string>();
  for (const { path, http, operation } of routes) {
    const key = `${http.method} ${path.replaceAll(/\{\w+\}/g, "{}")}`;
    if (taken.has(key)) throw new RangeError(`Operation ${operation.name}: ${key} is taken`);
    taken.add(key);
  }
  return routes.toSorted((one, other) => sortKey(one) < sortKey(other) ? -1 : 1);
}

/** `~` sorts after every letter, so `/jobs/plan` comes before `/jobs/{id}`. */
function sortKey({ path, http }: Route): string {
  return `${path.replaceAll(/\{\w+\}/g, "~")} ${http.method}`;
}

function createRoute(operation: AnyOperation, http: OperationHttp): Route {
  const { upload } = http, [input, output] = [operation.input as SchemaObject, operation.output as SchemaObject];
  const properties = { ...input.properties as Record<string, SchemaObject> | undefined };
  const inPath = [...http.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  for (const name of [...inPath, ...upload ? [upload] : [], ...http.ifMatch ? [http.ifMatch] : []]) {
    if (!Object.hasOwn(properties, name)) {
      throw new RangeError(`Operation ${operation.name} has no input member ${name}, which its http names`);
    }
  }
  const isWrite = http.method !== "GET";
  const others = Object.keys(properties).filter((name) => !inPath.includes(name) && name !== upload);
  const hasBody = isWrite && http.method !== "DELETE" && upload === undefined;
  return {
    ...{ operation, http, isWrite, path: API_ROOT + http.path },
    members: { path: inPath, query: hasBody ? [] : others, body: hasBody ? others : [] },
    input: upload === undefined ? input : without(input, upload),
    output,
  };
}

function without(schema: SchemaObject, name: string): SchemaObject {
  const { [name]: _, ...properties } = schema.properties as Record<string, SchemaObject>;
  const required = ((schema.required ?? []) as readonly string[]).filter((one) => one !== name);
  // Keeps what marks a schema as TypeBox's: a copy by spread would lose it.
  return Object.defineProperties(Object.create(Object.getPrototypeOf(schema)), {
    ...Object.getOwnPropertyDescriptors(schema),
    properties: { value: properties, enumerable: true },
    required: { value: required, enumerable: true },
  });
}
