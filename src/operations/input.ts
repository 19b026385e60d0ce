/** Checks the input of an operation by its schema. Callers check once, before they run it. Pure. */
import type { TSchema } from "typebox";
import { Settings } from "typebox/system";
import { Check, Default, Errors } from "typebox/value";
import { looksSecret } from "../config/redact.ts";
import { type InputProblem, invalidInput, type JsonSchema } from "./operation.ts";

/** The members of a JSON Schema (2020-12), by TypeBox or not. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** Maximum number of problems of one input: a body of 1 MiB could have as many members. */
export const MAX_PROBLEMS = 50;
// TypeBox's default is 8.
Settings.Set({ maxErrors: 4 * MAX_PROBLEMS });
const SHOWN_CHARACTERS = 80;

/** Returns the input with its defaults. @throws OperationError `invalid`, with every member that is unknown, missing or not valid */
export function checkInput<Input = Record<string, unknown>>(schema: JsonSchema, value: unknown): Input {
  const input = Default(schema as TSchema, structuredClone(value));
  if (fits(schema, input)) return input as Input;
  throw invalidInput(findProblems(schema as SchemaObject, input).slice(0, MAX_PROBLEMS));
}

/** Whether a value is valid. TypeBox checks any JSON Schema; it fills in defaults only of its own. */
export function fits(schema: JsonSchema, value: unknown): boolean {
  return Check(schema as TSchema, value);
}

type SchemaError = ReturnType<typeof Errors>[number];

/** Returns every member that is unknown, missing or not valid. Give an input with its defaults. */
export function findProblems(schema: SchemaObject, input: unknown): InputProblem[] {
  const errors = Errors(schema as unknown as TSchema, input).filter(({ keyword }) => keyword !== "boolean");
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
): InputProblem[] {
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

/** `null` for what is not shown. */
function shown(value: unknown, { writeOnly }: SchemaObject): unknown {
  if (writeOnly === true || value === undefined || (typeof value === "object" && value !== null)) return null;
  return value;
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
    string: `text${length}${pattern === undefined || description ? "" : ` that matches ${pattern}`}`,
    array: `a list${schema.maxItems === undefined ? "" : ` of at most ${schema.maxItems} items`}`,
    object: "an object",
    null: "null",
  };
  const kinds = (Array.isArray(type) ? type : [type]).flatMap((one) => words[String(one)] ?? []);
  const what = kinds.length > 0 ? kinds.join(" or ") : "a valid value";
  return typeof description === "string" ? `${what} (${description.replace(/\.$/, "")})` : what;
}
