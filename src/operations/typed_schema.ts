/** Pieces of TypeBox schemas for the input and output of operations. */
import Type from "typebox";

/** Option of an object: no members beyond those listed. */
export const STRICT = { additionalProperties: false };
/** Schema of a whole number, 0 or more. */
export const WHOLE = Type.Integer({ minimum: 0 });
/** Schema of an instant in ISO 8601, UTC. */
export const INSTANT = Type.String({ pattern: "^\\d{4,6}-\\d{2}-\\d{2}T[\\d:.]+Z$" });

/** Schema of a value or null. */
export function orNull<Schema extends Type.TSchema>(schema: Schema): Type.TUnion<[Schema, Type.TNull]> {
  return Type.Union([schema, Type.Null()]);
}
