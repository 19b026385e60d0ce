/** JSON Schemas for the input and output of operations. Objects allow no members beyond those listed. */
import type { JsonSchema } from "./operation.ts";

/** A string. */
export const TEXT: JsonSchema = { type: "string" };
/** A string or null. */
export const TEXT_OR_NULL: JsonSchema = { type: ["string", "null"] };
/** An instant in ISO 8601, or null. */
export const INSTANT_OR_NULL: JsonSchema = { type: ["string", "null"], pattern: "^\\d{4}-\\d{2}-\\d{2}T[\\d:.]+Z$" };
/** A boolean. */
export const FLAG: JsonSchema = { type: "boolean" };
/** A whole number, 0 or more. */
export const COUNT: JsonSchema = { type: "integer", minimum: 0 };
/** A number or null. */
export const NUMBER_OR_NULL: JsonSchema = { type: ["number", "null"] };

/** One of these values. */
export function oneOf(values: readonly unknown[]): JsonSchema {
  return { enum: [...values] };
}

/** An array of these items. */
export function listOf(items: JsonSchema): JsonSchema {
  return { type: "array", items };
}

/** An object with these members; only the `optional` ones may be missing. */
export function objectOf(
  properties: Readonly<Record<string, JsonSchema>>,
  { optional = [] }: { optional?: readonly string[] } = {},
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

/** An object with any member names and values of one type. */
export function recordOf(values: JsonSchema): JsonSchema {
  return { type: "object", additionalProperties: values };
}
