/** The input of an operation from the parts of a request: path, query and body. Pure. */
import type { TSchema } from "typebox";
import { Settings } from "typebox/system";
import { Check, Default, Errors } from "typebox/value";
import { looksSecret } from "../config/redact.ts";
import { describeField, type FieldProblem, Problem } from "./problem.ts";

/** The members of a JSON Schema (2020-12), by TypeBox or not. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** Part of a request that an input member comes from. */
export type Part = "path" | "query" | "body";

/** Maximum number of problems of one request: a body of 1 MiB could have as many members. */
const MAX_PROBLEMS = 50;
// TypeBox's default is 8.
Settings.Set({ maxErrors: 4 * MAX_PROBLEMS });
const SHOWN_CHARACTERS = 80;

/** The parts of a request. Values of path and query are texts, or lists of texts for a repeated name. */
export type Parts = Readonly<Record<Part, Readonly<Record<string, unknown>>>>;

/**
 * Puts the input together: texts become what the schema says, defaults are filled in. @throws {Problem} with every member
 * that is unknown, missing or not valid
 */
export function readInput(schema: SchemaObject, parts: Parts): Record<string, unknown> {
  const texts = convert(schema, { ...parts.query, ...parts.path });
  const placeOf = (name: string): Part =>
    Object.hasOwn(parts.path, name) ? "path" : Object.hasOwn(parts.query, name) ? "query" : "body";
  const twice = Object.keys(parts.body).filter((name) => Object.hasOwn(texts, name)).map((name): FieldProblem => ({
    ...{ field: name, in: "body", value: null, wanted: `in the body: it is in the ${placeOf(name)}` },
  }));
  const input = Default(asType(schema), { ...parts.body, ...texts });
  if (twice.length === 0 && Check(asType(schema), input)) return input as Record<string, unknown>;
  const isQuery = Object.keys(parts.body).length === 0 && Object.keys(parts.query).length > 0;
  const problems = [
    ...twice,
    ...findProblems(schema, input).map((problem): FieldProblem => {
      const name = problem.field.split(/[.[]/)[0]!;
      const isKnown = [parts.path, parts.query, parts.body].some((part) => Object.hasOwn(part, name));
      return { ...problem, in: isKnown ? placeOf(name) : isQuery ? "query" : "body" };
    }),
  ].slice(0, MAX_PROBLEMS);
  throw new Problem("invalid", problems.map(describeField).join("; "), { problems });
}

/** TypeBox checks any JSON Schema; it fills in defaults only of its own. */
function asType(schema: SchemaObject): TSchema {
  return schema as unknown as TSchema;
}

function convert(schema: SchemaObject, texts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, SchemaObject>>;
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, convertText(properties[name] ?? {}, text)]),
  );
}

/**
 * What a text of path or query stands for. What does not look like it stays as it is and is refused by the schema:
 * TypeBox's own conversion takes any text for a boolean.
 */
function convertText(schema: SchemaObject, text: unknown): unknown {
  const kinds = [schema.type].flat();
  if (kinds.includes("array")) {
    return [text].flat().map((one) => convertText((schema.items ?? {}) as SchemaObject, one));
  }
  if (typeof text !== "string" || kinds.includes("string")) return text;
  const branches = (schema.anyOf ?? []) as readonly SchemaObject[];
  const fits = branches.find((branch) => Check(asType(branch), convertText(branch, text)));
  if (fits) return convertText(fits, text);
  if (kinds.includes("boolean") && /^(true|false)$/.test(text)) return text === "true";
  const isNumeric = kinds.includes("integer") || kinds.includes("number");
  return isNumeric && /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text;
}

type SchemaError = ReturnType<typeof Errors>[number];

function findProblems(schema: SchemaObject, input: unknown): Omit<FieldProblem, "in">[] {
  const errors = Errors(asType(schema), input).filter(({ keyword }) => keyword !== "boolean");
  const unions = errors.filter(({ keyword }) => keyword === "anyOf" || keyword === "oneOf");
  // What each branch of a union says is noise beside what the whole of it wants.
  const isBranch = ({ schemaPath }: SchemaError) =>
    unions.some((union) => schemaPath.startsWith(`${union.schemaPath}/${union.keyword}/`));
  const found = errors.filter((error) => !isBranch(error)).flatMap((error) => describeError(error, { schema, input }));
  const fields = new Set<string>();
  return found.filter(({ field }) => !fields.has(field) && fields.add(field));
}

