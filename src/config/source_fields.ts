/**
 * The one table of what a source in the sources file may say. The parser, the type {@link SourceEntry},
 * `docs/sources.schema.json` and the table in `docs/configuration.md` come from it. Pure.
 *
 * A library for schemas would cost 16 ms and 11 MB at each start (TOOLCHAIN §8) and word its problems otherwise than those of
 * the variables; there are ten members.
 */

/** Where a value stands in the file, as JSON path: `sources.orders.required[1]`. */
export type JsonPath = string;

/** Takes what is wrong: the path, the value and what is wanted, to be read as "`path` `value` is not `wants`". */
export type Report = (path: JsonPath, value: unknown, wants: string) => void;

/** One member of a source. */
export interface SourceField<T> {
  /** What it means, for people. */
  readonly doc: string;
  /** What a good value is, to be read after "is not". */
  readonly wants: string;
  /** What holds for a declared source that does not name it, in words; `null`: it must be named. */
  readonly initialText: string | null;
  /** As JSON Schema (2020-12). */
  readonly schema: Readonly<Record<string, unknown>>;
  /** The value, or `undefined` after telling `report` what is wrong. */
  check(value: unknown, at: { path: JsonPath; report: Report }): T | undefined;
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
const OWN_MEMBERS: readonly string[] = ["_remediation", "failed_at"];

function simple<T>(
  spec: Spec,
  kind: { wants: string; schema: Readonly<Record<string, unknown>>; isGood: (value: unknown) => boolean },
): SourceField<T> {
  return {
    ...{ doc: spec.doc, initialText: spec.initialText, wants: kind.wants, schema: kind.schema },
    check(value, { path, report }) {
      if (kind.isGood(value)) return value as T;
      report(path, value, kind.wants);
      return undefined;
    },
  };
}

function isText(value: unknown, pattern: string): value is string {
  return typeof value === "string" && new RegExp(pattern, "u").test(value);
}

function redisKey(spec: Spec): SourceField<string> {
  return simple(spec, {
    wants: "a Redis key of 1 to 512 characters, none blank",
    schema: { type: "string", pattern: KEY_PATTERN },
    isGood: (value) => isText(value, KEY_PATTERN),
  });
}

const MEMBER = {
  wants: "the name of a message's member: 1 to 128 characters without control characters, and not " +
    OWN_MEMBERS.join(" or "),
  schema: { type: "string", pattern: MEMBER_PATTERN, not: { enum: OWN_MEMBERS } },
  isGood: (value: unknown) => isText(value, MEMBER_PATTERN) && !OWN_MEMBERS.includes(value),
};

function memberOrNull(spec: Spec): SourceField<string | null> {
  return simple(spec, {
    wants: `null or ${MEMBER.wants}`,
    schema: { anyOf: [{ type: "null" }, MEMBER.schema] },
    isGood: (value) => value === null || MEMBER.isGood(value),
  });
}

function members(spec: Spec): SourceField<readonly string[]> {
  const wants = `a list of at most ${MAX_MEMBERS} names of members`;
  return {
    ...spec,
    wants,
    schema: { type: "array", items: MEMBER.schema, maxItems: MAX_MEMBERS, uniqueItems: true },
    check(value, { path, report }) {
      if (!Array.isArray(value) || value.length > MAX_MEMBERS) {
        report(path, value, wants);
        return undefined;
      }
      const names: readonly unknown[] = value;
      const bad = names.map((name, at): boolean => {
        const wanted = !MEMBER.isGood(name)
          ? MEMBER.wants
          : names.indexOf(name) < at
          ? "a name that the list does not hold already"
          : null;
        if (wanted !== null) report(`${path}[${at}]`, name, wanted);
        return wanted !== null;
      });
      return bad.includes(true) ? undefined : names as readonly string[];
    },
  };
}

function whole(spec: Spec, { min, max, unit }: { min: number; max: number; unit: string }): SourceField<number> {
  return simple(spec, {
    wants: `a whole number from ${min} to ${max} (${unit})`,
    schema: { type: "integer", minimum: min, maximum: max },
    isGood: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  });
}

/** The bounds of `REMEDIATION_MAX_PER_SECOND`: a pace near 0 would be spent for longer than any clock counts. */
const SLOWEST = 0.001, FASTEST = 1_000_000;

function pace(spec: Spec): SourceField<"auto" | number> {
  return simple(spec, {
    wants: `0 or a number from ${SLOWEST} to ${FASTEST} (messages a second), or of a built-in source auto`,
    schema: { anyOf: [{ enum: ["auto", 0] }, { type: "number", minimum: SLOWEST, maximum: FASTEST }] },
    isGood: (value) =>
      value === "auto" || value === 0 || (typeof value === "number" && value >= SLOWEST && value <= FASTEST),
  });
}

function httpUrl(spec: Spec): SourceField<string> {
  return simple(spec, {
    wants: "an http:// or https:// URL without blanks",
    schema: { type: "string", pattern: HTTP_URL_PATTERN },
    isGood: (value) => isText(value, HTTP_URL_PATTERN) && URL.canParse(value as string),
  });
}

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
  readonly [Member in SourceMember]?: (typeof SOURCE_FIELDS)[Member] extends SourceField<infer T> ? T : never;
};
