/**
 * The table of a source's members in the sources file. The parser, the type {@link SourceEntry},
 * `docs/sources.schema.json` and the table in `docs/configuration.md` are generated from it. Pure.
 *
 * A member's TypeBox schema is also its JSON Schema. Error texts come from the table, as for the variables.
 */
import Type, { type Static } from "typebox";
import { DEFAULT_RECORD_HOURS, PUSHES, RECORD_PLACES } from "../message/source_policy.ts";
import { describe, field, httpUrl, listOf, nested, oneOf, type Spec, whole } from "./file_fields.ts";
import { LIST_KEY_PATTERN, LIST_KEY_WANTS } from "./key_names.ts";
import { createWindowsSchema, WINDOWS_WANTS } from "./window_fields.ts";
import {
  MAX_NAME_CHARACTERS,
  MAX_PATH_NAMES,
  MEMBER_NAME_PATTERN,
  MEMBER_PATH_PATTERN,
  pathsWith,
} from "../message/member_path.ts";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER } from "../message/source_policy.ts";

/** Maximum length of a list of members. */
const MAX_MEMBERS = 64;
/** Members that this service writes. */
const OWN_MEMBERS = [REMEDIATION_MEMBER, FAILED_AT_MEMBER];

const listKey = (spec: Spec) =>
  field(spec, { wants: LIST_KEY_WANTS, schema: Type.String({ ...describe(spec), pattern: LIST_KEY_PATTERN }) });

const NAME = Type.String({ pattern: MEMBER_NAME_PATTERN, not: { enum: OWN_MEMBERS } });
const NAME_WANTS = `the name of a message member: 1 to ${MAX_NAME_CHARACTERS} characters without control characters, ` +
  `not ${OWN_MEMBERS.join(" or ")}`;

const PATH_RULES = {
  pattern: MEMBER_PATH_PATTERN,
  // The stamp may be in an inner message.
  not: { pattern: pathsWith({ anywhere: REMEDIATION_MEMBER, first: FAILED_AT_MEMBER }) },
};
const PATH = Type.String(PATH_RULES);
const PATH_WANTS = `the path of a message member, e.g. headers.retries: up to ${MAX_PATH_NAMES} names of 1 to ` +
  `${MAX_NAME_CHARACTERS} characters, a dot or a backslash in a name behind a backslash; not ${
    OWN_MEMBERS.join(" or ")
  }`;

const path = (spec: Spec) =>
  field(spec, { wants: PATH_WANTS, schema: Type.String({ ...describe(spec), ...PATH_RULES }) });

const pathOrNull = (spec: Spec) =>
  field(spec, { wants: `null or ${PATH_WANTS}`, schema: Type.Union([Type.Null(), PATH], describe(spec)) });

const paths = (spec: Spec) =>
  listOf(spec, { item: PATH, itemWants: PATH_WANTS, wants: "paths of members", most: MAX_MEMBERS });

const names = (spec: Spec) =>
  listOf(spec, { item: NAME, itemWants: NAME_WANTS, wants: "member names", most: MAX_MEMBERS });

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

/** Every member of a source, in the order of the documentation. */
export const SOURCE_FIELDS = {
  dlq: listKey({ doc: "The dead-letter queue (list) to drain.", initialText: null }),
  target: listKey({ doc: "The work queue (list) to replay messages to.", initialText: null }),
  dead: listKey({ doc: "The dead list: it receives messages that must not be replayed again.", initialText: null }),
  push: oneOf({
    doc:
      "The command by which messages enter all three lists: `LPUSH` if consumers take them by RPOP, `RPUSH` if they " +
      "take them by LPOP. The service uses it too, and takes the oldest messages first.",
    initialText: "`LPUSH`",
  }, PUSHES),
  unwrap: pathOrNull({
    doc:
      "Member with the original message, if the consumer wraps what it dead-letters: its value is replayed, an object or the text of " +
      "one (with `record: beside`, any value). A message without it is dead (`malformed`). `null`: the message is replayed.",
    initialText: "none",
  }),
  counter: pathOrNull({
    doc: "Number in a message that counts its failures, in addition to the service's own count. `null`: none.",
    initialText: "none",
  }),
  cutOnReplay: paths({ doc: "Members to remove from replayed messages.", initialText: "none" }),
  required: paths({
    doc: "Members that every message must have. A message without one, or with an empty one, is dead (`malformed`).",
    initialText: "none",
  }),
  record: oneOf({
    doc:
      "Where failures are counted: `inside`, in the member `_remediation` of each message, or `beside`, in Redis. With `beside`, messages " +
      "may be any bytes, and get no stamp.",
    initialText: "`inside`",
  }, RECORD_PLACES),
  recordId: path({
    doc: "With `record: beside`, text or number that names a message.",
    initialText: "the digest of what is replayed",
  }),
  recordFor: whole(
    {
      doc: "With `record: beside`, hours for which failures are remembered after the last replay of a message.",
      initialText: String(DEFAULT_RECORD_HOURS),
    },
    { min: 1, max: 8_760, unit: "hours" },
  ),
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
  show: paths({ doc: "Members to show in lists of messages.", initialText: "none" }),
  groupBy: paths({
    doc: "Members with the text that messages are grouped by, beside the reason of their failure.",
    initialText: "none",
  }),
  secret: names({
    doc: "Members to hide wherever a message is shown, at any depth and in any case of letters, in addition to " +
      "`api_key`, `password`, `token` and `authorization`.",
    initialText: "none",
  }),
  windows: nested({
    doc: "[Windows](#windows) of this source, in addition to those of all sources.",
    initialText: "none",
  }, {
    wants: WINDOWS_WANTS,
    schema: createWindowsSchema("Windows of this source, in addition to those of all sources."),
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

/** Members that only `record: beside` gives a meaning. */
const BESIDE = { properties: { record: { const: "beside" } }, required: ["record"] };
const DEPENDENT = { dependentSchemas: { recordId: BESIDE, recordFor: BESIDE } };

/** Schema of a built-in source in the file: every member is optional and overrides. */
export const BUILT_IN_ENTRY = Type.Partial(Type.Object(SCHEMAS), {
  description: "Overrides of a built-in source.",
  additionalProperties: false,
  ...DEPENDENT,
  not: { properties: { push: { const: "RPUSH" } }, required: ["push"] },
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
    ...DEPENDENT,
    not: { properties: { maxPerSecond: { const: "auto" } }, required: ["maxPerSecond"] },
  },
);