function describeError(
  { keyword, schemaPath, instancePath, params }: SchemaError,
  { schema, input }: { schema: SchemaObject; input: unknown },
): Omit<FieldProblem, "in">[] {
  const path = instancePath.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const at = resolve(schema, schemaPath);
  const details = params as { additionalProperties?: readonly string[]; requiredProperties?: readonly string[] };
  const properties = (at.properties ?? {}) as Record<string, SchemaObject>;
  if (keyword === "additionalProperties") {
    const known = Object.keys(properties).join(", ");
    return (details.additionalProperties ?? []).map((name) => ({
      ...{ field: fieldName([...path, name]), value: null },
      wanted: known === "" ? "known: there are no members" : `known (known are: ${known})`,
    }));
  }
  if (keyword === "required") {
    return (details.requiredProperties ?? []).map((name) => ({
      ...{ field: fieldName([...path, name]), value: undefined, wanted: describeSchema(properties[name] ?? {}) },
    }));
  }
  const value = path.reduce<unknown>((from, name) => (from as Record<string, unknown> | null)?.[name], input);
  return [{ field: fieldName(path), value: shown(value, at), wanted: describeSchema(at) }];
}

/** The schema that a path such as `#/properties/a/items` leads to. */
function resolve(schema: SchemaObject, path: string): SchemaObject {
  const names = path.split("/").slice(1);
  return names.reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], schema) as
    | SchemaObject
    | undefined ?? {};
}

/** `a.b[2]`; an unknown name is shown only if it cannot be a secret in the wrong place. */
function fieldName(path: readonly string[]): string {
  const name = path.reduce((before, part) => {
    const text = looksSecret(part) ? "[redacted]" : part.slice(0, SHOWN_CHARACTERS);
    return /^\d+$/.test(part) ? `${before}[${part}]` : before === "" ? text : `${before}.${text}`;
  }, "");
  return name === "" ? "input" : name;
}

/** A short value as it is; the beginning of a text; `null` for what is not shown. */
function shown(value: unknown, { writeOnly }: SchemaObject): unknown {
  if (writeOnly === true || value === undefined || (typeof value === "object" && value !== null)) return null;
  return typeof value === "string" && value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value;
}

/** Describes a valid value; completes "is not". */
export function describeSchema(schema: SchemaObject): string {
  const { type, minimum, maximum, pattern, minLength, maxLength, description } = schema as Record<string, unknown>;
  const choices = (schema.enum ?? (schema.anyOf as SchemaObject[] | undefined)?.map((one) => one.const ?? one)) as
    | unknown[]
    | undefined;
  if ("const" in schema) return JSON.stringify(schema.const);
  if (choices?.every((one) => typeof one !== "object" || one === null)) return `one of ${choices.join(", ")}`;
  if (choices) return (choices as SchemaObject[]).map(describeSchema).join(" or ");
  const range = minimum === undefined && maximum === undefined
    ? ""
    : maximum === undefined
    ? ` from ${minimum}`
    : ` from ${minimum ?? "any"} to ${maximum}`;
  const length = maxLength === undefined ? "" : ` of ${minLength ?? 0} to ${maxLength} characters`;
  const words: Record<string, string> = {
    integer: `a whole number${range}`,
    number: `a number${range}`,
    boolean: "true or false",
    string: `text${length}${pattern === undefined ? "" : ` that matches ${pattern}`}`,
    array: `a list${schema.maxItems === undefined ? "" : ` of at most ${schema.maxItems} items`}`,
    object: "an object",
    null: "null",
  };
  const kinds = (Array.isArray(type) ? type : [type]).flatMap((one) => words[String(one)] ?? []);
  const what = kinds.length > 0 ? kinds.join(" or ") : "a valid value";
  return typeof description === "string" ? `${what} (${description.replace(/\.$/, "")})` : what;
}
