/** Operation `verify`: checks that the journals are what was written (docs/journal.md). Changes nothing. */
import Type, { type Static } from "typebox";
import { quote } from "../config/redact.ts";
import { BREAKS, parseHead } from "../journal/chain.ts";
import { JOURNALS } from "../journal/query.ts";
import { explainRedisError } from "../redis/advice.ts";
import { StoreError } from "../redis/errors.ts";
import type { ServiceContext } from "./context.ts";
import { findUnknown } from "./journal.ts";
import type { Operation } from "./operation.ts";

const ID = Type.Union([Type.String(), Type.Null()]);

const INPUT = Type.Object({
  journals: Type.Optional(Type.Array(Type.Enum([...JOURNALS]), { description: "Default: all.", uniqueItems: true })),
  source: Type.Optional(Type.String({ description: "Of the journals of moves, only that of this source." })),
  copies: Type.Optional(Type.Record(Type.String(), Type.String(), {
    description: "Heads that an earlier answer returned, by `audit`, `incidents`, `moves <source>`.",
  })),
}, { additionalProperties: false });

const VERIFIED = Type.Object({
  name: Type.String({ description: "`audit`, `incidents`, `moves <source>`." }),
  intact: Type.Boolean(),
  entries: Type.Integer({ minimum: 0 }),
  trimmed: Type.Integer({ minimum: 0, description: "Older entries, removed because the journal was full." }),
  unwritten: Type.Integer({ minimum: 0, description: "Entries that Redis refused." }),
  head: ID,
  breaks: Type.Array(Type.Object({
    kind: Type.Enum(Object.keys(BREAKS) as (keyof typeof BREAKS)[]),
    after: ID,
    before: ID,
    text: Type.String({ description: "What it proves." }),
  }, { additionalProperties: false })),
}, { additionalProperties: false });

const OUTPUT = Type.Union([
  Type.Object({ ok: Type.Literal(true), intact: Type.Boolean(), journals: Type.Array(VERIFIED) }, {
    additionalProperties: false,
  }),
  Type.Object({ ok: Type.Literal(false), problems: Type.Array(Type.String()) }, { additionalProperties: false }),
]);

/** Input of `verify`. */
export type VerifyInput = Readonly<Static<typeof INPUT>>;
/** Output of `verify`. */
export type VerifyOutput = Static<typeof OUTPUT>;

/** Walks the chains of the journals. */
export const verify = {
  name: "verify",
  summary: "Check that no entry of the journals was changed or removed",
  runsIn: "service",
  role: "viewer",
  input: { ...INPUT },
  output: { ...OUTPUT },
  run: verifyJournals,
} satisfies Operation<Pick<ServiceContext, "journal" | "sources">, VerifyInput, VerifyOutput>;

async function verifyJournals(
  { journal, sources }: Pick<ServiceContext, "journal" | "sources">,
  { copies = {}, ...which }: VerifyInput,
): Promise<VerifyOutput> {
  const names = sources().map(({ parts }) => parts.setup.policy.name);
  const journals = ["audit", "incidents", ...names.map((name) => `moves ${name}`)];
  const heads = Object.entries(copies).map(([name, text]) => ({ name, text, head: parseHead(text) }));
  const problems = [
    ...findUnknown(which.source, names),
    ...heads.filter(({ name }) => !journals.includes(name)).map(({ name }) =>
      `copies: journal ${quote(name)} is unknown; known: ${journals.join(", ")}`
    ),
    ...heads.filter(({ head }) => head === null).map(({ name, text }) =>
      `copies: ${quote(text)} of ${quote(name)} is not a number and a hash, as verify returns them`
    ),
  ];
  if (problems.length > 0) return { ok: false, problems };
  try {
    const verified = await journal.verify({
      ...which,
      copies: Object.fromEntries(heads.map(({ name, head }) => [name, head!])),
    });
    return {
      ok: true,
      intact: verified.every(({ isIntact }) => isIntact),
      journals: verified.map(({ name, isIntact, entries, trimmed, unwritten, head, breaks }) => ({
        ...{ name, intact: isIntact, entries, trimmed, unwritten, head },
        breaks: breaks.map((one) => ({ ...one, text: BREAKS[one.kind] })),
      })),
    };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { ok: false, problems: [`cannot read the journal: ${explainRedisError(error)}`] };
  }
}
