/**
 * The table of a source's members in the sources file. The parser, the type {@link SourceEntry},
 * `docs/sources.schema.json` and the table in `docs/configuration.md` are generated from it. Pure.
 *
 * A member's TypeBox schema is also its JSON Schema. Error texts come from the table, as for the variables.
 */
import Type, { type Static, type TSchema } from "typebox";
import { Check } from "typebox/value";

/** One member of a source. */
export interface SourceField<Schema extends TSchema = TSchema> {
  /** Description for users. */
  readonly doc: string;
  /** A valid value; completes "is not". */
  readonly wants: string;
  /** A valid item of a list; completes "is not". `null` if the member is not a list. */
  readonly itemWants: string | null;
  /** Default for a declared source, in words; `null` if the member is required. */
  readonly initialText: string | null;
  /** Its TypeBox schema, which is also JSON Schema (2020-12). */
  readonly schema: Schema;
}

interface Spec {
  readonly doc: string;
  readonly initialText: string | null;
}

/** Maximum length of a list of member names. */
const MAX_MEMBERS = 64;
/** Excludes lone surrogates (`\p{Cs}`): their encoding replaces them, which would yield another key. */
const KEY_PATTERN = "^[^\\s\\p{Cc}\\p{Cs}]{1,512}$";
const MEMBER_PATTERN = "^[^\\p{Cc}\\p{Cs}]{1,128}$";
/** A host, then anything without blanks. `URL` alone accepts `http:///x` and silently drops line feeds. */
const HTTP_URL_PATTERN = "^[hH][tT][tT][pP][sS]?://[^\\s\\p{Cc}\\p{Cs}/?#\\\\]+([/?#][^\\s\\p{Cc}\\p{Cs}]*)?$";
/** Members that this service writes. */
const OWN_MEMBERS = ["_remediation", "failed_at"];

function field<Schema extends TSchema>(
  spec: Spec,
  kind: { wants: string; schema: Schema; itemWants?: string },
): SourceField<Schema> {
  return { ...spec, itemWants: null, ...kind };
}

function describe({ doc }: Spec): { description: string } {
  return { description: doc.replaceAll("`", "") };
}

const redisKey = (spec: Spec) =>
  field(spec, {
    wants: "a Redis key of 1 to 512 characters without blanks",
    schema: Type.String({ ...describe(spec), pattern: KEY_PATTERN }),
  });

const MEMBER = Type.String({ pattern: MEMBER_PATTERN, not: { enum: OWN_MEMBERS } });
const MEMBER_WANTS = "the name of a message member: 1 to 128 characters without control characters, not " +
  OWN_MEMBERS.join(" or ");

const memberOrNull = (spec: Spec) =>
  field(spec, { wants: `null or ${MEMBER_WANTS}`, schema: Type.Union([Type.Null(), MEMBER], describe(spec)) });

const members = (spec: Spec) =>
  field(spec, {
    wants: `a list of at most ${MAX_MEMBERS} member names`,
    itemWants: MEMBER_WANTS,
    schema: Type.Array(MEMBER, { ...describe(spec), maxItems: MAX_MEMBERS, uniqueItems: true }),
  });

const whole = (spec: Spec, { min, max, unit }: { min: number; max: number; unit: string }) =>
  field(spec, {
    wants: `a whole number from ${min} to ${max} (${unit})`,
    schema: Type.Integer({ ...describe(spec), minimum: min, maximum: max }),
  });

/** Bounds of `REMEDIATION_MAX_PER_SECOND`. A rate near 0 would mean pauses longer than any clock can count. */
const SLOWEST = 0.001, FASTEST = 1_000_000;

const pace = (spec: Spec) =>
  field(spec, {
    wants: `0 or a number from ${SLOWEST} to ${FASTEST} (messages a second), or auto for a built-in source`,
    schema: Type.Union([
      Type.Literal("auto"),
      Type.Literal(0),
      Type.Number({ minimum: SLOWEST, maximum: FASTEST }),
    ], describe(spec)),
  });

const httpUrl = (spec: Spec) =>
  field(spec, {
    wants: "an http:// or https:// URL without blanks",
    schema: Type.Refine(
      Type.String({ ...describe(spec), pattern: HTTP_URL_PATTERN }),
      (value) => URL.canParse(value),
    ),
  });

