/**
 * The one table of what a source in the sources file may say. The parser, the type {@link SourceEntry},
 * `docs/sources.schema.json` and the table in `docs/configuration.md` come from it. Pure.
 *
 * A member's TypeBox schema is its JSON Schema. The words of its problems are those of the table, as for the variables.
 */
import Type, { type Static, type TSchema } from "typebox";
import { Check } from "typebox/value";

/** One member of a source. */
export interface SourceField<Schema extends TSchema = TSchema> {
  /** What it means, for people. */
  readonly doc: string;
  /** What a good value is, to be read after "is not". */
  readonly wants: string;
  /** What a good item of a list is, to be read after "is not"; `null`: it is no list. */
  readonly itemWants: string | null;
  /** What holds for a declared source that does not name it, in words; `null`: it must be named. */
  readonly initialText: string | null;
  /** As TypeBox and JSON Schema (2020-12). */
  readonly schema: Schema;
}

interface Spec {
  readonly doc: string;
  readonly initialText: string | null;
}

/** Most members that a source may name in a list. */
const MAX_MEMBERS = 64;
/** A lone surrogate (`\p{Cs}`) would become another character on its way to Redis, and so another key. */
const KEY_PATTERN = "^[^\\s\\p{Cc}\\p{Cs}]{1,512}$";
const MEMBER_PATTERN = "^[^\\p{Cc}\\p{Cs}]{1,128}$";
/** A host, then anything without blanks: `URL` alone would take `http:///x`, and drop line feeds in silence. */
const HTTP_URL_PATTERN = "^[hH][tT][tT][pP][sS]?://[^\\s\\p{Cc}\\p{Cs}/?#\\\\]+([/?#][^\\s\\p{Cc}\\p{Cs}]*)?$";
/** Members that this service writes itself. */
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
    wants: "a Redis key of 1 to 512 characters, none blank",
    schema: Type.String({ ...describe(spec), pattern: KEY_PATTERN }),
  });

const MEMBER = Type.String({ pattern: MEMBER_PATTERN, not: { enum: OWN_MEMBERS } });
const MEMBER_WANTS = "the name of a message's member: 1 to 128 characters without control characters, and not " +
  OWN_MEMBERS.join(" or ");

const memberOrNull = (spec: Spec) =>
  field(spec, { wants: `null or ${MEMBER_WANTS}`, schema: Type.Union([Type.Null(), MEMBER], describe(spec)) });

const members = (spec: Spec) =>
  field(spec, {
    wants: `a list of at most ${MAX_MEMBERS} names of members`,
    itemWants: MEMBER_WANTS,
    schema: Type.Array(MEMBER, { ...describe(spec), maxItems: MAX_MEMBERS, uniqueItems: true }),
  });

const whole = (spec: Spec, { min, max, unit }: { min: number; max: number; unit: string }) =>
  field(spec, {
    wants: `a whole number from ${min} to ${max} (${unit})`,
    schema: Type.Integer({ ...describe(spec), minimum: min, maximum: max }),
  });

/** The bounds of `REMEDIATION_MAX_PER_SECOND`: a pace near 0 would be spent for longer than any clock counts. */
const SLOWEST = 0.001, FASTEST = 1_000_000;

const pace = (spec: Spec) =>
  field(spec, {
    wants: `0 or a number from ${SLOWEST} to ${FASTEST} (messages a second), or of a built-in source auto`,
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

/** Every member that a source may have, in the order of the pages. */
export const SOURCE_FIELDS = {
  dlq: redisKey({ doc: "The dead-letter queue (list) that is drained.", initialText: null }),
  target: redisKey({ doc: "The work queue (list) that messages are replayed to.", initialText: null }),
  dead: redisKey({ doc: "The dead list: messages that are not replayed any more.", initialText: null }),
  counter: memberOrNull({
    doc: "Top-level number of a message that counts as its failures, beside the service's own count. `null`: none.",
    initialText: "none",
  }),
  cutOnReplay: members({ doc: "Top-level members that are cut out of a replayed message.", initialText: "none" }),
  required: members({
    doc: "Top-level members without which a message is dead (`malformed`); empty ones count as missing.",
    initialText: "none",
  }),
  maxReplays: whole(
    {
      doc: "A message that failed this often is poison. Wins over `MAX_POISON_RETRIES`.",
      initialText: "`MAX_POISON_RETRIES`",
    },
    { min: 1, max: 1_000, unit: "failures" },
  ),
  maxPerSecond: pace({
    doc: "Fixed pace, all instances together; 0: no limit. A built-in source may also say `auto`.",
    initialText: "0",
  }),
  targetMaxDepth: whole(
    { doc: "Nothing is replayed while the target holds this many; 0: no limit.", initialText: "1000" },
    { min: 0, max: 1_000_000_000, unit: "messages" },
  ),
  healthUrl: httpUrl({
    doc: "URL of the consumer; it must answer 200, or nothing is replayed.",
    initialText: "not asked",
  }),
} as const;

/** Name of a member of a source. */
export type SourceMember = keyof typeof SOURCE_FIELDS;

/** Every member's name, in the order of the table. */
export const SOURCE_MEMBERS = Object.keys(SOURCE_FIELDS) as readonly SourceMember[];

/** What the file says of one source: only what it names. */
export type SourceEntry = {
  readonly [Member in SourceMember]?: Readonly<Static<(typeof SOURCE_FIELDS)[Member]["schema"]>>;
};

const SCHEMAS = Object.fromEntries(SOURCE_MEMBERS.map((name) => [name, SOURCE_FIELDS[name].schema]));

/** A built-in source in the file: each member overrides. */
export const BUILT_IN_ENTRY = Type.Partial(Type.Object(SCHEMAS), {
  description: "Members of a built-in source that are overridden.",
  additionalProperties: false,
});

/** A source of the file's own: the members without a default must be there. */
export const DECLARED_ENTRY = Type.Object(
  Object.fromEntries(
    SOURCE_MEMBERS.map((name) => [
      name,
      SOURCE_FIELDS[name].initialText === null ? SCHEMAS[name]! : Type.Optional(SCHEMAS[name]!),
    ]),
  ),
  {
    description: "A source of its own.",
    additionalProperties: false,
    not: { properties: { maxPerSecond: { const: "auto" } }, required: ["maxPerSecond"] },
  },
);

/** What is wrong with one value: where in it (`[1]`: its second item), and what is wanted there. */
export interface Fault {
  readonly path: readonly number[];
  readonly value: unknown;
  readonly wants: string;
}

/** What is wrong with a member's value; nothing where it is good. Of a list each bad item is told, not the list. */
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
