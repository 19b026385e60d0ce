/** Operation `journal`: finds entries of the journals. Changes nothing. */
import Type, { type Static } from "typebox";
import { describeEntry, ENTRY_KINDS } from "../journal/entries.ts";
import type { FoundEntry } from "../journal/journal.ts";
import { type JournalQuery, JOURNALS, parseCursor } from "../journal/query.ts";
import { MESSAGE_ID_PATTERN } from "../message/message_id.ts";
import { toIso } from "../runtime/clock.ts";
import type { ServiceContext } from "./context.ts";
import { type InputProblem, invalidInput, type Operation } from "./operation.ts";

/** Entries of an answer, at most and by default. */
const MOST = 1_000, USUAL = 100;
const INSTANT = "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,3})?Z$";

const INPUT = Type.Object({
  journals: Type.Optional(Type.Array(Type.Enum([...JOURNALS]), { description: "Default: all.", uniqueItems: true })),
  kind: Type.Optional(Type.Enum([...ENTRY_KINDS, "invalid"])),
  source: Type.Optional(Type.String({ description: "Name of a source." })),
  actor: Type.Optional(Type.String({ description: "Name of the key or user that acted." })),
  message: Type.Optional(Type.String({ pattern: MESSAGE_ID_PATTERN, description: "Id of a message." })),
  job: Type.Optional(Type.String({ description: "Id of a job." })),
  from: Type.Optional(Type.String({ pattern: INSTANT, description: "Earliest instant, in ISO 8601." })),
  to: Type.Optional(Type.String({ pattern: INSTANT, description: "Latest instant, in ISO 8601." })),
  order: Type.Optional(Type.Enum(["newest", "oldest"], { description: "Which entries come first; default: newest." })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MOST, description: `Default: ${USUAL}.` })),
  cursor: Type.Optional(Type.String({ description: "Where an earlier answer ended." })),
}, { additionalProperties: false });

const ENTRY = Type.Object({
  journal: Type.Enum([...JOURNALS]),
  id: Type.String({ description: "Its id in the journal." }),
  at: Type.String({ description: "When it was written, by the server's clock, in ISO 8601." }),
  source: Type.Union([Type.String(), Type.Null()]),
  kind: Type.Enum([...ENTRY_KINDS, "invalid"]),
  text: Type.String({ description: "The entry in one sentence." }),
  members: Type.Record(Type.String(), Type.Unknown(), { description: "The other members of its kind." }),
}, { additionalProperties: false });

const OUTPUT = Type.Object({
  entries: Type.Array(ENTRY),
  cursor: Type.String({
    description: "Goes on behind this answer; with order `oldest` also with what is written later.",
  }),
  complete: Type.Boolean({ description: "Whether no more entries are there now." }),
}, { additionalProperties: false });

/** Input of `journal`. */
export type JournalInput = Readonly<Static<typeof INPUT>>;
/** Output of `journal`. */
export type JournalOutput = Static<typeof OUTPUT>;

/** Finds entries by time, kind, source, actor, message or job. */
export const journal = {
  name: "journal",
  summary: "What was moved, who did what, and what went wrong",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/journal" },
  run: findEntries,
} satisfies Operation<Pick<ServiceContext, "journal" | "sources">, JournalInput, JournalOutput>;

async function findEntries(
  { journal, sources }: Pick<ServiceContext, "journal" | "sources">,
  input: JournalInput,
): Promise<JournalOutput> {
  const { from, to, order = "newest", limit = USUAL, ...conditions } = input;
  const problems = findProblems(input, sources().map(({ parts }) => parts.setup.policy.name));
  if (problems.length > 0) throw invalidInput(problems);
  const query: JournalQuery = {
    ...conditions,
    ...(from === undefined ? {} : { fromMs: Date.parse(from) }),
    ...(to === undefined ? {} : { toMs: Date.parse(to) }),
    ...{ oldestFirst: order === "oldest", limit },
  };
  const { entries, cursor, isComplete } = await journal.query(query);
  return { entries: entries.map(describeFound), cursor, complete: isComplete };
}

/** Problems that the schema does not find. */
function findProblems({ source, from, to, cursor }: JournalInput, known: readonly string[]): InputProblem[] {
  const instants = Object.entries({ from, to }).filter(([, text]) => text !== undefined && isNaN(Date.parse(text)));
  return [
    ...findUnknown(source, known),
    ...instants.map(([field, value]) => ({ field, value, wanted: "an instant in ISO 8601" })),
    ...(from !== undefined && to !== undefined && !(Date.parse(from) <= Date.parse(to))
      ? [{ field: "from", value: from, wanted: `earlier than to, ${to}` }]
      : []),
    ...(cursor !== undefined && parseCursor(cursor) === null
      ? [{ field: "cursor", value: cursor, wanted: "one that this operation has returned" }]
      : []),
  ];
}

/** The problem of a source that does not run here. */
export function findUnknown(source: string | undefined, known: readonly string[]): InputProblem[] {
  if (source === undefined || known.includes(source)) return [];
  return [{ field: "source", value: source, wanted: `one of ${known.join(", ")}` }];
}

/** Describes an entry as the operation does. */
export function describeFound({ journal, id, atMs, source, entry }: FoundEntry): Static<typeof ENTRY> {
  const { kind, ...members } = entry;
  return { journal, id, at: toInstant(atMs), source, kind, text: describeEntry(entry), members };
}

/** Any client may have written the id. */
function toInstant(atMs: number): string {
  return toIso(Math.min(atMs, 8.64e15));
}
