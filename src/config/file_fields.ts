/**
 * Members of objects in handwritten files. Parsers, types, JSON Schemas and tables of the documentation are generated from tables of
 * them. A member's TypeBox schema is also its JSON Schema; error texts come from the table, as for the variables. Pure.
 */
import Type, { type TSchema } from "typebox";
import { Check } from "typebox/value";

/** One member of an object. */
export interface FileField<Schema extends TSchema = TSchema> {
  /** Description for users. */
  readonly doc: string;
  /** A valid value; completes "is not". */
  readonly wants: string;
  /** A valid item of a list; completes "is not". `null` if the member is not a list. */
  readonly itemWants: string | null;
  /** Default, in words; `null` if the member is required. */
  readonly initialText: string | null;
  /** Its TypeBox schema, which is also JSON Schema (2020-12). */
  readonly schema: Schema;
}

/** What every kind of member is told. */
export interface Spec {
  readonly doc: string;
  readonly initialText: string | null;
}

/** A host, then anything without blanks. `URL` alone accepts `http:///x` and silently drops line feeds. */
const HTTP_URL_PATTERN = "^[hH][tT][tT][pP][sS]?://[^\\s\\p{Cc}\\p{Cs}/?#\\\\]+([/?#][^\\s\\p{Cc}\\p{Cs}]*)?$";

/** A member of a kind. */
export function field<Schema extends TSchema>(
  spec: Spec,
  kind: { wants: string; schema: Schema; itemWants?: string },
): FileField<Schema> {
  return { ...spec, itemWants: null, ...kind };
}

/** Its description in JSON Schema. */
export function describe({ doc }: Spec): { description: string } {
  return { description: doc.replaceAll("`", "") };
}

/** A whole number within bounds. */
export const whole = (spec: Spec, { min, max, unit }: { min: number; max: number; unit?: string }) =>
  field(spec, {
    wants: `a whole number from ${min} to ${max}${unit === undefined ? "" : ` (${unit})`}`,
    schema: Type.Integer({ ...describe(spec), minimum: min, maximum: max }),
  });

/** Text that a pattern describes. */
export const matching = (spec: Spec, { pattern, wants }: { pattern: string; wants: string }) =>
  field(spec, { wants, schema: Type.String({ ...describe(spec), pattern }) });

/** One of a closed set of words. */
export const oneOf = <const Words extends readonly string[]>(spec: Spec, words: Words) =>
  field(spec, { wants: `one of ${words.join(", ")}`, schema: Type.Enum<Words[number][]>([...words], describe(spec)) });

/** An object or a list with a reader of its own; the schema says what it must be. */
export const nested = <Schema extends TSchema>(spec: Spec, { wants, schema }: { wants: string; schema: Schema }) =>
  field(spec, { wants, schema });

/** An address for HTTP. */
export const httpUrl = (spec: Spec) =>
  field(spec, {
    wants: "an http:// or https:// URL without blanks",
    schema: Type.Refine(
      Type.String({ ...describe(spec), pattern: HTTP_URL_PATTERN }),
      (value) => URL.canParse(value),
    ),
  });

/** A list without duplicates. `wants`: its items in the plural. */
export const listOf = <Item extends TSchema>(
  spec: Spec,
  { item, itemWants, wants, most, least = 0 }: {
    readonly item: Item;
    readonly itemWants: string;
    readonly wants: string;
    readonly most: number;
    readonly least?: number;
  },
) =>
  field(spec, {
    wants: `a list of ${least > 0 ? `${least} to ${most}` : `at most ${most}`} ${wants}`,
    itemWants,
    schema: Type.Array(item, {
      ...describe(spec),
      ...(least > 0 ? { minItems: least } : {}),
      ...{ maxItems: most, uniqueItems: true },
    }),
  });

/**
 * A problem in a member's value: its path within the value (`[1]` is the second item), the value there, and a valid one
 * in words.
 */
export interface Fault {
  readonly path: readonly number[];
  readonly value: unknown;
  readonly wants: string;
}

/** Finds the problems in a member's value; empty if it is valid. For a list it reports each bad item. */
export function findFaults({ schema, wants, itemWants }: FileField, value: unknown): readonly Fault[] {
  const isValid: boolean = Check(schema, value);
  if (isValid) return [];
  const whole = [{ path: [], value, wants }];
  const { items, maxItems = Infinity } = schema as { items?: TSchema; maxItems?: number };
  if (itemWants === null || items === undefined || !Array.isArray(value) || value.length > maxItems) return whole;
  const faults = value.flatMap((item: unknown, at): Fault[] => {
    const wanted = !Check(items, item)
      ? itemWants
      : value.indexOf(item) < at
      ? "different from the others in the list"
      : null;
    return wanted === null ? [] : [{ path: [at], value: item, wants: wanted }];
  });
  return faults.length > 0 ? faults : whole;
}

/** Members of one object, by name, in the order of the documentation. */
export type FileFields = Readonly<Record<string, FileField>>;

/** The JSON Schema of an object with these members and no others. `more`: further words of the schema. */
export function objectSchema(fields: FileFields, more: Readonly<Record<string, unknown>> = {}) {
  const members = Object.entries(fields).map(([name, { schema, initialText }]) =>
    [name, initialText === null ? schema : Type.Optional(schema)] as const
  );
  return Type.Object(Object.fromEntries(members), { additionalProperties: false, ...more });
}
