/** Builds JSON Schemas of what operations take and return. An object has the members that are named, and no others. */
import type { JsonSchema } from "./operation.ts";

/** Any text. */
export const TEXT: JsonSchema = { type: "string" };
/** A text, or nothing. */
export const TEXT_OR_NULL: JsonSchema = { type: ["string", "null"] };
/** An instant in ISO 8601, or nothing. */
export const INSTANT_OR_NULL: JsonSchema = { type: ["string", "null"], pattern: "^\\d{4}-\\d{2}-\\d{2}T[\\d:.]+Z$" };
/** Yes or no. */
export const FLAG: JsonSchema = { type: "boolean" };
/** A whole number, 0 or more. */
export const COUNT: JsonSchema = { type: "integer", minimum: 0 };
/** A number, or nothing. */
export const NUMBER_OR_NULL: JsonSchema = { type: ["number", "null"] };

/** One of these values. */
export function oneOf(values: readonly unknown[]): JsonSchema {
  return { enum: [...values] };
}

/** Any number of them, in order. */
export function listOf(items: JsonSchema): JsonSchema {
  return { type: "array", items };
}

/** An object with these members, of which only `optional` may be missing. */
export function objectOf(
  properties: Readonly<Record<string, JsonSchema>>,
  { optional = [] }: { optional?: readonly string[] } = {},
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

/** An object with a value of one kind under any name. */
export function recordOf(values: JsonSchema): JsonSchema {
  return { type: "object", additionalProperties: values };
}