/** Every member of a source, in the order of the documentation. */
export const SOURCE_FIELDS = {
  dlq: redisKey({ doc: "The dead-letter queue (list) to drain.", initialText: null }),
  target: redisKey({ doc: "The work queue (list) to replay messages to.", initialText: null }),
  dead: redisKey({ doc: "The dead list: it receives messages that must not be replayed again.", initialText: null }),
  counter: memberOrNull({
    doc:
      "Top-level number in a message that counts its failures, in addition to the service's own count. `null`: none.",
    initialText: "none",
  }),
  cutOnReplay: members({ doc: "Top-level members to remove from replayed messages.", initialText: "none" }),
  required: members({
    doc:
      "Top-level members that every message must have. A message without one, or with an empty one, is dead (`malformed`).",
    initialText: "none",
  }),
  maxReplays: whole(
    {
      doc: "Failures after which a message is poison. Overrides `MAX_POISON_RETRIES`.",
      initialText: "`MAX_POISON_RETRIES`",
    },
    { min: 1, max: 1_000, unit: "failures" },
  ),
  maxPerSecond: pace({
    doc: "Maximum replay rate of all instances together; 0: no limit. `auto` is for built-in sources only.",
    initialText: "0",
  }),
  targetMaxDepth: whole(
    { doc: "Replay pauses while the target holds this many messages; 0: no limit.", initialText: "1000" },
    { min: 0, max: 1_000_000_000, unit: "messages" },
  ),
  healthUrl: httpUrl({
    doc: "Health URL of the consumer. Replay pauses unless it answers 200.",
    initialText: "not asked",
  }),
  show: members({ doc: "Top-level members to show in lists of messages.", initialText: "none" }),
  groupBy: members({
    doc: "Top-level members with the text that messages are grouped by, beside the reason of their failure.",
    initialText: "none",
  }),
  secret: members({
    doc: "Members to hide wherever a message is shown, at any depth and in any case of letters, in addition to " +
      "`api_key`, `password`, `token` and `authorization`.",
    initialText: "none",
  }),
} as const;

/** Name of a source's member. */
export type SourceMember = keyof typeof SOURCE_FIELDS;

/** The names of all members, in the order of the table. */
export const SOURCE_MEMBERS = Object.keys(SOURCE_FIELDS) as readonly SourceMember[];

/** One source in the file, with only the members that it names. */
export type SourceEntry = {
  readonly [Member in SourceMember]?: Readonly<Static<(typeof SOURCE_FIELDS)[Member]["schema"]>>;
};

const SCHEMAS = Object.fromEntries(SOURCE_MEMBERS.map((name) => [name, SOURCE_FIELDS[name].schema]));

/** Schema of a built-in source in the file: every member is optional and overrides. */
export const BUILT_IN_ENTRY = Type.Partial(Type.Object(SCHEMAS), {
  description: "Overrides of a built-in source.",
  additionalProperties: false,
});

/** Schema of a declared source: members without a default are required. */
export const DECLARED_ENTRY = Type.Object(
  Object.fromEntries(
    SOURCE_MEMBERS.map((name) => [
      name,
      SOURCE_FIELDS[name].initialText === null ? SCHEMAS[name]! : Type.Optional(SCHEMAS[name]!),
    ]),
  ),
  {
    description: "A declared source.",
    additionalProperties: false,
    not: { properties: { maxPerSecond: { const: "auto" } }, required: ["maxPerSecond"] },
  },
);

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
export function findFaults(member: SourceMember, value: unknown): readonly Fault[] {
  const { schema, wants, itemWants } = SOURCE_FIELDS[member];
  if (Check(schema, value)) return [];
  const whole = [{ path: [], value, wants }];
  if (itemWants === null || !Array.isArray(value) || value.length > MAX_MEMBERS) return whole;
  return value.flatMap((item: unknown, at): Fault[] => {
    const wanted = !Check(MEMBER, item)
      ? itemWants
      : value.indexOf(item) < at
      ? "a name that the list does not hold already"
      : null;
    return wanted === null ? [] : [{ path: [at], value: item, wants: wanted }];
  });
}
